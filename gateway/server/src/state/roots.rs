//! The files of roots that a tenant's services are checked by. They are renewed without a word to the store, so a tenant is
//! as it was only while they are, too.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use cardea_core::resources::TenantBundle;

use crate::{config::Stamp, fingerprint};

/// Each file of roots as it was just before it was read, by the name that the resources give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roots(BTreeMap<String, Seen>);

/// What a file looked like, and SHA-256 of what it held, in hex; none where it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen(Stamp, Option<String>);

impl Seen {
    fn of(path: &Path) -> Self {
        let stamp = Stamp::of(path);
        Self(stamp, std::fs::read(path).ok().map(|held| fingerprint::sha256(&held)))
    }
}

impl Roots {
    /// As they lie there now; named from `folder`.
    pub(crate) fn of(bundle: &TenantBundle, folder: &Path) -> Self {
        let files = bundle.apps.values().filter_map(|app| app.upstream.as_ref()?.ca_file.as_ref());
        Self(files.map(|file| (file.clone(), Seen::of(&folder.join(file)))).collect())
    }

    /// The names of those that are others now.
    pub(crate) fn replaced(&self, folder: &Path) -> Vec<&str> {
        let other = |(file, seen): &(&String, &Seen)| Stamp::of(&folder.join(file)) != seen.0;
        self.0.iter().filter(other).map(|(file, _)| file.as_str()).collect()
    }

    /// Where each lies, and what it is told from another by.
    pub(crate) fn fingerprints(&self, folder: &Path) -> BTreeMap<PathBuf, String> {
        self.0.iter().filter_map(|(file, seen)| Some((folder.join(file), seen.1.clone()?))).collect()
    }

    /// Whether a service that is checked by `file` is checked by the same here and there.
    pub(super) fn agree_on(&self, file: Option<&String>, other: &Self) -> bool {
        file.is_none_or(|file| self.0.get(file) == other.0.get(file))
    }
}
