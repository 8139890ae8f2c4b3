//! A group of a tenant's pool.

use serde::{Deserialize, Serialize};

use super::Resource;
use crate::{Diagnostic, Diagnostics, GroupId};

/// A group as an administrator writes it (`tenants/<tenant>/groups/<id>.toml`). Who is in it is kept with the people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Its name in policies: `Group::"chemists"`.
    pub id: GroupId,
    /// Its name as people read it.
    pub name: String,
    /// Groups that this one is part of: whoever is here is there too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<GroupId>,
}

impl Resource for GroupSpec {
    const KIND: &'static str = "group";

    fn check(&self, source: &str) -> Diagnostics {
        if self.parents.contains(&self.id) {
            return Diagnostic::new(source, format!("group `{}` is its own parent", self.id)).into();
        }
        Diagnostics::default()
    }
}
