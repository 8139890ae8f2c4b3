//! Rates: what one gateway adds the other is told, and what is used comes back as time is given.

use futures_util::future::join_all;

use super::{
    stories::{both, secs},
    *,
};
use crate::{RateLevel, RateUse};

const WHOLE: i64 = 1_000_000;

pub(super) fn used(of: &str, name: u128, requests: i64) -> RateUse {
    RateUse { tenant: tenant(of), name, requests: 10, seconds: 5, used: requests * WHOLE }
}

async fn add(store: &Arc<dyn SharedState>, uses: &[RateUse], after: u64) -> Vec<i64> {
    let levels = store.rates_used(uses, t0().plus(secs(after))).await.unwrap();
    levels.into_iter().map(|level| level.used).collect()
}

#[tokio::test]
async fn what_each_gateway_used_is_added_up_and_comes_back_in_time() {
    for under in stores().await {
        let (ours, theirs, name) = (&under.ours, &under.theirs, under.name);
        assert_eq!(add(ours, &[used("acme", 1, 3)], 0).await, [3 * WHOLE], "{name}");
        assert_eq!(add(theirs, &[used("acme", 1, 4)], 0).await, [7 * WHOLE], "{name}");
        // Two come back each second.
        assert_eq!(add(ours, &[used("acme", 1, 1)], 2).await, [4 * WHOLE], "{name}");
        // To a clock that is behind nothing has come back yet, and it gives none back twice.
        let level = theirs.rates_used(&[used("acme", 1, 1)], t0().plus(secs(1))).await.unwrap();
        assert_eq!(level, [RateLevel { used: 5 * WHOLE, at: t0().plus(secs(2)), ever: 9 * WHOLE }], "{name}");
        assert_eq!(add(theirs, &[used("acme", 1, 1)], 4_000).await, [WHOLE], "{name}: all has come back long ago");
        // Another rate under the same name goes on from there.
        let faster = RateUse { requests: 100, ..used("acme", 1, 1) };
        assert_eq!(add(ours, &[RateUse { used: 41 * WHOLE, ..faster.clone() }], 4_000).await, [42 * WHOLE], "{name}");
        assert_eq!(add(ours, &[faster], 4_001).await, [23 * WHOLE], "{name}");
    }
}

#[tokio::test]
async fn each_name_of_each_tenant_is_by_itself_and_told_in_its_order() {
    for under in stores().await {
        let all = [used("beta", 2, 1), used("acme", 2, 2), used("acme", 1, 3), used("beta", 1, 4), used("acme", 3, 5)];
        let told = [1, 2, 3, 4, 5].map(|whole| whole * WHOLE);
        assert_eq!(add(&under.ours, &all, 0).await, told, "{}", under.name);
        assert_eq!(add(&under.theirs, &all[1..3], 0).await, [4 * WHOLE, 6 * WHOLE], "{}", under.name);
        assert_eq!(add(&under.theirs, &[], 0).await, [0_i64; 0], "{}", under.name);
        let most =
            RateUse { requests: 1_000_000, seconds: 86_400, used: 1_000_000 * WHOLE, ..used("acme", u128::MAX, 0) };
        assert_eq!(add(&under.ours, std::slice::from_ref(&most), 0).await, [most.used], "{}", under.name);
        assert_eq!(add(&under.ours, std::slice::from_ref(&most), 86_400).await, [most.used], "{}", under.name);
    }
}

#[tokio::test]
async fn of_fifty_at_once_each_is_added_and_none_waits_for_ever() {
    for under in stores().await {
        let (there, back) = ([used("acme", 1, 1), used("acme", 2, 1)], [used("acme", 2, 1), used("acme", 1, 1)]);
        let racing = both(&under).enumerate().map(|(nth, store)| {
            let uses = if nth % 2 == 0 { &there } else { &back };
            store.rates_used(uses, t0())
        });
        for told in join_all(racing).await {
            told.unwrap();
        }
        assert_eq!(add(&under.ours, &there, 0).await, [51 * WHOLE; 2], "{}", under.name);
        under.ours.sweep(t0().plus(secs(3_600))).await.unwrap();
        assert_eq!(add(&under.ours, &there[..1], 3_600).await, [WHOLE], "{}", under.name);
    }
}

/// A store that hung did at last what it had been asked again and again: whoever was near their rate was shut out for as long.
#[tokio::test]
async fn what_is_added_again_and_again_is_owed_within_bounds() {
    for under in stores().await {
        for _ in 0..30 {
            add(&under.ours, &[used("acme", 1, 9)], 0).await;
        }
        assert_eq!(add(&under.theirs, &[used("acme", 1, 1)], 0).await, [100 * WHOLE], "{}", under.name);
        assert_eq!(add(&under.theirs, &[used("acme", 1, 1)], 50).await, [WHOLE], "{}", under.name);
    }
}
