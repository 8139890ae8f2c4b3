//! The three files, replaced so that whoever reads them after a crash, at any point, finds a key that fits its
//! certificate, or an agent that can make it so.
//!
//! New files are written beside the old ones, all made durable, and then renamed: bundle, key, certificate. The
//! certificate comes last, so a service that watches `cert.pem` finds the others in place. If we crash between the last
//! two renames, the key is new and the certificate old; [`Files::recover`] then finishes the last rename.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use cardea_certs::{CertificateFacts, PrivateKey, pem};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::AgentFault;

pub(super) struct Files {
    dir: PathBuf,
}

/// What we show when we renew.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";
const BUNDLE: &str = "bundle.pem";
/// There while the command after a new certificate has not succeeded.
const DUE: &str = "exec.due";

impl Files {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The certificate in place, if there is one with its key.
    pub(super) fn current(&self) -> Result<Option<CertificateFacts>, AgentFault> {
        match (self.read(CERT)?, self.read(KEY)?) {
            (Some(certificate), Some(key)) => Ok(pair(&certificate, &key)),
            _ => Ok(None),
        }
    }

    pub(super) fn bundle(&self) -> Option<String> {
        self.read(BUNDLE).ok().flatten()
    }

    pub(super) fn identity(&self) -> Result<Identity, AgentFault> {
        let absent = || AgentFault::TokenNeeded(self.dir.clone());
        let chain = pem::certificates(&self.read(CERT)?.ok_or_else(absent)?)?;
        let key = PrivateKey::from_pem(&self.read(KEY)?.ok_or_else(absent)?)?;
        Ok(Identity { chain, key: PrivateKeyDer::Pkcs8(key.to_pkcs8()) })
    }

    /// Puts new files in place of the old.
    pub(super) fn replace(&self, certificate: &str, key: &str, bundle: &str) -> Result<(), AgentFault> {
        std::fs::create_dir_all(&self.dir).map_err(|error| fault(&self.dir, "cannot be made", error))?;
        self.write(BUNDLE, bundle, 0o644)?;
        self.write(KEY, key, 0o600)?;
        self.write(CERT, certificate, 0o644)?;
        self.sync()?;
        for name in [BUNDLE, KEY, CERT] {
            self.rename(name)?;
        }
        self.sync()
    }

    /// Notes that whoever reads the files is to be told of new ones; before they are in place, so that no crash forgets it.
    pub(super) fn mark_due(&self) -> Result<(), AgentFault> {
        std::fs::create_dir_all(&self.dir).map_err(|error| fault(&self.dir, "cannot be made", error))?;
        let path = self.dir.join(DUE);
        File::create(&path).map_err(|error| fault(&path, "cannot be written", error))?;
        self.sync()
    }

    /// Whether somebody is still to be told.
    pub(super) fn is_due(&self) -> bool {
        self.dir.join(DUE).exists()
    }

    /// Notes that everybody was told.
    pub(super) fn clear_due(&self) -> Result<(), AgentFault> {
        let path = self.dir.join(DUE);
        std::fs::remove_file(&path).map_err(|error| fault(&path, "cannot be removed", error))
    }

    /// Finishes what a crash interrupted, or clears it away.
    pub(super) fn recover(&self) -> Result<(), AgentFault> {
        let (next, key) = (self.read(&beside(CERT))?, self.read(KEY)?);
        if let (Some(next), Some(key)) = (next, key)
            && pair(&next, &key).is_some()
        {
            self.rename(CERT)?;
            return self.sync();
        }
        for name in [CERT, KEY, BUNDLE] {
            let path = self.dir.join(beside(name));
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(fault(&path, "cannot be removed", error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Option<String>, AgentFault> {
        let path = self.dir.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(&path, "cannot be read", error)),
        }
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), AgentFault> {
        let path = self.dir.join(beside(name));
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&path).and_then(
            |mut file: File| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            },
        );
        written.map_err(|error| fault(&path, "cannot be written", error))
    }

    fn rename(&self, name: &str) -> Result<(), AgentFault> {
        let path = self.dir.join(name);
        std::fs::rename(self.dir.join(beside(name)), &path).map_err(|error| fault(&path, "cannot be replaced", error))
    }

    fn sync(&self) -> Result<(), AgentFault> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|error| fault(&self.dir, "cannot be synced", error))
    }
}

fn beside(name: &str) -> String {
    format!("{name}.next")
}

/// What the certificate says, if the key is its own.
fn pair(certificate: &str, key: &str) -> Option<CertificateFacts> {
    let chain = pem::certificates(certificate).ok()?;
    let facts = CertificateFacts::read(chain.first()?).ok()?;
    let key = PrivateKey::from_pem(key).ok()?;
    (facts.key_fingerprint == key.fingerprint()).then_some(facts)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn fault(path: &Path, what: &'static str, error: std::io::Error) -> AgentFault {
    AgentFault::File { path: path.to_owned(), what, cause: error.to_string() }
}

#[cfg(test)]
mod tests;
