//! G13: whatever fails, the answer is never a yes.

use std::sync::atomic::Ordering;

use cardea_core::Reason;
use cardea_proxy::Limits;

use crate::{house::Plan, service::Service};

#[tokio::test]
async fn a_store_that_is_away_is_a_fault_not_a_visitor() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    house.lent.sessions_fail.store(true, Ordering::SeqCst);
    for path in ["/x", "/public"] {
        let reply = house.ask(&format!("GET {path}"), &format!("cookie: {cookie}\r\n")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (503, Some("store-unavailable")), "{path}");
        assert!(reply.header("retry-after").is_some());
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn nothing_is_forwarded_without_the_assertion() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    house.lent.assertions_fail.store(true, Ordering::SeqCst);
    assert_eq!(house.ask("GET /x", &format!("cookie: {cookie}\r\n")).await.status(), 503);
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn nothing_is_admitted_while_entries_cannot_be_written() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    house.lent.log_full.store(true, Ordering::SeqCst);
    let reply = house.ask("GET /public", "").await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (503, Some("log-unavailable")));
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_host_whose_tenant_cannot_be_served_is_closed_and_not_unknown() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for (host, ends) in [("closed.localhost", (503, "tenant-unavailable")), ("other.localhost", (404, "unknown-host"))]
    {
        let reply =
            house.raw(format!("GET /public HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (ends.0, Some(ends.1)), "{host}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn an_entry_that_must_be_durable_first_is() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).with("audit = 'before'").open().await;
    assert_eq!(house.ask("GET /public", "").await.status(), 200);
    assert_eq!(house.ends(), [(0, None), (200, None)]);
    house.lent.log_fails.store(true, Ordering::SeqCst);
    assert_eq!(house.ask("GET /public", "").await.reason().as_deref(), Some("log-unavailable"));
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_defect_is_an_answer_and_an_entry() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    house.lent.own_panics.store(true, Ordering::SeqCst);
    let reply = house.ask_sign_in("GET /sign-in", "").await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (500, Some("internal")));
    assert_eq!(house.ends(), [(500, Some(Reason::Internal))]);
}

#[tokio::test]
async fn more_work_than_fits_is_turned_away() {
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits = Limits { concurrency: 0, ..Limits::default() };
    let house = plan.open().await;
    let reply = house.ask("GET /public", "").await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (503, Some("overloaded")));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_person_gets_a_page_with_the_same_no() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    house.lent.log_full.store(true, Ordering::SeqCst);
    let reply = house.ask("GET /public", "accept: text/html\r\n").await;
    assert_eq!((reply.status(), reply.body()), (503, "<p>log-unavailable"));
    assert!(reply.header("x-request-id").is_some());
}
