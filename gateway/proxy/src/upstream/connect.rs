//! Opening a connection to a service, and what can go wrong with one.

use std::{error::Error as StdError, io, time::Duration};

use cardea_core::Reason;
use hyper::{
    client::conn::{http1, http2},
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Upstream,
    pool::{Link, Sender},
    tls,
};
use crate::Body;

/// Largest head of an answer. Twice what we usually take from clients: services are trusted further.
const HEAD_MAX: usize = 64 * 1024;

/// How long a connection takes new requests, at most. Ten minutes: a sixth of a certificate's usual life, so that who
/// is no longer certified is soon not spoken to; and the service's name is looked up anew.
const AGE: Duration = Duration::from_secs(600);

impl Upstream {
    /// Opens a connection and speaks what both sides can.
    pub(super) async fn connect(&self) -> Result<Link, Reason> {
        let http1 = |sender, until| Link { sender: Sender::Http1(sender), until };
        let Some(tls) = &self.tls else {
            let sender = handshake_http1(TokioIo::new(self.dial().await?)).await?;
            return Ok(http1(sender, Instant::now() + AGE));
        };
        let (stream, until) = self.secure(&tls.any).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Ok(http1(handshake_http1(TokioIo::new(stream)).await?, until));
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_header_list_size(65_536)
            .keep_alive_interval(Duration::from_secs(20))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| reason_of(&error))?;
        tokio::spawn(connection);
        self.pool.share(&sender, until);
        Ok(Link { sender: Sender::Http2(sender), until })
    }

    /// Opens a connection that can become a tunnel; it is never shared.
    pub(super) async fn connect_http1(&self) -> Result<(http1::SendRequest<Body>, Instant), Reason> {
        let Some(tls) = &self.tls else {
            let sender = handshake_http1(TokioIo::new(self.dial().await?)).await?;
            return Ok((sender, Instant::now() + AGE));
        };
        let (stream, until) = self.secure(&tls.http1).await?;
        Ok((handshake_http1(TokioIo::new(stream)).await?, until))
    }

    async fn dial(&self) -> Result<TcpStream, Reason> {
        let limit = Duration::from_secs(self.spec.connect_seconds.into());
        let opened = tokio::time::timeout(limit, TcpStream::connect((self.host.as_str(), self.port))).await;
        let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", limit.as_secs())));
        let stream = opened.unwrap_or_else(late).map_err(|error| {
            tracing::warn!(upstream = %self.host, %error, "the service cannot be reached");
            Reason::UpstreamUnreachable
        })?;
        // Best effort: without it answers are only slower.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// A connection whose service has proved who it is, and until when it may be used.
    async fn secure(&self, connector: &TlsConnector) -> Result<(TlsStream<TcpStream>, Instant), Reason> {
        let name = self.name.clone().ok_or(Reason::Internal)?;
        // Before the handshake: what is renewed meanwhile can only live longer.
        let ours = tls::shown(connector.config());
        let stream = self.dial().await?;
        let limit = Duration::from_secs(self.spec.connect_seconds.into());
        match tokio::time::timeout(limit, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => {
                let theirs = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let left = tls::left(connector.config(), ours.iter().chain(theirs));
                Ok((stream, Instant::now() + left.min(AGE)))
            }
            Ok(Err(error)) => {
                tracing::warn!(upstream = %self.host, %error, "the service's identity could not be established");
                Err(if is_about_identity(&error) { Reason::UpstreamIdentity } else { Reason::UpstreamUnreachable })
            }
            Err(_) => Err(Reason::UpstreamUnreachable),
        }
    }
}

async fn handshake_http1<IO>(io: IO) -> Result<http1::SendRequest<Body>, Reason>
where
    IO: Read + Write + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::Builder::new().max_header_size(HEAD_MAX).handshake(io).await.map_err(|error| reason_of(&error))?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

/// Why an exchange with a service failed.
pub(super) fn reason_of(error: &hyper::Error) -> Reason {
    if error.is_user() {
        // The request's own body broke off: the client went away, or its framing was no good.
        return Reason::ClientGone;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(found) = cause {
        if found.downcast_ref::<io::Error>().is_some_and(is_about_identity) {
            return Reason::UpstreamIdentity;
        }
        cause = found.source();
    }
    Reason::UpstreamBroken
}

/// Whether one side did not accept who the other is. In TLS 1.3 the service's no to our certificate comes only with
/// the first read.
fn is_about_identity(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        inner,
        Some(
            rustls::Error::InvalidCertificate(_)
                | rustls::Error::NoCertificatesPresented
                | rustls::Error::AlertReceived(_)
                | rustls::Error::InvalidCertRevocationList(_)
        )
    )
}
