//! Closing down: what is under way finishes, nothing new begins.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
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

#[tokio::test]
async fn a_gateway_that_leaves_serves_on_and_lets_go_of_each_connection_with_its_answer() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let request = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n");
    let mut idle = TcpStream::connect(house.address).await.unwrap();
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"heard") {
        assert!(idle.read_buf(&mut seen).await.unwrap() > 0);
    }
    assert!(!String::from_utf8_lossy(&seen).contains("connection: close"));
    house.drain.leave();
    assert!(house.drain.is_leaving() && !house.drain.has_begun());
    let mut late = TcpStream::connect(house.address).await.unwrap();
    for stream in [&mut idle, &mut late] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut last = String::new();
        stream.read_to_string(&mut last).await.unwrap();
        assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");
        assert!(last.ends_with("heard"), "{last}");
    }
    assert_eq!(service.count(), 3);
    house.drain.begin();
    tokio::time::timeout(Duration::from_secs(2), house.served).await.expect("it never ended").unwrap();
}

/// By agreement: what was asked is answered, and nothing is asked of it any more.
#[tokio::test]
async fn over_http2_it_says_so_and_whoever_comes_after_is_served() {
    let (_service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let open = async || {
        let stream = TcpStream::connect(house.address).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        (sender, tokio::spawn(connection))
    };
    let ask = async |sender: &mut http2::SendRequest<Empty<Bytes>>| {
        let request = Request::get(format!("http://{APP_HOST}/public")).version(Version::HTTP_2);
        sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap().status()
    };
    let (mut before, ended) = open().await;
    assert_eq!(ask(&mut before).await, 200);
    house.drain.leave();
    tokio::time::timeout(Duration::from_secs(2), ended).await.expect("it said nothing").unwrap().unwrap();
    let (mut after, _open) = open().await;
    assert_eq!((ask(&mut after).await, ask(&mut after).await), (StatusCode::OK, StatusCode::OK));
}
