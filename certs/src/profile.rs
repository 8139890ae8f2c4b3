//! What certificates of ours look like, by what they are for.

use std::time::Duration;

use cardea_core::{Entropy, Timestamp, entropy};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, SerialNumber,
};

use crate::{Error, SpiffeId, TrustDomain};

/// What a leaf certificate is for; says the names that were authorised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// A workload: exactly this SPIFFE ID, as client and as server (X.509-SVID).
    Workload(SpiffeId),
    /// A server that browsers and agents reach by host name: these names, as server only.
    Server(Vec<String>),
}

/// How long a leaf lives. An hour: a stolen key is soon worthless, and a renewal every half hour is no load.
pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// Longest life that may be configured: a day, beyond which one would need to revoke.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// Shortest life: validity counts whole seconds, and below this clocks that differ a little would refuse everything.
pub const MIN_TTL: Duration = Duration::from_secs(4);

/// Back-dating of `notBefore`: a minute, for peers whose clock is a little slow.
pub(crate) const BACK_DATED: Duration = Duration::from_secs(60);
/// Ten years: replacing the root means touching every agent.
const ROOT_TTL: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Five years: half the root's life, so that an intermediate made late still ends before it.
const INTERMEDIATE_TTL: Duration = Duration::from_secs(5 * 365 * 86_400);

/// Half-way through the validity: early enough to try often before the end.
pub fn renewal_due(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    not_before.plus(not_after.since(not_before) / 2)
}

impl Profile {
    pub(crate) fn params(
        &self,
        ttl: Duration,
        now: Timestamp,
        source: &dyn Entropy,
    ) -> Result<CertificateParams, Error> {
        let back_dated = BACK_DATED.min(ttl / 4);
        let from = now.minus(back_dated);
        let mut params = dated(from, from.plus(ttl), source)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        match self {
            Self::Workload(id) => {
                params.subject_alt_names = vec![SanType::URI(name(id.as_str())?)];
                params.distinguished_name = workload_name(id);
                params.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            }
            Self::Server(hosts) => {
                params.subject_alt_names =
                    hosts.iter().map(|host| Ok(SanType::DnsName(name(host)?))).collect::<Result<_, Error>>()?;
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }
        }
        Ok(params)
    }
}

/// The operator's root.
pub(crate) fn root_params(now: Timestamp, source: &dyn Entropy) -> Result<CertificateParams, Error> {
    let mut params = dated(now.minus(BACK_DATED), now.plus(ROOT_TTL), source)?;
    // The suffix keeps the roots of two installations apart in a store that holds both.
    let suffix = crate::facts::hex(&entropy::bytes::<4>(source));
    authority(&mut params, 1, &format!("Cardea root {suffix}"), None);
    Ok(params)
}

/// A tenant's intermediate.
pub(crate) fn intermediate_params(
    domain: &TrustDomain,
    now: Timestamp,
    until: Timestamp,
    source: &dyn Entropy,
) -> Result<CertificateParams, Error> {
    let mut params = dated(now.minus(BACK_DATED), now.plus(INTERMEDIATE_TTL).min(until), source)?;
    authority(&mut params, 0, "Cardea intermediate", Some(domain));
    // INVARIANT: no name constraints: webpki refuses chains whose constraints name URIs, and tenants are kept apart by
    // trusting one intermediate each and comparing the whole SPIFFE ID.
    Ok(params)
}

fn authority(params: &mut CertificateParams, path_length: u8, common: &str, domain: Option<&TrustDomain>) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, common);
    if let Some(domain) = domain {
        params.distinguished_name.push(DnType::OrganizationName, short(domain.as_str()));
    }
}

fn dated(from: Timestamp, until: Timestamp, source: &dyn Entropy) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + seconds(from)?;
    params.not_after = epoch + seconds(until)?;
    params.serial_number = Some(serial(source));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 126 random bits, always 16 bytes and positive (RFC 5280 section 4.1.2.2 asks for at most 20).
pub(crate) fn serial(source: &dyn Entropy) -> SerialNumber {
    let mut bytes = entropy::bytes::<16>(source);
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// 9999-12-31T23:59:59Z: the last moment that a certificate can state (RFC 5280 section 4.1.2.5).
const LAST_DATE: i64 = 253_402_300_799;

/// Whole seconds since the epoch, if a certificate can state them.
fn seconds(at: Timestamp) -> Result<Duration, Error> {
    match u64::try_from(at.as_secs()) {
        Ok(secs) if at.as_secs() <= LAST_DATE => Ok(Duration::from_secs(secs)),
        _ => Err(Error::Lint(format!("`{at}` is not a moment that a certificate can state"))),
    }
}

fn name(text: &str) -> Result<rcgen::string::Ia5String, Error> {
    text.try_into().map_err(Error::broken("a certificate's name", "written"))
}

/// A subject for people who look at the certificate; nothing compares it.
fn workload_name(id: &SpiffeId) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    let common = id.service_name().unwrap_or_else(|| id.path().trim_start_matches('/'));
    subject.push(DnType::CommonName, short(common));
    subject.push(DnType::OrganizationName, short(id.trust_domain().as_str()));
    subject
}

/// At most 64 characters (RFC 5280 appendix A.1, `ub-common-name`).
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
