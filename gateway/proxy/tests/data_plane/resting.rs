//! Kept HTTP/1 connections that hold nothing of what requests need.

use std::{sync::Arc, time::Duration};

use cardea_proxy::Security;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::{
    house::{APP_HOST, House, Plan},
    service::Service,
    tls::{Authority, connect},
};

/// A house that looks once a second whether a connection can rest, its service, and a connection over TLS.
async fn kept() -> (House, Service, TlsStream<TcpStream>) {
    let ours = Authority::new();
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.security = Security::Tls(Arc::new(ours.server(ours.issue(&[APP_HOST], &[]), None)));
    plan.limits.idle = Duration::from_secs(4);
    let house = plan.open().await;
    let stream = connect(&house, ours.client().with_no_client_auth(), APP_HOST, b"http/1.1").await;
    (house, service, stream)
}

/// Asks, and gives the whole answer.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"heard") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "the connection was ended");
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn get(more: &str) -> String {
    format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n{more}\r\n")
}

fn resting(house: &House) -> u64 {
    house.figure("cardea_connections_resting")
}

/// One comes that is longer than what the gateway looks at first.
#[tokio::test]
async fn a_connection_that_rested_is_served_as_before() {
    let (house, service, mut stream) = kept().await;
    let (cookie, body) = (house.chemist().replace("cardea=", "__Host-cardea="), "a".repeat(12_000));
    let post =
        format!("POST /x HTTP/1.1\r\nhost: {APP_HOST}\r\ncookie: {cookie}\r\ncontent-length: 12000\r\n\r\n{body}");
    for asked in [&post, &get(""), &post] {
        let rests = async {
            while resting(&house) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), rests).await.expect("it does not rest");
        let seen = ask(&mut stream, asked).await;
        assert_eq!(resting(&house), 0);
        assert!(seen.starts_with("HTTP/1.1 200 ") && !seen.contains("connection: close"), "{seen}");
    }
    let heard: Vec<_> = service.heard.lock().unwrap().iter().map(|heard| heard.body.len()).collect();
    assert_eq!(heard, [12_000, 0, 12_000]);
}

/// hyper gives a connection on which another protocol was asked for to nobody else, also where it was not spoken.
#[tokio::test]
async fn a_connection_that_asked_for_another_protocol_stays_awake() {
    let (house, _service, mut stream) = kept().await;
    let upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    for more in [upgrade, ""] {
        ask(&mut stream, &get(more)).await;
        // Two looks at it, and some more.
        tokio::time::sleep(Duration::from_millis(2_400)).await;
        assert_eq!(resting(&house), 0);
    }
    ask(&mut stream, &get("")).await;
}
