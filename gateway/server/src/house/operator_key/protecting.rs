//! Sealing the operator's key under a passphrase, and taking it off again. Each file is replaced whole and tells by itself
//! whether it is sealed: whoever is interrupted has some that are and some that are not, all of which open, and begins again.

use std::path::{Path, PathBuf};

use cardea_core::{Entropy, Secret};
use cardea_identity::sealing::Lock;

use super::{Ask, Asking, Key, KeyFault, OperatorKey, file, text};

impl OperatorKey {
    /// Whether there is a key.
    pub(crate) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Whether it is sealed under a passphrase; no where it cannot be read.
    pub(crate) fn is_sealed(&self) -> bool {
        file::read(&self.path).is_ok_and(|text| text.is_some_and(|text| Lock::is_on(&text)))
    }

    /// What whoever starts the gateway is asked, or should know, in words.
    pub(crate) fn told(&self) -> Option<String> {
        if self.is_sealed() {
            return Some(format!("the operator's key is sealed under a passphrase, which {}", self.asking.told()));
        }
        (self.is_there() && !matches!(self.asking, Asking::Terminal)).then(|| {
            "the operator's key lies open, although there is a passphrase for it: `cardea keys protect` seals it"
                .to_owned()
        })
    }

    /// What the first key is sealed under, where a passphrase is given before there is one.
    pub(super) fn first_lock(&self, source: &dyn Entropy) -> Result<Option<Lock>, KeyFault> {
        if matches!(self.asking, Asking::Terminal) {
            return Ok(None);
        }
        let passphrase = self.asking.passphrase(&self.path, Ask::NoPerson)?;
        let lock = Lock::new(&passphrase, source).map_err(|fault| KeyFault::Sealed(fault.to_string()))?;
        self.know(lock.clone());
        Ok(Some(lock))
    }

    /// A passphrase to seal it under: see [`super::asking::Asking::wished`].
    pub(crate) fn wished(&self, file: Option<&Path>) -> Result<Secret<String>, KeyFault> {
        self.asking.wished(file, self.is_sealed())
    }

    /// Makes the first key, sealed from the beginning.
    pub(crate) fn begin_sealed(
        &self,
        database: &Path,
        passphrase: &Secret<String>,
        source: &dyn Entropy,
    ) -> Result<(), KeyFault> {
        if database.exists() {
            return Err(self.lost(database.display()));
        }
        let lock = Lock::new(passphrase, source).map_err(|fault| KeyFault::Sealed(fault.to_string()))?;
        super::make_folder(self.path.parent().unwrap_or(Path::new("."))).map_err(KeyFault::File)?;
        self.make(&self.path, Some(&lock), source).map(drop)
    }

    /// Seals it, and whatever was or will be in its place, under a passphrase; tells how many files that were. Where one does not
    /// open, nothing is changed.
    pub(crate) fn protect(&self, passphrase: &Secret<String>, source: &dyn Entropy) -> Result<usize, KeyFault> {
        let lock = Lock::new(passphrase, source).map_err(|fault| KeyFault::Sealed(fault.to_string()))?;
        let keys = self.open_all(Some(passphrase))?;
        file::sweep(&self.path)?;
        for (path, key) in &keys {
            file::replace(path, &text(path, key, Some(&lock), source)?)?;
        }
        self.know(lock);
        Ok(keys.len())
    }

    /// Takes the passphrase off; tells of how many files.
    pub(crate) fn unprotect(&self) -> Result<usize, KeyFault> {
        let keys = self.open_all(None)?;
        for (path, key) in &keys {
            file::replace(path, &file::text(key))?;
        }
        Ok(keys.len())
    }

    /// Every file with a key, the one in force last: what it says holds for all.
    fn open_all(&self, perhaps: Option<&Secret<String>>) -> Result<Vec<(PathBuf, Key)>, KeyFault> {
        let here = &self.path;
        let mut keys = Vec::new();
        for path in [file::before(here), file::kept(here), file::next(here), here.clone()] {
            if let Some(text) = file::read(&path)? {
                let key = self.open_any(&path, &text, perhaps)?;
                keys.push((path, key));
            }
        }
        Ok(keys)
    }

    /// Opens a file that may have been sealed under the new passphrase before this was interrupted.
    fn open_any(&self, path: &Path, text: &str, perhaps: Option<&Secret<String>>) -> Result<Key, KeyFault> {
        if Lock::is_on(text)
            && self.lock_of(text).is_none()
            && let Some(passphrase) = perhaps
            && let Ok(key) = self.open_with(path, text, passphrase)
        {
            return Ok(key);
        }
        let opened = self.open(path, text, Ask::Whoever);
        opened.map_err(|fault| KeyFault::Sealed(format!("{fault}; nothing was changed")))
    }
}
