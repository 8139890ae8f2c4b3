//! Memory, and how much is in it: what a sweep drops, what a flood may fill, what is counted, and who waits for whom.

use std::time::Instant;

use cardea_identity::session::EndReason;

use super::{
    stories::{ends, secs},
    tries::limit,
    *,
};
use crate::StoreFault;

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

/// Measures; run it by its name, with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "measures"]
async fn what_a_full_memory_costs() {
    let (under, acme) = (memory().await, acme());
    let held = under.memory.clone().unwrap();
    let first = session("acme", ada(), t0(), 1);
    for nth in 0..200_000_u64 {
        let user = UserId::mint(t0(), &Fixed::new(nth / 2));
        let (id, at) = (cardea_core::SessionId::mint(t0(), &Fixed::new(nth)), t0().plus(secs(nth / 100)));
        let begun = Session { id, user, expires: at.plus(secs(43_200)), ..first.clone() };
        held.session_insert(&begun).await.unwrap();
    }
    for nth in 0..100_000_u32 {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&nth.to_be_bytes());
        held.put(&OneTime { hash: TicketHash::from_bytes(hash), ..flow(0) }, t0()).await.unwrap();
    }
    let since = Instant::now();
    held.put(&flow(9), t0()).await.unwrap_err();
    println!("a value where there is no room: {:?}", since.elapsed());
    let since = Instant::now();
    let open = held.session_count(&acme, t0()).await.unwrap();
    println!("{open} sessions counted: {:?}", since.elapsed());
    for (what, at) in [("nothing", 0), ("all values and no session", 2_000), ("half of the sessions", 44_800)] {
        let since = Instant::now();
        held.sweep(t0().plus(secs(at))).await.unwrap();
        println!("a sweep that drops {what}: {:?}", since.elapsed());
    }
}
