//! Resources as a whole: loading the bundle, planning a change of it, applying the plan in one transaction.

use cardea_core::{
    AppId, GroupId, ProviderId, TenantId, Timestamp,
    resources::{AppSpec, Bundle, GroupSpec, PolicySet, PolicyText, ProviderSpec, TenantSpec},
};

use crate::{Store, StoreFault};

/// One difference between two bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceChange {
    /// The guard-rails are these now.
    GuardRails(Vec<PolicyText>),
    /// A tenant is new or other.
    PutTenant(TenantSpec),
    /// A tenant is gone, with its people, keys and policies; its log stays.
    DropTenant(TenantId),
    /// An app is new or other.
    PutApp(TenantId, AppSpec),
    /// An app is gone.
    DropApp(TenantId, AppId),
    /// A provider is new or other.
    PutProvider(TenantId, ProviderSpec),
    /// A provider is gone.
    DropProvider(TenantId, ProviderId),
    /// A group is new or other.
    PutGroup(TenantId, GroupSpec),
    /// A group is gone, and nobody is in it any more.
    DropGroup(TenantId, GroupId),
    /// A tenant's policies are these now: a new version, active at once.
    Policies(TenantId, PolicySet),
}

/// What applying a bundle would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What stood when the plan was made.
    pub before: Bundle,
    /// The changes, in the order in which they are made.
    pub changes: Vec<ResourceChange>,
    /// Which of the changes add something, for showing: `+`, and `~` or `-` for the others.
    pub lines: Vec<String>,
}

/// What came of applying a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Everything was changed.
    Done,
    /// Nothing was changed: what stands is no longer what the plan was made from.
    Moved,
}

impl Plan {
    /// The way from `before` to `after`.
    pub fn between(before: Bundle, after: &Bundle) -> Self {
        let _ = after;
        Self { before, changes: Vec::new(), lines: Vec::new() }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Store {
    /// Everything that administrators wrote, with each tenant's active policies.
    pub async fn bundle(&self) -> Result<Bundle, StoreFault> {
        todo!()
    }

    /// Makes all changes of the plan in one transaction. `hash` names a policy set; `author` and `note` stand beside
    /// its new version.
    pub async fn apply(
        &self,
        plan: &Plan,
        author: &str,
        note: &str,
        hash: &(dyn Fn(&PolicySet) -> String + Send + Sync),
        now: Timestamp,
    ) -> Result<Applied, StoreFault> {
        let _ = (plan, author, note, hash, now);
        todo!()
    }
}
