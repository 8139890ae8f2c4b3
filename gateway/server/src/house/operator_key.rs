//! The operator's key: 32 random bytes in a file that only the gateway may read. Made on first start.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardea_core::{Entropy, Secret, entropy};
use cardea_identity::Sealer;
use cardea_proxy::upstream::StickyKey;
use zeroize::Zeroizing;

/// Makes the state folder, open to its owner only, where it is not there.
pub(super) fn make_folder(dir: &Path) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| format!("the state folder `{}` cannot be made: {error}", dir.display()))
}

/// The sealer under the key in `path`, which is made if there is none and no `database` that is sealed under it, and the key of sticky cookies, which follows from
/// it: gateways that share the one agree on the other.
pub(super) fn sealer(path: &Path, database: &Path, source: &dyn Entropy) -> Result<(Sealer, StickyKey), String> {
    // Asked first: whoever makes both makes the key before.
    let sealed = database.exists();
    let next = read_next(path)?;
    let key = match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &Zeroizing::new(text))?,
        Err(error) if error.kind() == ErrorKind::NotFound && sealed => {
            let (key, database) = (path.display(), database.display());
            return Err(format!("`{key}` is not there, and what `{database}` holds is sealed under it: put it back"));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(path, source)?,
        Err(error) => return Err(format!("`{}` cannot be read: {error}", path.display())),
    };
    Ok((ring(&key, next.as_ref())?, sticky(&key)))
}

/// The sealer under the key in `path`, for who only reads: none where there is no key, or none that may be read.
pub(super) fn to_read(path: &Path) -> Option<Sealer> {
    let next = read_next(path).ok()?;
    ring(&read_file(path).ok()?, next.as_ref()).ok()
}

/// The key, and the one that is taking its place where that is under way: until all is sealed under it, both are needed.
fn ring(key: &Secret<[u8; 32]>, next: Option<&Secret<[u8; 32]>>) -> Result<Sealer, String> {
    Sealer::ring(std::iter::once(key).chain(next)).map_err(|error| error.to_string())
}

/// The key that is taking another's place, if one is. INVARIANT: read before the other, whose place it may take meanwhile:
/// then it is read twice, and never missed.
fn read_next(path: &Path) -> Result<Option<Secret<[u8; 32]>>, String> {
    let next = next(path);
    match std::fs::read_to_string(&next) {
        Ok(text) => parse(&next, &Zeroizing::new(text)).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("`{}` cannot be read: {error}", next.display())),
    }
}

/// The right to replace the key in `path`, until this is let go of: of two at once, the one would take over what the other
/// has not sealed everything under.
pub(super) fn alone(path: &Path) -> Result<File, String> {
    let lock = path.with_extension("key.lock");
    let fault = |error| format!("`{}` cannot be locked: {error}", lock.display());
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "the operator's key is being replaced by another process, which holds `{}`: wait until it has ended",
            lock.display()
        )),
        Err(TryLockError::Error(error)) => Err(fault(error)),
    }
}

fn next(path: &Path) -> PathBuf {
    path.with_extension("key.next")
}

/// Makes the key that is to take the place of the one in `path`, beside it; or finds the one that was to when this was
/// interrupted. The ring seals under it and opens under both.
pub(super) fn prepare_next(path: &Path, source: &dyn Entropy) -> Result<Sealer, String> {
    let new = match read_next(path)? {
        Some(new) => new,
        None => {
            put_before(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
            make(&next(path), source)?
        }
    };
    let old = read_file(path)?;
    Sealer::ring([&new, &old]).map_err(|error| error.to_string())
}

/// Puts the next key in the place of the one in `path`, which stays beside it for backups of the store from before. If we
/// crash here, both are read when the gateway starts, and the next call goes on. Gives where the old one lies.
pub(super) fn take_over(path: &Path) -> Result<PathBuf, String> {
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
    moved().map_err(|error| format!("`{}` cannot be put into its place: {error}", next(path).display()))
}

/// Where the key that is replaced lies until the next one is in its place. INVARIANT: what lies beside as the one before
/// is overwritten by nothing but a key that was replaced.
fn kept(path: &Path) -> PathBuf {
    path.with_extension("key.kept")
}

/// Gives the key that was replaced its name, if it has not got it yet.
fn put_before(path: &Path) -> std::io::Result<PathBuf> {
    let before = path.with_extension("key.before");
    match std::fs::rename(kept(path), &before) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
    Ok(before)
}

fn read_file(path: &Path) -> Result<Secret<[u8; 32]>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
    parse(path, &Zeroizing::new(text))
}

