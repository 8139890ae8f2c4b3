use std::{collections::BTreeMap, sync::OnceLock};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaEncoding, RsaKeyPair,
    },
};
use cardea_core::{GroupId, ProviderId, entropy::Fixed, resources::JoinRule};
use serde_json::json;

use super::*;
use crate::{
    pool::{Status, User},
    testing::{now, user},
    token::sha256,
};

mod person;
mod signals;
mod token;

const ISSUER: &str = "https://id.corp.example";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn group(name: &str) -> GroupId {
    GroupId::parse(name).unwrap()
}

fn spec() -> ProviderSpec {
    ProviderSpec {
        id: ProviderId::parse("corp").unwrap(),
        name: "Corp".to_owned(),
        issuer: ISSUER.parse().unwrap(),
        client_id: "cardea".to_owned(),
        client_secret: None,
        scopes: vec!["email".to_owned()],
        email_domains: vec!["corp.example".to_owned()],
        join: JoinRule::Closed,
        link: false,
        groups_claim: "groups".to_owned(),
        groups: BTreeMap::from([("chem".to_owned(), group("chemists"))]),
        assurance: BTreeMap::from([("mfa".to_owned(), Assurance::Two), ("phr".to_owned(), Assurance::Three)]),
        ca_file: None,
        signals: None,
    }
}

fn discovery() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/auth"),
        "token_endpoint": format!("{ISSUER}/token"),
        "jwks_uri": format!("{ISSUER}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

/// The provider's keys; and one more, which nobody published.
struct Signers {
    es: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    rsa: RsaKeyPair,
    stranger: EcdsaKeyPair,
}

fn signers() -> &'static Signers {
    static SIGNERS: OnceLock<Signers> = OnceLock::new();
    SIGNERS.get_or_init(|| Signers {
        es: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        ed: Ed25519KeyPair::generate().unwrap(),
        rsa: RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap(),
        stranger: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    })
}

fn jwks() -> Value {
    let Signers { es, ed, rsa, .. } = signers();
    let point = es.public_key().as_ref();
    let public = rsa.public_key();
    json!({ "keys": [
        { "kty": "EC", "crv": "P-256", "kid": "es", "use": "sig", "x": b64(&point[1..33]), "y": b64(&point[33..]) },
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": b64(ed.public_key()) },
        { "kty": "RSA", "kid": "rsa", "use": "sig",
          "n": b64(public.modulus().big_endian_without_leading_zero()),
          "e": b64(public.exponent().big_endian_without_leading_zero()) },
    ]})
}

fn provider() -> Provider {
    let document = discovery().to_string();
    Provider::read(&spec(), document.as_bytes()).unwrap().with_keys(jwks().to_string().as_bytes()).unwrap()
}

fn claims() -> Value {
    let at = now().as_secs();
    json!({
        "iss": ISSUER, "aud": "cardea", "sub": "u-1", "nonce": "nonce", "iat": at, "exp": at + 300,
        "email": "ada@corp.example", "email_verified": true, "name": "Ada", "groups": ["chem", "other"],
    })
}

fn signed(header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let (rng, bytes) = (SystemRandom::new(), input.as_bytes());
    let Signers { es, ed, rsa, stranger } = signers();
    let by_rsa = |encoding: &'static dyn RsaEncoding| {
        let mut out = vec![0; rsa.public_modulus_len()];
        rsa.sign(encoding, &rng, bytes, &mut out).unwrap();
        out
    };
    let signature = match (header["alg"].as_str().unwrap_or_default(), header["kid"].as_str().unwrap_or_default()) {
        ("ES256", "stranger" | "forged") => stranger.sign(&rng, bytes).unwrap().as_ref().to_vec(),
        ("ES256", _) if header["by"] == "stranger" => stranger.sign(&rng, bytes).unwrap().as_ref().to_vec(),
        ("ES256", _) => es.sign(&rng, bytes).unwrap().as_ref().to_vec(),
        ("EdDSA", _) => ed.sign(bytes).as_ref().to_vec(),
        ("RS256", _) => by_rsa(&RSA_PKCS1_SHA256),
        ("PS256", _) => by_rsa(&RSA_PSS_SHA256),
        ("HS256", _) => {
            // The classic confusion: the public key's bytes as a MAC key.
            let public = signers().rsa.public_key().as_ref();
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public);
            aws_lc_rs::hmac::sign(&key, bytes).as_ref().to_vec()
        }
        _ => vec![],
    };
    format!("{input}.{}", b64(signature))
}

