//! What a configuration names, looked up: on disk, or nowhere, so that its check can be held to its promises for any text.

use std::path::Path;

use cardea_core::{Secret, Timestamp, resources::SecretRef};

use super::{Certificate, certificates::Flaw, read_secret};

/// Where certificates, secrets and folders are looked up.
pub(super) trait Files {
    /// A certificate with its key.
    fn certificate(&self, certificate: &Path, key: &Path, now: Timestamp) -> Result<Certificate, Flaw>;
    /// What a reference points to; the error names the place, never the value.
    fn secret(&self, folder: &Path, at: &SecretRef) -> Result<Secret<String>, String>;
    /// Whether the file holds certificates to check a mail server's by.
    fn roots(&self, path: &Path) -> Result<(), String>;
    /// Whether there is a folder, or `None` where there is nothing at all.
    fn is_folder(&self, path: &Path) -> Option<bool>;
}

/// This machine's.
pub(super) struct Disk;

impl Files for Disk {
    fn certificate(&self, certificate: &Path, key: &Path, now: Timestamp) -> Result<Certificate, Flaw> {
        Certificate::read(certificate, key, now)
    }

    fn secret(&self, folder: &Path, at: &SecretRef) -> Result<Secret<String>, String> {
        read_secret(folder, at)
    }

    fn roots(&self, path: &Path) -> Result<(), String> {
        super::mail_roots(path).map(drop)
    }

    fn is_folder(&self, path: &Path) -> Option<bool> {
        path.exists().then(|| path.is_dir())
    }
}

/// Where nothing is.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) struct Nowhere;

#[cfg(any(test, feature = "fuzzing"))]
impl Files for Nowhere {
    fn certificate(&self, certificate: &Path, _key: &Path, _now: Timestamp) -> Result<Certificate, Flaw> {
        let message = format!("certificate `{}` cannot be read", certificate.display());
        Err(Flaw { in_key: false, message, help: "name a readable PEM file" })
    }

    fn secret(&self, _folder: &Path, at: &SecretRef) -> Result<Secret<String>, String> {
        Err(format!("`{at:?}` is nowhere"))
    }

    fn roots(&self, path: &Path) -> Result<(), String> {
        Err(format!("roots `{}` are nowhere", path.display()))
    }

    fn is_folder(&self, _path: &Path) -> Option<bool> {
        None
    }
}
