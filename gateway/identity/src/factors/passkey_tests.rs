use std::sync::Arc;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Entropy as _, FactorId, entropy::Fixed};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
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
    /// The page around the one that asked.
    around: Option<&'static str>,
    crosses: bool,
    rp: &'static str,
    flags: u8,
    counter: u32,
    owner: Option<UserId>,
    aaguid: [u8; 16],
    maker: Option<Arc<Maker>>,
}

/// Who made an authenticator, and says so with a certificate in it.
struct Maker {
    root: String,
    certificate: Vec<u8>,
    key: EcdsaKeyPair,
}

const MODEL: [u8; 16] = [0x2f; 16];

impl Maker {
    /// A maker of authenticators of one model.
    fn of(model: [u8; 16]) -> Self {
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        ca.distinguished_name.push(DnType::CommonName, "Keys root");
        let ca_key = KeyPair::generate().unwrap();
        let root = ca.self_signed(&ca_key).unwrap().pem();
        // As WebAuthn Level 3 section 8.2.1 wants it.
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::ExplicitNoCa;
        for (kind, word) in [
            (DnType::CountryName, "SE"),
            (DnType::OrganizationName, "Keys"),
            (DnType::OrganizationalUnitName, "Authenticator Attestation"),
            (DnType::CommonName, "Keys attestation"),
        ] {
            params.distinguished_name.push(kind, word);
        }
        let said = [&[0x04, 16][..], &model].concat();
        let oid = &[1, 3, 6, 1, 4, 1, 45724, 1, 1, 4];
        params.custom_extensions = vec![CustomExtension::from_oid_content(oid, said)];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().der().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der()).unwrap();
        Self { root, certificate, key }
    }

    /// What is said of an authenticator: `{alg: -7, sig, x5c: [certificate]}` in CBOR.
    fn says(&self, data: &[u8], client: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(&SystemRandom::new(), &[data, &sha256(client)].concat()).unwrap();
        let length = u8::try_from(signature.as_ref().len()).unwrap();
        let [high, low] = u16::try_from(self.certificate.len()).unwrap().to_be_bytes();
        [
            &b"\xa3\x63alg\x26\x63sig\x58"[..],
            &[length],
            signature.as_ref(),
            b"\x63x5c\x81\x59",
            &[high, low],
            &self.certificate,
        ]
        .concat()
    }

    /// As a tenant lists it.
    fn listed(&self, model: [u8; 16]) -> Vec<AttestedMake> {
        let aaguids = vec![uuid::Uuid::from_bytes(model)];
        vec![AttestedMake { name: "Keys".to_owned(), aaguids, roots: format!("{}\n{}", self.root, self.root) }]
    }
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
            around: None,
            crosses: false,
            rp: "id.north.example",
            flags: PRESENT | VERIFIED,
            counter: 1,
            owner: Some(owner.id),
            aaguid: [0; 16],
            maker: None,
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let mut said = json!({ "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": self.crosses });
        if let Some(around) = self.around {
            said["topOrigin"] = around.into();
        }
        said.to_string().into_bytes()
    }

    fn data(&self, attested: &[u8]) -> Vec<u8> {
        let flags = self.flags | if attested.is_empty() { 0 } else { 0x40 };
        [&sha256(self.rp.as_bytes())[..], &[flags], &self.counter.to_be_bytes(), attested].concat()
    }

    fn create(&self, options: &Value) -> Value {
        let point = self.key.public_key().as_ref();
        // CBOR (RFC 8949): {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
        let key = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], &point[1..33], &[0x22, 0x58, 32], &point[33..]];
        let attested = [&self.aaguid[..], &32_u16.to_be_bytes(), &self.id, &key.concat()].concat();
        let data = self.data(&attested);
        let length = u8::try_from(data.len()).unwrap();
        let client = self.client_data("webauthn.create", options);
        let (format, said) = match &self.maker {
            Some(maker) => (&b"\x63fmt\x66packed"[..], maker.says(&data, &client)),
            None => (&b"\x63fmt\x64none"[..], vec![0xa0]),
        };
        let object = [&[0xa3][..], format, b"\x67attStmt", &said, b"\x68authData", &[0x58, length], &data].concat();
        json!({
            "id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": b64(client),
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

fn site() -> Site<'static> {
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
    let faults: [(&str, Fault); 15] = [
        ("another origin", |a| a.origin = "https://id.evil.example:8443"),
        ("another port", |a| a.origin = "https://id.north.example"),
        ("plain http", |a| a.origin = "http://id.north.example:8443"),
        ("the right origin with a path", |a| a.origin = "https://id.north.example:8443/x"),
        ("the right origin with a name before it", |a| a.origin = "https://evil@id.north.example:8443"),
        ("the right origin in another spelling", |a| a.origin = "https://ID.north.example:8443"),
        ("in a frame of another page", |a| a.crosses = true),
        ("in a frame of a page that is named", |a| (a.crosses, a.around) = (true, Some("https://evil.example"))),
        ("in a frame that is denied and named", |a| a.around = Some("https://evil.example")),
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

#[test]
fn a_copy_is_told_from_what_merely_fails_and_the_original_goes_on() {
    let ada = user("ada@north.example");
    let mut hers = Authenticator::new(&ada, 1);
    hers.counter = 10;
    let mut factor = enrolled(&hers, &ada);
    for by_name in [true, false] {
        for counter in [10, 3] {
            hers.counter = counter;
            let refused = proves(by_name, &hers, &ada, std::slice::from_ref(&factor));
            assert_eq!(refused, Err(Rejected::Copied(factor.id)), "{counter}, by name: {by_name}");
        }
    }
    // What was noted of it stays while its owner goes on with the original.
    if let FactorData::Passkey { copied, .. } = &mut factor.data {
        *copied = Some(now());
    }
    hers.counter = 11;
    let used = proves(false, &hers, &ada, std::slice::from_ref(&factor)).unwrap();
    assert!(matches!(used.update, Some(FactorData::Passkey { copied: Some(_), .. })));
}

#[test]
fn where_makes_are_listed_only_these_are_enrolled_and_they_prove_the_most() {
    let ada = user("ada@north.example");
    let (maker, forger) = (Arc::new(Maker::of(MODEL)), Arc::new(Maker::of(MODEL)));
    let makes = maker.listed(MODEL);
    assert_eq!(check_makes(&makes), Ok(()));
    let strict = || Site::new("id.north.example", ORIGIN, "North").unwrap().of_makes(&makes);
    let enrols = |key: &Authenticator| {
        let (options, state) = strict().begin_enrolment(&ada, &[]).unwrap();
        assert_eq!(options["attestation"], "direct", "{options}");
        // Through the store and back.
        let state = serde_json::from_value(serde_json::to_value(&state).unwrap()).unwrap();
        strict().finish_enrolment(key.create(&options), &state)
    };
    let mut hers = Authenticator::new(&ada, 1);
    (hers.aaguid, hers.maker) = (MODEL, Some(Arc::clone(&maker)));
    let data = enrols(&hers).unwrap();
    let factor = Factor { data, ..enrolled(&Authenticator::new(&ada, 2), &ada) };
    hers.counter = 2;
    let used = proves(false, &hers, &ada, &[factor]).unwrap();
    assert!(matches!(used.means, Means::Passkey { user_verified: true, bound: true, .. }), "{used:?}");

    type Fault<'a> = &'a dyn Fn(&mut Authenticator);
    let other = Arc::new(Maker::of([7; 16]));
    let faults: [(&str, Fault<'_>); 4] = [
        ("no word of a maker", &|key| key.maker = None),
        ("another maker's word", &|key| key.maker = Some(Arc::clone(&forger))),
        ("another model than its certificate says", &|key| key.aaguid = [9; 16]),
        ("a model that is not listed", &|key| (key.aaguid, key.maker) = ([7; 16], Some(Arc::clone(&other)))),
    ];
    for (what, spoil) in faults {
        let mut key = Authenticator::new(&ada, 3);
        (key.aaguid, key.maker) = (MODEL, Some(Arc::clone(&maker)));
        spoil(&mut key);
        assert!(matches!(enrols(&key), Err(Rejected::OtherMake(_))), "{what}: {:?}", enrols(&key));
    }
    let mut synced = Authenticator::new(&ada, 4);
    (synced.aaguid, synced.maker) = (MODEL, Some(Arc::clone(&maker)));
    synced.flags = PRESENT | VERIFIED | ELIGIBLE | BACKED_UP;
    assert!(enrols(&synced).is_err(), "a key that leaves its hardware");
}

#[test]
fn a_root_that_is_no_certificate_is_told() {
    let mut makes = Maker::of(MODEL).listed(MODEL);
    makes[0].roots = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".to_owned();
    assert_eq!(check_makes(&makes), Err(NoMake("Keys".to_owned())));
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

/// Not a test of right and wrong: `cargo test --release -p cardea-identity what_a_sign_in_costs -- --ignored --nocapture`
/// tells what each part of a ceremony takes.
#[test]
#[ignore = "a measurement"]
fn what_a_sign_in_costs() {
    const TIMES: u32 = 500;
    let ada = user("ada@north.example");
    let mut hers = Authenticator::new(&ada, 1);
    let factors = [enrolled(&hers, &ada)];
    (hers.counter, hers.flags) = (2, PRESENT | VERIFIED);
    let (options, ceremony) = site().ask_anyone().unwrap();
    let answer = hers.get(&options);
    let tell = |what: &str, work: &dyn Fn()| {
        let begun = std::time::Instant::now();
        (0..TIMES).for_each(|_| work());
        println!("{what}: {:?}", begun.elapsed() / TIMES);
    };
    tell("the site", &|| drop(site()));
    tell("asking", &|| drop(site().ask_anyone().unwrap()));
    tell("keeping the challenge", &|| drop(serde_json::to_vec(&ceremony).unwrap()));
    tell("whose it is", &|| assert!(Site::claimed(&answer).is_some()));
    tell("reading the passkey", &|| drop(passkeys(&factors).next()));
    tell("the whole answer", &|| drop(site().finish(answer.clone(), ceremony.clone(), &ada, &factors).unwrap()));
}
