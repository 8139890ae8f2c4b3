//! How much, how long and how many: each limit of the edge, and who is not touched by it.

use std::time::Duration;

use bytes::Bytes;
use cardea_core::Reason;
use cardea_proxy::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    house::{APP_HOST, House, Plan},
    reply::Reply,
    service::Service,
};

fn head(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: {APP_HOST}\r\n{more}\r\n")
}

/// A connection on which a request has been answered.
async fn kept(house: &House) -> TcpStream {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(head("GET /public", "").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"heard") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
    }
    stream
}

/// Everything until the gateway closes, or nothing where it closed at once.
pub(crate) async fn rest(stream: &mut TcpStream) -> Reply {
    let mut out = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut out)).await;
    // A reset is an end, too.
    let _ = read.expect("the gateway never closed");
    Reply(String::from_utf8_lossy(&out).into_owned())
}

/// A service that takes requests and answers none of them.
pub(crate) async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            taken.push(stream);
        }
    });
    url
}

#[tokio::test]
async fn one_client_has_no_more_connections_than_its_share() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.connections_per_client = 2;
    let house = plan.open().await;
    let (first, _second) = (kept(&house).await, kept(&house).await);
    let mut third = TcpStream::connect(house.address).await.unwrap();
    assert_eq!(rest(&mut third).await.0, "");
    assert_eq!(house.figure(r#"cardea_connections_turned_away_total{kind="too-many"}"#), 1);
    drop(first);
    // What it leaves is free for it again, once the gateway has noticed.
    loop {
        let mut again = TcpStream::connect(house.address).await.unwrap();
        let _ = again.write_all(head("GET /public", "connection: close\r\n").as_bytes()).await;
        match rest(&mut again).await.0.as_str() {
            "" => tokio::task::yield_now().await,
            reply => break assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}"),
        }
    }
}

/// Whoever holds places by connections alone keeps nobody out, and who has signed in keeps theirs.
#[tokio::test]
async fn where_no_place_is_free_an_idle_stranger_leaves_for_the_next() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    (plan.limits.connections, plan.limits.idle) = (4, Duration::from_secs(8));
    let house = plan.open().await;
    let mut signed_in = TcpStream::connect(house.address).await.unwrap();
    let chemist = format!("cookie: {}\r\n", house.chemist());
    let mut ask = async || {
        signed_in.write_all(head("GET /studies", &chemist).as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"heard") {
            assert!(signed_in.read_buf(&mut seen).await.unwrap() > 0, "the connection was ended");
        }
    };
    ask().await;
    let mut strangers = vec![kept(&house).await, kept(&house).await];
    // One that never says anything.
    strangers.push(TcpStream::connect(house.address).await.unwrap());
    for _ in 0..2 {
        strangers.push(kept(&house).await);
    }
    assert!(house.figure(r#"cardea_connections_turned_away_total{kind="made-room"}"#) >= 2);
    ask().await;
}

#[tokio::test]
async fn a_listed_proxy_speaks_for_many() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url).trusting("127.0.0.0/8");
    plan.limits.connections_per_client = 1;
    let house = plan.open().await;
    let (_first, _second) = (kept(&house).await, kept(&house).await);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.head = Duration::from_millis(50);
    let house = plan.open().await;
    for begun in ["G", "GET /public HTTP/1.1\r\nhost: records.acme.test\r\nx-own: ", "GET /public HTTP/1.1\r\n"] {
        let before = house.ends().len();
        let reply = house.raw(begun.as_bytes()).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (408, Some("too-slow")), "{begun}");
        assert_eq!(house.ends()[before..], [(408, Some(Reason::TooSlow))]);
    }
    // Nor one after an answer.
    let mut stream = kept(&house).await;
    stream.write_all(b"GET /public HTTP/1.1\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await.status(), 408);
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_connection_without_a_request_ends_and_one_with_a_stream_does_not() {
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.idle = Duration::from_millis(300);
    let house = plan.open().await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let mut busy = TcpStream::connect(house.address).await.unwrap();
    busy.write_all(head("GET /public/stream", "").as_bytes()).await.unwrap();
    pieces.send(Bytes::from_static(b"one")).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("one") {
        assert!(busy.read_buf(&mut seen).await.unwrap() > 0);
    }
    for mut idle in [kept(&house).await, TcpStream::connect(house.address).await.unwrap()] {
        assert_eq!(rest(&mut idle).await.0, "");
    }
    // By now the stream was silent for longer than any idle connection may be.
    pieces.send(Bytes::from_static(b"two")).unwrap();
    drop(pieces);
    let all = [seen, rest(&mut busy).await.0.into_bytes()].concat();
    let all = String::from_utf8_lossy(&all);
    assert!(all.contains("two") && all.ends_with("0\r\n\r\n"), "{all}");
}

#[tokio::test]
async fn a_body_is_no_larger_than_it_may_be() {
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.body_bytes = 10_000;
    let house = plan.open().await;
    let cookie = house.chemist();
    let post = async |framing: &str, body: &str| {
        house
            .raw(
                format!("{}{body}", head("POST /x", &format!("cookie: {cookie}\r\nconnection: close\r\n{framing}")))
                    .as_bytes(),
            )
            .await
    };
    let whole = "a".repeat(10_000);
    assert_eq!(post("content-length: 10000\r\n", &whole).await.status(), 200);
    assert_eq!(service.last().body.len(), 10_000);
    let chunked = format!("2710\r\n{whole}\r\n0\r\n\r\n");
    assert_eq!(post("transfer-encoding: chunked\r\n", &chunked).await.status(), 200);
    // One byte more. What is announced is refused without a byte of it, and the answer is read although it keeps coming.
    for (framing, body) in [
        ("content-length: 10001\r\n", String::new()),
        ("content-length: 10001\r\n", "a".repeat(10_001)),
        ("content-length: 90000000\r\n", "a".repeat(4_000_000)),
        ("transfer-encoding: chunked\r\n", format!("2710\r\n{whole}\r\n1\r\na\r\n0\r\n\r\n")),
        ("transfer-encoding: chunked\r\n", format!("2710\r\n{whole}\r\n").repeat(400)),
    ] {
        let reply = post(framing, &body).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (413, Some("body-too-large")), "{framing}");
        assert_eq!(reply.header("connection"), Some("close"));
        assert_eq!(house.ends().last(), Some(&(413, Some(Reason::BodyTooLarge))));
    }
    assert!(service.heard.lock().unwrap()[2..].iter().all(|heard| heard.body == b"broken off"));
}

