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

impl Under {
    /// Another process on the same database: it sees nothing of what is held here.
    pub(super) async fn another(&self) -> MemoryShared {
        MemoryShared::new(self._dir.store().await)
    }

    pub(super) async fn says(&self, sql: &'static str) {
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

/// The row of an older showing stood in the way of the newer one's, and what counted on disk did not in memory.
#[tokio::test]
async fn what_is_shown_on_disk_after_its_life_in_memory_counts_at_the_next_start_in_memory() {
    let (under, acme) = (memory().await, acme());
    let once = Limit { key: "dpop/x".to_owned(), rule: Rule::once(secs(300)) };
    assert_eq!(under.ours.attempt(&acme, &once, t0()).await.unwrap(), None);
    let on_disk = SqlShared::new(under.store.clone());
    assert_eq!(on_disk.attempt(&acme, &once, t0().plus(secs(400))).await.unwrap(), None, "its life is over");
    let restarted = under.another().await;
    restarted.take_up(t0().plus(secs(450))).await.unwrap();
    assert!(restarted.attempt(&acme, &once, t0().plus(secs(500))).await.unwrap().is_some());
    assert_eq!(restarted.attempt(&acme, &once, t0().plus(secs(700))).await.unwrap(), None);
}

/// No sweep has come by yet: the row stands beyond its time.
#[tokio::test]
async fn what_was_written_counts_until_its_time_and_no_longer_and_an_end_stays_one() {
    let (under, acme) = (memory().await, acme());
    let once = Limit { key: "dpop/x".to_owned(), rule: Rule::once(secs(300)) };
    assert_eq!(under.ours.attempt(&acme, &once, t0()).await.unwrap(), None);
    for (second, wait) in [(299, Some(secs(1))), (300, None), (599, Some(secs(1))), (600, None)] {
        let restarted = under.another().await;
        let told = restarted.attempt(&acme, &once, t0().plus(secs(second))).await.unwrap();
        assert_eq!(told, wait, "{second}");
    }

    let [ended, all] = [1, 2].map(|seed| session("acme", ada(), t0(), seed));
    let record = handle(&all, "wiki.acme.localhost", t0(), 3);
    under.ours.session_insert(&ended).await.unwrap();
    under.ours.session_open((&all, &record), &Forgiven::default(), t0()).await.unwrap();
    let next = successor(&record, &all, t0(), 4);
    assert!(under.ours.handle_offer(&record, &next, &all).await.unwrap());
    assert!(under.ours.handle_shown(&next, t0()).await.unwrap());
    assert!(under.ours.session_end(&acme, ended.id, ends(EndReason::SignedOut, 1)).await.unwrap());
    let outside = under.another().await;
    outside.end_all_of_user(&acme, ada(), None, ends(EndReason::Administrator, 2)).await.unwrap();
    under.says("UPDATE ended SET until = 0").await;
    under.says("UPDATE ended_users SET until = 0").await;
    // Whoever has ended stays so, and nobody who began later, whatever these rows say.
    let later = session("acme", ada(), t0().plus(secs(3)), 5);
    under.ours.session_insert(&later).await.unwrap();
    for (of, why) in [(&ended, Some(EndReason::SignedOut)), (&all, Some(EndReason::Administrator)), (&later, None)] {
        let stands = under.ours.session(&acme, of.id).await.unwrap().unwrap();
        assert_eq!(stands.ended.map(|end| end.why), why);
    }
    let (stands, _) = under.ours.session_by_handle(&acme, &next.hash).await.unwrap().unwrap();
    assert_eq!(stands.superseded_at, None);
    let (stands, _) = under.ours.session_by_handle(&acme, &record.hash).await.unwrap().unwrap();
    assert_eq!(stands.superseded_at, Some(t0()));
}

#[tokio::test]
async fn a_try_that_could_not_be_written_was_not_made() {
    let (under, acme) = (memory_in(Dir::in_file()).await, acme());
    let (near, once) = (limit("k/near"), Limit { key: "dpop/x".to_owned(), rule: Rule::once(secs(300)) });
    for _ in 0..9 {
        assert_eq!(under.ours.attempt(&acme, &near, t0()).await.unwrap(), None);
    }
    under.says("CREATE TRIGGER fails BEFORE INSERT ON ended BEGIN SELECT RAISE(ABORT, 'not now'); END").await;
    for _ in 0..3 {
        under.ours.attempt_each(&acme, &[&near, &once], t0()).await.unwrap_err();
    }
    under.says("DROP TRIGGER fails").await;
    assert_eq!(under.ours.attempt_each(&acme, &[&near, &once], t0()).await.unwrap(), None, "the tenth is free");
    assert!(under.ours.attempt(&acme, &near, t0()).await.unwrap().is_some());
    // Nor where the disk alone knows that it was shown.
    let restarted = under.another().await;
    for _ in 0..20 {
        assert_eq!(restarted.attempt_each(&acme, &[&near, &once], t0()).await.unwrap(), Some(secs(300)));
    }
    assert_eq!(restarted.attempt(&acme, &near, t0()).await.unwrap(), None);
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

/// Else whoever goes back to the file would find there who had been signed in before, whatever has ended since.
#[tokio::test]
async fn what_lay_in_the_file_before_is_gone_for_good() {
    let (under, acme) = (memory().await, acme());
    let (on_disk, begun) = (SqlShared::new(under.store.clone()), session("acme", ada(), t0(), 1));
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    on_disk.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    on_disk.put(&flow(1), t0()).await.unwrap();
    let [once, twice] = ["dpop/x", "dpop/y"].map(|key| Limit { key: key.to_owned(), rule: Rule::once(secs(300)) });
    assert_eq!(on_disk.attempt(&acme, &once, t0()).await.unwrap(), None);
    assert_eq!(under.ours.session_by_handle(&acme, &record.hash).await.unwrap(), None);
    assert!(on_disk.session_by_handle(&acme, &record.hash).await.unwrap().is_some());
    under.ours.sweep(t0()).await.unwrap();
    assert!(on_disk.session(&acme, begun.id).await.unwrap().is_some(), "a command beside it clears nothing");
    under.ours.take_up(t0()).await.unwrap();
    assert_eq!(on_disk.session_by_handle(&acme, &record.hash).await.unwrap(), None);
    assert_eq!(on_disk.session(&acme, begun.id).await.unwrap(), None);
    assert_eq!(on_disk.take(&acme, Purpose::Flow, &flow(1).hash, t0()).await.unwrap(), None);
    // But what was shown was shown, on the way there and on the way back.
    assert_eq!(under.ours.attempt(&acme, &once, t0().plus(secs(100))).await.unwrap(), Some(secs(200)));
    assert_eq!(under.ours.attempt(&acme, &twice, t0().plus(secs(100))).await.unwrap(), None);
    for (limit, second, wait) in
        [(&once, 299, Some(secs(1))), (&twice, 299, Some(secs(101))), (&once, 300, None), (&twice, 400, None)]
    {
        let told = on_disk.attempt(&acme, limit, t0().plus(secs(second))).await.unwrap();
        assert_eq!(told, wait, "{}, {second}", limit.key);
    }
}
