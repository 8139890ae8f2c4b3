//! What an entry costs.

use std::{sync::Arc, time::Duration};

use cardea_core::Clock;

use super::{Log, LogLimits, LogMetrics, tests::entry};
use crate::testing::{Dir, TestClock};

/// Not a test of right and wrong: `cargo test --release -p cardea-storage cost -- --ignored --nocapture` tells what an
/// entry costs at some ten thousand entries a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn the_cost_of_an_entry() {
    const ENTRIES: u64 = 50_000;
    let dir = Dir::new();
    let store = dir.store().await;
    let log = Log::start(&store, LogLimits::default(), TestClock::new() as Arc<dyn Clock>).await.unwrap();
    let cpu = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        let ticks = |nth: usize| after_name.split_whitespace().nth(nth).unwrap().parse::<u64>().unwrap();
        // Clock ticks are hundredths of a second on Linux.
        (ticks(11) + ticks(12)) * 10_000
    };
    let entries: Vec<_> = (0..ENTRIES).map(entry).collect();
    let (before, begun) = (cpu(), std::time::Instant::now());
    let mut every = tokio::time::interval(Duration::from_millis(1));
    for ten in entries.chunks(10) {
        every.tick().await;
        ten.iter().for_each(|one| log.record(one.clone()));
    }
    log.flush().await.unwrap();
    let (spent, took) = (cpu() - before, begun.elapsed());
    let LogMetrics { groups, .. } = log.metrics();
    println!("{ENTRIES} entries in {took:?}, {groups} groups: {:.1} µs of CPU each", spent as f64 / ENTRIES as f64);
}
