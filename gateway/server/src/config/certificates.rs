//! TLS certificates from files: readable, matching their key, and within their time.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cardea_core::Timestamp;
use rustls::{crypto::aws_lc_rs::default_provider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::Stamp;
use crate::fingerprint::sha256;

/// A certificate with its key, as two files hold them.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Where the chain lies.
    pub path: PathBuf,
    /// Where its key lies.
    pub key: PathBuf,
    /// The same, ready to be shown.
    pub ready: Arc<cardea_proxy::Certificate>,
    /// SHA-256 of the certificate, in hex: by it two are told apart.
    pub fingerprint: String,
    /// When its time ends.
    pub expires: Timestamp,
    /// What the files looked like just before they were read.
    stamps: [Stamp; 2],
}

/// What is wrong with a certificate, and with which of its two files.
pub(crate) struct Flaw {
    pub in_key: bool,
    pub message: String,
    pub help: &'static str,
}

impl Certificate {
    /// Whether one of its files is another than the one that was read.
    pub(crate) fn was_replaced(&self) -> bool {
        self.stamps != [&self.path, &self.key].map(|path| Stamp::of(path))
    }

    /// Reads the two files.
    pub(crate) fn read(certificate: &Path, key: &Path, now: Timestamp) -> Result<Self, Flaw> {
        let stamps = [certificate, key].map(Stamp::of);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|error| flaw(false, format!("certificate `{}` cannot be read: {error}", certificate.display())))?;
        let Some(leaf) = chain.first() else {
            return Err(flaw(false, format!("`{}` holds no certificate", certificate.display())));
        };
        let (names, begins, expires) =
            facts(leaf).ok_or_else(|| flaw(false, format!("`{}` is not a certificate", certificate.display())))?;
        if expires <= now {
            return Err(Flaw {
                in_key: false,
                message: format!("certificate `{}` expired at {expires}", certificate.display()),
                help: "renew it, then try again",
            });
        }
        if begins > now {
            return Err(flaw(false, format!("certificate `{}` is not valid before {begins}", certificate.display())));
        }
        let key_der = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| flaw(true, format!("key `{}` cannot be read: {error}", key.display())))?;
        let certified = CertifiedKey::from_der(chain.clone(), key_der, &default_provider()).map_err(|error| Flaw {
            in_key: true,
            message: format!("key `{}` does not fit the certificate: {error}", key.display()),
            help: "name the key that the certificate was requested with",
        })?;
        let fingerprint = sha256(leaf);
        let ready = Arc::new(cardea_proxy::Certificate { certified: Arc::new(certified), names });
        Ok(Self { path: certificate.to_owned(), key: key.to_owned(), ready, fingerprint, expires, stamps })
    }
}

fn flaw(in_key: bool, message: String) -> Flaw {
    Flaw { in_key, message, help: "name a readable PEM file" }
}

/// Names, beginning and end of a certificate.
fn facts(leaf: &CertificateDer<'_>) -> Option<(Vec<String>, Timestamp, Timestamp)> {
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let names = parsed
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|san| {
            san.value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(dns) => Some((*dns).to_owned()),
                    _ => None,
                })
                .collect()
        })
        .unwrap_or_default();
    let validity = parsed.validity();
    Some((
        names,
        Timestamp::from_secs(validity.not_before.timestamp()),
        Timestamp::from_secs(validity.not_after.timestamp()),
    ))
}
