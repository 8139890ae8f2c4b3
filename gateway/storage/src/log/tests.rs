//! The fault table: failed, failed but persisted, recovered; crash; and what people ask of the log.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Mutex,
};

use cardea_audit::{Actor, Break, Client, Event, Head, Request};
use cardea_core::{AppId, Caller, EntryId, Reason, TenantId, entropy::Fixed};

use super::*;
use crate::testing::{Dir, TestClock, server, t0, tenant};

mod columns;
mod contention;
mod counts;
mod search;

pub(super) fn entry(nth: u64) -> Entry {
    entry_of(Some("acme"), nth)
}

fn entry_of(of: Option<&str>, nth: u64) -> Entry {
    let at = t0().plus(Duration::from_secs(nth));
    Entry {
        id: EntryId::mint(at, &Fixed::new(nth)),
        at,
        tenant: of.map(tenant),
        actor: Actor::Caller(Caller::Visitor),
        session: None,
        client: Some(Client::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Some("test"))),
        event: Event::Request(Box::new(Request {
            app: Some(AppId::parse(if nth.is_multiple_of(2) { "wiki" } else { "records" }).unwrap()),
            method: "GET".into(),
            host: "wiki.acme.localhost".into(),
            path: format!("/page/{nth}").into(),
            status: 200,
            reason: nth.is_multiple_of(5).then_some(Reason::Denied),
            micros: 10,
            decision: None,
            by: None,
            asked_by: None,
            detail: None,
        })),
    }
}