fn verify_token(token: &str, attempt: &Attempt) -> Result<Claims, Refused> {
    let answer = json!({ "access_token": "at-1", "token_type": "Bearer", "id_token": token });
    provider().verify(&Provider::tokens(&answer)?, attempt, now())
}

fn verify(header: &Value, claims: &Value) -> Result<Claims, Refused> {
    verify_token(&signed(header, claims), &Attempt::for_tests())
}

fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A URL that is read and written again has its host in small letters, and its provider was refused for having written it otherwise.
#[test]
fn an_issuer_is_compared_with_what_the_tenant_wrote() {
    let written = ProviderSpec { issuer: "https://ID.Corp.example/a".parse().unwrap(), ..spec() };
    for (issuer, same) in [
        ("https://ID.Corp.example/a", true),
        ("https://id.corp.example/a", true),
        ("https://ID.Corp.example/a/", false),
        ("https://ID.Corp.example/A", false),
        ("https://ID.Corp.example", false),
    ] {
        let mut document = discovery();
        document["issuer"] = issuer.into();
        assert_eq!(Provider::read(&written, document.to_string().as_bytes()).is_ok(), same, "{issuer}");
    }
}

#[test]
fn a_discovery_document_speaks_for_its_issuer_only() {
    let read = |changes: Value| {
        let mut document = discovery();
        for (name, value) in changes.as_object().unwrap() {
            document[name] = value.clone();
        }
        Provider::read(&spec(), document.to_string().as_bytes())
    };
    assert!(read(json!({})).is_ok());
    assert!(read(json!({ "issuer": format!("{ISSUER}/") })).is_ok(), "the slash that a URL adds");
    for bad in [
        json!({ "issuer": "https://evil.example" }),
        json!({ "issuer": "https://ID.corp.example" }),
        json!({ "issuer": null }),
        json!({ "token_endpoint": null }),
        json!({ "token_endpoint": "http://id.corp.example/token" }),
        json!({ "jwks_uri": "http://id.corp.example/jwks" }),
        json!({ "authorization_endpoint": "http://id.corp.example/auth" }),
    ] {
        assert!(read(bad.clone()).is_err(), "{bad} was taken");
    }
    let provider = read(json!({})).unwrap();
    assert!(provider.clone().with_keys(b"{\"keys\":[]}").is_err());
    assert!(provider.with_keys(b"nonsense").is_err());
}

#[test]
fn the_way_there_carries_a_challenge_and_no_secret() {
    let redirect = Url::parse("https://id.north.example/sign-in/callback/corp").unwrap();
    let ask = Ask { fresh: true, assurance: Some(Assurance::Two), hint: None };
    let (url, attempt) = provider().send(&redirect, ask, now(), &Fixed::new(1)).unwrap();
    let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["code_challenge"], b64(sha256(attempt.verifier.as_bytes())));
    assert_eq!((query["state"].as_str(), query["nonce"].as_str()), (attempt.state(), attempt.nonce.as_str()));
    assert_eq!((query["max_age"].as_str(), query["acr_values"].as_str()), ("0", "mfa phr"));
    assert_eq!(query["redirect_uri"], redirect.as_str());
    assert!(!url.as_str().contains(&attempt.verifier));
    assert_ne!(attempt.state, attempt.nonce);
}

#[test]
fn an_answer_belongs_to_the_sign_in_that_asked() {
    let attempt = Attempt::for_tests();
    let mut naming = provider();
    let read = |query: &str| provider().read_answer(query, &attempt).err();
    assert_eq!(read("code=c&state=state"), None);
    assert_eq!(read("code=c&state=state&iss=https%3A%2F%2Fid.corp.example"), None);
    for bad in [
        "",
        "code=c",
        "state=state",
        "code=&state=state",
        "code=c&state=other",
        "code=c&state=",
        "code=c&state=state&state=state",
        "code=c&code=d&state=state",
        "code=c&state=state&iss=https%3A%2F%2Fevil.example",
        "code=c&state=state&iss=https%3A%2F%2Fid.corp.example%2F",
    ] {
        assert!(read(bad).is_some(), "{bad:?} was taken");
    }
    assert_eq!(read("error=access_denied&state=state"), Some(Refused::Provider("access_denied".to_owned())));
    assert_eq!(read("error=%3Cscript%3E&state=state"), Some(Refused::Provider("unreadable".to_owned())));
    assert!(read("error=access_denied&state=other") != Some(Refused::Provider("access_denied".to_owned())));
    naming.names_itself = true;
    assert!(naming.read_answer("code=c&state=state", &attempt).is_err(), "a missing `iss` was overlooked");
}
