//! The operator's key: 32 random bytes in a file that only the gateway may read, made on first start. It may be sealed under a
//! passphrase, which the file itself tells; then it is in memory only, of whoever was told the passphrase.

mod asking;
mod file;
mod protecting;

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::hmac;
use cardea_core::{Entropy, Secret, entropy};
use cardea_identity::{Sealer, sealing::Lock};
use cardea_proxy::{Rates, upstream::StickyKey};

use crate::config::{Config, Kept};
use asking::{Ask, Asking};

type Key = Secret<[u8; 32]>;

/// The operator's key where it lies, and who is asked for its passphrase.
#[derive(Debug)]
pub(crate) struct OperatorKey {
    path: PathBuf,
    asking: Asking,
    /// What opened one of its files: opens those that are sealed on the same terms, without the passphrase.
    locks: Mutex<Vec<Lock>>,
}

/// Why the operator's key is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFault {
    /// The file: it is not there, may not be read, or holds something else.
    #[error("{0}")]
    File(String),
    /// It is sealed, and nobody tells the passphrase, or another one.
    #[error("{0}")]
    Sealed(String),
}

/// Makes the state folder, open to its owner only, where it is not there.
pub(super) fn make_folder(dir: &Path) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| format!("the state folder `{}` cannot be made: {error}", dir.display()))
}

impl OperatorKey {
    /// That of a configuration. Nothing is read yet, and nobody asked.
    pub(crate) fn of(config: &Config) -> Self {
        Self { path: config.operator_key(), asking: Asking::of(config), locks: Mutex::default() }
    }

    /// The sealer under the key, which is made if there is none and no `database` that is sealed under it, and the key of
    /// sticky cookies and the names of rates, which follow from it: gateways that share the one agree on the others.
    pub(super) fn sealer(
        &self,
        database: Option<&PathBuf>,
        source: &dyn Entropy,
    ) -> Result<(Sealer, StickyKey, Arc<Rates>), KeyFault> {
        // Asked first: whoever makes both makes the key before.
        let sealed = database.filter(|path| path.exists());
        let next = self.read_next(Ask::Whoever)?;
        let key = match self.read(&self.path, Ask::Whoever)? {
            Some(key) => key,
            None => match sealed {
                Some(database) => return Err(self.lost(database.display())),
                None => self.make(&self.path, self.first_lock(source)?.as_ref(), source)?,
            },
        };
        let [sticky, rates] = ["cardea sticky cookies", "cardea rates"].map(|what| derived(&key, what));
        Ok((ring(&key, next.as_ref())?, StickyKey::new(&sticky), Rates::new(&rates)))
    }

    /// The sealer for who only reads: none where there is no key, or none that may be read.
    pub(super) fn to_read(&self) -> Result<Option<Sealer>, KeyFault> {
        match self.both(Ask::Whoever) {
            Err(KeyFault::File(_)) => Ok(None),
            read => read,
        }
    }

    /// The keys as they lie there now, for who runs: no person is asked.
    pub(super) fn reread(&self) -> Option<Sealer> {
        self.both(Ask::NoPerson)
            .inspect_err(|fault| tracing::error!(%fault, "the operator's key cannot be read anew"))
            .ok()?
    }

    fn both(&self, ask: Ask) -> Result<Option<Sealer>, KeyFault> {
        let next = self.read_next(ask)?;
        let key = self.read(&self.path, ask)?;
        key.map(|key| ring(&key, next.as_ref())).transpose()
    }

    /// The key that is taking another's place, if one is. INVARIANT: read before the other, whose place it may take meanwhile:
    /// then it is read twice, and never missed.
    fn read_next(&self, ask: Ask) -> Result<Option<Key>, KeyFault> {
        self.read(&file::next(&self.path), ask)
    }

    fn read(&self, path: &Path, ask: Ask) -> Result<Option<Key>, KeyFault> {
        file::read(path)?.map(|text| self.open(path, &text, ask)).transpose()
    }

    fn open(&self, path: &Path, text: &str, ask: Ask) -> Result<Key, KeyFault> {
        if !Lock::is_on(text) {
            return file::parse(path, text);
        }
        if let Some(lock) = self.lock_of(text) {
            return lock.open(text).map_err(|fault| sealed(path, fault));
        }
        let passphrase = self.asking.passphrase(path, ask)?;
        self.open_with(path, text, &passphrase)
    }

    fn open_with(&self, path: &Path, text: &str, passphrase: &Secret<String>) -> Result<Key, KeyFault> {
        let (lock, key) = Lock::of(text, passphrase).map_err(|fault| sealed(path, fault))?;
        self.know(lock);
        Ok(key)
    }

