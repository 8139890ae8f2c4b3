//! How old what decides may be. A change that cannot be taken over, whoever made it, is waited for; but nothing is decided
//! by what stood before it for longer than the limit.

use std::{sync::atomic::Ordering, time::Duration};

use cardea_core::{Reason, TenantId, Timestamp};
use cardea_storage::StoreFault;

use super::House;

/// Half a minute, as for sessions: long enough for a store that is restarted, too short to act by a right withdrawn.
const OLDEST: Duration = Duration::from_secs(30);

impl House {
    /// Says that the state in force is the newest: there is no change that it does not hold, but those of tenants behind.
    pub(crate) fn confirm(&self) {
        self.confirmed.store(self.now().as_micros(), Ordering::Release);
    }

    /// Whether nothing has been heard of changes for longer than the limit.
    pub(crate) fn is_outdated(&self) -> bool {
        let confirmed = Timestamp::from_micros(self.confirmed.load(Ordering::Acquire));
        self.now().since(confirmed) > OLDEST
    }

    /// Whether a tenant has been decided for by what it had before for longer than the limit.
    pub(crate) fn is_paused(&self, tenant: &TenantId) -> bool {
        let state = self.state.load();
        state.behind.get(tenant).is_some_and(|behind| self.now().since(behind.since) > OLDEST)
    }

    /// Whether requests of a tenant may be decided now.
    pub(super) fn admission(&self, tenant: &TenantId) -> Result<(), Reason> {
        if !self.log.admits() {
            return Err(Reason::LogUnavailable);
        }
        if self.is_outdated() {
            return Err(Reason::StoreUnavailable);
        }
        if self.is_paused(tenant) { Err(Reason::TenantUnavailable) } else { Ok(()) }
    }

    /// Whether work can be done: the stores answer, entries can be written, and changes are heard of. A tenant that is
    /// behind does not count: its hosts say so themselves, and the others are served.
    pub async fn is_ready(&self) -> Result<(), StoreFault> {
        self.store.ping().await?;
        self.shared.ping().await?;
        if !self.log.admits() {
            return Err(StoreFault::Log("entries wait too long".to_owned()));
        }
        if self.is_outdated() {
            return Err(StoreFault::Outdated { seconds: OLDEST.as_secs() });
        }
        Ok(())
    }
}
