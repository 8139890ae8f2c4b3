use std::sync::Arc;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Entropy as _, FactorId, entropy::Fixed};
use serde_json::json;

use super::*;
use crate::{
    testing::{now, user},
    token::sha256,
};

const ORIGIN: &str = "https://id.north.example:8443";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An authenticator in software, with everything that one can get wrong.
struct Authenticator {
    key: Arc<EcdsaKeyPair>,
    id: [u8; 32],
    origin: &'static str,
    rp: &'static str,
    flags: u8,
    counter: u32,
    owner: Option<UserId>,
}

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;

impl Authenticator {
    fn new(owner: &User, seed: u64) -> Self {
        let mut id = [0; 32];
        Fixed::new(seed).fill(&mut id);
        Self {
            key: Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            id,
            origin: ORIGIN,
            rp: "id.north.example",
            flags: PRESENT | VERIFIED,
            counter: 1,
            owner: Some(owner.id),
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        json!({ "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn data(&self, attested: &[u8]) -> Vec<u8> {
        let flags = self.flags | if attested.is_empty() { 0 } else { 0x40 };
        [&sha256(self.rp.as_bytes())[..], &[flags], &self.counter.to_be_bytes(), attested].concat()
    }

    fn create(&self, options: &Value) -> Value {
        let point = self.key.public_key().as_ref();
        // CBOR (RFC 8949): {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
        let key = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], &point[1..33], &[0x22, 0x58, 32], &point[33..]];
        let attested = [&[0; 16][..], &32_u16.to_be_bytes(), &self.id, &key.concat()].concat();
        let data = self.data(&attested);
        let length = u8::try_from(data.len()).unwrap();
        let object =
            [&[0xa3][..], b"\x63fmt\x64none", b"\x67attStmt\xa0", b"\x68authData", &[0x58, length], &data].concat();
        json!({
            "id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": b64(self.client_data("webauthn.create", options)),
                "attestationObject": b64(object),
            },
        })
    }

    fn get(&self, options: &Value) -> Value {
        let client = self.client_data("webauthn.get", options);
        let data = self.data(&[]);
        let signed = [&data[..], &sha256(&client)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": b64(client),
                "authenticatorData": b64(data),
                "signature": b64(signature.as_ref()),
                "userHandle": self.owner.map(|owner| b64(owner.as_uuid().as_bytes())),
            },
        })
    }
}

fn site() -> Site {
    Site::new("id.north.example", ORIGIN, "North").unwrap()
}

fn enrolled(authenticator: &Authenticator, user: &User) -> Factor {
    let (options, state) = site().begin_enrolment(user, &[]).unwrap();
    let data = site().finish_enrolment(authenticator.create(&options), &state).unwrap();
    let id = FactorId::mint(now(), &Fixed::new(77));
    Factor { id, name: String::new(), data, created: now(), last_used: None }
}

/// A whole ceremony, with or without a user name.
fn proves(by_name: bool, authenticator: &Authenticator, user: &User, factors: &[Factor]) -> Result<Used, Rejected> {
    let (options, ceremony) = if by_name { site().ask(factors).unwrap() } else { site().ask_anyone().unwrap() };
    // Through the store and back.
    let kept = serde_json::to_vec(&ceremony).unwrap();
    site().finish(authenticator.get(&options), serde_json::from_slice(&kept).unwrap(), user, factors)
}

#[test]
fn a_passkey_proves_two_factors_with_and_without_a_user_name() {
    let ada = user("ada@north.example");
    let mut hers = Authenticator::new(&ada, 1);
    let factor = enrolled(&hers, &ada);
    hers.counter = 2;
    for by_name in [true, false] {
        let used = proves(by_name, &hers, &ada, std::slice::from_ref(&factor)).unwrap();
        assert_eq!(used.factor, factor.id);
        assert!(matches!(used.means, Means::Passkey { user_verified: true, bound: false, .. }));
        assert!(used.update.is_some(), "the counter moved");
    }
    let (options, _) = site().ask_anyone().unwrap();
    assert_eq!(Site::claimed(&hers.get(&options)), Some(ada.id));
}

