//! Tries: each counts, a wait helps, and what is given back was never made.

use cardea_identity::guard::{Limit, Rule};
use futures_util::future::join_all;

use super::{
    stories::{both, secs},
    *,
};

pub(super) fn limit(key: &str) -> Limit {
    let rule = Rule { free: 10, first_wait: secs(30), longest_wait: secs(3_600), forget: secs(86_400) };
    Limit { key: key.to_owned(), rule }
}

#[tokio::test]
async fn of_fifty_parallel_guesses_each_counts() {
    for under in stores().await {
        let limit = limit("tries/password/account/x");
        let acme = acme();
        let racing = both(&under).map(|store| store.attempt(&acme, &limit, t0()));
        let admitted = join_all(racing).await.into_iter().filter(|wait| wait.as_ref().unwrap().is_none()).count();
        assert_eq!(admitted, 10, "{}", under.name);
        assert_eq!(under.ours.attempt(&acme, &limit, t0()).await.unwrap(), Some(secs(30)));
    }
}

#[tokio::test]
async fn waiting_helps_and_a_success_forgives() {
    for under in stores().await {
        let limit = limit("tries/password/account/x");
        for _ in 0..10 {
            assert_eq!(under.ours.attempt(&acme(), &limit, t0()).await.unwrap(), None, "{}", under.name);
        }
        let early = t0().plus(secs(29));
        assert_eq!(under.theirs.attempt(&acme(), &limit, early).await.unwrap(), Some(secs(1)));
        let later = t0().plus(secs(30));
        assert_eq!(under.theirs.attempt(&acme(), &limit, later).await.unwrap(), None);
        assert_eq!(under.ours.attempt(&acme(), &limit, later).await.unwrap(), Some(secs(60)), "it doubles");
        assert_eq!(under.ours.attempt(&tenant("beta"), &limit, later).await.unwrap(), None, "another tenant");
        under.ours.forgive(&acme(), &limit.key).await.unwrap();
        assert_eq!(under.ours.attempt(&acme(), &limit, later).await.unwrap(), None);
        under.ours.forgive(&acme(), "never tried").await.unwrap();
    }
}

/// A hundred honest sign-ins an hour from one office are no attack.
#[tokio::test]
async fn tries_given_back_slow_nobody_down_and_each_gives_back_its_own() {
    for under in stores().await {
        let (limit, never) = (limit("tries/password/address/x"), limit("never tried"));
        for _ in 0..100 {
            assert_eq!(under.ours.attempt(&acme(), &limit, t0()).await.unwrap(), None, "{}", under.name);
            under.theirs.give_back(&acme(), &limit, t0()).await.unwrap();
        }
        for _ in 0..10 {
            assert_eq!(under.ours.attempt(&acme(), &limit, t0()).await.unwrap(), None, "{}", under.name);
        }
        assert_eq!(under.ours.attempt(&acme(), &limit, t0()).await.unwrap(), Some(secs(30)));
        let (acme, limit) = (acme(), &limit);
        let racing = both(&under).take(4).map(|store| store.give_back(&acme, limit, t0()));
        assert!(join_all(racing).await.iter().all(Result::is_ok));
        for _ in 0..4 {
            assert_eq!(under.ours.attempt(&acme, limit, t0()).await.unwrap(), None, "{}", under.name);
        }
        assert_eq!(under.ours.attempt(&acme, limit, t0()).await.unwrap(), Some(secs(30)), "four back, four more");
        under.ours.give_back(&acme, &never, t0()).await.unwrap();
        assert_eq!(under.ours.attempt(&tenant("beta"), limit, t0()).await.unwrap(), None, "another tenant");
    }
}
