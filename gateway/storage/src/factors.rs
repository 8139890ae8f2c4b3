//! Enrolled factors. What must happen once (a time step, a counter) is one compare-and-set.

use cardea_core::{FactorId, TenantId, Timestamp, UserId};
use cardea_identity::{Factor, FactorData};

use crate::{Store, StoreFault};

/// What came of enrolling a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorInserted {
    /// It is enrolled.
    Done,
    /// The passkey is enrolled already, by this user or another of the pool.
    CredentialTaken,
    /// There is no such user.
    NoUser,
}

impl Store {
    /// Enrols a factor.
    pub async fn insert_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        factor: &Factor,
    ) -> Result<FactorInserted, StoreFault> {
        let _ = (tenant, user, factor);
        todo!()
    }

    /// A user's factors, oldest first.
    pub async fn factors(&self, tenant: &TenantId, user: UserId) -> Result<Vec<Factor>, StoreFault> {
        let _ = (tenant, user);
        todo!()
    }

    /// The passkey of that credential id (base64url), and whose it is.
    pub async fn factor_by_credential(
        &self,
        tenant: &TenantId,
        credential_id: &str,
    ) -> Result<Option<(UserId, Factor)>, StoreFault> {
        let _ = (tenant, credential_id);
        todo!()
    }

    /// Replaces what is needed to check a factor, if it is still `from`; tells whether it was. Kind and credential id
    /// must stay. For passkey counters and changed passwords.
    pub async fn replace_factor_data(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        from: &FactorData,
        to: &FactorData,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let _ = (tenant, user, id, from, to, now);
        todo!()
    }

    /// Spends a TOTP time step and all before it: true exactly once for each step, however many ask.
    pub async fn advance_totp(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        step: u64,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let _ = (tenant, user, id, step, now);
        todo!()
    }

    /// Notes that a factor proved something.
    pub async fn factor_used(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        at: Timestamp,
    ) -> Result<(), StoreFault> {
        let _ = (tenant, user, id, at);
        todo!()
    }

    /// Renames a factor; tells whether there is one.
    pub async fn rename_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        name: &str,
    ) -> Result<bool, StoreFault> {
        let _ = (tenant, user, id, name);
        todo!()
    }

    /// Removes a factor and gives it back, if there was one.
    pub async fn remove_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
    ) -> Result<Option<Factor>, StoreFault> {
        let _ = (tenant, user, id);
        todo!()
    }
}
