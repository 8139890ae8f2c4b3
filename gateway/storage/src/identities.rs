//! Who a provider's people are in the pool. Keyed by provider, issuer and subject; never by e-mail.

use cardea_core::{TenantId, Timestamp, UserId};
use cardea_identity::{LinkedIdentity, User};

use crate::{Store, StoreFault};

/// What came of linking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// It is this user's now, or was already.
    Done,
    /// It belongs to another user of the pool.
    Taken,
    /// There is no such user.
    NoUser,
}

impl Store {
    /// Links a user to an account at a provider.
    pub async fn link_identity(
        &self,
        tenant: &TenantId,
        user: UserId,
        identity: &LinkedIdentity,
        now: Timestamp,
    ) -> Result<Linked, StoreFault> {
        let _ = (tenant, user, identity, now);
        todo!()
    }

    /// The user whom an account at a provider belongs to.
    pub async fn user_by_identity(
        &self,
        tenant: &TenantId,
        identity: &LinkedIdentity,
    ) -> Result<Option<User>, StoreFault> {
        let _ = (tenant, identity);
        todo!()
    }

    /// A user's accounts at providers.
    pub async fn identities(&self, tenant: &TenantId, user: UserId) -> Result<Vec<LinkedIdentity>, StoreFault> {
        let _ = (tenant, user);
        todo!()
    }

    /// Unlinks; tells whether there was a link.
    pub async fn unlink_identity(
        &self,
        tenant: &TenantId,
        user: UserId,
        identity: &LinkedIdentity,
    ) -> Result<bool, StoreFault> {
        let _ = (tenant, user, identity);
        todo!()
    }
}
