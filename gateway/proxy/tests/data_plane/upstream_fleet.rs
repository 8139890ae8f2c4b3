//! A service at several addresses: who gets a request, who is left out, and how one comes back.

use std::time::Duration;

use bytes::Bytes;
use cardea_core::Reason;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    house::{APP_HOST, House, Plan},
    reply::Reply,
    service::{Service, says},
    upstream_bad::hears,
};

/// An app whose service is at `urls`; `more` are lines of `[upstream]`, and then of tables below it.
pub(crate) fn plan(urls: &[&str], more: &str) -> Plan {
    let mut plan = Plan::at("http://nowhere.test:1");
    let (lines, tables) = more.split_at(more.find('[').unwrap_or(more.len()));
    plan.app = plan.app.replace("url = 'http://nowhere.test:1'\n", &format!("urls = {urls:?}\n{lines}"));
    plan.app.push_str(tables);
    plan
}

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A service that answers at an address that is known already.
async fn at(url: &str) -> Service {
    let listener = TcpListener::bind(url.strip_prefix("http://").unwrap()).await.unwrap();
    let service = Service::default();
    let serving = service.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serving.clone().serve(stream));
        }
    });
    service
}

/// Asks until `done` says so; not for ever.
async fn until(house: &House, mut done: impl FnMut(&Reply) -> bool) {
    let asking = async { while !done(&house.ask("GET /public", "").await) {} };
    tokio::time::timeout(Duration::from_secs(15), asking).await.expect("it never happened");
}

#[tokio::test]
async fn equals_share() {
    let ((one, first), (other, second)) = (Service::start().await, Service::start().await);
    let house = plan(&[&first, &second], "").open().await;
    for _ in 0..10 {
        assert_eq!(house.ask("GET /public", "").await.status(), 200);
    }
    assert_eq!((one.count(), other.count()), (5, 5));
}

#[tokio::test]
async fn whoever_has_less_to_do_gets_more() {
    let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", busy.local_addr().unwrap());
    let (quick, other) = Service::start().await;
    let house = plan(&[&url, &other], "").open().await;
    // Sooner or later it is the busy one's turn, and it keeps what it gets.
    let request = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n");
    let accepted = tokio::spawn(async move { busy.accept().await.unwrap() });
    let held = loop {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let _ = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
        if accepted.is_finished() {
            break stream;
        }
    };
    let before = quick.count();
    for _ in 0..6 {
        assert_eq!(house.ask("GET /public", "").await.status(), 200);
    }
    assert_eq!(quick.count(), before + 6);
    drop(held);
}

#[tokio::test]
async fn an_address_that_is_down_costs_nobody_a_request_and_comes_back() {
    let (down, (up, url)) = (nobody().await, Service::start().await);
    let house = plan(&[&down, &url], "").open().await;
    let who = format!("cookie: {}\r\n", house.chemist());
    for line in ["GET /x", "POST /x", "GET /x", "DELETE /x"] {
        assert_eq!(house.ask(line, &who).await.status(), 200, "{line}");
    }
    for (state, count) in [("up", 1), ("down", 1), ("ejected", 0)] {
        let line = format!("cardea_upstream_endpoints{{tenant=\"acme\",app=\"records\",state=\"{state}\"}} {count}\n");
        assert!(house.metrics().contains(&line), "{}", house.metrics());
    }
    assert!(house.metrics().contains("cardea_upstream_retries_total{tenant=\"acme\",app=\"records\"} 1\n"));
    let body = house.ask("POST /x", &format!("{who}content-length: 3\r\n\r\nabc")).await;
    assert_eq!((body.status(), up.last().body), (200, b"abc".to_vec()));
    let back = at(&down).await;
    until(&house, |reply| {
        assert_eq!(reply.status(), 200);
        back.count() > 0
    })
    .await;
}

#[tokio::test]
async fn the_only_address_is_tried_by_requests_until_it_is_back() {
    let down = nobody().await;
    let house = Plan::at(&down).open().await;
    for _ in 0..8 {
        let reply = house.ask("GET /public", "").await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (502, Some("upstream-unreachable")));
    }
    let back = at(&down).await;
    until(&house, |reply| reply.status() == 200).await;
    assert!(back.count() > 0);
}

