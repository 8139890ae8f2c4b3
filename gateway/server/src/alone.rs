//! Whether a gateway has the file of its house to itself, as one must that has sessions in memory: another would know its own only, and
//! a session that ended here would go on there.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use crate::config::{Config, SessionsIn};

/// The right to serve from a file, for as long as it is held. The system lets go of it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Claim {
    _file: File,
}

/// Why a gateway may not serve from a file.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// It would have sessions in its memory, beside another.
    #[error("another gateway runs on `{0}`: with sessions in memory each would know its own only")]
    Beside(PathBuf),
    /// Another has sessions in its memory.
    #[error("another gateway runs on `{0}` and has sessions in its memory, which nobody else knows")]
    Behind(PathBuf),
    /// It cannot be told.
    #[error("whether another gateway runs on the file cannot be told: `{path}` cannot be locked: {source}")]
    Unknown {
        /// The file that is locked.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Claims the file of a configuration; nothing where a server keeps the state. INVARIANT: a gateway with sessions in memory holds it
/// alone, and all others together.
pub(crate) fn claim(config: &Config) -> Result<Option<Claim>, NotAlone> {
    let kept = config.kept();
    let Some(database) = kept.file() else { return Ok(None) };
    // A file of its own, which is never deleted: SQLite has locks of its own on the database, and lets go of them all when one is.
    let path = database.with_extension("lock");
    let in_memory = config.sessions == SessionsIn::Memory;
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(|source| NotAlone::Unknown { path: path.clone(), source })?;
    match if in_memory { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => Ok(Some(Claim { _file: file })),
        Err(TryLockError::WouldBlock) if in_memory => Err(NotAlone::Beside(database.clone())),
        Err(TryLockError::WouldBlock) => Err(NotAlone::Behind(database.clone())),
        // A volume without such locks: whoever would have sessions in memory cannot have it alone there, and does not start.
        Err(TryLockError::Error(source)) if !in_memory && source.kind() == ErrorKind::Unsupported => Ok(None),
        Err(TryLockError::Error(source)) => Err(NotAlone::Unknown { path, source }),
    }
}
