//! Connections of a client that chooses its protocol, and the requests of a caller over them.

use std::{convert::Infallible, fmt};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, request::Builder};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};
use url::Url;

use crate::{raw::PATIENCE, tls};

/// What a request sends.
pub type Sent = UnsyncBoxBody<Bytes, Infallible>;

/// Nothing to send.
pub fn nothing() -> Sent {
    whole("")
}

/// A body known from the beginning.
pub fn whole(bytes: impl Into<Bytes>) -> Sent {
    http_body_util::Full::new(bytes.into()).boxed_unsync()
}

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 over TLS.
    Http1,
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/2 over TLS.
    Http2,
    /// HTTP/2 without TLS, from the first byte.
    PriorKnowledge,
}

/// A connection.
pub enum Wire {
    /// To send HTTP/1.1 over.
    Http1(http1::SendRequest<Sent>),
    /// To send HTTP/2 over.
    Http2(http2::SendRequest<Sent>),
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1(_) => "HTTP/1.1",
            Self::Http2(_) => "HTTP/2",
        })
    }
}

impl Wire {
    /// Connects to the gateway at `url`.
    pub async fn open(protocol: Protocol, url: &Url) -> anyhow::Result<Self> {
        let host = url.host_str().context("no host")?;
        let port = url.port_or_known_default().context("no port")?;
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        match protocol {
            Protocol::Http1 => {
                let stream = TokioIo::new(tls::over(stream, host, "http/1.1").await?);
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection.with_upgrades());
                Ok(Self::Http1(sender))
            }
            Protocol::Plain => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(Self::Http1(sender))
            }
            Protocol::Http2 => {
                let stream = TokioIo::new(tls::over(stream, host, "h2").await?);
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                sender.ready().await?;
                Ok(Self::Http2(sender))
            }
            Protocol::PriorKnowledge => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(Self::Http2(sender))
            }
        }
    }

    /// A request as this protocol writes its address.
    pub fn request(&self, method: Method, url: &Url) -> Builder {
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        match self {
            Self::Http1(_) => Request::builder().method(method).uri(target).header(header::HOST, authority),
            Self::Http2(_) => Request::builder().method(method).version(http::Version::HTTP_2).uri(url.as_str()),
        }
    }

    /// Sends it; the answer's head must come in time.
    pub async fn send(&mut self, request: Request<Sent>) -> anyhow::Result<Response<Incoming>> {
        let answer = async {
            match self {
                Self::Http1(sender) => sender.send_request(request).await,
                Self::Http2(sender) => sender.send_request(request).await,
            }
        };
        Ok(timeout(PATIENCE, answer).await.context("no answer")??)
    }
}

/// An answer, read to its end or to where it broke off.
#[derive(Debug)]
pub struct Heard {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// What came of the body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: HeaderMap,
    /// It did not end as it should.
    pub broken_off: bool,
}

impl Heard {
    /// Reads an answer.
    pub async fn read(answer: Response<Incoming>) -> anyhow::Result<Self> {
        let (head, mut rest) = answer.into_parts();
        let (status, headers) = (head.status, head.headers);
        let mut heard = Self { status, headers, body: Vec::new(), trailers: HeaderMap::new(), broken_off: false };
        while let Some(frame) = timeout(PATIENCE, rest.frame()).await.context("the answer does not end")? {
            match frame.map(Frame::into_data) {
                Ok(Ok(bytes)) => heard.body.extend_from_slice(&bytes),
                Ok(Err(frame)) => heard.trailers.extend(frame.into_trailers().unwrap_or_default()),
                Err(_) => heard.broken_off = true,
            }
            if heard.broken_off {
                break;
            }
        }
        Ok(heard)
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The reason that a problem document names.
    pub fn reason(&self) -> Option<String> {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(problem["reason"].as_str()?.to_owned())
    }
}
