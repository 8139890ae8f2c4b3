//! Memory, and what is not in it: the command line beside it, the next start, a tenant that is gone.

use cardea_identity::{
    guard::{Limit, Rule},
    session::EndReason,
};

use super::{
    handles::successor,
    stories::{ends, secs},
    tries::limit,
    *,
};
use crate::StoreFault;

impl Under {
    /// Another process on the same database: it sees nothing of what is held here.
    async fn another(&self) -> MemoryShared {
        MemoryShared::new(self._dir.store().await)
    }

    async fn says(&self, sql: &'static str) {
        let mut tx = self.store.write().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn what_another_process_ends_without_seeing_it_has_ended_here() {
    let (under, acme) = (memory().await, acme());
    let bob = UserId::mint(t0(), &Fixed::new(2));
    let [one, two, spared] = [1, 2, 3].map(|seed| session("acme", ada(), t0(), seed));
    let his = session("acme", bob, t0(), 4);
    let record = handle(&two, "wiki.acme.localhost", t0(), 5);
    for begun in [&one, &two, &spared, &his] {
        under.ours.session_insert(begun).await.unwrap();
    }
    under.ours.handle_insert(&record, &two).await.unwrap();
    let outside = under.another().await;
    assert_eq!(outside.sessions_of_user(&acme, ada(), t0()).await.unwrap(), []);
    assert!(!outside.session_end(&acme, one.id, ends(EndReason::Administrator, 1)).await.unwrap());
    let gone = under.ours.session(&acme, one.id).await.unwrap().unwrap();
    assert_eq!((gone.ended, gone.version), (Some(ends(EndReason::Administrator, 1)), 1));
    assert!(!under.ours.session_end(&acme, one.id, ends(EndReason::SignedOut, 2)).await.unwrap(), "it had ended");
    assert_eq!(under.ours.session_count(&acme, t0()).await.unwrap(), 3);

    let suspended = ends(EndReason::Suspended, 3);
    assert_eq!(outside.end_all_of_user(&acme, ada(), Some(spared.id), suspended).await.unwrap(), []);
    let (_, gone) = under.ours.session_by_handle(&acme, &record.hash).await.unwrap().unwrap();
    assert_eq!(gone.ended, Some(suspended));
    assert_eq!(under.ours.sessions_of_user(&acme, ada(), t0()).await.unwrap(), [spared]);
    assert_eq!(under.ours.sessions_of_user(&acme, bob, t0()).await.unwrap(), [his]);
    let next = session("acme", ada(), t0().plus(secs(4)), 6);
    assert!(!under.ours.session_replace(two.id, ends(EndReason::Replaced, 4), &next).await.unwrap());
    under.ours.session_insert(&next).await.unwrap();
    assert_eq!(under.ours.session_count(&acme, t0()).await.unwrap(), 3, "who signs in again is in");
}

#[tokio::test]
async fn after_the_next_start_nobody_is_known_and_nothing_is_taken_twice() {
    let (under, acme) = (memory().await, acme());
    let begun = session("acme", ada(), t0(), 1);
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    under.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    let next = successor(&record, &begun, t0(), 3);
    assert!(under.ours.handle_offer(&record, &next, &begun).await.unwrap());
    assert!(under.ours.handle_shown(&next, t0().plus(secs(1))).await.unwrap());
    under.ours.put(&flow(1), t0()).await.unwrap();
    under.ours.put(&flow(2), t0()).await.unwrap();
    assert!(under.ours.take(&acme, Purpose::Flow, &flow(1).hash, t0()).await.unwrap().is_some());
    let restarted = under.another().await;
    for record in [&record, &next] {
        assert_eq!(restarted.session_by_handle(&acme, &record.hash).await.unwrap(), None);
    }
    assert_eq!(restarted.session(&acme, begun.id).await.unwrap(), None);
    assert_eq!(restarted.take(&acme, Purpose::Flow, &flow(2).hash, t0()).await.unwrap(), None);
    // What was over is known to be, wherever it comes from.
    for value in [flow(1), flow(2)] {
        restarted.put(&value, t0()).await.unwrap();
        let taken = restarted.take(&acme, Purpose::Flow, &value.hash, t0()).await.unwrap();
        assert_eq!(taken, Some(value).filter(|value| *value != flow(1)));
    }
    restarted.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    let (revived, _) = restarted.session_by_handle(&acme, &record.hash).await.unwrap().unwrap();
    assert_eq!(revived.superseded_at, Some(t0().plus(secs(1))));
}

/// An assertion of a program's, say, or a provider's word that an account is enabled.
#[tokio::test]
async fn what_counts_once_does_not_count_again_after_the_next_start() {
    let (under, acme) = (memory().await, acme());
    let once = Limit { key: "dpop/x".to_owned(), rule: Rule::once(secs(300)) };
    let signal = OneTime { purpose: Purpose::Signal, expires: t0().plus(Purpose::Signal.life()), ..flow(1) };
    assert_eq!(under.ours.attempt(&acme, &once, t0()).await.unwrap(), None);
    under.ours.put(&signal, t0()).await.unwrap();
    under.ours.put(&flow(2), t0()).await.unwrap();
    let restarted = under.another().await;
    for store in [Arc::clone(&under.ours), Arc::new(restarted)] {
        assert!(store.attempt(&acme, &once, t0().plus(secs(299))).await.unwrap().is_some());
        assert_eq!(store.attempt(&tenant("beta"), &limit("dpop/x"), t0()).await.unwrap(), None);
        store.sweep(t0().plus(secs(299))).await.unwrap();
        assert_eq!(store.peek(&acme, Purpose::Signal, &signal.hash, t0()).await.unwrap(), Some(signal.clone()));
    }
    let restarted = under.another().await;
    assert_eq!(restarted.peek(&acme, Purpose::Flow, &flow(2).hash, t0()).await.unwrap(), None);
    restarted.sweep(signal.expires).await.unwrap();
    assert_eq!(restarted.peek(&acme, Purpose::Signal, &signal.hash, t0()).await.unwrap(), None);
    assert_eq!(restarted.attempt(&acme, &once, t0().plus(secs(300))).await.unwrap(), None, "its life is over");
}

#[tokio::test]
async fn a_showing_that_could_not_be_written_is_by_the_next_who_asks() {
    let (under, acme) = (memory_in(Dir::in_file()).await, acme());
    let begun = session("acme", ada(), t0(), 1);
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    under.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    let (next, at) = (successor(&record, &begun, t0(), 3), t0().plus(secs(60)));
    assert!(under.ours.handle_offer(&record, &next, &begun).await.unwrap());
    under.says("CREATE TRIGGER fails BEFORE INSERT ON ended BEGIN SELECT RAISE(ABORT, 'not now'); END").await;
    under.ours.handle_shown(&next, at).await.unwrap_err();
    under.ours.session_by_handle(&acme, &next.hash).await.unwrap_err();
    under.ours.session_end(&acme, begun.id, ends(EndReason::SignedOut, 61)).await.unwrap_err();
    under.says("DROP TRIGGER fails").await;
    let (shown, stands) = under.ours.session_by_handle(&acme, &next.hash).await.unwrap().unwrap();
    assert_eq!((shown.replaces, stands.ended), (None, None), "an end that was not written is none");
    let restarted = under.another().await;
    restarted.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    let (revived, _) = restarted.session_by_handle(&acme, &record.hash).await.unwrap().unwrap();
    assert_eq!(revived.superseded_at, Some(at));
}

#[tokio::test]
async fn sweeping_leaves_nothing_that_is_past_its_time_nor_of_a_tenant_that_is_gone() {
    let (under, acme) = (memory_in(Dir::in_file()).await, acme());
    let (begun, elsewhere) = (session("acme", ada(), t0(), 1), session("beta", ada(), t0(), 2));
    let record = handle(&begun, "wiki.acme.localhost", t0(), 3);
    under.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    under.ours.session_insert(&elsewhere).await.unwrap();
    under.ours.sweep(begun.expires).await.unwrap();
    assert!(under.ours.session_by_handle(&acme, &record.hash).await.unwrap().is_some(), "clocks may differ");
    under.ours.sweep(begun.expires.plus(secs(601))).await.unwrap();
    assert!(under.ours.session_by_handle(&acme, &record.hash).await.unwrap().is_none());
    assert!(under.ours.session(&acme, begun.id).await.unwrap().is_none());

    let young = session("acme", ada(), begun.expires, 4);
    under.ours.session_insert(&young).await.unwrap();
    under.says("UPDATE tenant_keys SET sealed = '' WHERE tenant = 'acme'").await;
    under.store.refresh_keys(Some(&acme)).await.unwrap();
    under.ours.session_insert(&session("beta", ada(), begun.expires, 5)).await.unwrap();
    under.ours.sweep(begun.expires).await.unwrap();
    assert!(under.ours.session(&acme, young.id).await.unwrap().is_none(), "its key is destroyed");
    assert_eq!(under.ours.session_count(&tenant("beta"), begun.expires).await.unwrap(), 1);
}

/// A fault broke off the sweep, and nothing of the others' was dropped as long as it lasted.
#[tokio::test]
async fn a_sweep_goes_on_past_a_fault_and_tells_it() {
    let (under, acme) = (memory_in(Dir::in_file()).await, acme());
    let old = ["acme", "beta"].map(|of| session(of, ada(), t0(), 1));
    for begun in &old {
        under.ours.session_insert(begun).await.unwrap();
    }
    let young = session("acme", ada(), old[0].expires, 2);
    under.ours.session_insert(&young).await.unwrap();
    let gone = OneTime { purpose: Purpose::Signal, ..flow(1) };
    under.ours.put(&gone, t0()).await.unwrap();
    for sealed in ["", "what opens with no key"] {
        let mut tx = under.store.write().await.unwrap();
        let sql = "UPDATE tenant_keys SET sealed = $1 WHERE tenant = 'acme'";
        sqlx::query(sql).bind(sealed).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let _ = under.store.refresh_keys(Some(&acme)).await;
    }
    under.ours.sweep(old[0].expires.plus(secs(601))).await.unwrap_err();
    for begun in &old {
        assert_eq!(under.ours.session(&begun.tenant, begun.id).await.unwrap(), None, "{}", begun.tenant);
    }
    assert_eq!(under.ours.session(&acme, young.id).await.unwrap(), Some(young), "its key may be there");
    let left = sqlx::query("SELECT 1 FROM one_time").fetch_all(under.store.reader()).await.unwrap();
    assert!(left.is_empty(), "what comes last is done, too");
}

/// All of a house waited for one lock.
#[tokio::test]
async fn a_tenants_step_waits_for_no_other_tenants() {
    let held = memory().await.memory.unwrap();
    let told = held.of(&acme(), |_| {
        let (beside, (done, told)) = (held.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || beside.of(&tenant("beta"), |_| done.send(())));
        told.recv_timeout(secs(30))
    });
    told.unwrap();
}

/// Of half a million sessions two thousand questions were put to SQL.
#[tokio::test]
async fn open_sessions_are_counted_without_asking_for_each() {
    let (under, acme) = (memory().await, acme());
    let bob = UserId::mint(t0(), &Fixed::new(2));
    let [one, two, three] = [1, 2, 3].map(|seed| session("acme", ada(), t0(), seed));
    let [his, late] =
        [(bob, t0(), 4), (bob, t0().plus(secs(60)), 5)].map(|(of, at, seed)| session("acme", of, at, seed));
    for begun in [&one, &two, &three, &his, &late] {
        under.ours.session_insert(begun).await.unwrap();
    }
    assert_eq!(under.ours.session_count(&acme, t0()).await.unwrap(), 5);
    assert_eq!(under.ours.session_count(&acme, three.expires).await.unwrap(), 1, "one began later");
    under.says("ALTER TABLE ended RENAME TO elsewhere").await;
    assert_eq!(under.ours.session_count(&acme, t0()).await.unwrap(), 5);
    under.says("ALTER TABLE elsewhere RENAME TO ended").await;

    let outside = under.another().await;
    assert!(under.ours.session_end(&acme, one.id, ends(EndReason::SignedOut, 1)).await.unwrap());
    assert!(!outside.session_end(&acme, two.id, ends(EndReason::Administrator, 1)).await.unwrap());
    assert_eq!(under.ours.session_count(&acme, t0()).await.unwrap(), 3, "each is announced");
    outside.end_all_of_user(&acme, bob, Some(late.id), ends(EndReason::Administrator, 120)).await.unwrap();
    assert_eq!(under.ours.session_count(&acme, t0()).await.unwrap(), 2, "but one");
    assert_eq!(under.ours.session_count(&tenant("beta"), t0()).await.unwrap(), 0);
    let gone = under.ours.session(&acme, his.id).await.unwrap().unwrap();
    assert_eq!(gone.ended.map(|end| end.why), Some(EndReason::Administrator));
    under.ours.sweep(late.expires.plus(secs(601))).await.unwrap();
    assert_eq!(under.ours.session_count(&acme, t0()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_flood_of_values_fills_memory_to_its_bound() {
    let (under, acme) = (memory().await, acme());
    let narrow = under.memory.clone().unwrap().within(3, 20);
    for nth in 0..3 {
        narrow.put(&flow(nth), t0()).await.unwrap();
    }
    let refused = narrow.put(&flow(4), t0()).await.unwrap_err();
    assert!(matches!(refused, StoreFault::Full { .. }), "{refused}");
    narrow.put(&flow(2), t0()).await.unwrap();
    let beta = OneTime { tenant: tenant("beta"), ..flow(4) };
    narrow.put(&beta, t0()).await.unwrap();
    assert!(narrow.take(&acme, Purpose::Flow, &flow(1).hash, t0()).await.unwrap().is_some());
    narrow.put(&flow(4), t0()).await.unwrap();
    let late = OneTime { expires: t0().plus(secs(3_600)), ..flow(5) };
    narrow.put(&late, flow(0).expires).await.unwrap();
}

/// They had one bound: whoever asked often enough for the sign-in page kept those who had signed in from their apps.
#[tokio::test]
async fn who_is_not_signed_in_takes_no_room_from_who_is() {
    let under = memory().await;
    let narrow = under.memory.clone().unwrap().within(3, 20);
    let of = |purpose, byte| OneTime { purpose, ..flow(byte) };
    for (purpose, byte) in [(Purpose::Flow, 1), (Purpose::Device, 2), (Purpose::UserCode, 3)] {
        narrow.put(&of(purpose, byte), t0()).await.unwrap();
    }
    for purpose in [Purpose::Flow, Purpose::Device, Purpose::UserCode] {
        narrow.put(&of(purpose, 9), t0()).await.unwrap_err();
    }
    for (purpose, byte) in [(Purpose::HandOver, 4), (Purpose::AuthorizationCode, 5), (Purpose::Enrolment, 6)] {
        narrow.put(&of(purpose, byte), t0()).await.unwrap();
    }
    narrow.put(&of(Purpose::HandOver, 9), t0()).await.unwrap_err();
    assert!(narrow.take(&acme(), Purpose::HandOver, &flow(4).hash, t0()).await.unwrap().is_some());
    narrow.put(&of(Purpose::HandOver, 9), t0()).await.unwrap();
    narrow.put(&of(Purpose::Flow, 9), t0()).await.unwrap_err();
    assert!(narrow.peek(&acme(), Purpose::Flow, &flow(1).hash, t0()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_flood_of_tries_fills_memory_to_its_bound_and_counts_of_the_newest_stay() {
    let (under, acme) = (memory().await, acme());
    let narrow = under.memory.clone().unwrap().within(3, 20);
    for nth in 0..40 {
        let at = t0().plus(secs(nth));
        assert_eq!(narrow.attempt(&acme, &limit(&format!("k/{nth}")), at).await.unwrap(), None);
        for _ in 1..10 {
            narrow.attempt(&acme, &limit(&format!("k/{nth}")), at).await.unwrap();
        }
    }
    assert_eq!(narrow.names_of_tries().len(), 20);
    let later = t0().plus(secs(40));
    for (nth, waits) in [(39, true), (20, true), (0, false)] {
        let told = narrow.attempt(&acme, &limit(&format!("k/{nth}")), later).await.unwrap();
        assert_eq!(told.is_some(), waits, "{nth}");
    }
}

/// Else whoever goes back to the file would find there who had been signed in before, whatever has ended since.
#[tokio::test]
async fn what_lay_in_the_file_before_is_gone_for_good() {
    let (under, acme) = (memory().await, acme());
    let (on_disk, begun) = (SqlShared::new(under.store.clone()), session("acme", ada(), t0(), 1));
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    on_disk.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    on_disk.put(&flow(1), t0()).await.unwrap();
    assert_eq!(under.ours.session_by_handle(&acme, &record.hash).await.unwrap(), None);
    assert!(on_disk.session_by_handle(&acme, &record.hash).await.unwrap().is_some());
    under.ours.sweep(t0()).await.unwrap();
    assert_eq!(on_disk.session_by_handle(&acme, &record.hash).await.unwrap(), None);
    assert_eq!(on_disk.session(&acme, begun.id).await.unwrap(), None);
    assert_eq!(on_disk.take(&acme, Purpose::Flow, &flow(1).hash, t0()).await.unwrap(), None);
}
