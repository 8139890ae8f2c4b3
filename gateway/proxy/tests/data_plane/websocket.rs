//! G10, G18: WebSockets open only after a real `101`, only for their own origin, and close with their permit.

use std::time::Duration;

use cardea_core::Reason;
use cardea_proxy::Changed;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    house::{APP_HOST, House, Plan},
    service::{Service, accept, says},
    upstream_fleet::plan,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn handshake(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{more}\r\n"
    )
}

async fn head(socket: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
        let read = tokio::time::timeout(Duration::from_secs(5), socket.read_u8()).await;
        seen.push(read.expect("no answer").unwrap());
    }
    String::from_utf8(seen).unwrap()
}

async fn opened(house: &House) -> TcpStream {
    let cookie = house.chemist();
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    let more = format!("cookie: {cookie}\r\norigin: http://{APP_HOST}\r\n");
    socket.write_all(handshake("/ws", &more).as_bytes()).await.unwrap();
    let answer = head(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains(&accept(KEY)), "{answer}");
    socket
}

#[tokio::test]
async fn a_websocket_passes_bytes_both_ways() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let mut socket = opened(&house).await;
    // Not HTTP at all: the guard below must have let go.
    for piece in [&b"\x81\x05hello"[..], b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"]
    {
        socket.write_all(piece).await.unwrap();
        let mut back = vec![0; piece.len()];
        tokio::time::timeout(Duration::from_secs(5), socket.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(back, piece);
    }
    assert_eq!(service.last().header("remote-user"), Some("mira@acme.test"));
    assert_eq!(house.ends(), [(101, None)]);
}

#[tokio::test]
async fn a_websocket_closes_with_its_session() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let mut socket = opened(&house).await;
    house.lent.live.lock().unwrap().clear();
    house.proxy.changed(Changed::Everything);
    assert_eq!(rest(&mut socket).await, b"\x88\x08\x03\xf0denied", "it is told why");
}

#[tokio::test]
async fn in_the_middle_of_a_frame_a_websocket_is_only_cut() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let mut socket = opened(&house).await;
    // Two of five bytes: the service gives them back, and whatever followed would be taken for the other three.
    socket.write_all(b"\x81\x05he").await.unwrap();
    let mut back = [0; 4];
    socket.read_exact(&mut back).await.unwrap();
    house.lent.live.lock().unwrap().clear();
    house.proxy.changed(Changed::Everything);
    assert_eq!(rest(&mut socket).await, b"");
}

/// What comes until the end, which must come in time.
async fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(2), socket.read_to_end(&mut rest)).await;
    // However it ends: a connection with something unread is reset.
    let _ = end.expect("the websocket outlived its session");
    rest
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection_until_it_closes() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.connections = 1;
    let house = plan.open().await;
    let tunnel = opened(&house).await;
    let mut next = TcpStream::connect(house.address).await.unwrap();
    let request = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\n\r\n");
    next.write_all(request.as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), next.read_u8()).await;
    assert!(early.is_err(), "there was room beside the tunnel");
    drop(tunnel);
    assert!(head(&mut next).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn another_sites_page_opens_no_websocket() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    for origin in ["", "origin: http://evil.test\r\n", "origin: null\r\n", "origin: http://records.acme.test:81\r\n"] {
        let reply = house
            .raw(
                handshake("/ws", &format!("cookie: {cookie}\r\n{origin}x-y: close\r\nconnection: close\r\n"))
                    .as_bytes(),
            )
            .await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("cross-site")), "{origin}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn pages_of_declared_origins_open_websockets_and_no_lookalikes() {
    let (_, url) = Service::start().await;
    let declared = "websocket_origins = ['https://lab.example', 'https://*.acme.example']";
    // What may read answers may not therefore open a WebSocket.
    let shared = "[cors]\norigins = ['https://reader.example']\ncredentials = true\n";
    let house = Plan::at(&url).with(declared).and(shared).open().await;
    let cookie = house.chemist();
    for origin in ["https://lab.example", "https://data.acme.example"] {
        let mut socket = TcpStream::connect(house.address).await.unwrap();
        let more = format!("cookie: {cookie}\r\norigin: {origin}\r\n");
        socket.write_all(handshake("/ws", &more).as_bytes()).await.unwrap();
        assert!(head(&mut socket).await.starts_with("HTTP/1.1 101 "), "{origin}");
    }
    for origin in
        ["https://evil-acme.example", "https://acme.example", "http://lab.example", "null", "https://reader.example"]
    {
        let more = format!("cookie: {cookie}\r\norigin: {origin}\r\nconnection: close\r\n");
        let reply = house.raw(handshake("/ws", &more).as_bytes()).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("cross-site")), "{origin}");
    }
    let more = format!(
        "cookie: {cookie}\r\norigin: https://lab.example\r\norigin: https://lab.example\r\nconnection: close\r\n"
    );
    assert_eq!(house.raw(handshake("/ws", &more).as_bytes()).await.status(), 400, "two origins are none");
}

#[tokio::test]
async fn what_follows_a_declined_upgrade_is_a_request_of_its_own() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let second = format!("GET /secret HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\n\r\n");
    let reply = house.raw(format!("{}{second}", handshake("/public", "")).as_bytes()).await;
    let statuses: Vec<_> = reply.0.match_indices("HTTP/1.1 ").map(|(at, _)| &reply.0[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "401"], "{}", reply.0);
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_101_that_proves_nothing_opens_nothing() {
    for bytes in [
        &b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"[..],
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n",
    ] {
        let (_, url) = says(bytes).await;
        let house = Plan::at(&url).open().await;
        let reply = house.raw(handshake("/public", "connection: close\r\n").as_bytes()).await;
        assert_eq!(reply.status(), 502, "{}", reply.0);
        assert_eq!(house.ends(), [(502, Some(Reason::UpstreamBroken))]);
    }
}

#[tokio::test]
async fn an_address_that_answers_websockets_with_faults_is_left_out() {
    let (_, faulty) = says(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let (good, url) = Service::start().await;
    let house = plan(&[&faulty, &url], "[upstream.outliers]\nafter = 2\nfor_seconds = 600\n").open().await;
    for _ in 0..10 {
        house.raw(handshake("/public", "connection: close\r\n").as_bytes()).await;
    }
    let faults = house.ends().iter().filter(|(status, _)| *status == 503).count();
    assert_eq!((faults, good.count()), (2, 8));
}

#[tokio::test]
async fn an_upgrade_to_anything_else_is_not_passed_on() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("GET /public", "upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n").await;
    assert_eq!(reply.status(), 200);
    let heard = service.last();
    assert!(heard.header("upgrade").is_none() && heard.header("http2-settings").is_none());
}
