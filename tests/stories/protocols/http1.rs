//! HTTP/1.1 over TLS, byte by byte.

use anyhow::Context;
use cardea_tests::raw::{Open, RawReply};

use super::{
    Seen,
    house::{Cell, Outcome, Service},
};

/// What is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    Get,
    /// With the whole address in the request line (RFC 9112 section 3.2.2).
    Absolute,
    Head,
    Range,
    Post,
    /// A body in chunks and trailers, in both directions.
    Chunks,
    /// The body only after `100 Continue` (RFC 9110 section 10.1.1).
    Expect,
    /// The service says `103 Early Hints` first.
    Hints,
}

impl Exchange {
    fn method(self) -> &'static str {
        match self {
            Self::Head => "HEAD",
            Self::Post | Self::Chunks | Self::Expect => "POST",
            _ => "GET",
        }
    }

    fn path(self, outcome: Outcome) -> &'static str {
        match self {
            // Without a body there is nothing to break off in the middle of.
            Self::Head if outcome == Outcome::Broken => "/does/hang-up",
            _ if outcome == Outcome::Broken => "/does/break-off",
            Self::Get | Self::Absolute | Self::Head => "/does/hello",
            Self::Range => "/does/part",
            Self::Post | Self::Chunks | Self::Expect => "/does/echo",
            Self::Hints => "/does/hints",
        }
    }

    fn headers(self) -> &'static str {
        match self {
            Self::Range => "range: bytes=2-4\r\n",
            Self::Post => "content-length: 4\r\n",
            Self::Chunks => "transfer-encoding: chunked\r\ntrailer: x-sum\r\nte: trailers\r\n",
            Self::Expect => "expect: 100-continue\r\ncontent-length: 4\r\n",
            _ => "",
        }
    }
}

pub(super) async fn speak(cell: &Cell<'_>, exchange: Exchange) -> anyhow::Result<Seen> {
    let url = cell.url(Service::Echo, exchange.path(cell.outcome))?;
    let host = url.host_str().context("no host")?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let target = if exchange == Exchange::Absolute { url.as_str() } else { url.path() };
    let cookie = cell.cookie(Service::Echo);
    let cookie = if cookie.is_empty() { cookie } else { format!("cookie: {cookie}\r\n") };
    let head = format!(
        "{} {target} HTTP/1.1\r\nhost: {authority}\r\n{cookie}{}connection: close\r\n\r\n",
        exchange.method(),
        exchange.headers()
    );
    let body = match exchange {
        Exchange::Post => "said",
        Exchange::Chunks => "2\r\nsa\r\n2\r\nid\r\n0\r\nx-sum: 7\r\n\r\n",
        _ => "",
    };
    let mut open = Open::over_tls(cell.door.gateway.on.port, host, (head + body).as_bytes()).await?;
    if exchange != Exchange::Expect || !open.until("\r\n\r\n").await?.starts_with("HTTP/1.1 100") {
        return Ok(seen(exchange, &open.rest().await?, ""));
    }
    open.send(b"said").await?;
    let all = open.rest().await?;
    let (_, reply) = all.0.split_once("\r\n\r\n").context("nothing after 100")?;
    Ok(seen(exchange, &RawReply(reply.to_owned()), "100, "))
}

fn seen(exchange: Exchange, reply: &RawReply, before: &str) -> Seen {
    let status = reply.status();
    let told = match reply.body() {
        _ if exchange == Exchange::Head && status == 200 => {
            format!(" length {}", reply.header("content-length").unwrap_or_default())
        }
        _ if exchange == Exchange::Head => String::new(),
        None => " broken off".to_owned(),
        Some(_) if status >= 400 => format!(" {}", reply.reason().unwrap_or_default()),
        Some(body) => {
            let part = reply.header("content-range").map(|part| format!(" {part}")).unwrap_or_default();
            let trailers = reply.trailers();
            let trailers = if trailers.is_empty() { trailers } else { format!(" {trailers}") };
            format!("{part} {body}{trailers}")
        }
    };
    Seen { told: format!("{before}{status}{told}"), entry: reply.header("x-request-id").map(str::to_owned) }
}
