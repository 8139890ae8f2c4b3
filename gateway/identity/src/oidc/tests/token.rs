//! What makes an ID token believed, and what each of its claims is worth.

use super::*;

#[test]
fn a_sound_token_of_each_kind_is_believed() {
    for header in [
        json!({ "alg": "ES256", "kid": "es" }),
        json!({ "alg": "EdDSA", "kid": "ed" }),
        json!({ "alg": "RS256", "kid": "rsa" }),
        json!({ "alg": "PS256", "kid": "rsa" }),
        // One key of its kind: no `kid` is needed.
        json!({ "alg": "ES256", "typ": "JWT" }),
    ] {
        let verified = verify(&header, &claims()).unwrap_or_else(|error| panic!("{header}: {error}"));
        assert_eq!(verified.subject, "u-1");
    }
}

/// APISIX CVE-2026-39999, Hono CVE-2026-22817, fast-jwt CVE-2026-34950: the algorithm is ours to choose.
#[test]
fn a_forged_signature_is_not_believed() {
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "None" }),
        json!({ "alg": "HS256", "kid": "rsa" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS256", "kid": "es" }),
        json!({ "alg": "ES256", "kid": "rsa" }),
        json!({ "alg": " ES256", "kid": "es" }),
        json!({ "alg": "es256", "kid": "es" }),
        json!({ "alg": "ES256", "kid": "es", "by": "stranger" }),
        json!({ "alg": "ES256", "kid": "es", "crit": ["exp"], "exp": 1 }),
        json!({ "kid": "es" }),
        json!({ "alg": "RSA-OAEP", "enc": "A256GCM", "kid": "rsa" }),
    ] {
        assert!(verify(&header, &claims()).is_err(), "{header} was believed");
    }
    let embedded = json!({ "alg": "ES256", "kid": "forged", "jwk": jwks()["keys"][0], "jku": "https://evil.example" });
    assert_eq!(verify(&embedded, &claims()), Err(Refused::UnknownKey));
}

#[test]
fn an_unpublished_key_is_told_apart_so_that_keys_are_fetched_anew() {
    assert_eq!(verify(&json!({ "alg": "ES256", "kid": "stranger" }), &claims()), Err(Refused::UnknownKey));
}

/// pac4j CVE-2026-29000, Keycloak CVE-2026-9793: encryption is not identity.
#[test]
fn what_is_no_signed_token_is_refused() {
    let whole = signed(&json!({ "alg": "ES256", "kid": "es" }), &claims());
    let parts: Vec<_> = whole.split('.').collect();
    let jwe = format!("{}.a.b.{}.c", b64(r#"{"alg":"dir","enc":"A256GCM"}"#), b64(claims().to_string()));
    for bad in [
        String::new(),
        "a".to_owned(),
        jwe,
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{whole}.x"),
        format!("{whole}="),
        format!("{} .{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], b64("[]"), parts[2]),
        format!("{}.{}.{}", b64("{}"), parts[1], parts[2]),
        claims().to_string(),
    ] {
        assert!(verify_token(&bad, &Attempt::for_tests()).is_err(), "{bad:?} was believed");
    }
}

#[test]
fn every_claim_is_checked_alone() {
    let header = json!({ "alg": "ES256", "kid": "es" });
    let at = now().as_secs();
    for bad in [
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": format!("{ISSUER}/") }),
        json!({ "iss": null }),
        json!({ "aud": "other" }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": ["cardea", "other"] }),
        json!({ "aud": ["cardea", "other"], "azp": "other" }),
        json!({ "azp": "other" }),
        json!({ "sub": "" }),
        json!({ "sub": null }),
        json!({ "sub": "x".repeat(256) }),
        json!({ "sub": "ada\u{0}" }),
        json!({ "sub": "ada\nben" }),
        json!({ "sub": "\u{1b}[2Jada" }),
        json!({ "sub": "ada\u{202e}" }),
        json!({ "sub": "adä" }),
        json!({ "nonce": "other" }),
        json!({ "nonce": null }),
        json!({ "exp": at - 61 }),
        json!({ "exp": null }),
        json!({ "exp": "never" }),
        json!({ "iat": at + 120 }),
        json!({ "iat": at - 3600 }),
        json!({ "iat": null }),
        json!({ "at_hash": b64([0; 16]) }),
    ] {
        assert!(verify(&header, &with(&bad)).is_err(), "{bad} was believed");
    }
    let hash = b64(&sha256(b"at-1")[..16]);
    for good in [
        json!({ "azp": "cardea" }),
        json!({ "aud": ["cardea", "other"], "azp": "cardea" }),
        json!({ "at_hash": hash }),
        json!({ "iat": at - 60 }),
        json!({ "sub": "x".repeat(255) }),
        json!({ "sub": "CN=Ada Byron,O=Acme|1" }),
    ] {
        verify(&header, &with(&good)).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
}

#[test]
fn a_fresh_sign_in_must_be_shown() {
    let header = json!({ "alg": "ES256", "kid": "es" });
    let asked = Attempt { fresh: true, ..Attempt::for_tests() };
    let at = |change: Value| verify_token(&signed(&header, &with(&change)), &asked);
    assert!(at(json!({})).is_err(), "a silent sign-in was taken for a fresh one");
    assert!(at(json!({ "auth_time": now().as_secs() - 3600 })).is_err());
    assert!(at(json!({ "auth_time": now().as_secs() })).is_ok());
    assert!(at(json!({ "auth_time": now().as_secs() + 60 })).is_ok(), "a clock may be off");
    for ahead in [61, 86_400] {
        assert!(at(json!({ "auth_time": now().as_secs() + ahead })).is_err(), "{ahead} s to come");
    }
}
