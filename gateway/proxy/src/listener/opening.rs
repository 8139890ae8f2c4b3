//! What is settled of a connection before HTTP is spoken on it: who its client is, whether that has room for
//! one more, and, on a plain one, which HTTP it speaks.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{crowd::Seat, proxy_protocol};
use crate::{Proxy, Settings};

/// Why a connection ended before a request could be made, or before another one could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Its client has as many as it may have.
    TooMany,
    /// It is no listed proxy, and the listener is for those only.
    Unlisted,
    /// What a listed proxy says of its client cannot be read.
    ProxyProtocol,
    /// What must come before TLS or the first request took too long.
    TooSlow,
    /// It was idle, and another had no place.
    MadeRoom,
}

impl Turned {
    /// All of them, for metrics.
    pub(crate) const ALL: [Self; 5] =
        [Self::TooMany, Self::Unlisted, Self::ProxyProtocol, Self::TooSlow, Self::MadeRoom];

    /// The word in metrics and log lines.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::TooMany => "too-many",
            Self::Unlisted => "unlisted-proxy",
            Self::ProxyProtocol => "proxy-protocol",
            Self::TooSlow => "too-slow",
            Self::MadeRoom => "made-room",
        }
    }
}

/// Who connects: the other end, or, where a listed proxy says so, that proxy's client.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    /// Whether it may be a proxy with clients of its own.
    pub(super) speaks_for_others: bool,
    /// Its room for one more; a listed proxy speaks for many, and has no limit of its own.
    pub(super) seat: Option<Seat>,
}

/// Hears who connects, and finds it room. INVARIANT: a proxy that names nobody is taken at its word: there is no client, so
/// nothing that is said on the connection is a client's, and it is trusted for nothing that a stranger is not.
pub(super) async fn client(
    (proxy, settings): (&Proxy, &Settings),
    stream: &mut TcpStream,
    peer: SocketAddr,
    proxy_protocol: bool,
) -> Result<Client, Turned> {
    let limits = &settings.limits;
    let listed = settings.trusts(peer.ip());
    let (address, speaks_for_others) = match (proxy_protocol, listed) {
        (false, _) => (peer, true),
        (true, false) => return Err(Turned::Unlisted),
        (true, true) => {
            let said = tokio::time::timeout(limits.handshake, proxy_protocol::client(stream)).await;
            let said = said.map_err(|_| Turned::TooSlow)?.map_err(|error| {
                tracing::warn!(%peer, %error, "a proxy's word cannot be used");
                Turned::ProxyProtocol
            })?;
            said.map_or((peer, false), |client| (client, true))
        }
    };
    let seat = if speaks_for_others && settings.trusts(address.ip()) {
        None
    } else {
        Some(proxy.crowd.admit(address.ip(), limits.connections_per_client).ok_or(Turned::TooMany)?)
    };
    Ok(Client { address, speaks_for_others, seat })
}

/// What every HTTP/2 connection begins with (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads a plain connection's first bytes, as many as it takes to know: HTTP/2 with prior knowledge, or HTTP/1. No
/// HTTP/1 request can begin with the preface's first line, so nothing has two readings. The bytes are read again by
/// whoever serves it.
pub(super) async fn sniff<IO: AsyncRead + Unpin>(mut io: IO) -> io::Result<(bool, Replayed<IO>)> {
    let (mut first, mut len) = ([0; PREFACE.len()], 0);
    while len < first.len() && first[..len] == PREFACE[..len] {
        match io.read(&mut first[len..]).await? {
            0 => break,
            read => len += read,
        }
    }
    let prior_knowledge = first == *PREFACE;
    Ok((prior_knowledge, Replayed { first, at: 0, len, io }))
}

/// A connection whose first bytes were looked at.
pub(super) struct Replayed<IO> {
    first: [u8; PREFACE.len()],
    at: usize,
    len: usize,
    io: IO,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Replayed<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == this.len {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let now = buf.remaining().min(this.len - this.at);
        buf.put_slice(&this.first[this.at..this.at + now]);
        this.at += now;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Replayed<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
