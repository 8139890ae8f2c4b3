//! Handles and what takes their place, and sessions and what takes theirs.

use cardea_identity::session::EndReason;
use futures_util::future::join_all;

use super::{
    stories::{both, ends, secs, winners},
    *,
};
use crate::Change;

pub(super) fn successor(before: &HandleRecord, session: &Session, at: Timestamp, seed: u64) -> HandleRecord {
    before.successor(session, at, &Fixed::new(seed)).1
}

impl Under {
    /// A session with one handle.
    async fn begun(&self) -> (Session, HandleRecord) {
        let begun = session("acme", ada(), t0(), 1);
        let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
        self.ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
        (begun, record)
    }

    async fn stands(&self, handle: &HandleRecord) -> Option<HandleRecord> {
        let opened = self.theirs.session_by_handle(&handle.tenant, &handle.hash).await.unwrap();
        opened.map(|(record, _)| record)
    }
}

#[tokio::test]
async fn of_racing_rotations_one_gives_a_successor_and_the_old_one_stays_good() {
    for under in stores().await {
        let (begun, record) = under.begun().await;
        let at = t0().plus(secs(900));
        let offers: Vec<_> = (0..50).map(|seed| successor(&record, &begun, at, 100 + seed)).collect();
        let won =
            winners(both(&under).zip(&offers).map(|(store, next)| store.handle_offer(&record, next, &begun))).await;
        assert_eq!(won, 1, "{}", under.name);
        let stands = under.stands(&record).await.unwrap();
        assert_eq!((stands.offered_at, stands.superseded_at), (Some(at), None), "{}", under.name);
        let kept = join_all(offers.iter().map(|next| under.stands(next))).await;
        assert_eq!(kept.iter().flatten().count(), 1);
        let next = kept.into_iter().flatten().next().unwrap();
        assert_eq!((next.replaces, next.issued_at), (Some(record.hash), at));
        let unknown = handle(&begun, "x", t0(), 9);
        assert!(!under.ours.handle_offer(&unknown, &successor(&unknown, &begun, at, 8), &begun).await.unwrap());
        assert!(under.stands(&unknown).await.is_none(), "an offer makes no handle to replace");
    }
}

#[tokio::test]
async fn a_successor_that_was_never_shown_gives_way_to_the_next() {
    for under in stores().await {
        let (begun, record) = under.begun().await;
        let (first, second) = (successor(&record, &begun, t0(), 3), successor(&record, &begun, t0().plus(secs(60)), 4));
        assert!(under.ours.handle_offer(&record, &first, &begun).await.unwrap(), "{}", under.name);
        assert!(!under.theirs.handle_offer(&record, &second, &begun).await.unwrap(), "on an older reading");
        let stands = under.stands(&record).await.unwrap();
        assert!(under.theirs.handle_offer(&stands, &second, &begun).await.unwrap());
        assert!(under.stands(&first).await.is_none(), "the lost one still opens the session");
        assert!(!under.ours.handle_shown(&first, t0().plus(secs(61))).await.unwrap());
        assert_eq!(under.stands(&record).await.unwrap().superseded_at, None, "superseded by what is not kept");
        assert!(under.ours.handle_shown(&second, t0().plus(secs(62))).await.unwrap());
        assert_eq!(under.stands(&record).await.unwrap().superseded_at, Some(t0().plus(secs(62))));
    }
}

#[tokio::test]
async fn the_first_showing_supersedes_and_its_time_stands() {
    for under in stores().await {
        let (begun, record) = under.begun().await;
        let next = successor(&record, &begun, t0(), 3);
        assert!(under.ours.handle_offer(&record, &next, &begun).await.unwrap());
        let shown = t0().plus(secs(900));
        let racing = both(&under).map(|store| store.handle_shown(&next, shown));
        assert_eq!(winners(racing).await, 50, "{}: it opens the session for each of them", under.name);
        assert!(under.theirs.handle_shown(&next, shown.plus(secs(5))).await.unwrap());
        let (old, new) = (under.stands(&record).await.unwrap(), under.stands(&next).await.unwrap());
        assert_eq!((old.superseded_at, new.superseded_at, new.replaces), (Some(shown), None, None), "{}", under.name);
        let again = successor(&old, &begun, shown, 5);
        assert!(!under.ours.handle_offer(&old, &again, &begun).await.unwrap(), "a superseded handle has a successor");
        let third = successor(&new, &begun, shown, 6);
        assert!(under.ours.handle_offer(&new, &third, &begun).await.unwrap(), "the chain goes on");
        assert_eq!(under.stands(&new).await.unwrap().superseded_at, None);
    }
}

#[tokio::test]
async fn a_showing_that_races_the_next_offer_leaves_one_handle_that_opens() {
    for under in stores().await {
        let (begun, record) = under.begun().await;
        let first = successor(&record, &begun, t0(), 3);
        assert!(under.ours.handle_offer(&record, &first, &begun).await.unwrap());
        let stands = under.stands(&record).await.unwrap();
        let second = successor(&record, &begun, t0().plus(secs(60)), 4);
        let at = t0().plus(secs(61));
        let (shown, offered) =
            tokio::join!(under.ours.handle_shown(&first, at), under.theirs.handle_offer(&stands, &second, &begun));
        let (shown, offered) = (shown.unwrap(), offered.unwrap());
        assert_ne!(shown, offered, "{}", under.name);
        assert_eq!(under.stands(&first).await.is_some(), shown);
        assert_eq!(under.stands(&second).await.is_some(), offered);
        assert_eq!(under.stands(&record).await.unwrap().superseded_at, shown.then_some(at));
    }
}

#[tokio::test]
async fn of_racing_replacements_of_a_session_one_wins_and_what_has_ended_has_none() {
    for under in stores().await {
        let (begun, _) = under.begun().await;
        let before = under.store.last_change().await.unwrap();
        let end = ends(EndReason::Replaced, 60);
        let nexts: Vec<_> = (0..50).map(|seed| session("acme", ada(), t0().plus(secs(60)), 100 + seed)).collect();
        let won =
            winners(both(&under).zip(&nexts).map(|(store, next)| store.session_replace(begun.id, end, next))).await;
        assert_eq!(won, 1, "{}", under.name);
        assert_eq!(under.ours.session(&acme(), begun.id).await.unwrap().unwrap().ended, Some(end));
        let live = under.theirs.sessions_of_user(&acme(), ada(), t0()).await.unwrap();
        assert!(live.len() == 1 && nexts.contains(&live[0]), "{}: {live:?}", under.name);
        let news = under.store.changes_since(before).await.unwrap();
        assert!(!news.is_empty() && news.iter().all(|one| one.change == Change::Session(begun.id)));
        // Ended by whomever: nothing takes its place.
        let ended = &live[0];
        under.ours.session_end(&acme(), ended.id, ends(EndReason::SignedOut, 61)).await.unwrap();
        let next = session("acme", ada(), t0().plus(secs(62)), 7);
        assert!(!under.theirs.session_replace(ended.id, ends(EndReason::Replaced, 62), &next).await.unwrap());
        assert!(under.ours.session(&acme(), next.id).await.unwrap().is_none(), "an ended session went on as another");
        let unknown = session("acme", ada(), t0(), 8);
        assert!(!under.ours.session_replace(unknown.id, end, &next).await.unwrap());
    }
}
