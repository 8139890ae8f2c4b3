//! Requests and streams of events over whatever version of HTTP the client speaks.

use anyhow::Context;
use bytes::Bytes;
use cardea_tests::{
    raw::PATIENCE,
    wire::{Heard, Protocol, Sent, Wire, nothing},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::time::timeout;

use super::{
    Seen,
    house::{Cell, Outcome, Service},
};

/// Where tonic's service dies.
const LAST_WORDS: &str = "/last-words";

/// What is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    Get,
    Head,
    Post,
    /// With a service that speaks HTTP/2 itself.
    ToHttp2,
}

impl Exchange {
    fn path(self, cell: &Cell<'_>) -> String {
        let broken = cell.outcome == Outcome::Broken;
        match self {
            Self::ToHttp2 => if broken { LAST_WORDS } else { "/hello" }.to_owned(),
            Self::Head if broken => "/does/hang-up".to_owned(),
            _ if broken => cell.house.echo.dying(),
            Self::Get | Self::Head => "/does/hello".to_owned(),
            Self::Post => "/does/echo".to_owned(),
        }
    }

    fn service(self) -> Service {
        if self == Self::ToHttp2 { Service::Tonic } else { Service::Echo }
    }
}

pub(super) async fn speak(cell: &Cell<'_>, protocol: Protocol, exchange: Exchange) -> anyhow::Result<Seen> {
    let (method, body) = match exchange {
        Exchange::Head => (Method::HEAD, nothing()),
        Exchange::Post => (Method::POST, with_trailers()),
        _ => (Method::GET, nothing()),
    };
    let path = exchange.path(cell);
    let mut answer = ask(cell, protocol, (method, exchange.service(), &path), body).await?;
    if cell.outcome == Outcome::Broken && exchange != Exchange::Head {
        dies(cell, &mut answer, &path).await?;
    }
    let heard = Heard::read(answer).await?;
    let status = heard.status.as_u16();
    let told = match exchange {
        Exchange::Head if status == 200 => format!(" length {}", heard.header("content-length").unwrap_or_default()),
        Exchange::Head => String::new(),
        _ if heard.broken_off => " broken off".to_owned(),
        _ if heard.trailers.is_empty() => format!(" {}", heard.reason().unwrap_or_else(|| heard.text())),
        _ => format!(" {} {}", heard.text(), trailers(&heard)),
    };
    Ok(Seen { told: format!("{status}{told}"), entry: heard.header("x-request-id").map(str::to_owned) })
}

/// Of no announced length: over HTTP/1.1 only a body in chunks has trailers.
fn with_trailers() -> Sent {
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))]);
    let frames = [Frame::data(Bytes::from("said")), Frame::trailers(trailers)].map(Ok);
    StreamBody::new(tokio_stream::iter(frames)).boxed_unsync()
}

fn trailers(heard: &Heard) -> String {
    let lines = heard.trailers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?")));
    lines.collect::<Vec<_>>().join(", ")
}

/// Lets the service die, now that the first piece of its answer has come. A head that is not yet sent when its stream
/// breaks off is not sent any more.
async fn dies(cell: &Cell<'_>, answer: &mut http::Response<Incoming>, path: &str) -> anyhow::Result<Bytes> {
    let first = timeout(PATIENCE, answer.frame()).await.context("nothing comes")?.context("it ended before")??;
    if path == LAST_WORDS {
        cell.house.tonic.says_its_last_words();
    } else {
        cell.house.echo.die(path);
    }
    Ok(first.into_data().unwrap_or_default())
}

/// Listens to events until the first has come; the stream is open all the while.
pub(super) async fn listen(cell: &Cell<'_>, protocol: Protocol) -> anyhow::Result<Seen> {
    let path = if cell.outcome == Outcome::Broken { cell.house.echo.dying() } else { "/does/events".to_owned() };
    let mut answer = ask(cell, protocol, (Method::GET, Service::Echo, &path), nothing()).await?;
    let entry = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    if answer.status() != 200 {
        let heard = Heard::read(answer).await?;
        return Ok(Seen { told: format!("{} {}", heard.status.as_u16(), heard.reason().unwrap_or_default()), entry });
    }
    let first = dies(cell, &mut answer, &path).await?;
    let mut told = format!("200 {}", String::from_utf8_lossy(&first).trim());
    if cell.outcome == Outcome::Broken && Heard::read(answer).await?.broken_off {
        told.push_str(" broken off");
    }
    Ok(Seen { told, entry })
}

async fn ask(
    cell: &Cell<'_>,
    protocol: Protocol,
    (method, service, path): (Method, Service, &str),
    body: Sent,
) -> anyhow::Result<http::Response<Incoming>> {
    let url = cell.url(service, path)?;
    let mut wire = Wire::open(protocol, &url).await?;
    let trailers = method == Method::POST;
    let mut request = wire.request(method, &url);
    let cookie = cell.cookie(service);
    if trailers {
        request = request.header("trailer", "x-sum").header("te", "trailers");
    }
    if !cookie.is_empty() {
        request = request.header("cookie", cookie);
    }
    wire.send(request.body(body)?).await
}
