//! What the authority signs and what it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a story that cannot go on ends here")]

use std::time::Duration;

use cardea_certs::{
    Authority, CertificateFacts, Error, MAX_TTL, PrivateKey, Profile, Rejected, Request, SpiffeId, TrustDomain, pem,
};
use cardea_core::{TenantId, Timestamp, entropy::Fixed};
use rcgen::{CertificateParams, IsCa, KeyPair, SanType};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

const NOW: Timestamp = Timestamp::from_secs(1_763_800_000);
const HOUR: Duration = Duration::from_secs(3600);

fn domain(tenant: &str) -> TrustDomain {
    TrustDomain::of_tenant(&TenantId::parse(tenant).unwrap(), "cardea.internal").unwrap()
}

fn acme(entropy: &Fixed) -> Authority {
    Authority::root(NOW, entropy).unwrap().intermediate(&domain("acme"), NOW, entropy).unwrap()
}

fn records() -> Profile {
    Profile::Workload(SpiffeId::service(&domain("acme"), "records").unwrap())
}

fn request(entropy: &Fixed) -> Request {
    Request::parse(&PrivateKey::generate(entropy).unwrap().request().unwrap()).unwrap()
}

/// X1, X3: one URI name, no other; not a CA; signs nothing; both purposes; random serial; dated back by a minute.
#[test]
fn x1_x3_a_workload_certificate_is_what_the_profile_says() {
    let entropy = Fixed::new(1);
    let issued = acme(&entropy).issue(&records(), &request(&entropy), HOUR, NOW, &entropy).unwrap();
    let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&issued.chain[0]).unwrap();
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(*names, [GeneralName::URI("spiffe://acme.cardea.internal/service/records")]);
    assert!(!leaf.is_ca());
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.digital_signature() && usage.value.flags == 1);
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && purposes.client_auth && !purposes.any);
    assert!(leaf.name_constraints().unwrap().is_none());
    assert_eq!(leaf.raw_serial().len(), 16);
    assert_eq!(issued.facts.not_before, NOW.minus(Duration::from_secs(60)));
    assert_eq!(issued.facts.not_after.since(issued.facts.not_before), HOUR);
    assert_eq!(issued.facts.renewal_due(), issued.facts.not_before.plus(HOUR / 2));
    let again = acme(&entropy).issue(&records(), &request(&entropy), HOUR, NOW, &entropy).unwrap();
    assert_ne!(again.facts.serial, issued.facts.serial);
}

/// X4: the request's own wishes count for nothing.
#[test]
fn x4_names_come_from_the_profile_and_never_from_the_request() {
    let entropy = Fixed::new(2);
    let key = KeyPair::generate().unwrap();
    let mut wishes = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    wishes.subject_alt_names.push(SanType::URI("spiffe://acme.cardea.internal/gateway".try_into().unwrap()));
    wishes.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let asked = Request::parse(&wishes.serialize_request(&key).unwrap().pem().unwrap()).unwrap();
    let issued = acme(&entropy).issue(&records(), &asked, HOUR, NOW, &entropy).unwrap();
    let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&issued.chain[0]).unwrap();
    assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
    assert!(!leaf.is_ca());
    assert!(!leaf.subject().to_string().contains("evil"));
}

/// X4: only P-256 and Ed25519, and only who holds the key.
#[test]
fn x4_a_request_proves_its_key_and_the_key_is_of_an_accepted_kind() {
    let made = |algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
    };
    Request::parse(&made(&rcgen::PKCS_ECDSA_P256_SHA256)).unwrap();
    Request::parse(&made(&rcgen::PKCS_ED25519)).unwrap();
    for weak in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256] {
        assert_eq!(Request::parse(&made(weak)).unwrap_err(), Rejected::WeakKey);
    }
    let good = made(&rcgen::PKCS_ECDSA_P256_SHA256);
    let mut der = pem_body(&good);
    let last = der.len() - 1;
    der[last] ^= 1;
    assert_eq!(Request::parse(&pem::encode("CERTIFICATE REQUEST", &der)).unwrap_err(), Rejected::NotSigned);
    assert_eq!(Request::parse(&"x".repeat(20_000)).unwrap_err(), Rejected::TooLarge(20_000));
}

/// G34: whatever bytes come, there is an answer and no panic; and what reads has the key that was proved.
#[test]
fn g34_no_bytes_make_the_reader_of_requests_panic() {
    let key = PrivateKey::generate(&Fixed::new(3)).unwrap();
    let (good, proved) = (pem_body(&key.request().unwrap()), key.fingerprint());
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // A bit of the outermost frame, which the signature does not cover, may read; another key may not.
            let read = Request::parse(&pem::encode("CERTIFICATE REQUEST", &bad));
            assert!(read.is_err() || read.unwrap().fingerprint() == proved, "byte {at}, bit {bit}");
        }
        assert!(Request::parse(&pem::encode("CERTIFICATE REQUEST", &good[..at])).is_err());
    }
    for text in ["", "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n", "\0"] {
        assert_eq!(Request::parse(text).unwrap_err(), Rejected::NotARequest);
    }
}

