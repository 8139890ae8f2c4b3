//! What a certificate says: read from the DER, never trusted by itself. Chain and time are the TLS library's to check.

use cardea_core::Timestamp;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::{Rejected, SpiffeId, renewal_due};

/// The facts of one certificate that the gateway keeps and compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Serial number in lower-case hex.
    pub serial: String,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// SHA-256 of the public key (SubjectPublicKeyInfo).
    pub key_fingerprint: [u8; 32],
    /// The SPIFFE ID, if the certificate has exactly one URI name and it is one.
    pub spiffe_id: Option<SpiffeId>,
}

impl CertificateFacts {
    /// Reads a certificate.
    pub fn read(der: &[u8]) -> Result<Self, Rejected> {
        let certificate = parse(der)?;
        let validity = certificate.validity();
        Ok(Self {
            serial: hex(certificate.raw_serial()),
            not_before: Timestamp::from_secs(validity.not_before.timestamp()),
            not_after: Timestamp::from_secs(validity.not_after.timestamp()),
            key_fingerprint: sha256(certificate.public_key().raw),
            spiffe_id: the_uri(&certificate).ok(),
        })
    }

    /// When the holder should ask for the next one: half-way through.
    pub fn renewal_due(&self) -> Timestamp {
        renewal_due(self.not_before, self.not_after)
    }

    /// Whether it is valid at `now`.
    pub fn valid_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// The SPIFFE ID that a peer's certificate proves, once its chain has been verified. The certificate must have exactly
/// one URI name, that name must be a SPIFFE ID, and the certificate must not be one that signs others
/// (X.509-SVID sections 2 and 5.2).
pub fn peer_spiffe_id(der: &[u8]) -> Result<SpiffeId, Rejected> {
    let certificate = parse(der)?;
    let signs_keys = certificate.key_usage().ok().flatten().is_some_and(|ku| ku.value.key_cert_sign());
    if certificate.is_ca() || signs_keys {
        return Err(Rejected::SigningCertificate);
    }
    the_uri(&certificate)
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Rejected> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Rejected::NotACertificate),
    }
}

/// All URI names of the certificate, malformed extensions counting as none.
pub(crate) fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .collect()
}

fn the_uri(certificate: &X509Certificate<'_>) -> Result<SpiffeId, Rejected> {
    match *uris(certificate) {
        [one] => Ok(SpiffeId::parse(one)?),
        ref other => Err(Rejected::UriNames(other.len())),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}
