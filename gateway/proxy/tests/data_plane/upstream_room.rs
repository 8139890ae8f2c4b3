//! How many connections there may be to a service, and to all of a tenant's: who waits, and which ones are closed for it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cardea_core::resources::AppSpec;
use cardea_proxy::{
    Transport, Upstream,
    upstream::{Standing, TenantRoom},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use crate::{
    house::{APP_HOST, House, POLICIES, Plan, snapshot},
    service::Service,
    upstream_fleet::plan,
    upstream_http2::Echo,
};

#[tokio::test]
async fn there_are_no_more_connections_than_the_app_may_have() {
    let (service, url) = Service::start().await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let house = plan(&[&url], "connections = 1\n").open().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let request = format!("GET /public/stream HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    pieces.send(Bytes::from_static(b"data: first\n\n")).unwrap();
    stream.read_u8().await.unwrap();
    let reply = house.ask("GET /public", "").await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (503, Some("overloaded")));
    assert_eq!(reply.header("retry-after"), Some("1"));
    let waits = house.ask("GET /public", "");
    let (reply, ()) = tokio::join!(waits, async { drop(pieces) });
    assert_eq!(reply.status(), 200, "what is given back is taken by who waits");
    assert_eq!(*service.connections.lock().unwrap(), 1);
}

/// Two apps of a tenant that has room for one connection; the gateway carries the first.
struct Two {
    house: House,
    spec: AppSpec,
    first: Arc<Upstream>,
    other: Arc<Upstream>,
}

impl Two {
    async fn at(url: &str) -> Self {
        let house = Plan::at(url).open().await;
        let spec: AppSpec = toml::from_str(&Plan::at(url).app).unwrap();
        let standing = Standing { room: TenantRoom::new(1), ..Standing::default() };
        let upstream = || {
            let wanted = spec.upstream.as_ref().unwrap();
            Arc::new(Upstream::among(wanted, Transport::Plain, standing.clone()).unwrap())
        };
        let (first, other) = (upstream(), upstream());
        let two = Self { house, spec, first, other };
        two.carry(&two.first);
        two
    }

    fn carry(&self, app: &Arc<Upstream>) {
        self.house.proxy.swap(snapshot(&self.spec, Some(Arc::clone(app)), POLICIES));
    }
}

#[tokio::test]
async fn the_services_of_a_tenant_share_its_room() {
    let (service, url) = Service::start().await;
    let two = Two::at(&url).await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let mut stream = TcpStream::connect(two.house.address).await.unwrap();
    let request = format!("GET /public/stream HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    pieces.send(Bytes::from_static(b"data: first\n\n")).unwrap();
    stream.read_u8().await.unwrap();
    // Another service of the tenant finds no room while the first one's stream is open, and takes its place afterwards.
    two.carry(&two.other);
    assert_eq!(two.house.ask("GET /public", "").await.reason().as_deref(), Some("overloaded"));
    let (reply, ()) = tokio::join!(two.house.ask("GET /public", ""), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(pieces);
    });
    assert_eq!(reply.status(), 200, "{}", reply.0);
}

#[tokio::test]
async fn a_connection_that_one_service_leaves_unused_makes_room_for_another() {
    let (service, url) = Service::start().await;
    let two = Two::at(&url).await;
    for (nth, app) in [&two.first, &two.other, &two.first].into_iter().enumerate() {
        two.carry(app);
        let reply = two.house.ask("GET /public", "").await;
        assert_eq!(reply.status(), 200, "{nth}: {}", reply.0);
    }
    assert_eq!(*service.connections.lock().unwrap(), 3);
}

#[tokio::test]
async fn an_unused_connection_that_requests_share_makes_room_for_one_to_another_address() {
    let ((one, first), (other, second)) = (Echo::start(100).await, Echo::start(100).await);
    let house = plan(&[&first, &second], "protocol = 'http2'\nconnections = 1\n").open().await;
    for nth in 0..4 {
        let reply = house.ask("GET /public", "").await;
        assert_eq!(reply.status(), 200, "{nth}: {}", reply.0);
    }
    assert_eq!((one.opened(), other.opened()), (2, 2), "equals share");
}

#[tokio::test]
async fn where_no_connection_may_be_opened_one_to_another_address_is_shared() {
    let ((one, first), (other, second)) = (Echo::start(100).await, Echo::start(100).await);
    let house = plan(&[&first, &second], "protocol = 'http2'\nconnections = 1\n").open().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let cookie = house.chemist();
    let request = format!("POST /x HTTP/1.1\r\nhost: {APP_HOST}\r\ncookie: {cookie}\r\ncontent-length: 9\r\n\r\nhalf");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    // The other address has less to do, but the only connection is at work.
    for nth in 0..4 {
        let reply = house.ask("GET /public", "").await;
        assert_eq!(reply.status(), 200, "{nth}: {}", reply.0);
    }
    assert_eq!((one.opened(), other.opened()), (1, 0));
    drop(stream);
}
