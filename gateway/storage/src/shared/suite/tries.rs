//! Tries: each counts, a wait helps, and what is given back was never made.

use ::redis::AsyncCommands as _;
use cardea_identity::{
    Email, Factor, FactorData, Status, User,
    guard::{self, Account, Counts, Limit, Rule, Target},
};
use futures_util::future::join_all;
use sqlx::Row as _;

use super::{
    stories::{both, secs},
    *,
};
use crate::{FactorInserted, Grounds, Inserted, LINGER, testing::user};

pub(crate) fn limit(key: &str) -> Limit {
    let rule =
        Rule { counts: Counts::Tries, free: 10, first_wait: secs(30), longest_wait: secs(3_600), forget: secs(86_400) };
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

/// Beside what the store's own test of grounds tells: here that every shared store asks, and keeps the session for its end.
#[tokio::test]
async fn a_session_that_opens_tells_whether_its_person_may_enter_still() {
    for under in stores().await {
        let (acme, ours, name) = (acme(), &under.ours, under.name);
        let person = User { id: ada(), ..user("acme", "ada@x.example") };
        assert_eq!(under.store.insert_user(&person).await.unwrap(), Inserted::Done);
        let opened = async |seed| {
            let begun = session("acme", ada(), t0(), seed);
            let record = handle(&begun, "wiki.acme.localhost", t0(), 10 + seed);
            let grounds = ours.session_open((&begun, &record), &Forgiven::default(), t0()).await.unwrap();
            assert!(under.theirs.session_by_handle(&acme, &record.hash).await.unwrap().is_some(), "{name}");
            grounds
        };
        assert_eq!(opened(1).await, Grounds::Gone, "{name}: the password is not theirs");
        let (id, data) = (shown(), FactorData::Password { phc: String::new() });
        let factor = Factor { id, name: String::new(), data, created: t0(), last_used: None };
        assert_eq!(under.store.insert_factor(&acme, ada(), &factor).await.unwrap(), FactorInserted::Done);
        assert_eq!(opened(2).await, Grounds::Stand, "{name}");
        under.store.set_status(&acme, ada(), Status::Active, Status::Suspended, t0()).await.unwrap();
        assert_eq!(opened(3).await, Grounds::NoEntry, "{name}");
        let seen = under.store.user(&acme, ada()).await.unwrap().unwrap().last_seen;
        assert_eq!(seen, Some(t0()), "{name}");
    }
}

/// In SQL, where it is one transaction. Three statements apart would have passed the row below.
#[tokio::test]
async fn where_no_session_opens_nothing_is_forgiven() {
    let (under, acme) = (sql_in(Dir::in_file()).await, acme());
    let near = limit("tries/totp/account/x");
    for _ in 0..10 {
        assert_eq!(under.ours.attempt(&acme, &near, t0()).await.unwrap(), None);
    }
    let fails = "CREATE TRIGGER fails AFTER UPDATE ON users BEGIN SELECT RAISE(ABORT, 'not now'); END";
    under.store.insert_user(&User { id: ada(), ..user("acme", "ada@x.example") }).await.unwrap();
    let mut tx = under.store.write().await.unwrap();
    sqlx::raw_sql(fails).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let begun = session("acme", ada(), t0(), 1);
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    let forgiven = Forgiven { keys: vec![near.key.clone()], back: vec![] };
    under.ours.session_open((&begun, &record), &forgiven, t0()).await.unwrap_err();
    assert!(under.theirs.session_by_handle(&acme, &record.hash).await.unwrap().is_none());
    assert!(under.ours.attempt(&acme, &near, t0()).await.unwrap().is_some(), "the tries are forgotten");
}

#[tokio::test]
async fn a_session_that_opens_forgives_what_led_to_it() {
    for under in stores().await {
        let (near, far, other) =
            (limit("tries/totp/account/x"), limit("tries/totp/address/x"), limit("tries/totp/account/y"));
        let (acme, ours) = (acme(), &under.ours);
        for limit in [&near, &far, &other] {
            for _ in 0..10 {
                assert_eq!(ours.attempt(&acme, limit, t0()).await.unwrap(), None, "{}", under.name);
            }
        }
        let begun = session("acme", ada(), t0(), 1);
        let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
        let forgiven = Forgiven { keys: vec![near.key.clone()], back: vec![far.clone()] };
        ours.session_open((&begun, &record), &forgiven, t0()).await.unwrap();
        assert!(under.theirs.session_by_handle(&acme, &record.hash).await.unwrap().is_some(), "{}", under.name);
        for (limit, free) in [(&near, 10), (&far, 1), (&other, 0)] {
            for nth in 0..=free {
                let waits = ours.attempt(&acme, limit, t0()).await.unwrap().is_some();
                assert_eq!(waits, nth == free, "{}: {}, {nth}", under.name, limit.key);
            }
        }
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

#[tokio::test]
async fn a_try_counts_under_each_of_its_limits_or_under_none() {
    for under in stores().await {
        let [near, far, spent] = ["k/near", "k/far", "k/spent"].map(limit);
        let (ours, acme) = (&under.ours, acme());
        for _ in 0..10 {
            assert_eq!(ours.attempt(&acme, &spent, t0()).await.unwrap(), None, "{}", under.name);
        }
        let refused = ours.attempt_each(&acme, &[&near, &far, &spent], t0()).await.unwrap();
        assert_eq!(refused, Some(secs(30)), "{}", under.name);
        for _ in 0..10 {
            assert_eq!(ours.attempt_each(&acme, &[&near, &far], t0()).await.unwrap(), None, "{}", under.name);
        }
        assert_eq!(ours.attempt_each(&acme, &[&near, &far], t0()).await.unwrap(), Some(secs(30)), "{}", under.name);
        // A success forgets what is the account's, and gives back one of the place's.
        let forgiven = Forgiven { keys: vec![near.key.clone(), spent.key.clone()], back: vec![far.clone()] };
        ours.forgive_each(&acme, &forgiven, t0()).await.unwrap();
        for limit in [&near, &far, &spent] {
            assert_eq!(ours.attempt(&acme, limit, t0()).await.unwrap(), None, "{}: {}", under.name, limit.key);
        }
        assert_eq!(ours.attempt(&acme, &far, t0()).await.unwrap(), Some(secs(30)), "{}", under.name);
        ours.forgive_each(&acme, &Forgiven::default(), t0()).await.unwrap();
    }
}

/// The names under which the store keeps tries, as whoever takes its file, or its memory, reads them.
async fn names(under: &Under) -> Vec<String> {
    if let Some(held) = &under.memory {
        return held.names_of_tries();
    }
    let (urls, prefix) = &under.kept_in;
    let mut names = Vec::new();
    for url in urls {
        let mut own = ::redis::Client::open(url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
        names.extend(own.keys::<_, Vec<String>>(format!("{prefix}:*")).await.unwrap());
    }
    if !urls.is_empty() {
        return names;
    }
    let rows = sqlx::query("SELECT tenant, name FROM tries").fetch_all(under.store.reader()).await.unwrap();
    rows.iter().map(|row| format!("{{{}}}:{}", row.get::<String, _>("tenant"), row.get::<String, _>("name"))).collect()
}

/// Names once told the address, and the account by a hash of tenant and e-mail address that anybody can compute.
#[tokio::test]
async fn names_of_tries_tell_neither_who_nor_from_where_and_no_guess_is_compared_with_them() {
    for under in stores().await {
        let (ada, from) = (Email::parse("ada@north.example").unwrap(), [192, 0, 2, 7].into());
        for of in ["acme", "beta"].map(tenant) {
            // The same keys in both: what is told apart, the tenant's key tells apart.
            let limits = guard::limits(Target::Password, &Account::of(&acme(), &ada), from, None, t0());
            for limit in limits.in_order() {
                assert_eq!(under.ours.attempt(&of, limit, t0()).await.unwrap(), None, "{}", under.name);
            }
        }
        let (limits, kept) =
            (guard::limits(Target::Password, &Account::of(&acme(), &ada), from, None, t0()), names(&under).await);
        assert_eq!(kept.len(), 6, "{kept:?}");
        for limit in limits.in_order() {
            let known = ["acme", "beta"].map(|of| under.store.sealer_at_hand(Some(&tenant(of))).unwrap());
            let marks = known.map(|sealer| sealer.mark("tries", &limit.key).unwrap());
            assert_ne!(marks[0], marks[1]);
            assert!(marks.iter().all(|mark| kept.iter().filter(|name| name.ends_with(mark)).count() == 1), "{kept:?}");
            let told = limit.key.split('/').filter(|part| *part != "tries" && part.len() > 3);
            let found: Vec<_> = told.filter(|part| kept.iter().any(|name| name.contains(part))).collect();
            assert!(found.is_empty(), "{}: {found:?} in {kept:?}", under.name);
        }
    }
}

/// Else whoever knows of a change of keys would guess anew, as often as there is one.
#[tokio::test]
async fn tries_count_on_under_a_tenants_next_key() {
    for under in stores().await {
        let (tried, left) = (limit("tries/password/account/x"), limit("tries/password/account/y"));
        for _ in 0..10 {
            for limit in [&tried, &left] {
                assert_eq!(under.ours.attempt(&acme(), limit, t0()).await.unwrap(), None, "{}", under.name);
            }
        }
        under.store.turn_key(Some(&acme()), t0()).await.unwrap();
        assert_eq!(under.theirs.attempt(&acme(), &tried, t0()).await.unwrap(), Some(secs(30)), "{}", under.name);
        assert_eq!(under.ours.attempt(&acme(), &tried, t0().plus(secs(30))).await.unwrap(), None);
        // The old key is destroyed. Who went on has taken along what was counted; who did not has one more round.
        let later = t0().plus(LINGER);
        under.store.reseal(Some(&acme()), LINGER, later).await.unwrap();
        assert_eq!(under.ours.attempt(&acme(), &tried, t0().plus(secs(31))).await.unwrap(), Some(secs(59)));
        assert_eq!(under.ours.attempt(&acme(), &left, later).await.unwrap(), None);
        // And a success forgets all of it, under whichever key it was counted.
        under.store.turn_key(Some(&acme()), later).await.unwrap();
        under.ours.forgive(&acme(), &tried.key).await.unwrap();
        assert_eq!(under.ours.attempt(&acme(), &tried, t0().plus(secs(31))).await.unwrap(), None);
    }
}

/// A proof, say, or an assertion of a program's.
#[tokio::test]
async fn what_counts_once_does_so_under_a_tenants_next_key() {
    for under in stores().await {
        let once = Limit { key: "dpop/x".to_owned(), rule: Rule::once(secs(300)) };
        let other = Limit { key: "dpop/y".to_owned(), ..once.clone() };
        assert_eq!(under.ours.attempt(&acme(), &once, t0()).await.unwrap(), None, "{}", under.name);
        under.store.turn_key(Some(&acme()), t0()).await.unwrap();
        // In memory it is known to the next process, too.
        let theirs: Arc<dyn SharedState> = match &under.memory {
            Some(_) => Arc::new(under.another().await),
            None => Arc::clone(&under.theirs),
        };
        for store in [&theirs, &under.ours] {
            let again = store.attempt(&acme(), &once, t0().plus(secs(299))).await.unwrap();
            assert_eq!(again, Some(secs(1)), "{}", under.name);
        }
        assert_eq!(theirs.attempt(&tenant("beta"), &once, t0()).await.unwrap(), None, "{}: another tenant", under.name);
        assert_eq!(theirs.attempt(&acme(), &other, t0()).await.unwrap(), None, "{}", under.name);
        assert_eq!(theirs.attempt(&acme(), &once, t0().plus(secs(300))).await.unwrap(), None, "its life is over");
    }
}

/// The pace of a device that asks looked like what counts once, and was written to disk each time.
#[tokio::test]
async fn what_is_slowed_down_alike_is_not_what_counts_once() {
    for under in stores().await {
        let once = Rule::once(secs(5));
        let pace = Limit { key: "device/x".to_owned(), rule: Rule { counts: Counts::Tries, ..once } };
        let shown = Limit { key: "dpop/x".to_owned(), rule: once };
        for limit in [&pace, &shown] {
            for (second, wait) in [(0, None), (4, Some(secs(1))), (5, None), (6, Some(secs(4)))] {
                let told = under.ours.attempt(&acme(), limit, t0().plus(secs(second))).await.unwrap();
                assert_eq!(told, wait, "{}: {}, {second}", under.name, limit.key);
            }
        }
        let rows = sqlx::query("SELECT what FROM ended").fetch_all(under.store.reader()).await.unwrap();
        assert_eq!(rows.len(), usize::from(under.memory.is_some()), "{}", under.name);
    }
}
