use cardea_core::{Secret, entropy::Fixed};
use serde_json::{Value, json};

use super::*;
use crate::{
    Sealer, keys,
    testing::{Pair, now, tenant},
};

const ISSUER: &str = "https://id.north.example";

struct Signer {
    record: KeyRecord,
    key: SigningKey,
}

fn signer() -> Signer {
    let sealer = Sealer::new(&Secret::new([9; 32])).unwrap();
    let record = keys::make(&tenant(), now(), &sealer, now(), &Fixed::new(1)).unwrap();
    let key = record.open(&sealer).unwrap();
    Signer { record, key }
}

fn token() -> AccessToken {
    AccessToken {
        iss: ISSUER.to_owned(),
        sub: "sync".to_owned(),
        aud: vec!["https://records.north.example".to_owned()],
        client_id: ClientId::parse("sync").unwrap(),
        scope: Scope::parse("read approve").unwrap(),
        jti: TokenId::mint(now(), &Fixed::new(2)),
        grant: None,
        assurance: None,
        auth_time: None,
        amr: vec![],
        cnf: Some(Confirmation::of_certificate(b"certificate")),
        iat: now().as_secs(),
        exp: now().plus(LIFE).as_secs(),
    }
}

/// A token with its header and claims as wished, signed by our key.
fn forged(signer: &Signer, header: impl FnOnce(&mut Header), claims: impl FnOnce(&mut Value)) -> String {
    let mut of =
        Header { kid: Some(signer.key.id.clone()), typ: Some(KIND.to_owned()), ..Header::new(Algorithm::ES256) };
    header(&mut of);
    let mut said = serde_json::to_value(token()).unwrap();
    claims(&mut said);
    jsonwebtoken::encode(&of, &said, &signer.key.key).unwrap()
}

fn judged(signer: &Signer, text: &str) -> Result<AccessToken, Refused> {
    verify(text, std::slice::from_ref(&signer.record), ISSUER, now())
}

#[test]
fn a_token_says_what_it_was_given_and_nothing_of_who_signed_it() {
    let signer = signer();
    let text = mint(&token(), &signer.key).unwrap();
    assert_eq!(judged(&signer, &text), Ok(token()));
    assert!(claims_to_be_of(&text, |issuer| issuer == ISSUER) && !claims_to_be_of(&text, |issuer| issuer != ISSUER));
    let header = jsonwebtoken::decode_header(&text).unwrap();
    assert_eq!((header.typ.as_deref(), header.jwk), (Some("at+jwt"), None));
}

/// G20, G21: alg confusion, keys that a token brings, what is encrypted and signed by nobody.
#[test]
fn a_forged_or_malformed_token_is_refused() {
    let signer = signer();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = part(&serde_json::to_value(token()).unwrap());
    let head = |alg: &str| part(&json!({ "alg": alg, "typ": "at+jwt", "kid": signer.key.id }));
    let good = mint(&token(), &signer.key).unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    // HS256 with the public key as its secret.
    let public = URL_SAFE_NO_PAD.decode(&signer.record.public).unwrap();
    let hs = Header { kid: Some(signer.key.id.clone()), typ: Some(KIND.to_owned()), ..Header::new(Algorithm::HS256) };
    let confused = jsonwebtoken::encode(&hs, &token(), &jsonwebtoken::EncodingKey::from_secret(&public)).unwrap();
    let other = Pair::p256();
    let by_other = other.sign(KIND, &serde_json::to_value(token()).unwrap(), |header| {
        header.kid = Some(signer.key.id.clone());
    });
    for (text, says) in [
        (format!("{}.{body}.", head("none")), "another algorithm"),
        (format!("{}.{body}.{signature}", head("None")), "another algorithm"),
        (confused, "another algorithm"),
        (by_other, "signature does not verify"),
        (format!("{signed}.{}", signature.replace(|_| true, "A")), "signature does not verify"),
        (format!("{signed}."), "signature does not verify"),
        (format!("{good}.{good}"), "three parts"),
        (format!("{}..{body}.{body}.{body}", head("dir")), "three parts"),
        ("a.b.c".to_owned(), "header cannot be read"),
        (String::new(), "three parts"),
        (format!("{good}{}", "A".repeat(9000)), "longer than 8 KiB"),
        (forged(&signer, |h| h.typ = Some("JWT".into()), |_| {}), "another kind"),
        (forged(&signer, |h| h.typ = None, |_| {}), "another kind"),
        (forged(&signer, |h| h.typ = Some("dpop+jwt".into()), |_| {}), "another kind"),
        (forged(&signer, |h| h.kid = None, |_| {}), "names no key"),
        (forged(&signer, |h| h.kid = Some("other".into()), |_| {}), "not one of ours"),
        (forged(&signer, |h| h.jku = Some("https://evil.example/jwks".into()), |_| {}), "key of its own"),
        (forged(&signer, |h| h.x5u = Some("https://evil.example/x".into()), |_| {}), "key of its own"),
        (forged(&signer, |h| h.x5c = Some(vec!["AA==".into()]), |_| {}), "key of its own"),
        (forged(&signer, |h| h.jwk = Some(other.jwk.clone()), |_| {}), "key of its own"),
        (forged(&signer, |h| h.crit = Some(vec!["exp".into()]), |_| {}), "not understood"),
        (forged(&signer, |h| h.cty = Some("JWT".into()), |_| {}), "not understood"),
    ] {
        let refused = judged(&signer, &text).unwrap_err();
        assert!(refused.0.contains(says), "{text}: {refused}");
    }
}

