//! Chains as peers show them, good and bad, put to the TLS library's verifier and then to the exact match of names:
//! the two checks that everybody who trusts our certificates makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a story that cannot go on ends here")]

use std::{sync::Arc, time::Duration};

use cardea_certs::{Authority, PrivateKey, Profile, Request, SpiffeId, TrustDomain, peer_spiffe_id};
use cardea_core::{TenantId, Timestamp, entropy::Fixed};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime},
    server::WebPkiClientVerifier,
};

const NOW: Timestamp = Timestamp::from_secs(1_763_800_000);
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    entropy: Fixed,
    root: Authority,
    acme: Authority,
    north: Authority,
}

fn domain(tenant: &str) -> TrustDomain {
    TrustDomain::of_tenant(&TenantId::parse(tenant).unwrap(), "cardea.internal").unwrap()
}

fn world() -> World {
    let entropy = Fixed::new(1);
    let root = Authority::root(NOW, &entropy).unwrap();
    let acme = root.intermediate(&domain("acme"), NOW, &entropy).unwrap();
    let north = root.intermediate(&domain("north"), NOW, &entropy).unwrap();
    World { entropy, root, acme, north }
}

impl World {
    fn request(&self) -> Request {
        Request::parse(&PrivateKey::generate(&self.entropy).unwrap().request().unwrap()).unwrap()
    }

