use serde_json::{Value, json};

use super::*;
use crate::testing::{Pair, now};

const ISSUER: &str = "https://id.north.example";
const ENDPOINT: &str = "https://id.north.example/oauth2/token";

fn client(keys: &[(&Pair, Option<&str>)]) -> ClientSpec {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(pair, kid)| {
            let jwk = serde_json::to_value(&pair.jwk).unwrap();
            let mut key = json!({ "kty": jwk["kty"], "crv": jwk["crv"], "x": jwk["x"] });
            for (name, value) in [("y", jwk["y"].clone()), ("kid", json!(kid))] {
                if !value.is_null() {
                    key[name] = value;
                }
            }
            key
        })
        .collect();
    let spec = json!({
        "id": "sync", "name": "Sync", "grants": ["client_credentials"], "authentication": "private_key_jwt",
        "apps": ["records"], "scope": ["read"], "keys": keys,
    });
    serde_json::from_value(spec).unwrap()
}

fn claims(change: &Value) -> Value {
    let at = now().as_secs();
    let mut claims = json!({ "iss": "sync", "sub": "sync", "aud": ISSUER, "iat": at, "exp": at + 60, "jti": "one" });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn judged(assertion: &str, client: &ClientSpec) -> Result<ClientAssertion, Refused> {
    verify(assertion, client, &[ISSUER, ENDPOINT], now())
}

#[test]
fn a_client_proves_itself_by_either_kind_of_key() {
    for pair in [Pair::p256(), Pair::ed25519()] {
        let client = client(&[(&pair, None)]);
        for aud in [json!(ISSUER), json!(ENDPOINT), json!([ENDPOINT])] {
            let assertion = pair.sign("JWT", &claims(&json!({ "aud": aud })), |_| {});
            assert!(judged(&assertion, &client).is_ok(), "{aud}");
            assert_eq!(claimed(&assertion).unwrap().as_str(), "sync");
        }
    }
}

/// RFC 9864: some libraries call the algorithm by the name of its curve. The name chooses nothing.
#[test]
fn an_algorithm_is_its_keys_by_either_of_its_names_and_by_no_others() {
    let renamed = |pair: &Pair, alg: &str| {
        let good = pair.sign("JWT", &claims(&json!({})), |_| {});
        let (_, rest) = good.split_once('.').unwrap();
        let head = json!({ "alg": alg, "typ": "JWT" }).to_string();
        let (claims, _) = rest.split_once('.').unwrap();
        let signed = format!("{}.{claims}", encode(head.as_bytes()));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &pair.encoding, pair.algorithm).unwrap();
        format!("{signed}.{signature}")
    };
    let (ec, ed) = (Pair::p256(), Pair::ed25519());
    assert!(judged(&renamed(&ed, "Ed25519"), &client(&[(&ed, None)])).is_ok());
    for (pair, alg) in [(&ed, "ES256"), (&ed, "none"), (&ed, "HS256"), (&ec, "EdDSA"), (&ec, "ES384"), (&ec, "es256")] {
        let refused = judged(&renamed(pair, alg), &client(&[(pair, None)])).unwrap_err();
        assert!(refused.0.contains("another algorithm"), "{alg}: {refused}");
    }
}

fn encode(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn the_same_assertion_is_known_again_and_another_is_not() {
    let pair = Pair::p256();
    let client = client(&[(&pair, None)]);
    let spent = |jti: &str| {
        let assertion = pair.sign("JWT", &claims(&json!({ "jti": jti })), |_| {});
        judged(&assertion, &client).unwrap().spent_as
    };
    assert_eq!(spent("one"), spent("one"));
    assert_ne!(spent("one"), spent("two"));
}

#[test]
fn of_several_keys_the_named_one_counts() {
    let (old, new) = (Pair::p256(), Pair::ed25519());
    let client = client(&[(&old, Some("old")), (&new, Some("new"))]);
    let sign = |pair: &Pair, kid: Option<&str>| {
        pair.sign("JWT", &claims(&json!({})), |header| header.kid = kid.map(str::to_owned))
    };
    assert!(judged(&sign(&old, Some("old")), &client).is_ok() && judged(&sign(&new, Some("new")), &client).is_ok());
    for (pair, kid) in [(&old, Some("new")), (&new, Some("old")), (&old, None), (&old, Some("gone"))] {
        assert!(judged(&sign(pair, kid), &client).is_err(), "{kid:?}");
    }
}

#[test]
fn an_assertion_that_is_anothers_old_or_for_somebody_else_is_refused() {
    let (pair, at) = (Pair::p256(), now().as_secs());
    let client = client(&[(&pair, None)]);
    for (change, says) in [
        (json!({ "iss": "other" }), "another client"),
        (json!({ "sub": "other" }), "another client"),
        (json!({ "aud": "https://id.south.example" }), "another audience"),
        (json!({ "aud": [ISSUER, "https://id.south.example"] }), "another audience"),
        (json!({ "aud": [] }), "another audience"),
        (json!({ "aud": null }), "cannot be read"),
        (json!({ "exp": at - 31 }), "time is over"),
        (json!({ "exp": at + 3631 }), "longer than an hour"),
        (json!({ "iat": at + 31 }), "time has not come"),
        (json!({ "nbf": at + 31 }), "time has not come"),
        (json!({ "jti": "" }), "no name"),
        (json!({ "jti": "x".repeat(257) }), "no name"),
        (json!({ "jti": null }), "cannot be read"),
        (json!({ "exp": null }), "cannot be read"),
    ] {
        let refused = judged(&pair.sign("JWT", &claims(&change), |_| {}), &client).unwrap_err();
        assert!(refused.0.contains(says), "{change}: {refused}");
    }
    let stranger = Pair::p256();
    assert!(judged(&stranger.sign("JWT", &claims(&json!({})), |_| {}), &client).is_err());
    let own = stranger.sign("JWT", &claims(&json!({})), |header| header.jwk = Some(stranger.jwk.clone()));
    assert!(judged(&own, &client).unwrap_err().0.contains("key of its own"));
    let kind = pair.sign("at+jwt", &claims(&json!({})), |_| {});
    assert!(judged(&kind, &client).unwrap_err().0.contains("another kind"));
}
