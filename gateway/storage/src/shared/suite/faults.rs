//! Redis gone and back.

use cardea_identity::session::EndReason;

use super::{handles::successor, rates::used, stories::ends, tries::limit, *};
use crate::{Change, StoreFault};

#[tokio::test]
async fn a_redis_that_is_gone_is_a_fault_and_one_that_is_back_works() {
    let under = redis().await;
    let server = under._server.as_ref().unwrap();
    let begun = session("acme", ada(), t0(), 1);
    let record = handle(&begun, "wiki.acme.localhost", t0(), 2);
    under.ours.session_insert(&begun).await.unwrap();
    under.ours.handle_insert(&record, &begun).await.unwrap();
    under.ours.put(&flow(1), t0()).await.unwrap();
    let next = successor(&record, &begun, t0(), 3);
    server.kill();
    let (acme, value) = (acme(), flow(1));
    let faults = [
        under.ours.session_by_handle(&acme, &record.hash).await.err(),
        under.ours.session(&acme, begun.id).await.err(),
        under.ours.handle_offer(&record, &next, &begun).await.err(),
        under.ours.handle_shown(&next, t0()).await.err(),
        under
            .ours
            .session_replace(begun.id, ends(EndReason::Replaced, 1), &session("acme", ada(), t0(), 4))
            .await
            .err(),
        under.ours.session_end(&acme, begun.id, ends(EndReason::SignedOut, 1)).await.err(),
        under.ours.sessions_of_user(&acme, begun.user, t0()).await.err(),
        under.ours.peek(&acme, value.purpose, &value.hash, t0()).await.err(),
        under.ours.take(&acme, value.purpose, &value.hash, t0()).await.err(),
        under.ours.attempt(&acme, &limit("k"), t0()).await.err(),
        under.ours.give_back(&acme, &limit("k"), t0()).await.err(),
        under.ours.rates_used(&[used("acme", 1, 1)], t0()).await.err(),
        under.ours.ping().await.err(),
    ];
    for (nth, fault) in faults.iter().enumerate() {
        assert!(matches!(fault, Some(StoreFault::Redis(_))), "{nth}: {fault:?}");
    }
    server.run().await;
    // The connection that broke is replaced behind the first question.
    while under.ours.ping().await.is_err() {}
    let opened = under.ours.session_by_handle(&acme, &record.hash).await.unwrap();
    assert_eq!(opened, Some((record, begun)));
    assert_eq!(under.ours.take(&acme, value.purpose, &value.hash, t0()).await.unwrap(), Some(value));
}

/// It is written and announced first: whoever fails at that has ended nothing.
#[tokio::test]
async fn an_end_that_could_not_be_announced_is_none_until_the_next_try() {
    let under = redis().await;
    let (at, elsewhere) = (RedisAt::One(Secret::new(under.kept_in.0[0].clone())), Dir::new());
    let speechless = elsewhere.store().await;
    let lame = RedisShared::open(&at, "cardea", speechless.clone()).await.unwrap();
    speechless.close().await;
    let (one, two, three) =
        (session("acme", ada(), t0(), 1), session("acme", ada(), t0(), 2), session("acme", ada(), t0(), 3));
    for begun in [&one, &two, &three] {
        under.ours.session_insert(begun).await.unwrap();
    }
    let end = ends(EndReason::Suspended, 1);
    lame.session_end(&acme(), one.id, end).await.unwrap_err();
    lame.end_all_of_user(&acme(), ada(), Some(three.id), end).await.unwrap_err();
    assert_eq!(under.ours.sessions_of_user(&acme(), ada(), t0()).await.unwrap().len(), 3);
    let before = under.store.last_change().await.unwrap();
    assert!(under.ours.session_end(&acme(), one.id, end).await.unwrap());
    assert_eq!(under.ours.end_all_of_user(&acme(), ada(), Some(three.id), end).await.unwrap(), [two.id]);
    let news: Vec<_> = under.store.changes_since(before).await.unwrap().into_iter().map(|one| one.change).collect();
    assert_eq!(news, [Change::Session(one.id), Change::SessionsOf(ada())]);
}
