//! Looks at a certificate before it is signed and refuses whatever breaks a rule of its profile, whichever way it came
//! about: the last gate between a defect and a signature. Reads the DER, shares no code with what wrote it.

use std::collections::BTreeSet;

use cardea_core::Timestamp;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    x509::X509Version,
};

use crate::{
    CertificateFacts, Error, MAX_TTL, Profile, Rejected, TrustDomain,
    facts::{parse, sha256},
    profile::BACK_DATED,
};

/// The authority about to sign, as far as the linter compares it.
pub(crate) struct Signer {
    pub(crate) facts: CertificateFacts,
    pub(crate) domain: Option<TrustDomain>,
    key_id: Vec<u8>,
    path_length: Option<u32>,
}

impl Signer {
    pub(crate) fn read(der: &[u8], domain: Option<TrustDomain>) -> Result<Self, Error> {
        let broken = |cause: &str| Error::Broken { what: "an authority", done: "used", cause: cause.to_owned() };
        let certificate = parse(der)?;
        let constraints = certificate.basic_constraints().ok().flatten().map(|found| found.value.clone());
        let Some(constraints) = constraints.filter(|found| found.ca) else {
            return Err(broken("its certificate may not sign others"));
        };
        let key_id = key_id(&certificate).ok_or_else(|| broken("its certificate has no key identifier"))?;
        let facts = CertificateFacts::read(der)?;
        Ok(Self { facts, domain, key_id, path_length: constraints.path_len_constraint })
    }
}

/// Whether the leaf that is about to be signed is exactly what its profile says.
pub(crate) fn lint(der: &[u8], profile: &Profile, signer: &Signer, now: Timestamp) -> Result<(), Error> {
    let leaf = parse(der)?;
    must(signer.path_length == Some(0), "only a tenant's intermediate signs leaves")?;
    common(&leaf, signer, now)?;
    let life = leaf.validity();
    let seconds = life.not_after.timestamp() - life.not_before.timestamp();
    must(u64::try_from(seconds).is_ok_and(|life| life <= MAX_TTL.as_secs()), "it lives longer than a day")?;
    let constraints = leaf.basic_constraints().ok().flatten().ok_or_else(|| says("it has no basic constraints"))?;
    must(constraints.critical && !constraints.value.ca, "it could sign certificates")?;
    let usage = leaf.key_usage().ok().flatten().ok_or_else(|| says("it has no key usage"))?;
    must(usage.critical && usage.value.flags == DIGITAL_SIGNATURE, "its key usage is not digitalSignature alone")?;
    let purposes = leaf.extended_key_usage().ok().flatten().ok_or_else(|| says("it has no extended key usage"))?;
    let purposes = purposes.value;
    let others = purposes.any
        || purposes.code_signing
        || purposes.email_protection
        || purposes.time_stamping
        || purposes.ocsp_signing
        || !purposes.other.is_empty();
    must(!others && purposes.server_auth, "its extended key usage has others than serverAuth and clientAuth")?;
    match profile {
        Profile::Workload(id) => {
            must(purposes.client_auth, "a workload's extended key usage has no clientAuth")?;
            must(signer.domain.as_ref() == Some(id.trust_domain()), "its trust domain is not the authority's")?;
            must(names(&leaf)? == [Name::Uri(id.as_str().to_owned())].into(), "its names are not the one SPIFFE ID")
        }
        Profile::Server(hosts) => {
            must(!purposes.client_auth, "a server's certificate could stand for a client")?;
            must(!hosts.is_empty() && hosts.iter().all(|host| is_host(host)), "a name is not a plain host name")?;
            let wanted = hosts.iter().map(|host| Name::Host(host.clone())).collect();
            must(names(&leaf)? == wanted, "its names are not the hosts that were authorised")
        }
    }
}

/// Whether the intermediate that is about to be signed is one.
pub(crate) fn lint_authority(der: &[u8], signer: &Signer, now: Timestamp) -> Result<(), Error> {
    let certificate = parse(der)?;
    must(signer.path_length.is_none_or(|length| length > 0), "an intermediate signs no authorities")?;
    common(&certificate, signer, now)?;
    let constraints = certificate.basic_constraints().ok().flatten().map(|found| (found.critical, found.value.clone()));
    let bounded = matches!(constraints, Some((true, found)) if found.ca && found.path_len_constraint == Some(0));
    must(bounded, "its path length is not 0")?;
    let usage = certificate.key_usage().ok().flatten().map(|found| (found.critical, found.value.flags));
    must(usage == Some((true, CERT_AND_CRL_SIGN)), "its key usage is not to sign certificates and lists alone")?;
    let unnamed = certificate.subject_alternative_name().is_ok_and(|names| names.is_none());
    must(unnamed, "an authority must not bear a name that authenticates")
}

/// `KeyUsage` bits as x509-parser numbers them (RFC 5280 section 4.2.1.3).
const DIGITAL_SIGNATURE: u16 = 1;
const CERT_AND_CRL_SIGN: u16 = 1 << 5 | 1 << 6;

/// What holds of every certificate that we sign.
fn common(certificate: &X509Certificate<'_>, signer: &Signer, now: Timestamp) -> Result<(), Error> {
    must(certificate.version() == X509Version::V3, "it is not version 3")?;
    let serial = certificate.raw_serial();
    must((8..=20).contains(&serial.len()) && serial[0] & 0x80 == 0, "its serial is not 8 to 20 positive bytes")?;
    let from = Timestamp::from_secs(certificate.validity().not_before.timestamp());
    let until = Timestamp::from_secs(certificate.validity().not_after.timestamp());
    // A second more than the back-dating: certificates count whole seconds.
    let earliest = now.minus(BACK_DATED + std::time::Duration::from_secs(1));
    must(from >= earliest && from <= now && until > now, "its validity does not begin within the last minute")?;
    must(signer.facts.valid_at(now) && until <= signer.facts.not_after, "it would outlive its authority")?;
    let spki = certificate.public_key();
    must(sha256(spki.raw) != signer.facts.key_fingerprint, "its key is the authority's own")?;
    must(key_id(certificate).is_some(), "it has no key identifier")?;
    let authority = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    must(authority.as_ref() == Some(&signer.key_id), "its authority key identifier is not the authority's")?;
    let constrained = certificate.name_constraints().is_ok_and(|found| found.is_none());
    must(constrained, "it has name constraints")?;
    let mut seen = BTreeSet::new();
    let once = certificate.extensions().iter().all(|extension| seen.insert(extension.oid.to_id_string()));
    must(once, "it has an extension twice")
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Uri(String),
    Host(String),
    Other,
}

fn names(certificate: &X509Certificate<'_>) -> Result<BTreeSet<Name>, Error> {
    let found = certificate.subject_alternative_name().ok().flatten().ok_or(Rejected::UriNames(0))?;
    let all = &found.value.general_names;
    let names: BTreeSet<_> = all
        .iter()
        .map(|name| match name {
            GeneralName::URI(uri) => Name::Uri((*uri).to_owned()),
            GeneralName::DNSName(host) => Name::Host((*host).to_owned()),
            _ => Name::Other,
        })
        .collect();
    must(names.len() == all.len(), "it has a name twice")?;
    Ok(names)
}

/// One host, in lower case: no wildcard, no trailing dot, no address.
fn is_host(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host.parse::<std::net::IpAddr>().is_err()
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

fn must(holds: bool, rule: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(says(rule)) }
}

fn says(rule: &str) -> Error {
    Error::Lint(rule.to_owned())
}
