//! What a peer's chain must end in.

use rustls_pki_types::CertificateDer;

use crate::{Error, pem};

/// The certificates that a verifier trusts. For a tenant it holds the tenant's own anchor *only*: with the operator's
/// root in it, every other tenant's certificates would verify too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle(Vec<CertificateDer<'static>>);

impl TrustBundle {
    /// A bundle of these anchors.
    pub fn new(anchors: Vec<CertificateDer<'static>>) -> Self {
        Self(anchors)
    }

    /// Reads a bundle file.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        pem::certificates(text).map(Self)
    }

    /// The bundle as a file.
    pub fn to_pem(&self) -> String {
        pem::encode_certificates(&self.0)
    }

    /// The anchors.
    pub fn anchors(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}
