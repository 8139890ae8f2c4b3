//! Several processes write to one log: nothing is lost, nothing is written twice, the chain holds.

use super::*;

/// Each has a store of its own, as another process would: only the file is shared.
async fn writers(dir: &Dir, count: usize) -> Vec<Log> {
    let mut logs = Vec::new();
    for _ in 0..count {
        let clock = TestClock::new() as Arc<dyn Clock>;
        logs.push(Log::start(&dir.store().await, LogLimits::default(), clock).await.unwrap());
    }
    logs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_beside_a_gateway_under_load_loses_no_entry() {
    let dir = Dir::new();
    let logs = writers(&dir, 3).await;
    let mut writing = tokio::task::JoinSet::new();
    for (which, log) in (0..).zip(logs) {
        writing.spawn(async move {
            for nth in 0..200 {
                let nth = which * 1_000 + nth;
                // A gateway's entries go in groups, a command waits for each of its own.
                match which {
                    0 => log.record(entry(nth)),
                    _ => log.record_durable(entry(nth)).await.unwrap(),
                }
                tokio::task::yield_now().await;
            }
            log.flush().await.unwrap();
            assert_eq!((log.metrics().written, log.metrics().failures), (200, 0));
        });
    }
    writing.join_all().await;
    let store = dir.store().await;
    let acme = tenant("acme");
    assert_eq!(store.verify_log(Some(&acme), &[]).await.unwrap().unwrap().size, 600);
    let written = paths(&store, &acme).await;
    for which in 0..3 {
        let expected: Vec<_> = (0..200).map(|nth| format!("/page/{}", which * 1_000 + nth)).collect();
        let theirs: Vec<_> = written.iter().filter(|path| expected.contains(path)).cloned().collect();
        assert_eq!(theirs, expected, "each writer's entries stand once, in their order");
    }
}

/// Contention is no failure, however long it lasts: a command that ends right after its entry must not leave without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_log_that_closes_under_contention_still_writes_what_it_took() {
    let dir = Dir::new();
    let gateway = writers(&dir, 1).await.remove(0);
    let busy = tokio::spawn(async move {
        for nth in 0..300 {
            gateway.record_durable(entry(nth)).await.unwrap();
        }
    });
    for nth in 1_000..1_030 {
        let command = writers(&dir, 1).await.remove(0);
        command.record(entry(nth));
        command.flush().await.unwrap();
    }
    busy.await.unwrap();
    let store = dir.store().await;
    assert_eq!(store.verify_log(Some(&tenant("acme")), &[]).await.unwrap().unwrap().size, 330);
}

#[tokio::test]
async fn a_process_that_ends_waits_out_a_failure_that_passes_and_tells_of_one_that_lasts() {
    let desk = desk(LogLimits::default()).await;
    for moment in ["before write", "before commit", "after commit"] {
        desk.faults.set(moment, 3);
    }
    desk.log.record(entry(0));
    desk.log.finish(Duration::from_secs(60)).await.unwrap();
    assert_eq!(paths(&desk.store, &tenant("acme")).await, ["/page/0"]);
    desk.faults.set("before write", u32::MAX);
    desk.log.record(entry(1));
    let lasting = desk.log.finish(Duration::from_millis(50)).await;
    assert!(matches!(lasting, Err(StoreFault::Log(_))), "{lasting:?}");
}