    fn chain(&self, authority: &Authority, id: &SpiffeId, at: Timestamp) -> Vec<CertificateDer<'static>> {
        authority.issue(&Profile::Workload(id.clone()), &self.request(), HOUR, at, &self.entropy).unwrap().chain
    }

    /// A certificate that our authority's key has signed although no rule of ours allows it.
    fn forged(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<CertificateDer<'static>> {
        let key = KeyPair::from_pem(self.acme.key_pem().expose()).unwrap();
        let issuer = Issuer::from_ca_cert_der(self.acme.certificate(), key).unwrap();
        let mut params = CertificateParams::default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(NOW.as_secs() as u64 - 60);
        params.not_after = epoch + Duration::from_secs(NOW.as_secs() as u64 + 3600);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri("spiffe://acme.cardea.internal/gateway")];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        vec![leaf.der().clone(), self.acme.certificate().clone()]
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// What a service of Acme accepts: a chain to Acme's intermediate, and the gateway's whole name.
fn accepted(world: &World, chain: &[CertificateDer<'static>], at: Timestamp) -> Result<SpiffeId, String> {
    let mut roots = RootCertStore::empty();
    for anchor in world.acme.bundle().anchors() {
        roots.add(anchor.clone()).unwrap();
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(at.as_secs() as u64));
    verifier.verify_client_cert(&chain[0], &chain[1..], time).map_err(|error| error.to_string())?;
    let id = peer_spiffe_id(&chain[0]).map_err(|error| error.to_string())?;
    if id == SpiffeId::gateway(&domain("acme")) { Ok(id) } else { Err(format!("`{id}` is somebody else")) }
}

#[test]
fn the_gateway_of_the_tenant_is_accepted_with_and_without_its_intermediate() {
    let world = world();
    let chain = world.chain(&world.acme, &SpiffeId::gateway(&domain("acme")), NOW);
    accepted(&world, &chain, NOW).unwrap();
    accepted(&world, &chain[..1], NOW).unwrap();
    // Clocks that are slow by less than a minute accept it too, and its last second counts.
    accepted(&world, &chain, NOW.minus(Duration::from_secs(59))).unwrap();
    accepted(&world, &chain, NOW.plus(HOUR - Duration::from_secs(60))).unwrap();
}

#[test]
fn every_other_chain_is_refused() {
    let world = world();
    let gateway = SpiffeId::gateway(&domain("acme"));
    let service = SpiffeId::service(&domain("acme"), "records").unwrap();
    let good = |at| world.chain(&world.acme, &gateway, at);
    let (root, acme) = (world.root.certificate().clone(), world.acme.certificate().clone());
    let server = Profile::Server(vec!["acme.localhost".to_owned()]);
    let server = world.acme.issue(&server, &world.request(), HOUR, NOW, &world.entropy).unwrap().chain;
    let with = |names: Vec<SanType>| world.forged(|params| params.subject_alt_names = names);
    let cases: Vec<(&str, Vec<CertificateDer<'static>>, Timestamp, &str)> = vec![
        ("foreign tenant", world.chain(&world.north, &SpiffeId::gateway(&domain("north")), NOW), NOW, "UnknownIssuer"),
        (
            "foreign tenant, root sent along",
            {
                let mut chain = world.chain(&world.north, &SpiffeId::gateway(&domain("north")), NOW);
                chain.push(root.clone());
                chain
            },
            NOW,
            "UnknownIssuer",
        ),
        ("another service of the tenant", world.chain(&world.acme, &service, NOW), NOW, "somebody else"),
        ("expired", good(NOW), NOW.plus(HOUR), "expired"),
        ("not yet valid", good(NOW.plus(HOUR)), NOW, "not valid yet"),
        ("the intermediate itself", vec![acme.clone(), root.clone()], NOW, "CaUsedAsEndEntity"),
        ("the root itself", vec![root.clone()], NOW, "CaUsedAsEndEntity"),
        (
            "a ca as leaf, gateway's name",
            world.forged(|params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
            }),
            NOW,
            "CaUsedAsEndEntity",
        ),
        ("two names", with(vec![uri(gateway.as_str()), uri(service.as_str())]), NOW, "2 URI names"),
        ("two names, gateway last", with(vec![uri(service.as_str()), uri(gateway.as_str())]), NOW, "2 URI names"),
        ("no name", with(vec![]), NOW, "0 URI names"),
        ("a host name only", with(vec![SanType::DnsName("gateway".try_into().unwrap())]), NOW, "0 URI names"),
        ("wrong trust domain", with(vec![uri("spiffe://acme.cardea.internal.evil/gateway")]), NOW, "somebody else"),
        ("neighbour's trust domain", with(vec![uri("spiffe://north.cardea.internal/gateway")]), NOW, "somebody else"),
        ("operator's trust domain", with(vec![uri("spiffe://cardea.internal/gateway")]), NOW, "somebody else"),
        ("longer path", with(vec![uri("spiffe://acme.cardea.internal/gateway/x")]), NOW, "somebody else"),
        ("other case", with(vec![uri("spiffe://ACME.cardea.internal/gateway")]), NOW, "not a trust domain"),
        ("escaped", with(vec![uri("spiffe://acme.cardea.internal/%67ateway")]), NOW, "not a SPIFFE ID"),
        ("https", with(vec![uri("https://acme.cardea.internal/gateway")]), NOW, "not a SPIFFE ID"),
        ("a server's certificate", server, NOW, "ExtendedKeyUsage"),
        (
            "a server's purpose only",
            world.forged(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
            NOW,
            "ExtendedKeyUsage",
        ),
        ("nonsense", vec![CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])], NOW, "BadEncoding"),
    ];
    for (what, chain, at, says) in cases {
        let refused = accepted(&world, &chain, at).expect_err(what);
        let plain = |text: &str| text.to_lowercase().replace([' ', '-', '_'], "");
        assert!(plain(&refused).contains(&plain(says)), "{what}: {refused}");
    }
}

#[test]
fn a_self_made_chain_with_the_right_names_is_refused() {
    let (ours, theirs) = (world(), {
        let entropy = Fixed::new(99);
        let root = Authority::root(NOW, &entropy).unwrap();
        let acme = root.intermediate(&domain("acme"), NOW, &entropy).unwrap();
        let north = root.intermediate(&domain("north"), NOW, &entropy).unwrap();
        World { entropy, root, acme, north }
    });
    let mut chain = theirs.chain(&theirs.acme, &SpiffeId::gateway(&domain("acme")), NOW);
    chain.push(theirs.root.certificate().clone());
    accepted(&theirs, &chain, NOW).unwrap();
    accepted(&ours, &chain, NOW).unwrap_err();
}
