//! A WebSocket over whatever HTTP a client speaks: an upgrade (RFC 6455) or an extended CONNECT (RFC 8441).

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method, StatusCode};
use hyper::{ext::Protocol as Extended, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use url::Url;

use crate::{
    raw::PATIENCE,
    wire::{Heard, Wire, nothing},
};

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    /// The head with which it was opened.
    pub headers: HeaderMap,
    stream: WebSocketStream<TokioIo<Upgraded>>,
}

/// How one ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a code and a word why.
    Closed(u16, String),
    /// Without a word.
    BrokenOff,
}

impl WebSocket {
    /// Asks for one as a browser would from a page of the same origin; a refusal comes back as it was read.
    pub async fn open(wire: &mut Wire, url: &Url, cookie: &str) -> anyhow::Result<Result<Self, Heard>> {
        Self::open_from(wire, url, &url.origin().ascii_serialization(), cookie).await
    }

    /// The same, from a page of any origin.
    pub async fn open_from(
        wire: &mut Wire,
        url: &Url,
        origin: &str,
        cookie: &str,
    ) -> anyhow::Result<Result<Self, Heard>> {
        let (asked, opened) = match wire {
            Wire::Http1(_) => {
                let asked = wire.request(Method::GET, url).header("connection", "Upgrade");
                let asked =
                    asked.header("upgrade", "websocket").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
                (asked, StatusCode::SWITCHING_PROTOCOLS)
            }
            Wire::Http2(_) => {
                let asked = wire.request(Method::CONNECT, url).extension(Extended::from_static("websocket"));
                (asked, StatusCode::OK)
            }
        };
        let asked = asked.header("sec-websocket-version", "13").header("origin", origin).header("cookie", cookie);
        let mut answer = wire.send(asked.body(nothing())?).await?;
        if answer.status() != opened {
            return Ok(Err(Heard::read(answer).await?));
        }
        let headers = answer.headers().clone();
        let stream = TokioIo::new(hyper::upgrade::on(&mut answer).await?);
        let stream = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        Ok(Ok(Self { headers, stream }))
    }

    /// Sends a message and gives the one that comes back.
    pub async fn echo(&mut self, message: Message) -> anyhow::Result<Message> {
        self.stream.send(message).await?;
        timeout(PATIENCE, self.stream.next())
            .await
            .context("nothing comes back")?
            .context("it ended")?
            .map_err(Into::into)
    }

    /// Sends a message and waits for no other.
    pub async fn tell(&mut self, message: Message) -> anyhow::Result<()> {
        Ok(self.stream.send(message).await?)
    }

    /// Waits for the end.
    pub async fn end(mut self) -> anyhow::Result<End> {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.context("it does not end")? {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Ok(End::Closed(frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(Message::Close(None))) => bail!("closed without a code"),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(End::BrokenOff),
            }
        }
    }
}
