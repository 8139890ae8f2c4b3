//! What is told to whoever loses the right to a stream that is open, in the protocol that streams.

use std::time::{Duration, Instant};

use anyhow::Context;
use cardea_tests::{
    Story, WebSocket, Wire,
    grpc::{self, Call},
    websocket::End,
    wire::{Heard, Protocol, nothing},
};
use http::Method;
use http_body_util::BodyExt;

use super::{
    grpc::{Kind, call},
    house::{Cell, House, Outcome, Service},
};

/// How long after a revocation a stream may go on (DESIGN section 3.7).
const CUT: Duration = Duration::from_secs(2);

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

#[tokio::test]
async fn whoever_loses_the_right_is_told_in_the_protocol_that_streams() -> Story {
    let house = House::open().await?;
    let cell = house.cell(Outcome::Allowed);
    let (mut sockets, mut streams, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for protocol in PROTOCOLS {
        sockets.push((protocol, websocket(&cell, protocol).await?));
        streams.push((protocol, events(&cell, protocol).await?));
    }
    for service in [Service::Tonic, Service::Grpcio] {
        calls.push((service, held(&cell, service).await?));
    }
    let begun = Instant::now();
    house.secured.suspend_reader().await?;
    for (protocol, (_wire, socket)) in sockets {
        assert_eq!(socket.end().await?, End::Closed(1008, "denied".to_owned()), "{protocol:?}");
    }
    for (protocol, (_wire, events)) in streams {
        assert!(Heard::read(events).await?.broken_off, "{protocol:?}: the end looks like a proper one");
    }
    for (service, mut call) in calls {
        let told = call.end().await?;
        assert_eq!((told.code, &*told.details), (7, "denied"), "{service:?}: {told:?}");
    }
    // What the command itself takes is part of it.
    assert!(
        begun.elapsed() <= CUT + Duration::from_secs(2),
        "the streams outlived their permit: {:?}",
        begun.elapsed()
    );
    assert_eq!(house.echo.open_streams(), 0, "the service was not told");
    Ok(())
}

async fn websocket(cell: &Cell<'_>, protocol: Protocol) -> anyhow::Result<(Wire, WebSocket)> {
    let url = cell.url(Service::Socket, "/socket")?;
    let mut wire = Wire::open(protocol, &url).await?;
    let opened = WebSocket::open(&mut wire, &url, &cell.cookie(Service::Socket)).await?;
    let mut socket = opened.map_err(|refused| anyhow::anyhow!("refused: {refused:?}"))?;
    socket.echo("hello".into()).await?;
    Ok((wire, socket))
}

async fn events(cell: &Cell<'_>, protocol: Protocol) -> anyhow::Result<(Wire, http::Response<hyper::body::Incoming>)> {
    let url = cell.url(Service::Echo, "/does/events")?;
    let mut wire = Wire::open(protocol, &url).await?;
    let request = wire.request(Method::GET, &url).header("cookie", cell.cookie(Service::Echo));
    let mut answer = wire.send(request.body(nothing())?).await?;
    answer.frame().await.context("no event")??;
    Ok((wire, answer))
}

/// A stream both ways that has heard one answer; it has a client of its own, since each makes one call at a time.
async fn held(cell: &Cell<'_>, service: Service) -> anyhow::Result<grpc::Client> {
    let mut client = grpc::Client::start(&cell.house.secured.gateway.on.path("tls/roots.pem"))?;
    client.begin(&Call { hold: true, ..call(cell, service, Kind::Both, &["one"])? }).await?;
    assert_eq!(client.hears().await?, "\"one\"");
    Ok(client)
}
