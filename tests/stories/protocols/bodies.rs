//! Large bodies pass piece by piece: whoever does not read makes the other end wait, and nobody in between keeps what
//! was not read.

use anyhow::Context;
use bytes::Bytes;
use cardea_tests::{
    Client, Gateway, Plan, Story, Volume, Wire,
    volume::PIECE,
    wire::{Heard, Protocol, nothing},
};
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;

/// 64 MiB: many times what buffers of the system hold.
const PIECES: usize = 1024;

/// What a transfer may add to the gateway's memory. 16 MiB: a quarter of what passes, and far above the windows of
/// HTTP/2 and the buffers of a connection.
const MEMORY: u64 = 16 << 20;

struct Transfer {
    service: Volume,
    gateway: Gateway,
    client: Client,
}

impl Transfer {
    async fn prepare() -> anyhow::Result<Self> {
        let service = Volume::start().await?;
        // The service begins to answer an upload when it has read it, and that is when it is let.
        let gateway = Plan::before(service.port).tls().start().await?;
        let mira = gateway.person("mira@acme.example", &["readers"]).await?;
        let (client, _) = mira.opens(&gateway.at("echo.acme", "/x/0")?).await?;
        Ok(Self { service, gateway, client })
    }

    async fn wire(
        &self,
        protocol: Protocol,
        method: Method,
        path: &str,
    ) -> anyhow::Result<(Wire, http::request::Builder)> {
        let url = self.gateway.at("echo.acme", path)?;
        let wire = Wire::open(protocol, &url).await?;
        let cookie = self.client.jar("echo.acme.localhost").context("not signed in")?;
        let request = wire.request(method, &url).header("cookie", cookie);
        Ok((wire, request))
    }

    /// Bytes of memory that the gateway holds.
    fn memory(&self) -> anyhow::Result<u64> {
        let pid = self.gateway.pid().context("the gateway has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    }
}

#[tokio::test]
async fn a_reader_that_stalls_makes_the_service_wait_and_not_the_gateway_grow() -> Story {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let transfer = Transfer::prepare().await?;
        let (mut wire, request) = transfer.wire(protocol, Method::GET, &format!("/x/{PIECES}")).await?;
        let before = transfer.memory()?;
        let answer = wire.send(request.body(nothing())?).await?;
        assert_eq!(answer.status(), 200);
        let sent = transfer.service.flow.stalls().await?;
        let grown = transfer.memory()?.saturating_sub(before);
        assert!(sent < (PIECES * PIECE) as u64, "{protocol:?}: everything was taken, though nobody read");
        assert!(grown < MEMORY, "{protocol:?}: {grown} bytes more for {sent} that nobody read");
        // Whoever reads on gets all of it.
        let heard = Heard::read(answer).await?;
        assert!(!heard.broken_off && heard.body.len() == PIECES * PIECE, "{protocol:?}: {}", heard.body.len());
        let grown = transfer.memory()?.saturating_sub(before);
        assert!(grown < MEMORY, "{protocol:?}: {grown} bytes more afterwards");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_stalls_makes_the_client_wait_and_not_the_gateway_grow() -> Story {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let transfer = Transfer::prepare().await?;
        let (mut wire, request) = transfer.wire(protocol, Method::POST, "/upload").await?;
        let before = transfer.memory()?;
        let (pieces, receiver) = mpsc::channel::<Bytes>(1);
        let frames = tokio_stream::wrappers::ReceiverStream::new(receiver).map(|piece| Ok(Frame::data(piece)));
        let request = request.header("content-length", PIECES * PIECE).body(StreamBody::new(frames).boxed_unsync())?;
        let flow = &transfer.service.flow;
        let send = async {
            let sent = flow.pass(PIECES, async |piece| Ok(pieces.send(piece.into()).await?)).await;
            drop(pieces);
            sent
        };
        let watch = async {
            let sent = flow.stalls().await?;
            let grown = transfer.memory()?.saturating_sub(before);
            assert!(sent < (PIECES * PIECE) as u64, "{protocol:?}: everything was taken, though nobody read");
            assert!(grown < MEMORY, "{protocol:?}: {grown} bytes more for {sent} that nobody read");
            flow.read_on();
            anyhow::Ok(())
        };
        let (answer, sent, watched) = tokio::join!(wire.send(request), send, watch);
        sent.and(watched)?;
        let heard = Heard::read(answer?).await?;
        assert_eq!(heard.text(), (PIECES * PIECE).to_string(), "{protocol:?}");
    }
    Ok(())
}