#[test]
fn what_a_token_says_must_hold() {
    let signer = signer();
    let at = now().as_secs();
    for (change, says) in [
        (json!({ "iss": "https://id.south.example" }), "another issuer's"),
        (json!({ "iss": "https://id.north.example/" }), "another issuer's"),
        (json!({ "exp": at }), "time is over"),
        (json!({ "exp": at + 601 }), "time is over"),
        (json!({ "exp": -1 }), "no time"),
        (json!({ "exp": i64::MAX }), "no time"),
        (json!({ "iat": at + 60, "exp": at + 120 }), "another time than its key"),
        (json!({ "iat": at - 60 }), "another time than its key"),
        (json!({ "exp": null }), "cannot be read"),
        (json!({ "scope": "" }), "cannot be read"),
        (json!({ "aud": null }), "cannot be read"),
        (json!({ "cnf": { "jkt": "x", "x5t#S256": "y" } }), "cannot be read"),
        (json!({ "cnf": { "unknown": "x" } }), "cannot be read"),
        (json!({ "client_id": "../x" }), "cannot be read"),
    ] {
        let text = forged(
            &signer,
            |_| {},
            |claims| {
                for (name, value) in change.as_object().unwrap() {
                    claims[name] = value.clone();
                }
            },
        );
        let refused = judged(&signer, &text).unwrap_err();
        assert!(refused.0.contains(says), "{change}: {refused}");
    }
}

#[test]
fn a_retired_key_verifies_what_it_signed_and_signs_nothing_new() {
    let signer = signer();
    let last = signer.record.signs_until.minus(Duration::from_secs(1));
    let late = |at: Timestamp| AccessToken { iat: at.as_secs(), exp: at.plus(LIFE).as_secs(), ..token() };
    let verified = |token: AccessToken, now| {
        let text = mint(&token, &signer.key).unwrap();
        verify(&text, std::slice::from_ref(&signer.record), ISSUER, now).map(|_| ())
    };
    assert_eq!(verified(late(last), last.plus(Duration::from_secs(300))), Ok(()));
    let after = signer.record.signs_until.plus(Duration::from_secs(60));
    assert!(verified(late(after), after).unwrap_err().0.contains("another time than its key"));
    let gone = signer.record.published_until;
    assert!(verified(late(gone), gone).unwrap_err().0.contains("not one of ours"));
}

#[test]
fn what_is_too_long_to_be_looked_at_is_refused_and_not_passed_over() {
    let long = format!("a.{}.c", "b".repeat(9000));
    assert!(claims_to_be_of(&long, |_| true));
    for other in ["", "a.b", "a.b.c", "a.b.c.d.e", "cardea_key_x", "e30.e30.e30"] {
        assert!(!claims_to_be_of(other, |_| true), "{other}");
    }
}

/// What names us as its issuer and is badly made beside was passed on to the app as another's, with the session of whoever's browser
/// sent it.
#[test]
fn a_badly_made_token_of_ours_is_not_anothers() {
    let claims = URL_SAFE_NO_PAD.encode(json!({ "iss": ISSUER, "exp": "soon", "sub": 7 }).to_string());
    for text in [format!("a.{claims}"), format!("a.{claims}.c"), format!("a.{claims}==.c"), format!("a.{claims}.c.d.e")]
    {
        assert!(claims_to_be_of(&text, |issuer| issuer == ISSUER), "{text}");
    }
}