    fn lock_of(&self, text: &str) -> Option<Lock> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|lock| lock.fits(text)).cloned()
    }

    fn know(&self, lock: Lock) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
    }

    /// Makes a key, sealed under `lock` where there is one. Of two at once, the one reads what the other made.
    fn make(&self, path: &Path, lock: Option<&Lock>, source: &dyn Entropy) -> Result<Key, KeyFault> {
        let key = Secret::new(entropy::bytes::<32>(source));
        if file::make(path, &text(path, &key, lock, source)?)? {
            return Ok(key);
        }
        let gone = || KeyFault::File(format!("`{}` was there, and is gone", path.display()));
        self.read(path, Ask::Whoever)?.ok_or_else(gone)
    }

    /// The right to replace the key, until this is let go of: of two at once, the one would take over what the other has
    /// not sealed everything under.
    pub(crate) fn alone(&self) -> Result<File, KeyFault> {
        file::alone(&self.path)
    }

    /// Makes the key that is to take its place, beside it and sealed as it is; or finds the one that was to when this was
    /// interrupted. The ring seals under it and opens under both.
    pub(super) fn prepare_next(&self, source: &dyn Entropy) -> Result<Sealer, KeyFault> {
        let gone = || KeyFault::File(format!("`{}` is not there", self.path.display()));
        let text = file::read(&self.path)?.ok_or_else(gone)?;
        let old = self.open(&self.path, &text, Ask::Whoever)?;
        let new = match self.read_next(Ask::Whoever)? {
            Some(new) => new,
            None => {
                file::put_before(&self.path).map_err(|error| file::fault(&self.path, "cannot be kept", &error))?;
                self.make(&file::next(&self.path), self.lock_of(&text).as_ref(), source)?
            }
        };
        ring(&new, Some(&old))
    }

    /// Where the key lies that was replaced last, if one is kept: another one takes its place there.
    pub(crate) fn replaced(&self) -> Option<PathBuf> {
        Some(file::before(&self.path)).filter(|path| path.exists())
    }

    /// Puts the next key in its place; it stays beside for backups of the store from before. If we crash here, both are
    /// read when the gateway starts, and the next call goes on. Gives where the old one lies.
    pub(super) fn take_over(&self) -> Result<PathBuf, KeyFault> {
        file::take_over(&self.path)
    }

    /// Why what is kept there cannot be opened, as far as that can be known without the passphrase.
    pub(crate) fn amiss(&self, kept: &Kept) -> Option<KeyFault> {
        if !kept.is_there() {
            return None;
        }
        match file::read(&self.path) {
            // Of a server's nobody knows without asking it.
            Ok(None) => kept.file().map(|database| self.lost(database.display())),
            Ok(Some(text)) if Lock::is_on(&text) => None,
            Ok(Some(text)) => file::parse(&self.path, &text).err(),
            Err(fault) => Some(fault),
        }
    }

    /// Takes away a key that was made just now, under which nothing is sealed: another's came first.
    pub(super) fn came_second(&self, database: impl std::fmt::Display) -> KeyFault {
        match std::fs::remove_file(&self.path) {
            Ok(()) => self.lost(database),
            Err(error) => file::fault(&self.path, "was made in vain, and cannot be taken away", &error),
        }
    }

    pub(super) fn lost(&self, database: impl std::fmt::Display) -> KeyFault {
        let key = self.path.display();
        KeyFault::File(format!("`{key}` is not there, and what `{database}` holds is sealed under it: put it back"))
    }
}

/// What a file of the key holds.
fn text(
    path: &Path,
    key: &Key,
    lock: Option<&Lock>,
    source: &dyn Entropy,
) -> Result<zeroize::Zeroizing<String>, KeyFault> {
    match lock {
        Some(lock) => lock.seal(key, source).map(Into::into).map_err(|fault| sealed(path, fault)),
        None => Ok(file::text(key)),
    }
}

/// The key, and the one that is taking its place where that is under way: until all is sealed under it, both are needed.
fn ring(key: &Key, next: Option<&Key>) -> Result<Sealer, KeyFault> {
    Sealer::ring(std::iter::once(key).chain(next)).map_err(|error| KeyFault::File(error.to_string()))
}

fn sealed(path: &Path, fault: impl std::fmt::Display) -> KeyFault {
    KeyFault::Sealed(format!("`{}`: {fault}", path.display()))
}

/// A key for something else, which follows from it.
fn derived(key: &Key, what: &str) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), what.as_bytes());
    let mut derived = [0; 32];
    derived.copy_from_slice(tag.as_ref());
    derived
}

#[cfg(test)]
mod tests;
