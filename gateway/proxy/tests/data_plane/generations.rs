//! One generation of routes, limits and certificates takes another's place: what has begun ends as it began, and nothing that
//! is open is closed.

use std::sync::Arc;

use bytes::Bytes;
use cardea_proxy::{Limits, Settings, Snapshot, Transport, Upstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use crate::{
    house::{APP_HOST, House, POLICIES, Plan, snapshot},
    service::Service,
};

/// The generation of `plan` under other limits.
fn under(app: &str, limits: Limits) -> Snapshot {
    let spec: cardea_core::resources::AppSpec = toml::from_str(app).unwrap();
    let upstream = Upstream::new(spec.upstream.as_ref().unwrap(), Transport::Plain).unwrap();
    let settings = Settings { limits, ..Settings::default() };
    Snapshot { settings: Arc::new(settings), ..snapshot(&spec, Some(Arc::new(upstream)), POLICIES) }
}

async fn get(house: &House, socket: &mut TcpStream, header: &str) -> u16 {
    let request = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n{header}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.ends_with("heard") && !seen.contains("\"reason\"") {
        let mut piece = [0; 4096];
        let read = socket.read(&mut piece).await.unwrap();
        assert!(read > 0, "closed after {seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    assert!(!house.drain.has_begun());
    seen[9..12].parse().unwrap()
}

#[tokio::test]
async fn what_has_begun_ends_under_the_limits_that_it_began_under() {
    let (service, url) = Service::start().await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let plan = Plan::at(&url);
    let app = plan.app.clone();
    let house = plan.open().await;
    let mut open = TcpStream::connect(house.address).await.unwrap();
    assert_eq!(get(&house, &mut open, "").await, 200);
    let mut streaming = TcpStream::connect(house.address).await.unwrap();
    let request = format!("GET /public/stream HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\n\r\n");
    streaming.write_all(request.as_bytes()).await.unwrap();
    while service.count() < 2 {
        tokio::task::yield_now().await;
    }

    // Room for no request at all, and shorter heads.
    house.proxy.swap(under(&app, Limits { concurrency: 0, ..Limits::default() }));
    assert_eq!(house.ask("GET /public", "").await.status(), 503);
    pieces.send(Bytes::from_static(b"data: whole\n\n")).unwrap();
    drop(pieces);
    let mut all = String::new();
    streaming.read_to_string(&mut all).await.unwrap();
    assert!(all.starts_with("HTTP/1.1 200") && all.contains("data: whole") && all.ends_with("0\r\n\r\n"), "{all}");

    house.proxy.swap(under(&app, Limits { header_bytes: 8 * 1024, ..Limits::default() }));
    let long = format!("x-long: {}\r\n", "x".repeat(12_000));
    assert_eq!(house.ask("GET /public", &long).await.status(), 431);
    assert_eq!(get(&house, &mut open, &long).await, 200, "the connection was accepted under the limit before");
}

#[tokio::test]
async fn where_fewer_connections_may_be_open_none_is_closed() {
    let (_service, url) = Service::start().await;
    let plan = Plan::at(&url);
    let app = plan.app.clone();
    let house = plan.open().await;
    let mut first = TcpStream::connect(house.address).await.unwrap();
    let mut second = TcpStream::connect(house.address).await.unwrap();
    for open in [&mut first, &mut second] {
        assert_eq!(get(&house, open, "").await, 200);
    }
    house.proxy.swap(under(&app, Limits { connections: 1, ..Limits::default() }));
    for open in [&mut first, &mut second] {
        assert_eq!(get(&house, open, "").await, 200, "it was closed");
    }
    drop((first, second));
    let mut third = TcpStream::connect(house.address).await.unwrap();
    assert_eq!(get(&house, &mut third, "").await, 200);
}
