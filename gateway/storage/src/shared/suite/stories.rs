//! The stories. Each is told to every store.

use std::time::Duration;

use cardea_identity::session::{End, EndReason};
use futures_util::future::join_all;

use super::*;
use crate::{Change, StoreFault};

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn ends(why: EndReason, after: u64) -> End {
    End { at: t0().plus(secs(after)), why }
}

/// Callers from both gateways, many at once.
pub(super) fn both(under: &Under) -> impl Iterator<Item = &Arc<dyn SharedState>> {
    (0..50).map(move |nth| if nth % 2 == 0 { &under.ours } else { &under.theirs })
}

pub(super) async fn winners(racing: impl Iterator<Item = impl Future<Output = Result<bool, StoreFault>>>) -> usize {
    join_all(racing).await.into_iter().filter(|won| *won.as_ref().unwrap()).count()
}

#[tokio::test]
async fn a_handle_opens_its_session_on_every_gateway_and_at_no_other_tenant() {
    for under in stores().await {
        let begun = session("acme", ada(), t0(), 1);
        let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
        under.ours.session_insert(&begun).await.unwrap();
        under.ours.handle_insert(&record, &begun).await.unwrap();
        let opened = under.theirs.session_by_handle(&acme(), &record.hash).await.unwrap();
        assert_eq!(opened, Some((record.clone(), begun.clone())), "{}", under.name);
        let stranger = handle(&begun, "wiki.acme.localhost", t0(), 3);
        assert_eq!(under.ours.session_by_handle(&acme(), &stranger.hash).await.unwrap(), None);
        assert_eq!(under.ours.session_by_handle(&tenant("beta"), &record.hash).await.unwrap(), None);
        assert_eq!(under.ours.session(&acme(), begun.id).await.unwrap(), Some(begun.clone()));
        assert_eq!(under.ours.session(&tenant("beta"), begun.id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_use_is_noted_without_a_new_version_and_never_moves_back() {
    for under in stores().await {
        let begun = session("acme", ada(), t0(), 1);
        under.ours.session_insert(&begun).await.unwrap();
        let later = t0().plus(secs(120));
        under.ours.session_touch(&acme(), begun.id, later).await.unwrap();
        under.theirs.session_touch(&acme(), begun.id, t0().plus(secs(60))).await.unwrap();
        let kept = under.ours.session(&acme(), begun.id).await.unwrap().unwrap();
        assert_eq!(kept, Session { last_seen: later, ..begun.clone() }, "{}", under.name);
        let unknown = session("acme", ada(), t0(), 7);
        under.ours.session_touch(&acme(), unknown.id, later).await.unwrap();
        assert_eq!(under.ours.session(&acme(), unknown.id).await.unwrap(), None, "a use makes no session");
    }
}

#[tokio::test]
async fn a_session_ends_once_and_for_good() {
    for under in stores().await {
        let begun = session("acme", ada(), t0(), 1);
        let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
        under.ours.session_insert(&begun).await.unwrap();
        under.ours.handle_insert(&record, &begun).await.unwrap();
        let before = under.store.last_change().await.unwrap();
        let end = ends(EndReason::Reuse, 60);
        let won = winners(both(&under).map(|store| store.session_end(&record.tenant, begun.id, end))).await;
        assert_eq!(won, 1, "{}", under.name);
        let news: Vec<_> = under.store.changes_since(before).await.unwrap().into_iter().map(|c| c.change).collect();
        assert!(!news.is_empty() && news.iter().all(|one| *one == Change::Session(begun.id)), "{news:?}");
        assert!(!under.ours.session_end(&acme(), begun.id, ends(EndReason::SignedOut, 61)).await.unwrap());
        let (_, kept) = under.ours.session_by_handle(&acme(), &record.hash).await.unwrap().unwrap();
        assert_eq!((kept.ended, kept.version), (Some(end), 1));
        under.ours.session_insert(&begun).await.unwrap();
        let kept = under.ours.session(&acme(), begun.id).await.unwrap().unwrap();
        assert_eq!(kept.ended, Some(end), "what has ended cannot be begun again");
        assert!(under.ours.sessions_of_user(&acme(), ada(), t0()).await.unwrap().is_empty());
        let unknown = session("acme", ada(), t0(), 7);
        assert!(!under.ours.session_end(&acme(), unknown.id, end).await.unwrap());
        assert_eq!(under.ours.session(&acme(), unknown.id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_users_sessions_are_listed_and_ended_together_but_for_one() {
    for under in stores().await {
        let bob = UserId::mint(t0(), &Fixed::new(2));
        let mine: Vec<_> = (0..3).map(|nth| session("acme", ada(), t0().plus(secs(nth)), 10 + nth)).collect();
        let (his, elsewhere) = (session("acme", bob, t0(), 20), session("beta", ada(), t0(), 21));
        for one in mine.iter().chain([&his, &elsewhere]) {
            under.ours.session_insert(one).await.unwrap();
        }
        let listed = under.theirs.sessions_of_user(&acme(), ada(), t0()).await.unwrap();
        assert_eq!(listed, mine.iter().rev().cloned().collect::<Vec<_>>(), "{}", under.name);
        assert_eq!(under.ours.session_count(&acme(), t0()).await.unwrap(), 4);
        let before = under.store.last_change().await.unwrap();
        let end = ends(EndReason::SignedOut, 60);
        let mut ended = under.ours.end_all_of_user(&acme(), ada(), Some(mine[1].id), end).await.unwrap();
        ended.sort_unstable();
        assert_eq!(ended, [mine[0].id, mine[2].id]);
        let news: Vec<_> = under.store.changes_since(before).await.unwrap().into_iter().map(|c| c.change).collect();
        assert_eq!(news, [Change::SessionsOf(ada())]);
        let left = under.ours.sessions_of_user(&acme(), ada(), t0()).await.unwrap();
        assert_eq!(left, [mine[1].clone()]);
        let gone = under.ours.session(&acme(), mine[0].id).await.unwrap().unwrap();
        assert_eq!((gone.ended, gone.version), (Some(end), 1));
        assert_eq!(under.ours.end_all_of_user(&acme(), ada(), None, end).await.unwrap(), [mine[1].id]);
        assert_eq!(under.ours.end_all_of_user(&acme(), ada(), None, end).await.unwrap(), []);
        assert_eq!(under.ours.sessions_of_user(&acme(), bob, t0()).await.unwrap().len(), 1);
        assert_eq!(under.ours.sessions_of_user(&tenant("beta"), ada(), t0()).await.unwrap().len(), 1);
    }
}

/// Whoever reads of an end that is written, before it is marked, takes the word from nobody who ended it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_ends_one_is_told_so_whoever_looks_meanwhile() {
    for under in stores().await {
        for seed in 0..20 {
            // Each somebody else's: what was begun before all of a user's ended has ended with them.
            let begun = session("acme", UserId::mint(t0(), &Fixed::new(seed)), t0(), seed);
            under.ours.session_insert(&begun).await.unwrap();
            let racing = (0..6).map(|nth| {
                let (store, begun) = (Arc::clone(if nth < 3 { &under.ours } else { &under.theirs }), begun.clone());
                tokio::spawn(async move {
                    let end = ends(EndReason::SignedOut, 1);
                    match nth % 3 {
                        0 => store.session_end(&acme(), begun.id, end).await.map(u64::from),
                        1 => store.end_all_of_user(&acme(), begun.user, None, end).await.map(|all| all.len() as u64),
                        _ => store.session(&acme(), begun.id).await.map(|_| 0),
                    }
                })
            });
            let told: u64 = join_all(racing).await.into_iter().map(|told| told.unwrap().unwrap()).sum();
            assert_eq!(told, 1, "{}, round {seed}", under.name);
        }
    }
}

/// Of a session that rises while all of its person's end, whoever ends them tells: of it, or of the one that took its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_ends_all_is_told_of_one_that_rises_meanwhile() {
    for under in stores().await {
        for seed in 0..30 {
            let user = UserId::mint(t0(), &Fixed::new(seed));
            let begun = session("acme", user, t0(), seed);
            // Before all end, in that moment, and, as its gateway's clock has it, after it.
            let after = [60, 120, 121][usize::try_from(seed % 3).unwrap()];
            let next = begun.stepped_up(&[], t0().plus(secs(after)), &Fixed::new(1_000 + seed));
            under.ours.session_insert(&begun).await.unwrap();
            let rises = {
                let (store, next, begun) = (Arc::clone(&under.ours), next.clone(), begun.clone());
                let rose = ends(EndReason::Replaced, after);
                tokio::spawn(async move { store.session_replace(begun.id, rose, &next).await.unwrap() })
            };
            let all = {
                let (store, out) = (Arc::clone(&under.theirs), ends(EndReason::SignedOut, 120));
                tokio::spawn(async move { store.end_all_of_user(&acme(), user, None, out).await.unwrap() })
            };
            let (rose, told) = (rises.await.unwrap(), all.await.unwrap());
            let ended = if rose { next.id } else { begun.id };
            assert!(told.contains(&ended), "{}, round {seed}, rose: {rose}", under.name);
            // That one ended, too, which stood for a moment and was given to nobody, may be told.
            assert!(told.iter().all(|id| [begun.id, next.id].contains(id)) && told.len() < 3);
            assert!(under.ours.sessions_of_user(&acme(), user, t0()).await.unwrap().is_empty(), "{}", under.name);
        }
    }
}

#[tokio::test]
async fn a_session_past_its_greatest_age_counts_no_more() {
    for under in stores().await {
        let begun = session("acme", ada(), t0(), 1);
        under.ours.session_insert(&begun).await.unwrap();
        let just_before = begun.expires.minus(Duration::from_micros(1));
        assert_eq!(under.ours.sessions_of_user(&acme(), ada(), just_before).await.unwrap().len(), 1, "{}", under.name);
        assert_eq!(under.ours.session_count(&acme(), just_before).await.unwrap(), 1);
        assert_eq!(under.ours.sessions_of_user(&acme(), ada(), begun.expires).await.unwrap().len(), 0);
        assert_eq!(under.ours.session_count(&acme(), begun.expires.plus(secs(60))).await.unwrap(), 0);
        under.ours.sweep(just_before).await.unwrap();
        assert!(under.ours.session(&acme(), begun.id).await.unwrap().is_some());
        let late = End { at: begun.expires, why: EndReason::Administrator };
        assert_eq!(under.ours.end_all_of_user(&acme(), ada(), None, late).await.unwrap(), []);
    }
}

#[tokio::test]
async fn of_fifty_takers_one_gets_the_value() {
    for under in stores().await {
        let put = flow(1);
        under.ours.put(&put, t0()).await.unwrap();
        let peeked = under.theirs.peek(&acme(), put.purpose, &put.hash, t0()).await.unwrap();
        assert_eq!(peeked, Some(put.clone()), "{}", under.name);
        let racing = both(&under).map(|store| store.take(&put.tenant, put.purpose, &put.hash, t0()));
        let taken: Vec<_> = join_all(racing).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(taken, std::slice::from_ref(&put), "{}", under.name);
        assert_eq!(under.ours.peek(&acme(), put.purpose, &put.hash, t0()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_value_is_found_for_nothing_else_and_not_too_late() {
    for under in stores().await {
        let put = flow(1);
        under.ours.put(&put, t0()).await.unwrap();
        let just_before = put.expires.minus(Duration::from_micros(1));
        for (what, of, purpose, hash, now) in [
            ("another tenant", tenant("beta"), Purpose::Flow, put.hash, t0()),
            ("another purpose", acme(), Purpose::HandOver, put.hash, t0()),
            ("another value", acme(), Purpose::Flow, TicketHash::from_bytes([2; 32]), t0()),
            ("too late", acme(), Purpose::Flow, put.hash, put.expires),
        ] {
            assert_eq!(under.ours.peek(&of, purpose, &hash, now).await.unwrap(), None, "{}: {what}", under.name);
            if what != "too late" {
                assert_eq!(under.ours.take(&of, purpose, &hash, now).await.unwrap(), None, "{}: {what}", under.name);
            }
        }
        let peeked = under.ours.peek(&acme(), put.purpose, &put.hash, just_before).await.unwrap();
        assert_eq!(peeked, Some(put.clone()));
        assert_eq!(under.ours.take(&acme(), put.purpose, &put.hash, put.expires).await.unwrap(), None, "too late");
    }
}

#[tokio::test]
async fn a_value_put_again_replaces_the_first() {
    for under in stores().await {
        let first = flow(1);
        let second = OneTime { body: Sealed::from_stored("b3RoZXI"), ..first.clone() };
        under.ours.put(&first, t0()).await.unwrap();
        under.ours.put(&second, t0()).await.unwrap();
        let taken = under.ours.take(&acme(), first.purpose, &first.hash, t0()).await.unwrap();
        assert_eq!(taken, Some(second), "{}", under.name);
        assert_eq!(under.ours.take(&acme(), first.purpose, &first.hash, t0()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn sweeping_takes_what_is_past_its_time_and_nothing_else() {
    for under in stores().await {
        let (old, young) = (session("acme", ada(), t0(), 1), session("acme", ada(), t0().plus(secs(3_600)), 2));
        let record = handle(&old, "wiki.acme.localhost", t0(), 3);
        under.ours.session_insert(&old).await.unwrap();
        under.ours.session_insert(&young).await.unwrap();
        under.ours.handle_insert(&record, &old).await.unwrap();
        under.ours.put(&flow(1), t0()).await.unwrap();
        under.ours.sweep(old.expires).await.unwrap();
        assert!(under.ours.session(&acme(), young.id).await.unwrap().is_some(), "{}", under.name);
        let live = under.ours.sessions_of_user(&acme(), ada(), old.expires).await.unwrap();
        assert_eq!(live, [young]);
    }
}
