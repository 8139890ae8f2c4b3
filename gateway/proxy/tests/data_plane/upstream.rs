//! Services that are down, slow, break off or speak something else; and connections that are kept.

use std::time::Duration;

use bytes::Bytes;
use cardea_core::Reason;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    house::{APP_HOST, Plan},
    service::{Service, says},
};

async fn outcome_of(url: &str) -> (u16, Option<String>, Vec<(u16, Option<Reason>)>) {
    let house = Plan::at(url).open().await;
    let reply = house.ask("GET /public", "").await;
    (reply.status(), reply.reason(), house.ends())
}

#[tokio::test]
async fn a_service_that_is_down_is_named_as_the_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (status, reason, ends) = outcome_of(&url).await;
    assert_eq!((status, reason.as_deref()), (502, Some("upstream-unreachable")));
    assert_eq!(ends, [(502, Some(Reason::UpstreamUnreachable))]);
}

#[tokio::test]
async fn a_service_that_speaks_something_else_is_broken() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: y\0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ] {
        let (_, url) = says(bytes).await;
        let (status, reason, _) = outcome_of(&url).await;
        assert_eq!((status, reason.as_deref()), (502, Some("upstream-broken")), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (status, reason, ends) = outcome_of(&url).await;
    assert_eq!((status, reason.as_deref()), (504, Some("upstream-timeout")));
    assert_eq!(ends, [(504, Some(Reason::UpstreamTimeout))]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_off() {
    let (_, url) = says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("GET /public", "").await;
    assert_eq!((reply.status(), reply.body()), (200, "half"));
    let (_, url) = says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("GET /public", "").await;
    assert!(!reply.0.ends_with("0\r\n\r\n"), "a broken answer looks whole: {}", reply.0);
}

#[tokio::test]
async fn connections_to_a_service_are_kept() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for nth in 0..5 {
        assert_eq!(house.ask("GET /public", "").await.status(), 200, "{nth}");
    }
    assert_eq!(*service.connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced() {
    // It answers once, then closes when it hears of the next request.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, mut posts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let told = told.clone();
            tokio::spawn(async move {
                let mut buf = [0; 4096];
                let _ = stream.read(&mut buf).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                let read = stream.read(&mut buf).await.unwrap_or(0);
                let _ = told.send(buf[..read].to_vec());
            });
        }
    });
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    let who = format!("cookie: {cookie}\r\n");
    assert_eq!(house.ask("GET /x", &who).await.status(), 200);
    assert_eq!(house.ask("GET /x", &who).await.status(), 200, "a harmless request is sent again");
    assert!(posts.recv().await.unwrap().starts_with(b"GET"));
    let reply = house.ask("POST /x", &format!("{who}content-length: 1\r\n\r\nx")).await;
    assert_eq!(reply.status(), 502, "what may change something is not");
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let (service, url) = Service::start().await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let house = Plan::at(&url).open().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let request = format!("GET /public/stream HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    for nth in 0..3 {
        let event = format!("data: {nth}\n\n");
        pieces.send(Bytes::from(event.clone())).unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(&event) {
            let read = tokio::time::timeout(Duration::from_secs(5), stream.read_buf(&mut seen)).await;
            assert!(read.expect("the event was held back").unwrap() > 0);
        }
    }
    let body = "x".repeat(300_000);
    let cookie = house.chemist();
    let reply =
        house.ask("POST /x", &format!("cookie: {cookie}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(service.last().body.len(), body.len());
}

#[tokio::test]
async fn a_client_that_leaves_is_written_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let house = Plan::at(&url).open().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let request = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let _arrived = listener.accept().await.unwrap();
    drop(stream);
    house.wait_for_entries(1).await;
    assert_eq!(house.ends(), [(499, Some(Reason::ClientGone))]);
}