#[test]
fn what_an_authenticator_gets_wrong_is_refused() {
    let ada = user("ada@north.example");
    let mut hers = Authenticator::new(&ada, 1);
    hers.counter = 10;
    let factors = [enrolled(&hers, &ada)];
    hers.counter = 11;
    type Fault = fn(&mut Authenticator);
    let faults: [(&str, Fault); 9] = [
        ("another origin", |a| a.origin = "https://id.evil.example:8443"),
        ("another port", |a| a.origin = "https://id.north.example"),
        ("plain http", |a| a.origin = "http://id.north.example:8443"),
        ("a subdomain", |a| a.origin = "https://x.id.north.example:8443"),
        ("another site's key", |a| a.rp = "id.evil.example"),
        ("nobody verified", |a| a.flags = PRESENT),
        ("nobody present", |a| a.flags = VERIFIED),
        ("backed up but not eligible", |a| a.flags = PRESENT | VERIFIED | BACKED_UP),
        ("a counter that went back: a copy", |a| a.counter = 9),
    ];
    for (what, spoil) in faults {
        let mut spoilt = Authenticator { key: Arc::clone(&hers.key), ..Authenticator::new(&ada, 1) };
        spoilt.counter = 11;
        spoil(&mut spoilt);
        for by_name in [true, false] {
            assert!(proves(by_name, &spoilt, &ada, &factors).is_err(), "{what}, by name: {by_name}");
        }
    }
    assert!(proves(true, &hers, &ada, &factors).is_ok());
}

/// What is enrolled counts as shown: so it must have been.
#[test]
fn nobody_enrols_a_passkey_without_being_checked_by_it() {
    let ada = user("ada@north.example");
    let enrols = |flags| {
        let mut hers = Authenticator::new(&ada, 1);
        hers.flags = flags;
        let (options, state) = site().begin_enrolment(&ada, &[]).unwrap();
        site().finish_enrolment(hers.create(&options), &state).is_ok()
    };
    assert!(enrols(PRESENT | VERIFIED));
    assert!(!enrols(PRESENT), "nobody verified");
    assert!(!enrols(VERIFIED), "nobody present");
}

#[test]
fn a_challenge_answers_for_one_ceremony() {
    let ada = user("ada@north.example");
    let mut hers = Authenticator::new(&ada, 1);
    let factors = [enrolled(&hers, &ada)];
    hers.counter = 2;
    let (first, _) = site().ask(&factors).unwrap();
    let (_, second) = site().ask(&factors).unwrap();
    assert!(site().finish(hers.get(&first), second, &ada, &factors).is_err());
}

#[test]
fn anothers_passkey_proves_nothing() {
    let (ada, eve) = (user("ada@north.example"), user("eve@north.example"));
    let (hers, mut eves) = (Authenticator::new(&ada, 1), Authenticator::new(&eve, 2));
    let ours = [enrolled(&hers, &ada)];
    let theirs = [enrolled(&eves, &eve)];
    eves.counter = 2;
    assert_eq!(proves(true, &eves, &ada, &ours), Err(Rejected::Foreign));
    assert_eq!(proves(false, &eves, &ada, &ours), Err(Rejected::Foreign));
    // Her own key, but saying that it is Ada.
    eves.owner = Some(ada.id);
    assert_eq!(proves(false, &eves, &eve, &theirs), Err(Rejected::Foreign));
    // Ada's credential id on Eve's key.
    eves.id = hers.id;
    assert!(matches!(proves(true, &eves, &ada, &ours), Err(Rejected::Unverified(_))));
}

#[test]
fn a_synced_passkey_is_never_hardware() {
    let ada = user("ada@north.example");
    let mut hers = Authenticator::new(&ada, 1);
    hers.flags = PRESENT | VERIFIED | ELIGIBLE | BACKED_UP;
    let factor = enrolled(&hers, &ada);
    assert!(matches!(factor.data, FactorData::Passkey { reach: Assurance::Two, .. }));
    hers.counter = 2;
    let used = proves(false, &hers, &ada, &[factor]).unwrap();
    assert!(matches!(used.means, Means::Passkey { bound: false, .. }));
}

#[test]
fn nothing_is_asked_of_who_has_no_passkey() {
    assert_eq!(site().ask(&[]).err(), Some(Rejected::Foreign));
    assert!(Site::new("127.0.0.1", "http://127.0.0.1:8080", "North").is_err());
    let ada = user("ada@north.example");
    for nonsense in [Value::Null, json!({}), json!({ "id": "x" }), json!([1])] {
        let (_, ceremony) = site().ask_anyone().unwrap();
        assert_eq!(site().finish(nonsense.clone(), ceremony, &ada, &[]), Err(Rejected::Malformed));
        assert_eq!(Site::claimed(&nonsense), None);
    }
}
