//! Word of changes between gateways: heard at once where there is a way, and nothing that anybody relies on.

use std::time::Duration;

use super::*;
use crate::{Change, testing};

/// Two gateways, each with a store of its own on the same database.
struct Two {
    ours: (Store, Arc<dyn SharedState>),
    theirs: (Store, Arc<dyn SharedState>),
    _dir: Dir,
    server: Option<RedisServer>,
}

/// At a server of its own where none is named.
async fn by_redis(at: Option<RedisAt>) -> Two {
    let dir = Dir::new();
    let server = match &at {
        Some(_) => None,
        None => Some(RedisServer::start(dir.path()).await),
    };
    let own = || RedisAt::One(Secret::new(server.as_ref().unwrap().url()));
    let at = at.unwrap_or_else(own);
    let prefix = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    let open = async || {
        let store = dir.store().await;
        let shared: Arc<dyn SharedState> = Arc::new(RedisShared::open(&at, &prefix, store.clone()).await.unwrap());
        (store, shared)
    };
    let (ours, theirs) = (open().await, open().await);
    Two { ours, theirs, _dir: dir, server }
}

async fn by_sql() -> Two {
    let dir = Dir::new();
    let open = async || {
        let store = dir.store().await;
        let shared: Arc<dyn SharedState> = Arc::new(SqlShared::new(store.clone()));
        (store, shared)
    };
    let (ours, theirs) = (open().await, open().await);
    Two { ours, theirs, _dir: dir, server: None }
}

async fn until(mut so: impl FnMut() -> bool) {
    let waits = async {
        while !so() {
            server::breathe().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waits).await.expect("it does not come about");
}

async fn two() -> Vec<(&'static str, Two)> {
    let cluster = Cluster::of_all().await.at();
    let mut all = vec![("redis", by_redis(None).await), ("cluster", by_redis(Some(cluster)).await)];
    if testing::server().is_some() {
        all.push(("postgres", by_sql().await));
    }
    all
}

#[tokio::test]
async fn what_another_gateway_changes_is_heard_at_once() {
    for (name, two) in two().await {
        let mut word = two.theirs.0.word();
        assert!(!word.is_reliable(), "{name}: nobody listens yet");
        let listening = Arc::clone(&two.theirs.1);
        let hears = tokio::spawn(async move { listening.hear().await });
        until(|| word.is_reliable()).await;
        // That it comes from now on is itself a reason to look once.
        word.comes().await;
        for change in [Change::Resources, Change::User(ada())] {
            let seen = two.theirs.0.last_change().await.unwrap();
            two.ours.0.announce(Some(&acme()), &change, t0()).await.unwrap();
            let comes = tokio::time::timeout(Duration::from_secs(1), word.comes()).await;
            comes.unwrap_or_else(|_| panic!("{name}: {change:?} is not heard"));
            let news = two.theirs.0.changes_since(seen).await.unwrap();
            assert_eq!(news.into_iter().map(|one| one.change).collect::<Vec<_>>(), [change], "{name}: said too early");
        }
        // What was taken back was never said.
        let mut tx = two.ours.0.write().await.unwrap();
        crate::changes::announce(&mut tx, None, &Change::Keys, t0()).await.unwrap();
        drop(tx);
        two.ours.0.announce(None, &Change::Policies, t0()).await.unwrap();
        word.comes().await;
        assert_eq!(two.theirs.0.changes_since(2).await.unwrap()[0].change, Change::Policies, "{name}");
        hears.abort();
    }
}

#[tokio::test]
async fn word_that_comes_no_more_is_not_called_reliable_and_is_again_when_it_comes() {
    let two = by_redis(None).await;
    let (mut word, listening) = (two.theirs.0.word(), Arc::clone(&two.theirs.1));
    let hears = tokio::spawn(async move { listening.hear().await });
    let server = two.server.as_ref().unwrap();
    until(|| word.is_reliable()).await;
    for signals in [Some(("STOP", "CONT")), None] {
        match signals {
            Some((stop, _)) => server.signal(stop),
            None => server.kill(),
        }
        until(|| !word.is_reliable()).await;
        // It is in the feed all the same, for whoever looks, and hangs nobody up.
        two.ours.0.announce(None, &Change::Resources, t0()).await.unwrap();
        assert!(two.theirs.0.last_change().await.unwrap() > 0);
        match signals {
            Some((_, goes_on)) => server.signal(goes_on),
            None => server.run().await,
        }
        until(|| word.is_reliable()).await;
        word.comes().await;
    }
    hears.abort();
}

/// In the process itself nobody else is needed.
#[tokio::test]
async fn what_this_process_changes_is_heard_where_nobody_else_would_tell() {
    let dir = Dir::in_file();
    let (store, theirs) = (dir.store().await, dir.store().await);
    let (mut word, mut other) = (store.word(), theirs.word());
    store.announce(None, &Change::Resources, t0()).await.unwrap();
    word.comes().await;
    assert!(!word.is_reliable(), "another process would not be heard");
    let silent = tokio::time::timeout(Duration::from_millis(50), other.comes()).await;
    assert!(silent.is_err(), "a file tells nobody");
    assert_eq!(theirs.changes_since(0).await.unwrap().len(), 1, "whoever looks finds it");
}