#[tokio::test]
async fn an_app_says_how_large_its_bodies_may_be() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.body_bytes = 10;
    plan.app += "[limits]\nbody_bytes = 20\n";
    let house = plan.open().await;
    let cookie = house.chemist();
    for (length, status) in [(20, 200), (21, 413)] {
        let fields = format!("cookie: {cookie}\r\nconnection: close\r\ncontent-length: {length}\r\n");
        let request = format!("{}{}", head("POST /x", &fields), "a".repeat(length));
        assert_eq!(house.raw(request.as_bytes()).await.status(), status, "{length}");
    }
}

#[tokio::test]
async fn a_body_is_no_slower_than_it_may_be() {
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.body_grace = Duration::from_secs(1);
    let house = plan.open().await;
    let cookie = house.chemist();
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let fields = format!("cookie: {cookie}\r\ncontent-length: 1000\r\n");
    stream.write_all(format!("{}ab", head("POST /x", &fields)).as_bytes()).await.unwrap();
    let reply = rest(&mut stream).await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (408, Some("too-slow")));
    assert_eq!(house.ends(), [(408, Some(Reason::TooSlow))]);
    assert!(service.heard.lock().unwrap().iter().all(|heard| heard.body == b"broken off"));
}

#[tokio::test]
async fn what_is_left_under_load_is_for_those_who_are_signed_in() {
    let mut plan = Plan::at(&silent().await).trusting("127.0.0.0/8");
    plan.limits = Limits { concurrency: 4, client_percent: 100, app_percent: 100, tenant_percent: 100, ..plan.limits };
    let house = plan.open().await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(head("GET /public", "").as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    while house.figure("cardea_in_flight") < 3 {
        tokio::task::yield_now().await;
    }
    let reply = house.ask("GET /public", "x-forwarded-for: 192.0.2.1\r\n").await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (503, Some("overloaded")));
    assert_eq!(reply.header("retry-after"), Some("1"));
    // The last place is for a caller who is known: the service's own silence is all that they wait for.
    let cookie = house.chemist();
    assert_eq!(house.ask("GET /x", &format!("cookie: {cookie}\r\n")).await.status(), 504);
}

#[tokio::test]
async fn nothing_is_asked_for_before_the_decision() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let expects = "expect: 100-continue\r\ncontent-length: 5\r\nconnection: close\r\n";
    let reply = house.raw(head("POST /x", expects).as_bytes()).await;
    assert_eq!(reply.status(), 401, "a refusal asks for no body");
    assert_eq!(service.count(), 0);
    let cookie = house.chemist();
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(head("POST /x", &format!("cookie: {cookie}\r\n{expects}")).as_bytes()).await.unwrap();
    let mut seen = vec![0; 25];
    stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(rest(&mut stream).await.status(), 200);
    assert_eq!(service.last().body, b"hello");
}

/// What one stalled reader makes the gateway hold: its own buffers and the system's, whatever the service has to say.
#[tokio::test]
async fn a_client_that_reads_nothing_makes_the_service_wait() {
    const MORE: usize = 256 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let house = Plan::at(&format!("http://{}", listener.local_addr().unwrap())).open().await;
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(head("GET /public", "").as_bytes()).await.unwrap();
    let (mut service, _) = listener.accept().await.unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MORE}\r\n\r\n");
    service.write_all(head.as_bytes()).await.unwrap();
    let (piece, mut taken) = (vec![0; 65_536], 0);
    // A second without a byte taken is long for loopback.
    while let Ok(wrote) = tokio::time::timeout(Duration::from_secs(1), service.write(&piece)).await {
        taken += wrote.unwrap();
        assert!(taken < MORE / 4, "it was all taken in");
    }
}