#[tokio::test]
async fn an_address_that_answers_with_faults_is_left_out() {
    let (_, faulty) = says(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let (good, url) = Service::start().await;
    let house = plan(&[&faulty, &url], "[upstream.outliers]\nafter = 2\nfor_seconds = 600\n").open().await;
    for _ in 0..20 {
        house.ask("GET /public", "").await;
    }
    let faults = house.ends().iter().filter(|(status, _)| *status == 503).count();
    assert_eq!((faults, good.count()), (2, 18));
}

#[tokio::test]
async fn no_more_than_a_share_is_left_out() {
    let mut urls = Vec::new();
    for _ in 0..2 {
        urls.push(says(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.1);
    }
    let house = plan(&[&urls[0], &urls[1]], "[upstream.outliers]\nafter = 1\nfor_seconds = 600\n").open().await;
    for _ in 0..6 {
        // The service's own word, from the one that is left.
        assert_eq!(house.ask("GET /public", "").await.reason(), None);
    }
}

#[tokio::test]
async fn a_harmless_request_that_broke_off_is_answered_by_another() {
    let (_, breaks) = says(b"HTTP/1.1 2").await;
    let (good, url) = Service::start().await;
    let house = plan(&[&breaks, &url], "[upstream.outliers]\nafter = 0\n").open().await;
    for _ in 0..6 {
        assert_eq!(house.ask("GET /public", "").await.status(), 200);
    }
    assert_eq!(good.count(), 6);
    let who = format!("cookie: {}\r\n", house.chemist());
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(house.ask("POST /x", &who).await.status());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 502, 502], "what may change something is sent once");
    let once = plan(&[&breaks, &url], "[upstream.outliers]\nafter = 0\n[upstream.retries]\ntries = 1\n").open().await;
    let mut statuses = [once.ask("GET /public", "").await.status(), once.ask("GET /public", "").await.status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
}

/// A service that is not well, says so at `/healthz`, and answers all else.
async fn unwell() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut line = [0; 12];
                while stream.read_exact(&mut line).await.is_ok() && hears(&mut stream).await {
                    let status = if line.starts_with(b"GET /healthz") { 500 } else { 202 };
                    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn an_address_that_says_it_is_not_well_gets_no_requests() {
    let (unwell, (well, url)) = (unwell().await, Service::start().await);
    let rules = "[upstream.health]\npath = '/healthz'\nevery_seconds = 1\nwithin_seconds = 1\nunhealthy_after = 2\n";
    let house = plan(&[&unwell, &url], rules).open().await;
    let mut in_a_row = 0;
    until(&house, |reply| {
        in_a_row = if reply.status() == 200 { in_a_row + 1 } else { 0 };
        in_a_row >= 6
    })
    .await;
    let asked = well.heard.lock().unwrap().iter().find(|heard| heard.target == "/healthz").cloned().unwrap();
    assert!(asked.header("cardea-assertion").is_none() && asked.header("remote-user").is_none());
}

#[tokio::test]
async fn a_sticky_cookie_keeps_a_browser_with_an_address_that_is_fit() {
    let ((one, first), (other, second)) = (Service::start().await, Service::start().await);
    let down = nobody().await;
    let house = plan(&[&first, &second, &down], "sticky_cookie = 'at'\n").open().await;
    let set = house.ask("GET /public", "").await.header("set-cookie").unwrap().to_owned();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
    let label = pair.strip_prefix("at=").unwrap();
    assert!(label.len() == 32 && label.bytes().all(|b| b.is_ascii_hexdigit()), "{label}");
    let (before, at) = ((one.count(), other.count()), if one.count() == 1 { &one } else { &other });
    for _ in 0..6 {
        let reply = house.ask("GET /public", &format!("cookie: a=1; {pair}\r\n")).await;
        assert_eq!(reply.header("set-cookie"), None, "it is set once");
        assert_eq!(at.last().header("cookie"), Some("a=1"), "the service never sees it");
    }
    assert_eq!(one.count() + other.count(), before.0 + before.1 + 6);
    assert_eq!(at.count(), 7);
    for made_up in ["at=", "at=127.0.0.1", "at=00000000000000000000000000000000"] {
        let reply = house.ask("GET /public", &format!("cookie: {made_up}\r\n")).await;
        assert_eq!(reply.status(), 200);
        assert!(reply.header("set-cookie").unwrap().starts_with("at="), "{made_up}");
    }
}

/// A service that says `name` once on each connection, and closes it on the next request.
async fn forgetful(name: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                hears(&mut stream).await;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                hears(&mut stream).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_connection_that_turned_out_stale_costs_a_browser_nothing_of_its_address() {
    let (one, other) = (forgetful("one").await, forgetful("other").await);
    let house = plan(&[&one, &other], "sticky_cookie = 'at'\n").open().await;
    let first = house.ask("GET /public", "").await;
    let (pair, _) = first.header("set-cookie").unwrap().split_once(';').unwrap();
    for _ in 0..4 {
        let reply = house.ask("GET /public", &format!("cookie: {pair}\r\n")).await;
        assert_eq!((reply.status(), reply.body()), (200, first.body()));
        assert_eq!(reply.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn a_sticky_cookie_leads_to_no_address_that_is_left_out() {
    let (_, faulty) = says(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let (_, url) = Service::start().await;
    let rules = "sticky_cookie = 'at'\n[upstream.outliers]\nafter = 1\nfor_seconds = 600\n";
    let house = plan(&[&faulty, &url], rules).open().await;
    let first = house.ask("GET /public", "").await;
    let (pair, _) = first.header("set-cookie").unwrap().split_once(';').unwrap();
    assert_eq!(first.status(), 503);
    let second = house.ask("GET /public", &format!("cookie: {pair}\r\n")).await;
    assert_eq!(second.status(), 200);
    assert!(!second.header("set-cookie").unwrap().starts_with(pair));
}

#[tokio::test]
async fn a_stream_may_be_silent_for_as_long_as_the_app_says() {
    let (service, url) = Service::start().await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let house = plan(&[&url], "idle_seconds = 1\n").open().await;
    pieces.send(Bytes::from_static(b"data: first\n\n")).unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(5), house.ask("GET /public/stream", "")).await;
    let reply = asked.expect("silence has no end");
    assert!(reply.0.contains("data: first") && !reply.0.ends_with("0\r\n\r\n"), "{}", reply.0);
    drop(pieces);
}

#[tokio::test]
async fn a_name_stands_for_all_of_its_addresses() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url.replace("127.0.0.1", "localhost")).open().await;
    for _ in 0..6 {
        assert_eq!(house.ask("GET /public", "").await.status(), 200);
    }
    assert_eq!(service.count(), 6);
    let house = Plan::at("http://nobody.invalid:1").open().await;
    assert_eq!(house.ask("GET /public", "").await.reason().as_deref(), Some("upstream-unreachable"));
    assert_eq!(house.ends(), [(502, Some(Reason::UpstreamUnreachable))]);
}
