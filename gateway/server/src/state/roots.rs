//! The files of roots that a tenant's services are checked by. They are renewed without a word to the store, so a tenant is
//! as it was only while they are, too.

use std::{collections::BTreeMap, path::Path};

use cardea_core::resources::TenantBundle;

use crate::config::Stamp;

/// Each file of roots as it was just before it was read, by the name that the resources give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roots(BTreeMap<String, Stamp>);

impl Roots {
    /// As they lie there now; named from `folder`.
    pub(crate) fn of(bundle: &TenantBundle, folder: &Path) -> Self {
        let files = bundle.apps.values().filter_map(|app| app.upstream.as_ref()?.ca_file.as_ref());
        Self(files.map(|file| (file.clone(), Stamp::of(&folder.join(file)))).collect())
    }

    /// The names of those that are others now.
    pub(crate) fn replaced(&self, folder: &Path) -> Vec<&str> {
        let other = |(file, stamp): &(&String, &Stamp)| Stamp::of(&folder.join(file)) != **stamp;
        self.0.iter().filter(other).map(|(file, _)| file.as_str()).collect()
    }

    /// Whether a service that is checked by `file` is checked by the same here and there.
    pub(super) fn agree_on(&self, file: Option<&String>, other: &Self) -> bool {
        file.is_none_or(|file| self.0.get(file) == other.0.get(file))
    }
}
