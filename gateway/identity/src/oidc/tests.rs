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
        issuer: Url::parse(ISSUER).unwrap(),
        client_id: "cardea".to_owned(),
        client_secret: None,
        scopes: vec!["email".to_owned()],
        email_domains: vec!["corp.example".to_owned()],
        join: JoinRule::Closed,
        groups_claim: "groups".to_owned(),
        groups: BTreeMap::from([("chem".to_owned(), group("chemists"))]),
        assurance: BTreeMap::from([("mfa".to_owned(), Assurance::Two), ("phr".to_owned(), Assurance::Three)]),
        ca_file: None,
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

fn person(change: &Value, userinfo: Option<&Value>) -> Result<ProviderPerson, Refused> {
    let verified = verify(&json!({ "alg": "ES256", "kid": "es" }), &with(change)).unwrap();
    provider().person(&verified, userinfo)
}

#[test]
fn claims_become_a_person_in_our_words() {
    let ada = person(&json!({ "acr": "mfa" }), None).unwrap();
    assert_eq!(ada.groups, [group("chemists")]);
    assert_eq!((ada.assurance, ada.name.as_deref()), (Assurance::Two, Some("Ada")));
    assert_eq!(ada.email.unwrap().as_str(), "ada@corp.example");
    assert_eq!(person(&json!({ "amr": ["pwd", "phr"] }), None).unwrap().assurance, Assurance::Three);
    assert_eq!(person(&json!({ "acr": "unheard-of" }), None).unwrap().assurance, Assurance::One);
}

#[test]
fn an_address_that_nobody_verified_is_none() {
    for change in
        [json!({ "email_verified": false }), json!({ "email_verified": null }), json!({ "email": "a@b@c.example" })]
    {
        assert_eq!(person(&change, None).unwrap().email, None, "{change}");
    }
    // An address of the token is never vouched for by another source.
    let userinfo = json!({ "sub": "u-1", "email": "boss@corp.example", "email_verified": true });
    assert_eq!(person(&json!({ "email_verified": false }), Some(&userinfo)).unwrap().email, None);
    let missing = person(&json!({ "email": null, "email_verified": null }), Some(&userinfo)).unwrap();
    assert_eq!(missing.email.unwrap().as_str(), "boss@corp.example");
}

#[test]
fn userinfo_about_somebody_else_is_refused() {
    assert!(person(&json!({}), Some(&json!({ "sub": "u-2" }))).is_err());
    assert!(person(&json!({}), Some(&json!({}))).is_err());
}

/// Vaultwarden CVE-2026-47164: an existing account was linked by an address that nobody had verified.
#[test]
fn an_address_opens_an_account_only_where_the_provider_is_trusted_for_it() {
    let ada = person(&json!({}), None).unwrap();
    let active = user("ada@corp.example");
    let invited = User { status: Status::Invited, ..active.clone() };
    let stranger = ProviderSpec { email_domains: vec![], ..spec() };
    let open = ProviderSpec { join: JoinRule::Open, ..stranger.clone() };
    let pool = |by_email| Pool { linked: None, by_email, domain_is_anothers: false };
    assert_eq!(admit(&spec(), &ada, pool(Some(&active))), Admission::Link);
    assert_eq!(admit(&stranger, &ada, pool(Some(&active))), Admission::NotAMember);
    assert_eq!(admit(&open, &ada, pool(Some(&active))), Admission::NotAMember);
    assert_eq!(admit(&spec(), &ada, pool(None)), Admission::NotAMember);
    assert_eq!(admit(&open, &ada, pool(None)), Admission::Join(ada.email.clone().unwrap()));
    let foreign = Pool { domain_is_anothers: true, ..pool(None) };
    assert_eq!(admit(&open, &ada, foreign), Admission::NotAMember);
    let unverified = ProviderPerson { email: None, ..ada.clone() };
    assert_eq!(admit(&open, &unverified, pool(None)), Admission::NotAMember);
    assert_eq!(admit(&spec(), &unverified, pool(Some(&active))), Admission::NotAMember);
    // An invitation that waits is an account of its address: an untrusted provider could name anybody.
    assert_eq!(admit(&spec(), &ada, pool(Some(&invited))), Admission::Link);
    for untrusted in [&stranger, &open] {
        assert_eq!(admit(untrusted, &ada, pool(Some(&invited))), Admission::NotAMember);
    }
    let known = Pool { linked: Some(&active), ..pool(None) };
    assert_eq!(admit(&stranger, &unverified, known), Admission::Known);
}

#[test]
fn a_provider_gives_and_takes_its_own_groups_only() {
    let current = [group("administrators"), group("chemists")];
    assert_eq!(regroup(&spec(), &current, &[]), [group("administrators")]);
    assert_eq!(regroup(&spec(), &[], &[group("chemists"), group("administrators")]), [group("chemists")]);
}