fn sticky(key: &Secret<[u8; 32]>) -> StickyKey {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), b"cardea sticky cookies");
    let mut derived = [0; 32];
    derived.copy_from_slice(tag.as_ref());
    StickyKey::new(&derived)
}

fn parse(path: &Path, text: &str) -> Result<Secret<[u8; 32]>, String> {
    let shown = path.display();
    let mode = std::fs::metadata(path).map_err(|error| format!("`{shown}`: {error}"))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("`{shown}` may be read by others (mode {:o}): run `chmod 600 {shown}`", mode & 0o777));
    }
    let bytes =
        Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| format!("`{shown}` is not 32 bytes of base64"))?);
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| format!("`{shown}` is not 32 bytes of base64"))?;
    Ok(Secret::new(key))
}

/// Written beside its place, flushed, then moved: a crash here leaves no half key, and a second starter loses the race
/// and reads ours.
fn make(path: &Path, source: &dyn Entropy) -> Result<Secret<[u8; 32]>, String> {
    let key = entropy::bytes::<32>(source);
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(key)));
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::hard_link(&beside, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    let written = write();
    let _ = std::fs::remove_file(&beside);
    match written {
        Ok(()) => Ok(Secret::new(key)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let theirs = std::fs::read_to_string(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
            parse(path, &Zeroizing::new(theirs))
        }
        Err(error) => Err(format!("`{}` cannot be made: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = std::env::temp_dir().join(format!("cardea-key-{}", std::process::id()));
        make_folder(&folder).unwrap();
        let (path, none) = (folder.join("operator.key"), folder.join("none"));
        let sealed = sealer(&path, &none, &Fixed::new(1)).unwrap().0.seal("p", b"x", &Fixed::new(3)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(sealer(&path, &none, &Fixed::new(2)).unwrap().0.open("p", &sealed).unwrap().expose(), b"x");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(sealer(&path, &none, &Fixed::new(2)).unwrap_err().contains("chmod 600"));
        std::fs::write(&path, "short").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(sealer(&path, &none, &Fixed::new(2)).unwrap_err().contains("32 bytes"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn one_replaces_the_key_at_a_time_and_a_crash_loses_none() {
        let folder = std::env::temp_dir().join(format!("cardea-next-key-{}", std::process::id()));
        make_folder(&folder).unwrap();
        let path = folder.join("operator.key");
        let before = path.with_extension("key.before");
        sealer(&path, &folder.join("none"), &Fixed::new(1)).unwrap();
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let first = text(&path);
        let held = alone(&path).unwrap();
        assert!(alone(&path).unwrap_err().contains("by another process"));
        drop(held);
        let _alone = alone(&path).unwrap();
        let ring = prepare_next(&path, &Fixed::new(2)).unwrap();
        let second = text(&next(&path));
        let sealed = ring.seal("p", b"x", &Fixed::new(3)).unwrap();
        assert_eq!(to_read(&path).unwrap().open("p", &sealed).unwrap().expose(), b"x", "under way, both open");
        // As if it had crashed before the new key took its place, and then before the old one had its name.
        std::fs::hard_link(&path, kept(&path)).unwrap();
        prepare_next(&path, &Fixed::new(4)).unwrap();
        assert!(!before.exists() && text(&next(&path)) == second);
        std::fs::rename(next(&path), &path).unwrap();
        prepare_next(&path, &Fixed::new(5)).unwrap();
        assert_eq!((text(&path), text(&before)), (second.clone(), first));
        assert_eq!(take_over(&path).unwrap(), before);
        assert_eq!(text(&before), second);
        assert!(!kept(&path).exists() && !next(&path).exists() && text(&path) != second);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
