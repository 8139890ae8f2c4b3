//! What an apply replaces that was not made by one: policies that somebody activated in the console.

use std::fmt;

use cardea_core::TenantId;
use cardea_storage::{Plan, ResourceChange, Store, StoreFault};
use serde::Serialize;

use crate::house::Doer;

/// A policy version that is in force by the console, and whose place the files take.
#[derive(Debug, Serialize)]
pub(super) struct Replaced {
    tenant: TenantId,
    version: u64,
    author: String,
    at: String,
    note: String,
    /// Whether it is an older version that was made to decide again.
    again: bool,
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, version, author, at, note, again } = self;
        let how = if *again { "made to decide again" } else { "activated" };
        write!(f, "note: {tenant}: policies: version {version} was {how} in the console (made by {author}, {at}")?;
        if !note.is_empty() {
            write!(f, ": {note}")?;
        }
        f.write_str("); these files take its place, and `cardea export DIR` writes it out as long as it is in force")
    }
}

/// Those whose place a plan takes. An apply makes a new version each time: one that is in force and not the newest, or not
/// the operator's, is so by the console.
pub(super) async fn by(plan: &Plan, store: &Store) -> Result<Vec<Replaced>, StoreFault> {
    let mut found = Vec::new();
    for change in &plan.changes {
        let ResourceChange::Policies(tenant, _) = change else { continue };
        let active = match store.active_policies(tenant).await {
            // It may be what cannot be read.
            Err(_) if plan.before.illegible.contains_key(tenant) => continue,
            other => other?,
        };
        let Some((active, _)) = active else { continue };
        let newest = store.policy_versions(tenant, None, 1).await?;
        let again = newest.first().is_some_and(|newest| newest.version != active.version);
        if again || active.author != Doer::operator().name() {
            let (tenant, version) = (tenant.clone(), active.version);
            let (at, note) = (active.at.to_string(), active.note);
            found.push(Replaced { tenant, version, author: active.author, at, note, again });
        }
    }
    Ok(found)
}
