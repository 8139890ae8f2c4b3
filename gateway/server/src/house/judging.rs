//! Turns for reading policies, which takes a processor for as long as it lasts: at most one for each tenant, and two in
//! all, so that no tenant's administrators keep the others' requests waiting.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cardea_core::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of one gateway.
#[derive(Debug)]
pub(crate) struct Judging {
    all: Arc<Semaphore>,
    tenants: Mutex<BTreeMap<TenantId, Arc<Semaphore>>>,
    wait: Duration,
}

/// The right to read policies now. It goes with the work, which may outlast whoever asked for it.
#[derive(Debug)]
pub(crate) struct Turn {
    _tenant: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// All turns are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

/// Two: whoever has more processors keeps the others for requests.
const AT_ONCE: usize = 2;
/// Two seconds: a thousand policies are read in a tenth of one.
const WAIT: Duration = Duration::from_secs(2);

impl Default for Judging {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), tenants: Mutex::default(), wait: WAIT }
    }
}

impl Judging {
    /// Waits a little for a turn.
    pub(crate) async fn turn(&self, tenant: &TenantId) -> Result<Turn, Busy> {
        let own = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let both = async {
            // The tenant's own first: whoever waits for it must not hold one of all.
            let tenant = own.acquire_owned().await.map_err(|_| Busy)?;
            let all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| Busy)?;
            Ok(Turn { _tenant: tenant, _all: all })
        };
        tokio::time::timeout(self.wait, both).await.unwrap_or(Err(Busy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenant_has_one_turn_and_all_have_two() {
        let judging = Judging { wait: Duration::ZERO, ..Judging::default() };
        let [acme, north, south] = ["acme", "north", "south"].map(|name| TenantId::parse(name).unwrap());
        let first = judging.turn(&acme).await.unwrap();
        assert_eq!(judging.turn(&acme).await.unwrap_err(), Busy);
        let second = judging.turn(&north).await.unwrap();
        assert_eq!(judging.turn(&south).await.unwrap_err(), Busy);
        drop(first);
        // Whoever was sent away took nothing along.
        let third = judging.turn(&acme).await.unwrap();
        drop((second, third));
        assert!(judging.turn(&south).await.is_ok());
    }

    #[tokio::test]
    async fn a_turn_that_ends_soon_is_waited_for() {
        let judging = Judging { wait: Duration::from_secs(3_600), ..Judging::default() };
        let acme = TenantId::parse("acme").unwrap();
        let turn = judging.turn(&acme).await.unwrap();
        let (next, ()) = tokio::join!(judging.turn(&acme), async { drop(turn) });
        assert!(next.is_ok());
    }
}
