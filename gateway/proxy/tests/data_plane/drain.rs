//! Closing down: what is under way finishes, nothing new begins.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use crate::{
    house::{APP_HOST, House, Plan},
    service::Service,
};

#[tokio::test]
async fn what_is_under_way_finishes() {
    let (service, url) = Service::start().await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let house = Plan::at(&url).open().await;
    let mut idle = TcpStream::connect(house.address).await.unwrap();
    idle.write_all(format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"heard") {
        assert!(idle.read_buf(&mut seen).await.unwrap() > 0);
    }
    let mut busy = TcpStream::connect(house.address).await.unwrap();
    busy.write_all(format!("GET /public/stream HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n").as_bytes()).await.unwrap();
    pieces.send(Bytes::from_static(b"one")).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("one") {
        assert!(busy.read_buf(&mut seen).await.unwrap() > 0);
    }
    house.drain.begin();
    let closed = tokio::time::timeout(Duration::from_secs(2), idle.read_u8()).await;
    assert!(closed.expect("an idle connection was left open").is_err());
    pieces.send(Bytes::from_static(b"two")).unwrap();
    drop(pieces);
    busy.read_to_end(&mut seen).await.unwrap();
    assert!(String::from_utf8_lossy(&seen).contains("two") && seen.ends_with(b"0\r\n\r\n"));
    tokio::time::timeout(Duration::from_secs(2), house.served).await.expect("it never ended").unwrap();
    assert!(TcpStream::connect(house.address).await.is_err());
}

/// A house of three seconds' grace with a stream under way, and what keeps that open.
async fn streaming() -> (House, (Service, mpsc::UnboundedSender<Bytes>, TcpStream)) {
    let (service, url) = Service::start().await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let house = Plan::at(&url).open().await;
    let mut busy = TcpStream::connect(house.address).await.unwrap();
    busy.write_all(format!("GET /public/stream HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n").as_bytes()).await.unwrap();
    pieces.send(Bytes::from_static(b"one")).unwrap();
    assert!(busy.read_u8().await.is_ok());
    (house, (service, pieces, busy))
}

#[tokio::test]
async fn what_does_not_finish_is_ended() {
    let (house, _stream) = streaming().await;
    house.drain.begin();
    tokio::time::timeout(Duration::from_secs(5), house.served).await.expect("the limit does not hold").unwrap();
}

#[tokio::test]
async fn the_word_says_how_long_it_may_take() {
    let (house, _stream) = streaming().await;
    house.drain.begin_within(Duration::ZERO);
    tokio::time::timeout(Duration::from_secs(2), house.served).await.expect("it waited for longer").unwrap();
}
