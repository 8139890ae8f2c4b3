//! A Redis that forgets what it had acknowledged, is silent, or full: what was over stays over, and nobody is let in twice.

use std::time::{Duration, Instant};

use cardea_identity::session::EndReason;

use super::{
    handles::successor,
    server::{KEEPS_WHAT_IS_SAVED, breathe},
    stories::{ends, secs},
    tries::limit,
    *,
};
use crate::StoreFault;

/// One that keeps nothing but what it is told to save.
async fn forgetful() -> Under {
    let dir = Dir::new();
    let server = RedisServer::start_with(dir.path(), KEEPS_WHAT_IS_SAVED).await;
    let (at, urls) = (RedisAt::One(Secret::new(server.url())), vec![server.url()]);
    Under { _server: Some(server), ..shared_in("redis", &at, (urls, "cardea".to_owned()), dir).await }
}

impl Under {
    fn server(&self) -> &RedisServer {
        self._server.as_ref().unwrap()
    }

    /// It falls, and stands up with what it had saved.
    async fn falls(&self) {
        self.server().kill();
        self.server().run().await;
        while self.ours.ping().await.is_err() || self.theirs.ping().await.is_err() {}
    }
}

#[tokio::test]
async fn what_was_over_stays_over_where_redis_comes_back_from_before() {
    let (under, acme) = (forgetful().await, acme());
    let bob = UserId::mint(t0(), &Fixed::new(2));
    let [ended, replaced, spared] = [1, 2, 3].map(|seed| session("acme", ada(), t0(), seed));
    let (all, lives) = (session("acme", bob, t0(), 4), session("acme", UserId::mint(t0(), &Fixed::new(3)), t0(), 5));
    for one in [&ended, &replaced, &spared, &all, &lives] {
        under.ours.session_insert(one).await.unwrap();
    }
    let record = handle(&lives, "wiki.acme.localhost", t0(), 6);
    under.ours.handle_insert(&record, &lives).await.unwrap();
    let next = successor(&record, &lives, t0(), 7);
    under.ours.put(&flow(1), t0()).await.unwrap();
    let saved: String = under.server().ask(&["SAVE"]).await;
    assert_eq!(saved, "OK");

    let (out, at) = (ends(EndReason::SignedOut, 60), t0().plus(secs(61)));
    let after = session("acme", ada(), at, 8);
    assert!(under.ours.session_end(&acme, ended.id, out).await.unwrap());
    assert!(under.ours.session_replace(replaced.id, ends(EndReason::Replaced, 61), &after).await.unwrap());
    assert_eq!(under.ours.end_all_of_user(&acme, bob, None, out).await.unwrap(), [all.id]);
    assert!(under.ours.handle_offer(&record, &next, &lives).await.unwrap());
    assert!(under.ours.handle_shown(&next, at).await.unwrap());
    assert!(under.ours.take(&acme, Purpose::Flow, &flow(1).hash, t0()).await.unwrap().is_some());
    under.falls().await;

    for (one, why) in [(&ended, EndReason::SignedOut), (&replaced, EndReason::Replaced), (&all, EndReason::SignedOut)] {
        let kept = under.theirs.session(&acme, one.id).await.unwrap().unwrap();
        assert_eq!((kept.ended.map(|end| end.why), kept.version), (Some(why), 1), "revived");
    }
    for one in [&spared, &lives] {
        assert_eq!(under.theirs.session(&acme, one.id).await.unwrap().unwrap().ended, None);
    }
    assert_eq!(under.theirs.sessions_of_user(&acme, bob, t0()).await.unwrap(), []);
    assert_eq!(under.theirs.sessions_of_user(&acme, ada(), t0()).await.unwrap(), [spared]);
    let another = session("acme", ada(), at, 9);
    assert!(!under.theirs.session_replace(ended.id, ends(EndReason::Replaced, 62), &another).await.unwrap());
    // Whoever copied the handle that was replaced is found out; its successor is unknown.
    let (revived, _) = under.theirs.session_by_handle(&acme, &record.hash).await.unwrap().unwrap();
    assert_eq!((revived.superseded_at, revived.replaces), (Some(at), None));
    assert_eq!(under.theirs.session_by_handle(&acme, &next.hash).await.unwrap(), None);
    assert_eq!(under.theirs.take(&acme, Purpose::Flow, &flow(1).hash, t0()).await.unwrap(), None, "taken twice");
}

#[tokio::test]
async fn where_redis_forgets_all_nobody_is_known_and_nothing_is_a_fault() {
    let (under, acme) = (forgetful().await, acme());
    let begun = session("acme", ada(), t0(), 1);
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    under.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    under.falls().await;
    assert_eq!(under.ours.session_by_handle(&acme, &record.hash).await.unwrap(), None);
    assert!(!under.ours.session_end(&acme, begun.id, ends(EndReason::SignedOut, 1)).await.unwrap());
    // What was ended while Redis did not know it does not come back with it.
    under.ours.session_insert(&begun).await.unwrap();
    assert!(under.ours.session(&acme, begun.id).await.unwrap().unwrap().ended.is_some());
    let (later, of_before) = (session("acme", ada(), t0().plus(secs(9)), 3), session("acme", ada(), t0(), 4));
    under.ours.end_all_of_user(&acme, ada(), None, ends(EndReason::SignedOut, 5)).await.unwrap();
    for (one, has_ended) in [(&of_before, true), (&later, false)] {
        under.ours.session_insert(one).await.unwrap();
        assert_eq!(under.ours.session(&acme, one.id).await.unwrap().unwrap().ended.is_some(), has_ended);
    }
    under.ours.sweep(t0().plus(secs(40 * 24 * 3_600))).await.unwrap();
    assert!(under.ours.session(&acme, of_before.id).await.unwrap().unwrap().ended.is_some(), "marked in both");
}

