//! The change feed: what each change touched, written in the change's own transaction, so that other processes learn of
//! it by asking for what came after.

use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::{Store, StoreFault};

/// What was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", content = "id", rename_all = "kebab-case")]
pub enum Change {
    /// Tenants, apps, providers, groups or guard-rails.
    Resources,
    /// The active policies.
    Policies,
    /// A user's status, name, groups or factors.
    User(UserId),
    /// A session ended or changed.
    Session(SessionId),
    /// All of a user's sessions.
    SessionsOf(UserId),
    /// All of the tenant's sessions.
    Sessions,
    /// Assertion keys.
    Keys,
    /// CA material.
    Authority,
}

/// A change with its place in the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its place; grows by one.
    pub seq: i64,
    /// Whose; the operator's where absent.
    pub tenant: Option<TenantId>,
    /// What was touched.
    pub change: Change,
}

impl Store {
    /// Announces a change that no other function of this crate announces.
    pub async fn announce(&self, tenant: Option<&TenantId>, change: &Change, now: Timestamp) -> Result<(), StoreFault> {
        let _ = (tenant, change, now);
        todo!()
    }

    /// The place of the last change, 0 if there was none.
    pub async fn last_change(&self) -> Result<i64, StoreFault> {
        todo!()
    }

    /// What was changed after `seq`, oldest first, at most 1,000 at once.
    pub async fn changes_since(&self, seq: i64) -> Result<Vec<Announced>, StoreFault> {
        let _ = seq;
        todo!()
    }

    /// Forgets changes older than `before`, except the last: whoever polls has long read them.
    pub async fn prune_changes(&self, before: Timestamp) -> Result<(), StoreFault> {
        let _ = before;
        todo!()
    }
}
