use serde_json::{Value, json};

use super::*;
use crate::testing::{Pair, now};

const URL: &str = "https://records.north.example/studies/S-1";
const TOKEN: &str = "token";

fn claims(change: &Value) -> Value {
    let ath = URL_SAFE_NO_PAD.encode(sha256(TOKEN.as_bytes()));
    let mut claims = json!({ "jti": "one", "htm": "GET", "htu": URL, "iat": now().as_secs(), "ath": ath });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn proof(pair: &Pair, change: &Value) -> String {
    pair.sign("dpop+jwt", &claims(change), |header| header.jwk = Some(pair.jwk.clone()))
}

fn judged(proof: &str) -> Result<Proof, Refused> {
    verify(proof, &Expected { method: "GET", url: URL, token: Some(TOKEN), now: now() })
}

#[test]
fn a_proof_names_its_key_whichever_kind_it_is() {
    for pair in [Pair::p256(), Pair::ed25519()] {
        let proven = judged(&proof(&pair, &json!({}))).unwrap();
        assert_eq!(proven.thumbprint, pair.jwk.thumbprint(ThumbprintHash::SHA256).unwrap());
        assert_ne!(proven.spent_as, judged(&proof(&pair, &json!({ "jti": "two" }))).unwrap().spent_as);
    }
}

#[test]
fn the_address_is_compared_as_addresses_are_and_without_its_query() {
    let pair = Pair::p256();
    for same in ["https://RECORDS.north.example:443/studies/S-1", "https://records.north.example/studies/S-1?x=1#y"] {
        assert!(judged(&proof(&pair, &json!({ "htu": same }))).is_ok(), "{same}");
    }
    for other in
        ["https://records.north.example/studies/s-1", "http://records.north.example/studies/S-1", "/studies/S-1", ""]
    {
        assert!(judged(&proof(&pair, &json!({ "htu": other }))).is_err(), "{other}");
    }
}

#[test]
fn a_proof_of_another_request_time_token_or_kind_is_refused() {
    let (pair, at) = (Pair::p256(), now().as_secs());
    for (change, says) in [
        (json!({ "htm": "POST" }), "another request"),
        (json!({ "htm": "get" }), "another request"),
        (json!({ "iat": at - 61 }), "another time"),
        (json!({ "iat": at + 6 }), "another time"),
        (json!({ "ath": null }), "another token"),
        (json!({ "ath": "x" }), "another token"),
        (json!({ "jti": "" }), "no name"),
        (json!({ "iat": null }), "cannot be read"),
    ] {
        let refused = judged(&proof(&pair, &change)).unwrap_err();
        assert!(refused.0.contains(says), "{change}: {refused}");
    }
    let stranger = Pair::p256();
    let keys = [
        pair.sign("dpop+jwt", &claims(&json!({})), |_| {}),
        pair.sign("JWT", &claims(&json!({})), |header| header.jwk = Some(pair.jwk.clone())),
        pair.sign("dpop+jwt", &claims(&json!({})), |header| header.jwk = Some(stranger.jwk.clone())),
    ];
    for (proof, says) in keys.iter().zip(["brings no key", "another kind", "signature does not verify"]) {
        assert!(judged(proof).unwrap_err().0.contains(says), "{says}");
    }
}

/// Section 4.3, 7.: whoever sends the private part along proves nothing.
#[test]
fn a_proof_that_brings_its_private_key_is_refused() {
    let pair = Pair::p256();
    let mut key = serde_json::to_value(&pair.jwk).unwrap();
    assert!(!holds_more_than_a_public_key(&key));
    key["d"] = json!("secret");
    assert!(holds_more_than_a_public_key(&key));
    let good = proof(&pair, &json!({}));
    let (head, rest) = good.split_once('.').unwrap();
    let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    header["jwk"] = key;
    let brought = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
    assert!(judged(&brought).unwrap_err().0.contains("not a public one alone"));
}
