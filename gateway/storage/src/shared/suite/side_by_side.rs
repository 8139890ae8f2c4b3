//! Writers of several tenants at once.

use std::time::{Duration, Instant};

use super::{tries::limit, *};
use crate::{Change, StoreFault, testing};

/// On a server: one tenant's writer under way holds up no other tenant's, its own tenant's and the house's it does, and they it.
#[tokio::test]
async fn a_tenants_writer_holds_up_its_own_tenants_and_the_houses_and_no_others() {
    if testing::server().is_none() {
        return;
    }
    let under = sql().await;
    let (acme, beta, limit) = (acme(), tenant("beta"), limit("k"));
    for of in [&acme, &beta] {
        under.theirs.attempt(of, &limit, t0()).await.unwrap();
    }
    let waits = async |of: &TenantId| {
        let tried = under.theirs.attempt(of, &limit, t0());
        tokio::time::timeout(Duration::from_millis(500), tried).await.is_err()
    };
    let writing = under.store.write_in(&acme).await.unwrap();
    assert!(!waits(&beta).await, "another tenant's");
    assert!(waits(&acme).await, "its own");
    writing.commit().await.unwrap();
    assert!(!waits(&acme).await);
    let house = under.store.write().await.unwrap();
    assert!(waits(&beta).await, "the house's");
    house.commit().await.unwrap();
    assert!(!waits(&beta).await);
    // What is numbered among all is refused to whoever is not alone.
    let mut writing = under.store.write_in(&acme).await.unwrap();
    let refused = crate::changes::announce(&mut writing, Some(&acme), &Change::Policies, t0()).await.unwrap_err();
    assert!(matches!(refused, StoreFault::Contended { what: "changes" }), "{refused}");
}

/// Not a test of right and wrong: with `tests/with-postgres` and `-- --ignored --nocapture` it tells how much two gateways write
/// for one tenant, and for two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn the_cost_of_two_tenants_writing_at_once() {
    const EACH: u32 = 500;
    let under = sql().await;
    for round in 0..3 {
        for (what, [one, two]) in [("one tenant", ["acme", "acme"]), ("two tenants", ["acme", "beta"])] {
            let writes = async |store: Arc<dyn SharedState>, of: TenantId, name: &str| {
                for nth in 0..EACH {
                    let limit = limit(&format!("{name}/{round}/{what}/{nth}"));
                    store.attempt(&of, &limit, t0()).await.unwrap();
                }
            };
            let begun = Instant::now();
            let (ours, theirs) = (Arc::clone(&under.ours), Arc::clone(&under.theirs));
            tokio::join!(writes(ours, tenant(one), "ours"), writes(theirs, tenant(two), "theirs"));
            let each = f64::from(2 * EACH) / begun.elapsed().as_secs_f64();
            println!("{what}: {each:.0} transactions a second");
        }
    }
}
