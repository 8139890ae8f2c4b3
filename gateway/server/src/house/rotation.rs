//! New keys in the place of old ones: the operator's, and a tenant's. See [`cardea_storage`] for what goes on beneath.

use std::{path::PathBuf, time::Duration};

use cardea_audit::Event;
use cardea_core::{Secret, TenantId};
use cardea_storage::{LINGER, LINGER_IN_REDIS, Resealed, StoreFault};

use super::{Doer, House, operator_key::KeyFault, with_causes};

/// What came of a new operator's key.
#[derive(Debug)]
pub struct OperatorTurned {
    /// Keys of tenants that are sealed under it now.
    pub keys: u64,
    /// Where the old one lies.
    pub before: PathBuf,
}

/// What came of a new key of a tenant.
#[derive(Debug)]
pub struct TenantTurned {
    /// Whether it was made now; else a change that was under way went on.
    pub made: bool,
    /// What was sealed again.
    pub resealed: Resealed,
}

/// Why a key cannot take another's place.
#[derive(Debug, thiserror::Error)]
pub enum RotationFault {
    /// The key's file.
    #[error("{0}")]
    File(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<KeyFault> for RotationFault {
    fn from(fault: KeyFault) -> Self {
        Self::File(fault.to_string())
    }
}

impl House {
    /// Seals the operator's key, and those beside it, under a passphrase; tells how many files that were. Who runs goes on: the
    /// key is the same.
    pub async fn protect_operator_key(&self, passphrase: &Secret<String>, doer: &Doer) -> Result<usize, RotationFault> {
        let _alone = self.operator.alone()?;
        let files = self.operator.protect(passphrase, &*self.entropy)?;
        self.tell_of_key("~ operator.key: sealed under a passphrase", doer).await?;
        Ok(files)
    }

    /// Takes the passphrase off the operator's key, and those beside it.
    pub async fn unprotect_operator_key(&self, doer: &Doer) -> Result<usize, RotationFault> {
        let _alone = self.operator.alone()?;
        let files = self.operator.unprotect()?;
        self.tell_of_key("~ operator.key: sealed no more", doer).await?;
        Ok(files)
    }

    async fn tell_of_key(&self, change: &str, doer: &Doer) -> Result<(), StoreFault> {
        let event = Event::ConfigurationChanged { changes: vec![change.to_owned()], waiting: Vec::new() };
        self.record_own(doer, event).await
    }

    /// Where the operator's key lies, and who is asked for its passphrase.
    pub(crate) fn operator_key(&self) -> &super::OperatorKey {
        &self.operator
    }

    /// Makes another operator's key, seals every tenant's key under it, and puts it into its place. A gateway that runs
    /// reads it when it first needs it.
    pub async fn turn_operator_key(&self, doer: &Doer) -> Result<OperatorTurned, RotationFault> {
        let _alone = self.operator.alone()?;
        let ring = self.operator.prepare_next(&*self.entropy)?;
        let key = ring.ids().next().map(|id| id.to_string()).unwrap_or_default();
        let keys = self.store.reseal_keys(ring, self.now()).await?;
        let before = self.operator.take_over()?;
        self.record_own(doer, Event::KeyRotated { purpose: "operator".into(), key }).await?;
        Ok(OperatorTurned { keys, before })
    }

    /// Makes another key of a tenant seal from now on, and seals again what is under the one before; goes on where that was
    /// interrupted.
    pub async fn turn_tenant_key(&self, tenant: &TenantId, doer: &Doer) -> Result<TenantTurned, RotationFault> {
        let (made, key) = self.store.turn_key(Some(tenant), self.now()).await?;
        // Also where it goes on: whoever began it may have been stopped before this was written.
        self.record(tenant, doer, Event::KeyRotated { purpose: "tenant".into(), key: key.to_string() }).await?;
        let resealed = self.store.reseal(Some(tenant), self.linger(), self.now()).await?;
        Ok(TenantTurned { made, resealed })
    }

    /// Ends what changes of keys have left: seals again what is left, and destroys old keys whose time has come, and those of
    /// tenants that are gone.
    pub(crate) async fn end_turning(&self) -> Result<(), StoreFault> {
        for tenant in self.store.turning().await? {
            // What does not open at one tenant keeps no other's change from its end.
            if let Err(error) = self.store.reseal(tenant.as_ref(), self.linger(), self.now()).await {
                tracing::error!(?tenant, error = %with_causes(&error), "a change of keys cannot go on now");
            }
        }
        self.store.destroy_ownerless(self.now()).await?;
        Ok(())
    }

    fn linger(&self) -> Duration {
        if self.config.redis.is_some() { LINGER_IN_REDIS } else { LINGER }
    }
}
