//! Keys at rest, always sealed: assertion keys with their schedule, and whatever else must be kept secret (CA keys).

use cardea_core::{TenantId, Timestamp};
use cardea_identity::{Sealed, keys::KeyRecord};

use crate::{Store, StoreFault};

/// A sealed secret with what may be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord {
    /// Whose; the operator's own where absent.
    pub tenant: Option<TenantId>,
    /// What it is for: `ca-root`, `ca-intermediate`, `gateway`, ….
    pub purpose: String,
    /// Names it within the purpose.
    pub id: String,
    /// The secret.
    pub sealed: Sealed,
    /// What belongs to it and is not secret: a certificate chain in PEM, a public key.
    pub public: String,
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
}

impl Store {
    /// Keeps a new assertion key, unless the tenant has one that signs beyond `unless_beyond` (another gateway was
    /// faster); tells whether it was kept.
    pub async fn insert_key(&self, key: &KeyRecord, unless_beyond: Timestamp) -> Result<bool, StoreFault> {
        let _ = (key, unless_beyond);
        todo!()
    }

    /// A tenant's assertion keys that are still published, oldest first.
    pub async fn keys(&self, tenant: &TenantId, now: Timestamp) -> Result<Vec<KeyRecord>, StoreFault> {
        let _ = (tenant, now);
        todo!()
    }

    /// Forgets assertion keys that are no longer published; tells how many.
    pub async fn drop_old_keys(&self, now: Timestamp) -> Result<u64, StoreFault> {
        let _ = now;
        todo!()
    }

    /// Keeps a sealed secret, unless there is one of that tenant, purpose and id; tells whether it was kept.
    pub async fn insert_sealed(&self, record: &SealedRecord) -> Result<bool, StoreFault> {
        let _ = record;
        todo!()
    }

    /// Keeps a sealed secret in the place of whatever had its tenant, purpose and id.
    pub async fn put_sealed(&self, record: &SealedRecord) -> Result<(), StoreFault> {
        let _ = record;
        todo!()
    }

    /// The sealed secrets of a tenant (or the operator) for a purpose, youngest `not_before` first.
    pub async fn sealed(&self, tenant: Option<&TenantId>, purpose: &str) -> Result<Vec<SealedRecord>, StoreFault> {
        let _ = (tenant, purpose);
        todo!()
    }

    /// Deletes a sealed secret; tells whether there was one.
    pub async fn delete_sealed(&self, tenant: Option<&TenantId>, purpose: &str, id: &str) -> Result<bool, StoreFault> {
        let _ = (tenant, purpose, id);
        todo!()
    }
}