/// Fails at given moments, so many times each.
#[derive(Default)]
struct Faults(Mutex<HashMap<&'static str, u32>>);

impl Faults {
    fn set(&self, moment: &'static str, times: u32) {
        self.0.lock().unwrap().insert(moment, times);
    }
}

impl FaultHook for Faults {
    fn at(&self, moment: Moment) -> Result<(), String> {
        let name = match moment {
            Moment::BeforeWrite => "before write",
            Moment::BeforeCommit => "before commit",
            Moment::AfterCommit => "after commit",
        };
        match self.0.lock().unwrap().get_mut(name) {
            Some(times) if *times > 0 => {
                *times -= 1;
                Err(format!("injected {name}"))
            }
            _ => Ok(()),
        }
    }
}

struct Desk {
    _dir: Dir,
    store: Store,
    clock: Arc<TestClock>,
    faults: Arc<Faults>,
    log: Log,
}

async fn desk(limits: LogLimits) -> Desk {
    desk_in(Dir::new(), limits).await
}

async fn desk_in(dir: Dir, limits: LogLimits) -> Desk {
    let (store, clock, faults) = (dir.store().await, TestClock::new(), Arc::new(Faults::default()));
    let hook = Arc::clone(&faults) as Arc<dyn FaultHook>;
    let log = Log::start_with_faults(&store, limits, Arc::clone(&clock) as Arc<dyn Clock>, hook).await.unwrap();
    Desk { _dir: dir, store, clock, faults, log }
}

async fn paths(store: &Store, of: &TenantId) -> Vec<String> {
    let rows = store.log_range(Some(of), 0, 10_000).await.unwrap();
    let path = |row: &Logged| match row.entry().unwrap().event {
        Event::Request(request) => request.path.to_string(),
        other => other.code().to_owned(),
    };
    rows.iter().map(path).collect()
}

#[tokio::test]
async fn entries_are_written_in_order_each_tenants_in_its_own_log() {
    let desk = desk(LogLimits::default()).await;
    for nth in 0..700 {
        desk.log.record(entry_of([Some("acme"), Some("beta"), None][nth as usize % 3], nth));
    }
    desk.log.flush().await.unwrap();
    assert_eq!(desk.log.metrics().written, 700);
    assert!(desk.log.metrics().groups < 100, "one transaction an entry");
    assert_eq!(desk.store.logs().await.unwrap(), [None, Some(tenant("acme")), Some(tenant("beta"))]);
    for (of, size) in [(Some(tenant("acme")), 234), (Some(tenant("beta")), 233), (None, 233)] {
        let head = desk.store.verify_log(of.as_ref(), &[]).await.unwrap().unwrap();
        assert_eq!(head.size, size);
        assert_eq!(desk.store.log_head(of.as_ref()).await.unwrap(), head);
    }
    let expected: Vec<_> = (0..700).step_by(3).map(|nth| format!("/page/{nth}")).collect();
    assert_eq!(paths(&desk.store, &tenant("acme")).await, expected);
}

#[tokio::test]
async fn a_failure_at_any_moment_makes_neither_a_duplicate_nor_a_gap() {
    for moment in ["before write", "before commit", "after commit"] {
        let desk = desk(LogLimits::default()).await;
        desk.log.record_durable(entry(0)).await.unwrap();
        desk.faults.set(moment, 3);
        for nth in 1..100 {
            desk.log.record(entry_of(if nth % 4 == 0 { Some("beta") } else { Some("acme") }, nth));
        }
        desk.log.record_durable(entry(100)).await.unwrap();
        assert!(desk.log.metrics().failures >= if moment == "after commit" { 1 } else { 3 }, "{moment}");
        let head = desk.store.verify_log(Some(&tenant("acme")), &[]).await.unwrap().unwrap();
        assert_eq!(head.size, 77, "{moment}");
        let beta = desk.store.verify_log(Some(&tenant("beta")), &[]).await.unwrap().unwrap();
        assert_eq!(beta.size, 24, "{moment}");
        let expected: Vec<_> =
            (0..=100).filter(|n| n % 4 != 0 || *n == 0 || *n == 100).map(|n| format!("/page/{n}")).collect();
        assert_eq!(paths(&desk.store, &tenant("acme")).await, expected, "{moment}");
        assert!(desk.log.admits(), "{moment}");
    }
}

#[tokio::test]
async fn while_entries_cannot_be_written_nothing_is_admitted_and_nothing_is_lost() {
    let desk = desk(LogLimits::default()).await;
    desk.faults.set("before write", u32::MAX);
    assert!(desk.log.admits());
    desk.log.record(entry(0));
    assert!(desk.log.admits(), "the limit is not reached yet");
    desk.clock.advance(Duration::from_millis(2_001));
    assert!(!desk.log.admits());
    // What was under way still finds its place.
    desk.log.record(entry(1));
    assert!(desk.log.flush().await.is_err());
    desk.faults.set("before write", 0);
    while desk.log.flush().await.is_err() {}
    assert!(desk.log.admits(), "it recovers by itself");
    assert_eq!(paths(&desk.store, &tenant("acme")).await, ["/page/0", "/page/1"]);
    assert_eq!(desk.log.metrics().waiting, 0);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_needs_no_restart() {
    let desk = desk_in(Dir::in_file(), LogLimits::default()).await;
    desk.log.record_durable(entry(0)).await.unwrap();
    // From outside, as a disk fills. RAISE(ROLLBACK) does what SQLite does when a write finds no room.
    let outside = desk._dir.store().await;
    let done = async |sql: &'static str| {
        let mut tx = outside.write().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    done("CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END").await;
    for nth in 1..100 {
        desk.log.record(entry(nth));
    }
    for _ in 0..2 {
        let told = desk.log.flush().await.unwrap_err().to_string();
        assert!(told.contains("disk is full"), "the cause itself: {told}");
    }
    done("DROP TRIGGER full").await;
    desk.log.finish(Duration::from_secs(30)).await.unwrap();
    let acme = tenant("acme");
    assert_eq!(desk.store.verify_log(Some(&acme), &[]).await.unwrap().unwrap().size, 100);
    let expected: Vec<_> = (0..100).map(|nth| format!("/page/{nth}")).collect();
    assert_eq!(paths(&desk.store, &acme).await, expected);
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_and_the_entry_is_written_later() {
    let desk = desk(LogLimits::default()).await;
    desk.faults.set("before write", u32::MAX);
    let log = desk.log.clone();
    let waits = tokio::spawn(async move { log.record_durable(entry(0)).await });
    while desk.log.metrics().failures == 0 {
        tokio::task::yield_now().await;
    }
    desk.clock.advance(Duration::from_secs(3));
    assert!(matches!(waits.await.unwrap(), Err(StoreFault::Log(_))));
    desk.faults.set("before write", 0);
    while desk.log.flush().await.is_err() {}
    assert_eq!(paths(&desk.store, &tenant("acme")).await, ["/page/0"]);
}

/// With groups of hundreds, a disk that takes its time for each flush let the queue grow at full load, until nothing was
/// admitted any more.
#[tokio::test]
async fn a_backlog_costs_few_flushes_of_the_disk() {
    let desk = desk(LogLimits::default()).await;
    (0..4_000).for_each(|nth| desk.log.record(entry(nth)));
    desk.log.flush().await.unwrap();
    let LogMetrics { written, groups, .. } = desk.log.metrics();
    assert!(written == 4_000 && groups <= 2, "{written} entries in {groups} groups");
}

#[tokio::test]
async fn a_full_queue_admits_nothing() {
    let desk = desk(LogLimits { waiting: 3, ..LogLimits::default() }).await;
    desk.faults.set("before write", u32::MAX);
    for nth in 0..3 {
        assert!(desk.log.admits());
        desk.log.record(entry(nth));
    }
    assert!(!desk.log.admits());
    desk.faults.set("before write", 0);
    while desk.log.flush().await.is_err() {}
    assert!(desk.log.admits());
    assert_eq!(paths(&desk.store, &tenant("acme")).await.len(), 3);
}

#[tokio::test]
async fn two_processes_write_one_log() {
    let dir = Dir::new();
    let clock = TestClock::new() as Arc<dyn Clock>;
    let (ours, theirs) = (dir.store().await, dir.store().await);
    let gateway = Log::start(&ours, LogLimits::default(), Arc::clone(&clock)).await.unwrap();
    let command = Log::start(&theirs, LogLimits::default(), clock).await.unwrap();
    for nth in 0..20 {
        let log = if nth % 2 == 0 { &gateway } else { &command };
        log.record_durable(entry(nth)).await.unwrap();
    }
    assert_eq!(ours.verify_log(Some(&tenant("acme")), &[]).await.unwrap().unwrap().size, 20);
    assert_eq!(paths(&ours, &tenant("acme")).await.len(), 20);
}

#[test]
fn what_was_confirmed_survives_a_crash_and_the_rest_is_whole() {
    let dir = Dir::new();
    let clock = TestClock::new() as Arc<dyn Clock>;
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let crashing = runtime();
    let left = crashing.block_on(async {
        let store = dir.store().await;
        let log = Log::start(&store, LogLimits::default(), Arc::clone(&clock)).await.unwrap();
        for nth in 0..5 {
            log.record_durable(entry(nth)).await.unwrap();
        }
        for nth in 5..400 {
            log.record(entry(nth));
        }
        // A crash: neither closed nor dropped while the runtime lives.
        (log, store)
    });
    crashing.shutdown_background();
    drop(left);
    runtime().block_on(async {
        let store = dir.store().await;
        let log = Log::start(&store, LogLimits::default(), clock).await.unwrap();
        let size = store.verify_log(Some(&tenant("acme")), &[]).await.unwrap().unwrap().size;
        assert!(size >= 5, "an acknowledged entry is missing");
        log.record_durable(entry(999)).await.unwrap();
        let after = store.verify_log(Some(&tenant("acme")), &[]).await.unwrap().unwrap();
        assert_eq!(after.size, size + 1);
    });
}

/// Whoever stops the gateway and copies the file has everything.
#[tokio::test]
async fn a_store_that_was_closed_is_one_file() {
    let desk = desk_in(Dir::in_file(), LogLimits::default()).await;
    (0..300).for_each(|nth| desk.log.record(entry(nth)));
    desk.log.flush().await.unwrap();
    let beside = desk._dir.path().join("cardea.db-wal");
    assert!(beside.metadata().is_ok_and(|file| file.len() > 0), "what was written last lies beside it");
    desk.store.close().await;
    assert!(!beside.exists(), "something was left beside it");
}

#[tokio::test]
async fn the_last_handle_going_away_still_writes_what_waits() {
    let dir = Dir::new();
    let store = dir.store().await;
    let clock = TestClock::new() as Arc<dyn Clock>;
    let log = Log::start(&store, LogLimits::default(), clock).await.unwrap();
    log.record(entry(0));
    drop(log);
    while store.log_head(Some(&tenant("acme"))).await.unwrap() == Head::EMPTY {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_tampering_with_the_table_is_named() {
    for (what, sql, expected) in [
        ("an edit", "UPDATE log SET sealed = substr(sealed, 2) WHERE seq = 3", Break::Edited { seq: 3 }),
        (
            "an entry in another's place",
            "UPDATE log SET sealed = (SELECT o.sealed FROM log o WHERE o.seq = 4) WHERE seq = 3",
            Break::Edited { seq: 3 },
        ),
        ("a key that never was", "UPDATE log SET sealed = link WHERE seq = 3", Break::Edited { seq: 3 }),
        ("a gap", "DELETE FROM log WHERE seq = 3", Break::Gap { expected: 3, found: 4 }),
        ("a cut", "DELETE FROM log WHERE seq >= 7", Break::Truncated { known: 10, found: 7 }),
        ("a head that is gone", "DELETE FROM log_heads WHERE tenant = 'acme'", Break::Headless { found: 10 }),
        ("another leaf", "UPDATE log SET leaf = link WHERE seq = 3", Break::Edited { seq: 3 }),
        ("another link", "UPDATE log SET link = leaf WHERE seq = 3", Break::Unlinked { seq: 3 }),
    ] {
        let desk = desk(LogLimits::default()).await;
        for nth in 0..10 {
            desk.log.record(entry(nth));
        }
        desk.log.flush().await.unwrap();
        let mut tx = desk.store.write().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(desk.store.verify_log(Some(&tenant("acme")), &[]).await.unwrap(), Err(expected), "{what}");
    }
}

#[tokio::test]
async fn one_tenants_log_put_in_the_place_of_anothers_is_named() {
    let desk = desk(LogLimits::default()).await;
    for nth in 0..3 {
        desk.log.record(entry(nth));
    }
    desk.log.flush().await.unwrap();
    let mut tx = desk.store.write().await.unwrap();
    for sql in ["UPDATE log SET tenant = 'beta'", "UPDATE log_heads SET tenant = 'beta'"] {
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let found = desk.store.verify_log(Some(&tenant("beta")), &[]).await.unwrap();
    assert_eq!(found, Err(Break::Foreign { seq: 0 }));
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_not_continued() {
    for sql in ["DELETE FROM log WHERE seq = 9", "UPDATE log_heads SET size = 9"] {
        let desk = desk(LogLimits::default()).await;
        for nth in 0..10 {
            desk.log.record(entry(nth));
        }
        desk.log.flush().await.unwrap();
        let mut tx = desk.store.write().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let again = Log::start(&desk.store, LogLimits::default(), TestClock::new()).await;
        assert!(matches!(again, Err(StoreFault::Broken { .. })), "{sql}");
    }
}

#[tokio::test]
async fn the_log_is_filtered_and_paged_newest_first() {
    let desk = desk(LogLimits::default()).await;
    for nth in 0..25 {
        desk.log.record(entry(nth));
    }
    desk.log.record(entry_of(Some("beta"), 99));
    desk.log.flush().await.unwrap();
    let acme = tenant("acme");
    let ask = async |query: LogQuery| {
        let page = desk.store.log(Some(&acme), &query).await.unwrap();
        page.items.iter().map(|item| item.seq).collect::<Vec<_>>()
    };
    let all = || LogQuery { limit: 100, ..LogQuery::default() };
    assert_eq!(ask(all()).await, (0..25).rev().collect::<Vec<_>>());
    assert_eq!(ask(LogQuery { app: Some("wiki".to_owned()), ..all() }).await.len(), 13);
    assert_eq!(ask(LogQuery { reason: Some("denied".to_owned()), ..all() }).await, [20, 15, 10, 5, 0]);
    assert_eq!(ask(LogQuery { caller: Some("visitor".to_owned()), ..all() }).await.len(), 25);
    assert_eq!(ask(LogQuery { verdict: Some("allow".to_owned()), ..all() }).await, Vec::<u64>::new());
    assert_eq!(ask(LogQuery { text: Some("/PAGE/7\"".to_owned()), ..all() }).await, [7]);
    assert_eq!(ask(LogQuery { text: Some("%".to_owned()), ..all() }).await, Vec::<u64>::new());
    let (from, to) = (t0().plus(Duration::from_secs(3)), t0().plus(Duration::from_secs(6)));
    assert_eq!(ask(LogQuery { from: Some(from), to: Some(to), ..all() }).await, [5, 4, 3]);
    let events = vec!["sign-in".to_owned(), "request".to_owned()];
    let both = LogQuery { events, app: Some("wiki".to_owned()), text: Some("page".to_owned()), ..all() };
    assert_eq!(ask(both).await.len(), 13);
    assert_eq!(ask(LogQuery { events: vec!["sign-in".to_owned()], ..all() }).await, Vec::<u64>::new());
    let mut seen = Vec::new();
    let mut query = LogQuery { limit: 10, ..LogQuery::default() };
    loop {
        let page = desk.store.log(Some(&acme), &query).await.unwrap();
        seen.extend(page.items.iter().map(|item| item.seq));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..25).rev().collect::<Vec<_>>());
    let one = entry(4);
    let found = desk.store.log_entry(Some(&acme), one.id).await.unwrap().unwrap();
    assert_eq!((found.seq, found.entry().unwrap()), (4, one.clone()));
    assert_eq!(desk.store.log_entry(Some(&tenant("beta")), one.id).await.unwrap(), None);
}
