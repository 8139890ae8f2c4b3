//! Searches: they find what is there stretch by stretch, and take nothing from requests.

use super::*;
use crate::{log::search::Patience, row::Read as _, testing::user};

fn text(text: &str, limit: u32) -> LogQuery {
    LogQuery { text: Some(text.to_owned()), limit, ..LogQuery::default() }
}

#[tokio::test]
async fn a_search_finds_the_same_whatever_the_stretches() {
    let desk = desk(LogLimits::default()).await;
    (0..25).for_each(|nth| desk.log.record(entry(nth)));
    desk.log.flush().await.unwrap();
    let acme = tenant("acme");
    let pages = async |wanted: &LogQuery, stretch: u64| {
        let (mut query, mut pages) = (wanted.clone(), Vec::new());
        loop {
            let patience = Patience { stretch, limit: Duration::from_secs(60) };
            let page = desk.store.search(Some(&acme), &query, patience).await.unwrap();
            pages.push(page.items.iter().map(|item| item.seq).collect::<Vec<_>>());
            query.cursor = page.next;
            if page.next.is_none() {
                return pages;
            }
        }
    };
    let odd = LogQuery { app: Some("records".to_owned()), ..text("page", 5) };
    let all: Vec<Vec<u64>> = vec![vec![23, 21, 19, 17, 15], vec![13, 11, 9, 7, 5], vec![3, 1]];
    for stretch in [1, 3, 7, 25, 1_000, u64::MAX] {
        assert_eq!(pages(&odd, stretch).await, all, "{stretch}");
        assert_eq!(pages(&text("/page/0\"", 10), stretch).await, [[0]], "the oldest, in stretches of {stretch}");
        assert_eq!(pages(&text("nothing", 10), stretch).await, [Vec::<u64>::new()]);
    }
    assert!(
        desk.store
            .search(None, &odd, Patience { stretch: 3, limit: Duration::from_secs(60) })
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

/// A search that takes for ever has the one connection that there is for searches.
#[tokio::test]
async fn whoever_searches_keeps_no_request_waiting_and_is_told_when_it_takes_too_long() {
    let desk = desk(LogLimits::default()).await;
    desk.log.record_durable(entry(1)).await.unwrap();
    let acme = tenant("acme");
    let endless = desk.store.searcher().acquire().await.unwrap();
    // Longer than any search of one entry takes: what ends it is that it waits behind the other.
    let patience = Patience { stretch: 10, limit: Duration::from_millis(500) };
    let told = desk.store.search(Some(&acme), &text("page", 10), patience).await.unwrap_err();
    assert!(matches!(told, StoreFault::Slow { .. }) && told.to_string().contains("ask for less"), "{told}");
    // Pages and entries that are asked for by their place are no search.
    assert_eq!(
        desk.store.log(Some(&acme), &LogQuery { limit: 10, ..LogQuery::default() }).await.unwrap().items.len(),
        1
    );
    assert!(desk.store.log_entry(Some(&acme), entry(1).id).await.unwrap().is_some());
    assert!(
        desk.store.users(&acme, &crate::UserQuery { limit: 1, ..Default::default() }).await.unwrap().items.is_empty()
    );
    drop(endless);
    assert_eq!(desk.store.log(Some(&acme), &text("page", 10)).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_person_finds_what_happened_to_their_account_and_nobody_elses() {
    let desk = desk(LogLimits::default()).await;
    let (ada, bob) = (user("acme", "ada@x.example"), user("acme", "bob@x.example"));
    let about = |nth: u64, of: &str, user: &cardea_identity::User| {
        let user = cardea_audit::Subject { id: user.id, email: user.email.to_string() };
        Entry { event: Event::SignedOut { user, everywhere: false, sessions: nth }, ..entry_of(Some(of), nth) }
    };
    for nth in 0..40 {
        desk.log.record(entry(nth));
    }
    for (nth, of, user) in [(40, "acme", &ada), (41, "acme", &bob), (42, "acme", &ada), (43, "beta", &ada)] {
        desk.log.record(about(nth, of, user));
    }
    desk.log.flush().await.unwrap();
    let ask = async |skip: u32, limit: u32| {
        let found = desk.store.log_about(&tenant("acme"), ada.id, skip, limit).await.unwrap();
        found.iter().map(|logged| logged.seq).collect::<Vec<_>>()
    };
    assert_eq!(ask(0, 10).await, [42, 40], "newest first; not Bob's, no requests, nothing of another tenant's log");
    assert_eq!(ask(0, 2).await.len() + ask(2, 2).await.len(), 2);
    if server().is_some() {
        return;
    }
    let sql = "EXPLAIN QUERY PLAN SELECT seq FROM log WHERE person = 'x' ORDER BY seq DESC LIMIT 1 OFFSET 0";
    let plan = sqlx::query(sql).fetch_all(desk.store.reader()).await.unwrap();
    let plan: Vec<_> = plan.iter().map(|row| row.text("detail").unwrap()).collect();
    assert!(plan.iter().all(|step| step.contains("log_by_person")), "{plan:?}");
}
