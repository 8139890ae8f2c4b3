//! Certificate requests (PKCS #10, RFC 2986): only the key is taken from one, and only after it has proved that its
//! sender holds it. Whatever names and extensions it asks for are not read at all.

use rcgen::SubjectPublicKeyInfo;
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use x509_parser::{
    certification_request::X509CertificationRequest, prelude::FromDer as _, x509::SubjectPublicKeyInfo as Spki,
};

use crate::{CertificateFacts, Rejected, facts::sha256};

/// A request whose signature was checked and whose key is of an accepted kind.
#[derive(Debug)]
pub struct Request {
    pub(crate) key: SubjectPublicKeyInfo,
    fingerprint: [u8; 32],
}

/// Largest request read: an honest one has about 400 bytes.
const MAX: usize = 16 * 1024;

const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const ED25519: &str = "1.3.101.112";

impl Request {
    /// Reads a request in PEM: size, form, key policy, then proof of possession.
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        if text.len() > MAX {
            return Err(Rejected::TooLarge(text.len()));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes()).map_err(|_| Rejected::NotARequest)?;
        let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| Rejected::NotARequest)?;
        if !rest.is_empty() {
            return Err(Rejected::NotARequest);
        }
        let spki = &request.certification_request_info.subject_pki;
        check_key(spki)?;
        request.verify_signature().map_err(|_| Rejected::NotSigned)?;
        let key = SubjectPublicKeyInfo::from_der(spki.raw).map_err(|_| Rejected::WeakKey)?;
        Ok(Self { fingerprint: sha256(spki.raw), key })
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo).
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Refuses a renewal that would keep the key of the certificate shown.
    pub fn must_differ_from(&self, shown: &CertificateFacts) -> Result<(), Rejected> {
        if self.fingerprint == shown.key_fingerprint { Err(Rejected::SameKey) } else { Ok(()) }
    }
}

/// P-256 or Ed25519, named by exactly these OIDs and parameters.
fn check_key(spki: &Spki<'_>) -> Result<(), Rejected> {
    let algorithm = spki.algorithm.algorithm.to_id_string();
    let curve = spki.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok()).map(|oid| oid.to_id_string());
    let bytes = spki.subject_public_key.data.len();
    match (algorithm.as_str(), curve.as_deref(), bytes) {
        (EC_PUBLIC_KEY, Some(P256), 65) | (ED25519, None, 32) => Ok(()),
        _ => Err(Rejected::WeakKey),
    }
}
