//! Turns for work that takes a processor, or the only connection, for as long as it lasts: at most one for each tenant and
//! few in all, so that no tenant's administrators keep the others waiting.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cardea_core::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of one kind of work.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    tenants: Mutex<BTreeMap<TenantId, Arc<Semaphore>>>,
    wait: Duration,
}

/// The right to do it now. It goes with the work, which may outlast whoever asked for it.
#[derive(Debug)]
pub(crate) struct Turn {
    _tenant: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// All turns are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

impl Turns {
    /// So many in all, each waited for so long.
    fn new(at_once: usize, wait: Duration) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), tenants: Mutex::default(), wait }
    }

    /// For reading policies. Two: whoever has more processors keeps the others for requests. Two seconds: a thousand
    /// policies are read in a tenth of one.
    pub(crate) fn judging() -> Self {
        Self::new(2, Duration::from_secs(2))
    }

    /// For reading files of people. Two, as for policies; two seconds: the largest that the API takes is read in less.
    pub(crate) fn importing() -> Self {
        Self::new(2, Duration::from_secs(2))
    }

    /// For searching logs. One, since there is one connection for it; as long as a search itself may take.
    pub(crate) fn searching() -> Self {
        Self::new(1, Duration::from_secs(5))
    }

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
        let judging = Turns::new(2, Duration::ZERO);
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
        let judging = Turns::new(2, Duration::from_secs(3_600));
        let acme = TenantId::parse("acme").unwrap();
        let turn = judging.turn(&acme).await.unwrap();
        let (next, ()) = tokio::join!(judging.turn(&acme), async { drop(turn) });
        assert!(next.is_ok());
    }
}
