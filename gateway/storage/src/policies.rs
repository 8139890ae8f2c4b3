//! Policy sets as versions: kept for good, one of them active per tenant.

use cardea_core::{TenantId, Timestamp, resources::PolicySet};

use crate::{Store, StoreFault};

/// One version of a tenant's policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Counted from 1 within the tenant.
    pub version: u64,
    /// The hash over the texts.
    pub hash: String,
    /// Who made it: an e-mail address, or `operator`.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// What the author says of it.
    pub note: String,
    /// Whether it decides now.
    pub active: bool,
}

/// A set to be kept as a new version.
#[derive(Debug, Clone)]
pub struct NewVersion<'a> {
    /// The set.
    pub set: &'a PolicySet,
    /// The hash over the texts.
    pub hash: &'a str,
    /// Who makes it.
    pub author: &'a str,
    /// What the author says of it.
    pub note: &'a str,
}

/// What came of activating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The version decides now.
    Active {
        /// Its number.
        version: u64,
        /// The one that it replaced.
        before: Option<u64>,
    },
    /// Another version was activated in the meantime; nothing changed.
    BaseMoved {
        /// The one that is active.
        active: Option<u64>,
    },
    /// There is no such version, or no such tenant.
    Unknown,
}

impl Store {
    /// The version that decides, with its set.
    pub async fn active_policies(&self, tenant: &TenantId) -> Result<Option<(Version, PolicySet)>, StoreFault> {
        let _ = tenant;
        todo!()
    }

    /// All versions, newest first, at most `limit`, below `before` if given.
    pub async fn policy_versions(
        &self,
        tenant: &TenantId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Version>, StoreFault> {
        let _ = (tenant, before, limit);
        todo!()
    }

    /// One version with its set.
    pub async fn policy_version(
        &self,
        tenant: &TenantId,
        version: u64,
    ) -> Result<Option<(Version, PolicySet)>, StoreFault> {
        let _ = (tenant, version);
        todo!()
    }

    /// Keeps a new version and makes it decide, if `base` is still the active one.
    pub async fn activate_new(
        &self,
        tenant: &TenantId,
        new: NewVersion<'_>,
        base: Option<u64>,
        now: Timestamp,
    ) -> Result<Activation, StoreFault> {
        let _ = (tenant, new, base, now);
        todo!()
    }

    /// Makes a kept version decide again, if `base` is still the active one.
    pub async fn activate_again(
        &self,
        tenant: &TenantId,
        version: u64,
        base: Option<u64>,
        now: Timestamp,
    ) -> Result<Activation, StoreFault> {
        let _ = (tenant, version, base, now);
        todo!()
    }
}