#[test]
fn a_renewal_needs_a_new_key() {
    let entropy = Fixed::new(4);
    let key = PrivateKey::generate(&entropy).unwrap();
    let first = Request::parse(&key.request().unwrap()).unwrap();
    let issued = acme(&entropy).issue(&records(), &first, HOUR, NOW, &entropy).unwrap();
    assert_eq!(first.must_differ_from(&issued.facts), Err(Rejected::SameKey));
    assert_eq!(request(&entropy).must_differ_from(&issued.facts), Ok(()));
}

/// X7: what breaks a rule is not signed.
#[test]
fn x7_the_linter_stops_what_no_profile_allows() {
    let entropy = Fixed::new(5);
    let root = Authority::root(NOW, &entropy).unwrap();
    let acme = root.intermediate(&domain("acme"), NOW, &entropy).unwrap();
    let foreign = Profile::Workload(SpiffeId::gateway(&domain("north")));
    let server = |hosts: &[&str]| Profile::Server(hosts.iter().map(|host| (*host).to_owned()).collect());
    let day = Duration::from_secs(86_400);
    let cases: Vec<(&str, &Authority, Profile, Duration, Timestamp)> = vec![
        ("another tenant's name", &acme, foreign, HOUR, NOW),
        ("a leaf signed by the root", &root, records(), HOUR, NOW),
        ("a life of more than a day", &acme, records(), MAX_TTL + Duration::from_secs(1), NOW),
        ("a life of nothing", &acme, records(), Duration::ZERO, NOW),
        ("no host", &acme, server(&[]), HOUR, NOW),
        ("a wildcard", &acme, server(&["*.acme.localhost"]), HOUR, NOW),
        ("an address", &acme, server(&["127.0.0.1"]), HOUR, NOW),
        ("one bad host after a good one", &acme, server(&["acme.localhost", "Acme.localhost"]), HOUR, NOW),
        ("one bad host before a good one", &acme, server(&["acme.localhost.", "acme.localhost"]), HOUR, NOW),
        ("a host twice", &acme, server(&["acme.localhost", "acme.localhost"]), HOUR, NOW),
        ("a life beyond the authority's", &acme, records(), HOUR, NOW.plus(day * 365 * 5).minus(HOUR / 2)),
        ("a time before the authority's", &acme, records(), HOUR, NOW.minus(day)),
        ("a time that no certificate states", &acme, records(), HOUR, Timestamp::from_secs(300_000_000_000)),
    ];
    for (what, authority, profile, ttl, at) in cases {
        let refused = authority.issue(&profile, &request(&entropy), ttl, at, &entropy).expect_err(what);
        assert!(matches!(refused, Error::Lint(_)), "{what}: {refused}");
    }
    let own = Request::parse(&PrivateKey::from_pem(acme.key_pem().expose()).unwrap().request().unwrap()).unwrap();
    assert!(acme.issue(&records(), &own, HOUR, NOW, &entropy).is_err(), "the authority's own key was certified");
    assert!(acme.intermediate(&domain("acme"), NOW, &entropy).is_err(), "an intermediate signed an authority");
    acme.issue(&server(&["acme.localhost"]), &request(&entropy), HOUR, NOW, &entropy).unwrap();
}

#[test]
fn an_authority_survives_its_file_and_goes_with_its_own_key_only() {
    let entropy = Fixed::new(6);
    let (one, other) = (acme(&entropy), acme(&entropy));
    let read = Authority::from_pem(&one.to_pem(), one.key_pem().expose(), Some(domain("acme"))).unwrap();
    let issued = read.issue(&records(), &request(&entropy), HOUR, NOW, &entropy).unwrap();
    assert_eq!(issued.chain[1], *one.certificate());
    assert!(Authority::from_pem(&one.to_pem(), other.key_pem().expose(), Some(domain("acme"))).is_err());
    let leaf = pem::encode_certificates(&issued.chain[..1]);
    assert!(Authority::from_pem(&leaf, one.key_pem().expose(), Some(domain("acme"))).is_err());
    assert!(!format!("{one:?}").contains("PRIVATE"));
}

#[test]
fn facts_are_read_from_any_certificate_and_from_nothing_else() {
    let entropy = Fixed::new(7);
    let acme = acme(&entropy);
    let facts = CertificateFacts::read(acme.certificate()).unwrap();
    assert!(facts.spiffe_id.is_none() && facts.valid_at(NOW));
    assert_eq!(CertificateFacts::read(b"no").unwrap_err(), Rejected::NotACertificate);
    let mut long = acme.certificate().to_vec();
    long.push(0);
    assert_eq!(CertificateFacts::read(&long).unwrap_err(), Rejected::NotACertificate);
}

fn pem_body(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(body).unwrap()
}
