//! G9 to G11 (requirement H1): framing with two readings is answered with 400, closed, and written down.

use cardea_core::Reason;

use crate::{
    house::{APP_HOST, Plan},
    service::Service,
};

#[tokio::test]
async fn a_smuggled_request_is_never_heard() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let smuggled = format!("GET /public/smuggled HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n");
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5\r\ncontent-length: 5\r\n",
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\n",
        "x: y\r\n transfer-encoding: chunked\r\n",
        "x: y\ntransfer-encoding: chunked\r\n",
        "x: \0\r\n",
        "x: a\rtransfer-encoding: chunked\r\n",
    ] {
        let before = house.ends().len();
        let request = format!("POST /public HTTP/1.1\r\nhost: {APP_HOST}\r\n{framing}\r\n0\r\n\r\n{smuggled}");
        let reply = house.raw(request.as_bytes()).await;
        assert_eq!(reply.status(), 400, "{framing}");
        assert_eq!(reply.0.matches("HTTP/1.1 ").count(), 1, "{framing}: {}", reply.0);
        assert!(reply.reason().is_some(), "{framing}: {}", reply.0);
        assert_eq!(house.ends().len(), before + 1);
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn bytes_that_no_value_may_hold_are_refused() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for (bad, status) in [("a\x01b", 400), ("a\x7fb", 400), ("a\x0bb", 400)] {
        assert_eq!(house.ask("GET /public", &format!("x-own: {bad}\r\n")).await.status(), status, "{bad:?}");
    }
    for name in ["x own", "x(own)", "x\u{80}own", "", "x\x01"] {
        assert_eq!(house.ask("GET /public", &format!("{name}: 1\r\n")).await.status(), 400, "{name:?}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_client_cannot_choose_the_reason_of_its_refusal() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for value in ["log-unavailable", "denied", "1", ""] {
        let before = house.ends().len();
        let reply = house.ask("GET /public", &format!("Cardea-Refused: {value}\r\n")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (400, Some("bad-header")), "{value}");
        assert_eq!(house.ends()[before..], [(400, Some(Reason::BadHeader))]);
    }
    // Nor can the one before a request that the guard refuses.
    let both = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\nGET /public HTTP/1.1\r\nx y: 1\r\n\r\n");
    let reply = house.raw(both.as_bytes()).await;
    let statuses: Vec<_> = reply.0.match_indices("HTTP/1.1 ").map(|(at, _)| &reply.0[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "400"], "{}", reply.0);
    assert_eq!(house.ends().last(), Some(&(400, Some(Reason::AmbiguousFraming))));
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("GET /public", &format!("x-own: {}\r\n", "a".repeat(70_000))).await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (431, Some("headers-too-large")));
    assert_eq!(house.ends(), [(431, Some(Reason::HeadersTooLarge))]);
}

/// Nothing is answered below us: each of these has a request id and an entry, whatever the HTTP library thinks of it.
#[tokio::test]
async fn every_head_that_comes_whole_has_an_answer_of_ours_and_an_entry() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let mut heads: Vec<_> = (33..127)
        .flat_map(|byte: u8| {
            let sign = char::from(byte);
            [format!("GET /public/a{sign}b"), format!("GET /public/a?x={sign}"), format!("GET {sign}about")]
        })
        .map(|line| (line, String::new()))
        .collect();
    heads.extend(
        ["GET *", "OPTIONS *", "CONNECT a", "GET http://", "GET a:b", "GET //"]
            .map(|line| (line.to_owned(), String::new())),
    );
    heads.push(("GET /public".to_owned(), "a: 1\r\n".repeat(200)));
    heads.push(("GET /public".to_owned(), format!("x-own: {}\r\n", "a".repeat(40_000))));
    for (line, fields) in heads {
        let before = house.ends().len();
        let reply = house.ask(&line, &fields).await;
        assert!(reply.0.contains("x-request-id: "), "{line} {} bytes: {}", fields.len(), reply.0);
        assert_eq!(house.ends().len(), before + 1, "{line} {} bytes", fields.len());
    }
}

#[tokio::test]
async fn how_long_a_head_may_be_is_the_operators_to_say() {
    let (_, url) = Service::start().await;
    for (limit, status) in [(9_000, 431), (12_000, 200)] {
        let mut plan = Plan::at(&url);
        plan.limits.header_bytes = limit;
        let house = plan.open().await;
        let reply = house.ask("GET /public", &format!("x-own: {}\r\n", "a".repeat(10_000))).await;
        assert_eq!(reply.status(), status, "{limit}");
    }
}

#[tokio::test]
async fn requests_on_one_connection_are_each_decided() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let both = format!(
        "POST /public HTTP/1.1\r\nhost: {APP_HOST}\r\ncontent-length: 4\r\n\r\nGET GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n\
         GET /secret HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\n\r\n"
    );
    let reply = house.raw(both.as_bytes()).await;
    let statuses: Vec<_> = reply.0.match_indices("HTTP/1.1 ").map(|(at, _)| &reply.0[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["401", "200", "401"]);
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_broken_chunk_ends_the_exchange() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    let request = format!(
        "POST /x HTTP/1.1\r\nhost: {APP_HOST}\r\ncookie: {cookie}\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"
    );
    let reply = house.raw(request.as_bytes()).await;
    assert!(!reply.0.starts_with("HTTP/1.1 2"), "{}", reply.0);
    house.wait_for_entries(1).await;
    assert_eq!(house.ends(), [(400, Some(Reason::AmbiguousFraming))]);
    assert!(service.heard.lock().unwrap().iter().all(|heard| heard.body == b"broken off"));
}

/// Once it was lost: what was written stayed behind whatever of the body was unread (hyper's `pipeline_flush`).
#[tokio::test]
async fn a_refusal_is_heard_whatever_of_the_body_was_not_read() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for rest in [
        "content-length: 4\r\n\r\nsaid",
        "transfer-encoding: chunked\r\n\r\n4\r\nsaid\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2\r\nsa\r\n2\r\nid\r\n0\r\nx-sum: 7\r\n\r\n",
    ] {
        let request = format!("POST /x HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\n{rest}");
        let reply = house.raw(request.as_bytes()).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (401, Some("sign-in-required")), "{rest}");
    }
    assert_eq!(service.count(), 0);
}
