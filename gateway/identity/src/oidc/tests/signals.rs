//! What a provider says by itself, and what is refused of it (`crate::signals`).

use super::*;
use crate::signals::{self, Logout};

const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn logout_claims() -> Value {
    let at = now().as_secs();
    json!({
        "iss": ISSUER, "aud": "cardea", "sub": "u-1", "sid": "s-1", "iat": at, "exp": at + 120, "jti": "j-1",
        "events": { LOGOUT: {} },
    })
}

/// With these claims instead; what is `null` is left out.
fn but(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn logout(header: &Value, claims: &Value) -> Result<Logout, signals::Refused> {
    signals::logout(&signed(header, claims), &provider(), now())
}

#[test]
fn a_logout_token_names_whose_sessions_are_over() {
    for header in [
        json!({ "alg": "ES256", "kid": "es", "typ": "logout+jwt" }),
        json!({ "alg": "EdDSA", "kid": "ed", "typ": "application/logout+jwt" }),
        json!({ "alg": "RS256", "kid": "rsa", "typ": "JWT" }),
        json!({ "alg": "PS256", "kid": "rsa" }),
        json!({ "alg": "ES256" }),
    ] {
        let said = logout(&header, &logout_claims()).unwrap_or_else(|error| panic!("{header}: {error}"));
        assert_eq!((said.subject.as_deref(), said.sid.as_deref()), (Some("u-1"), Some("s-1")));
    }
    let es = json!({ "alg": "ES256", "kid": "es", "typ": "logout+jwt" });
    for fine in [
        json!({ "sid": null }),
        json!({ "sub": null }),
        json!({ "aud": ["other", "cardea"] }),
        json!({ "iat": now().as_secs() - 600 }),
        json!({ "iat": now().as_secs() + 60, "exp": now().as_secs() + 180 }),
    ] {
        assert!(logout(&es, &but(logout_claims(), &fine)).is_ok(), "{fine} was refused");
    }
    // Two tokens are two, and one is the same wherever it comes in.
    let once = |jti: &str| logout(&es, &but(logout_claims(), &json!({ "jti": jti }))).unwrap().once;
    assert_eq!(once("a"), once("a"));
    assert_ne!(once("a").spent_as, once("b").spent_as);
    assert!(once("a").until > now().plus(Duration::from_secs(600)), "it would be forgotten while it still verifies");
}

#[test]
fn a_logout_token_that_somebody_else_could_have_made_ends_nothing() {
    let sound = logout_claims();
    for header in [
        json!({ "alg": "none", "typ": "logout+jwt" }),
        json!({ "alg": "HS256", "kid": "rsa", "typ": "logout+jwt" }),
        json!({ "alg": "HS256", "typ": "logout+jwt" }),
        json!({ "alg": "ES256", "kid": "es", "by": "stranger" }),
        json!({ "alg": "ES256", "kid": "stranger" }),
        json!({ "alg": "RS256", "kid": "es" }),
        json!({ "alg": "RS512", "kid": "rsa" }),
        json!({ "alg": "ES256", "kid": "es", "typ": "secevent+jwt" }),
        json!({ "alg": "ES256", "kid": "es", "typ": "at+jwt" }),
        json!({ "alg": "ES256", "kid": "es", "crit": ["b64"] }),
        json!({ "alg": "ES256", "kid": "es", "jwk": jwks()["keys"][0] }),
        json!({ "alg": "ES256", "kid": "es", "jku": "https://evil.example" }),
    ] {
        assert!(logout(&header, &sound).is_err(), "{header} was believed");
    }
    let stranger = json!({ "alg": "ES256", "kid": "stranger" });
    assert_eq!(logout(&stranger, &sound), Err(signals::Refused::UnknownKey), "keys would not be fetched anew");
    let forged = json!({ "alg": "ES256", "kid": "es", "by": "stranger" });
    assert_eq!(logout(&forged, &sound), Err(signals::Refused::Signature));
    for bad in ["", ".", "..", "a.b", "a.b.c.d.e", &"x".repeat(20_000)] {
        assert!(signals::logout(bad, &provider(), now()).is_err(), "{bad}");
    }
}

#[test]
fn a_logout_token_of_another_time_place_or_purpose_ends_nothing() {
    let (es, at) = (json!({ "alg": "ES256", "kid": "es", "typ": "logout+jwt" }), now().as_secs());
    for bad in [
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": format!("{ISSUER}/") }),
        json!({ "iss": null }),
        json!({ "aud": "another" }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "iat": at - 601 }),
        json!({ "iat": at + 61, "exp": at + 180 }),
        json!({ "iat": null }),
        json!({ "iat": -1 }),
        json!({ "iat": i64::MAX }),
        json!({ "exp": at - 60 }),
        json!({ "exp": null }),
        json!({ "jti": null }),
        json!({ "jti": "" }),
        json!({ "events": null }),
        json!({ "events": {} }),
        json!({ "events": { LOGOUT: "yes" } }),
        json!({ "events": { "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} } }),
        json!({ "nonce": "n" }),
        json!({ "sub": null, "sid": null }),
        json!({ "sub": "" }),
        json!({ "sub": "u\n1" }),
    ] {
        assert!(logout(&es, &but(logout_claims(), &bad)).is_err(), "{bad} was believed");
    }
    // I7: not even a nonce that says nothing.
    let mut claims = logout_claims();
    claims["nonce"] = Value::Null;
    assert!(logout(&es, &claims).is_err(), "a null nonce was overlooked");
    // An ID token says nothing of an end.
    assert!(logout(&json!({ "alg": "ES256", "kid": "es" }), &super::claims()).is_err());
}
