//! Services that speak badly: whatever they say, the client gets a 502 (or what was whole of the answer), the connection is
//! not used again, and the next request is unharmed.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cardea_core::Reason;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    house::{APP_HOST, House, Plan},
    service::Service,
};

/// Reads one head; false where the connection has ended.
pub(crate) async fn hears(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// A service that says `bytes` to its first request and keeps the connection open, and is well on every other connection.
async fn first_says(bytes: Cow<'static, [u8]>) -> (Arc<AtomicUsize>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            let bytes = bytes.clone();
            tokio::spawn(async move {
                if first {
                    hears(&mut stream).await;
                    let _ = stream.write_all(&bytes).await;
                }
                while hears(&mut stream).await {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood").await;
                }
            });
        }
    });
    (connections, url)
}

async fn twice(bytes: impl Into<Cow<'static, [u8]>>, line: &str) -> (House, crate::reply::Reply, crate::reply::Reply) {
    let (_, url) = first_says(bytes.into()).await;
    let house = Plan::at(&url).open().await;
    let first = house.ask(line, "").await;
    let second = house.ask("GET /public", "").await;
    (house, first, second)
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_502_and_the_next_is_unharmed() {
    let endless = |piece: &str, times: usize| piece.repeat(times).into_bytes();
    for (what, bytes) in [
        ("garbage", b"\x16\x03\x01\0\0\r\n\r\n".to_vec()),
        ("an answer of HTTP/2", b"HTTP/2 200 OK\r\n\r\n".to_vec()),
        ("a status without meaning", b"HTTP/1.1 20 OK\r\n\r\n".to_vec()),
        ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\nevil".to_vec()),
        ("one length twice", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\nevil".to_vec()),
        ("a list of lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 4, 4\r\n\r\nevil".to_vec()),
        (
            "a length and chunks",
            b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"
                .to_vec(),
        ),
        (
            "another coding",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n".to_vec(),
        ),
        ("a 101 that nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nevil".to_vec()),
        ("interim answers without end", endless("HTTP/1.1 100 Continue\r\n\r\n", 60_000)),
        ("a header without end", [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), endless("y", 200_000)].concat()),
        ("headers without end", [b"HTTP/1.1 200 OK\r\n".to_vec(), endless("x: y\r\n", 5_000)].concat()),
        ("a folded header", b"HTTP/1.1 200 OK\r\nx: y\r\n z\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ("a space before the colon", b"HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n".to_vec()),
    ] {
        let (house, first, second) = twice(bytes, "GET /public").await;
        assert_eq!((first.status(), first.reason().as_deref()), (502, Some("upstream-broken")), "{what}: {}", first.0);
        assert_eq!((second.status(), second.body()), (200, "good"), "{what}");
        assert_eq!(house.ends(), [(502, Some(Reason::UpstreamBroken)), (200, None)], "{what}");
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_no_answer() {
    for (what, line, status, bytes) in [
        ("more than its length", "GET /public", 200, &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokevil"[..]),
        (
            "two answers",
            "GET /public",
            200,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        ),
        ("no content, and some", "GET /public", 204, b"HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nevil"),
        ("not modified, and some", "GET /public", 304, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil"),
        ("a body for a HEAD", "HEAD /public", 200, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        (
            "a chunk after the last",
            "GET /public",
            200,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        ),
    ] {
        let (_, first, second) = twice(bytes, line).await;
        assert_eq!(first.status(), status, "{what}: {}", first.0);
        assert!(!first.0.contains("evil"), "{what}: {}", first.0);
        assert_eq!((second.status(), second.body()), (200, "good"), "{what}");
    }
}

#[tokio::test]
async fn an_answer_that_has_no_body_keeps_its_connection() {
    for (line, status, bytes) in [
        ("HEAD /public", 200, &b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"[..]),
        ("GET /public", 304, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\netag: \"x\"\r\n\r\n"),
        ("GET /public", 204, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET /public",
            200,
            b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ),
    ] {
        let (connections, url) = first_says(bytes.into()).await;
        let house = Plan::at(&url).open().await;
        let first = house.ask(line, "").await;
        assert_eq!(first.status(), status, "{}", first.0);
        if line.starts_with("HEAD") {
            assert_eq!((first.header("content-length"), first.body()), (Some("4"), ""));
        }
        assert_eq!(house.ask("GET /public", "").await.body(), "good");
        assert_eq!(connections.load(Ordering::SeqCst), 1, "{line} {status}");
    }
}

#[tokio::test]
async fn trailers_that_are_announced_pass_both_ways() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let request = format!(
        "POST /x HTTP/1.1\r\nhost: {APP_HOST}\r\ncookie: {}\r\nconnection: close\r\ntrailer: X-Sum, cookie\r\n\
         transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\nx-other: 1\r\n\r\n",
        house.chemist()
    );
    assert_eq!(house.raw(request.as_bytes()).await.status(), 200);
    let heard = service.last();
    assert_eq!(heard.body, b"abc");
    let trailers = heard.trailers.unwrap();
    assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &"1".parse().unwrap()));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, set-cookie\r\n\r\n2\r\nok\r\n0\r\n";
    let (_, url) = first_says(format!("{chunked}x-sum: 2\r\nset-cookie: a=1\r\n\r\n").into_bytes().into()).await;
    let reply = Plan::at(&url).open().await.ask("GET /public", "te: trailers\r\n").await;
    assert!(reply.0.ends_with("2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n"), "{}", reply.0);
}

#[tokio::test]
async fn a_part_of_a_file_comes_as_a_part() {
    let part = &b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 1-2/4\r\ncontent-length: 2\r\n\r\noo"[..];
    let (_, url) = first_says(part.into()).await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("GET /public", "range: bytes=1-2\r\n").await;
    assert_eq!((reply.status(), reply.header("content-range"), reply.body()), (206, Some("bytes 1-2/4"), "oo"));
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_to_go_on_once_its_body_is_wanted() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "POST /x HTTP/1.1\r\nhost: {APP_HOST}\r\ncookie: {cookie}\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-length: 3\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(service.last().body, b"abc");
}

#[tokio::test]
async fn a_client_that_waits_for_100_and_is_refused_sends_no_body() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("POST /x", "expect: 100-continue\r\ncontent-length: 3\r\n").await;
    assert_eq!(reply.status(), 401, "{}", reply.0);
    assert_eq!(service.count(), 0);
}