/// It failed between the two: what it owes is made up for before the handle opens anything.
#[tokio::test]
async fn a_showing_that_broke_off_half_way_is_written_by_the_next_who_shows_it() {
    let (under, acme, elsewhere) = (forgetful().await, acme(), Dir::new());
    let begun = session("acme", ada(), t0(), 1);
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    under.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    let saved: String = under.server().ask(&["SAVE"]).await;
    assert_eq!(saved, "OK");
    let (next, at) = (successor(&record, &begun, t0(), 3), t0().plus(secs(60)));
    assert!(under.ours.handle_offer(&record, &next, &begun).await.unwrap());
    let speechless = elsewhere.store().await;
    let url = RedisAt::One(Secret::new(under.kept_in.0[0].clone()));
    let lame = RedisShared::open(&url, "cardea", speechless.clone()).await.unwrap();
    speechless.close().await;
    lame.handle_shown(&next, at).await.unwrap_err();
    let (shown, _) = under.ours.session_by_handle(&acme, &next.hash).await.unwrap().unwrap();
    assert_eq!(shown.replaces, None);
    under.falls().await;
    let (revived, _) = under.theirs.session_by_handle(&acme, &record.hash).await.unwrap().unwrap();
    assert_eq!(revived.superseded_at, Some(at));
}

#[tokio::test]
async fn a_redis_that_is_silent_is_a_fault_within_a_second_and_one_that_speaks_again_works() {
    let (under, acme) = (redis().await, acme());
    let begun = session("acme", ada(), t0(), 1);
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    under.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    under.server().signal("STOP");
    for _ in 0..3 {
        let since = Instant::now();
        let fault = under.ours.session_by_handle(&acme, &record.hash).await.unwrap_err();
        assert!(matches!(fault, StoreFault::Redis(_)) && since.elapsed() < Duration::from_millis(1_500), "{fault:?}");
    }
    under.server().signal("CONT");
    let since = Instant::now();
    while under.ours.session_by_handle(&acme, &record.hash).await.is_err() {
        breathe().await;
    }
    assert!(since.elapsed() < Duration::from_millis(2_500), "after {:?}", since.elapsed());
}

#[tokio::test]
async fn a_redis_that_is_full_is_a_fault_and_does_nothing_by_half() {
    let (under, acme) = (redis().await, acme());
    let begun = session("acme", ada(), t0(), 1);
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    under.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
    let next = successor(&record, &begun, t0(), 3);
    let (other, later) = (session("acme", ada(), t0(), 4), session("acme", ada(), t0(), 5));
    let first = handle(&other, "wiki.acme.localhost", t0(), 6);
    let most = async |bytes: &str| {
        let said: String = under.server().ask(&["CONFIG", "SET", "maxmemory", bytes]).await;
        assert_eq!(said, "OK");
    };
    most("1").await;
    let faults = [
        under.ours.session_open((&other, &first), &Forgiven::default(), t0()).await.err(),
        under.ours.session_insert(&other).await.err(),
        under.ours.handle_insert(&first, &begun).await.err(),
        under.ours.handle_offer(&record, &next, &begun).await.err(),
        under.ours.session_replace(begun.id, ends(EndReason::Replaced, 1), &later).await.err(),
        under.ours.put(&flow(1), t0()).await.err(),
        under.ours.attempt(&acme, &limit("k"), t0()).await.err(),
    ];
    for (nth, fault) in faults.iter().enumerate() {
        assert!(matches!(fault, Some(StoreFault::Redis(_))), "{nth}: {fault:?}");
    }
    let opened = under.ours.session_by_handle(&acme, &record.hash).await.unwrap();
    assert_eq!(opened, Some((record.clone(), begun.clone())), "it stands as it stood");
    for (hash, id) in [(&first.hash, other.id), (&next.hash, later.id)] {
        assert_eq!(under.ours.session_by_handle(&acme, hash).await.unwrap(), None);
        assert_eq!(under.ours.session(&acme, id).await.unwrap(), None);
    }
    // An end stands all the same, and is told once: it is written elsewhere first.
    assert!(under.ours.session_end(&acme, begun.id, ends(EndReason::SignedOut, 1)).await.unwrap());
    assert!(!under.ours.session_end(&acme, begun.id, ends(EndReason::SignedOut, 2)).await.unwrap());
    assert!(under.ours.session(&acme, begun.id).await.unwrap().unwrap().ended.is_some());
    most("0").await;
    assert!(under.ours.session(&acme, begun.id).await.unwrap().unwrap().ended.is_some());
    under.ours.put(&flow(1), t0()).await.unwrap();
    assert_eq!(under.ours.take(&acme, Purpose::Flow, &flow(1).hash, t0()).await.unwrap(), Some(flow(1)));
}
