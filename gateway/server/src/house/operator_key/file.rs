//! The files in which operator's keys lie: the one in force, the one that is to take its place, and the one before. Each is
//! there whole or not at all, whenever we crash.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardea_core::Secret;
use zeroize::Zeroizing;

use super::{Key, KeyFault};

/// How the name of a file ends that takes the place of another, before the number of the process.
const NEW: &str = ".new-";

/// Where the key lies that is to take another's place.
pub(super) fn next(path: &Path) -> PathBuf {
    path.with_extension("key.next")
}

/// Where the key that is replaced lies until the next one is in its place. INVARIANT: what lies beside as the one before
/// is overwritten by nothing but a key that was replaced.
pub(super) fn kept(path: &Path) -> PathBuf {
    path.with_extension("key.kept")
}

/// Where the key lies that was replaced last.
pub(super) fn before(path: &Path) -> PathBuf {
    path.with_extension("key.before")
}

/// What a file holds, if it is there. Others must not be able to read it.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, KeyFault> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(path, "cannot be read", &error)),
    };
    let mode = std::fs::metadata(path).map_err(|error| fault(path, "cannot be read", &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        let shown = path.display();
        let message = format!("`{shown}` may be read by others (mode {:o}): run `chmod 600 {shown}`", mode & 0o777);
        return Err(KeyFault::File(message));
    }
    Ok(Some(text))
}

/// The key that lies there as it is.
pub(super) fn parse(path: &Path, text: &str) -> Result<Key, KeyFault> {
    let wrong = || KeyFault::File(format!("`{}` is not 32 bytes of base64", path.display()));
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| wrong())?);
    bytes.as_slice().try_into().map(Secret::new).map_err(|_| wrong())
}

/// The text of a key that lies there as it is.
pub(super) fn text(key: &Key) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", STANDARD.encode(key.expose())))
}

/// Makes a file that is not there; tells whether it was not. Written beside its place, flushed, then linked: a crash here
/// leaves no half key, and a second starter loses the race.
pub(super) fn make(path: &Path, text: &str) -> Result<bool, KeyFault> {
    let beside = beside(path);
    let made =
        written(&beside, text).and_then(|()| std::fs::hard_link(&beside, path)).and_then(|()| flush_folder(path));
    let _ = std::fs::remove_file(&beside);
    match made {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(fault(path, "cannot be made", &error)),
    }
}

/// Gives a file another text: a crash here leaves the one or the other.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), KeyFault> {
    let beside = beside(path);
    let replaced =
        written(&beside, text).and_then(|()| std::fs::rename(&beside, path)).and_then(|()| flush_folder(path));
    replaced.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        fault(path, "cannot be written", &error)
    })
}

fn written(path: &Path, text: &str) -> std::io::Result<()> {
    // What a process of this number left when it crashed is nobody's.
    let _ = std::fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("{NEW}{}", std::process::id()));
    path.with_file_name(name)
}

/// Takes away what whoever crashed while writing a key left beside it: it may hold one that lies open. Only for who is alone
/// with the key.
pub(super) fn sweep(path: &Path) -> Result<(), KeyFault> {
    let (Some(folder), Some(key)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let swept = || -> std::io::Result<()> {
        for one in std::fs::read_dir(folder)? {
            let one = one?;
            let name = one.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(key) && name.contains(NEW)) {
                std::fs::remove_file(one.path())?;
            }
        }
        flush_folder(path)
    };
    swept().map_err(|error| fault(path, "has something left beside it that cannot be taken away", &error))
}

fn flush_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// See [`super::OperatorKey::alone`].
pub(super) fn alone(path: &Path) -> Result<File, KeyFault> {
    let lock = path.with_extension("key.lock");
    let fault = |error| fault(&lock, "cannot be locked", &error);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(KeyFault::File(format!(
            "the operator's key is being replaced by another process, which holds `{}`: wait until it has ended",
            lock.display()
        ))),
        Err(TryLockError::Error(error)) => Err(fault(error)),
    }
}

/// See [`super::OperatorKey::take_over`].
pub(super) fn take_over(path: &Path) -> Result<PathBuf, KeyFault> {
    let moved = || -> std::io::Result<PathBuf> {
        let kept = kept(path);
        match std::fs::remove_file(&kept) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::hard_link(path, &kept)?;
        std::fs::rename(next(path), path)?;
        put_before(path)
    };
    moved().map_err(|error| fault(&next(path), "cannot be put into its place", &error))
}

/// Gives the key that was replaced its name, if it has not got it yet.
pub(super) fn put_before(path: &Path) -> std::io::Result<PathBuf> {
    let before = before(path);
    match std::fs::rename(kept(path), &before) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    flush_folder(path)?;
    Ok(before)
}

pub(super) fn fault(path: &Path, what: &str, error: &std::io::Error) -> KeyFault {
    KeyFault::File(format!("`{}` {what}: {error}", path.display()))
}
