//! Opening a connection to an address of a service, and what can go wrong with one.

use std::{
    error::Error as StdError,
    future::{Future, poll_fn},
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cardea_core::{Reason, resources::Protocol};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::MutexGuard,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Upstream,
    endpoint::Endpoint,
    pool::{Link, Sender, Wanted},
    room::{self, Slot, WAIT},
    tls,
    wire::Wire,
};
use crate::keepalive::keep_alive;

/// Largest head of an answer. Twice what we usually take from clients: services are trusted further.
const HEAD_MAX: usize = 64 * 1024;

/// How long a connection takes new requests, at most. Ten minutes: a sixth of a certificate's usual life, so that who
/// is no longer certified is soon not spoken to.
const AGE: Duration = Duration::from_secs(600);

/// How often an HTTP/2 connection with requests under way is asked for a sign of life, and how long one may take.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// Stands for: the service has not said yet how many requests it takes at once. No service can say as much.
const UNSAID: usize = usize::MAX / 2;

/// Room for a connection, or one that was given back while waiting for it.
enum Entry {
    Slot(Slot),
    Link(Link),
}

impl Upstream {
    /// A new connection, or one that was given back meanwhile; over HTTP/2, a place on one. Where there is no room, it is
    /// waited for only if `waits`, or if one that nobody uses could be closed.
    pub(super) async fn open(
        &self,
        endpoint: &Endpoint,
        wanted: Wanted,
        grpc: bool,
        waits: bool,
    ) -> Result<Link, Reason> {
        if wanted == Wanted::Http2 {
            let _turn = self.turn(endpoint).await?;
            if let Some(link) = endpoint.pool.take(wanted) {
                return Ok(link);
            }
            if let Ok(slot) = self.room.try_enter() {
                return self.connect(endpoint, grpc, slot).await;
            }
        }
        // Outside of the turn: who waits for room is in nobody's way.
        let slot = match self.room_for(endpoint, Some(wanted), waits).await? {
            Entry::Link(link) => return Ok(link),
            Entry::Slot(slot) => slot,
        };
        if wanted != Wanted::Http2 {
            return self.connect(endpoint, grpc, slot).await;
        }
        let _turn = self.turn(endpoint).await?;
        match endpoint.pool.take(wanted) {
            Some(link) => Ok(link),
            None => self.connect(endpoint, grpc, slot).await,
        }
    }

    /// One opens an HTTP/2 connection and the others share it: else a burst of calls would open a connection each.
    async fn turn<'a>(&self, endpoint: &'a Endpoint) -> Result<MutexGuard<'a, ()>, Reason> {
        let turn = tokio::time::timeout(self.connect_limit(), endpoint.opening.lock()).await;
        turn.map_err(|_| Reason::UpstreamUnreachable)
    }

    /// Opens a connection that can become a tunnel; it is never shared.
    pub(super) async fn open_http1(&self, endpoint: &Endpoint) -> Result<Link, Reason> {
        match self.room_for(endpoint, None, true).await? {
            Entry::Slot(slot) => match &self.tls {
                None => begin_http1(self.dial(endpoint).await?, slot, Instant::now() + AGE).await,
                Some(tls) => {
                    let (stream, until) = self.secure(endpoint, &tls.http1).await?;
                    begin_http1(stream, slot, until).await
                }
            },
            Entry::Link(link) => Ok(link),
        }
    }

    /// Opens a connection if there is room for it now: for our own questions.
    pub(super) async fn open_aside(&self, endpoint: &Endpoint) -> Result<Link, Reason> {
        let slot = self.room.try_enter().map_err(|_| Reason::Overloaded)?;
        self.connect(endpoint, false, slot).await
    }

    async fn room_for(&self, endpoint: &Endpoint, wanted: Option<Wanted>, waits: bool) -> Result<Entry, Reason> {
        if let Ok(slot) = self.room.try_enter() {
            return Ok(Entry::Slot(slot));
        }
        let mut line = self.room.wait();
        let late = Instant::now() + WAIT;
        loop {
            if let Some(link) = wanted.and_then(|wanted| endpoint.pool.take(wanted)) {
                return Ok(Entry::Link(link));
            }
            // One that nobody uses elsewhere has the place of one that is needed here.
            let shed = if line.is_at_tenants() { self.room.tenant().shed() } else { room::shed(&self.fleet) };
            if !shed && !waits {
                return Err(Reason::Overloaded);
            }
            match tokio::time::timeout_at(late, line.step()).await {
                Ok(Some(slot)) => return Ok(Entry::Slot(slot)),
                Ok(None) => {}
                Err(_) => return Err(Reason::Overloaded),
            }
        }
    }

    async fn connect(&self, endpoint: &Endpoint, grpc: bool, slot: Slot) -> Result<Link, Reason> {
        let Some(tls) = &self.tls else {
            let (stream, until) = (self.dial(endpoint).await?, Instant::now() + AGE);
            return match self.spec.protocol {
                Protocol::Http2 => self.begin_http2(endpoint, stream, slot, until).await,
                Protocol::Auto | Protocol::Http1 => begin_http1(stream, slot, until).await,
            };
        };
        let lacks_http2 = || endpoint.lacks_http2.load(Ordering::Relaxed);
        let grpc = grpc && !lacks_http2();
        let connector = match (self.spec.protocol, grpc) {
            (Protocol::Auto, false) => &tls.any,
            (Protocol::Http1, _) => &tls.http1,
            (Protocol::Auto, true) | (Protocol::Http2, _) => &tls.http2,
        };
        let (stream, until) = match self.secure(endpoint, connector).await {
            // It turned out to speak HTTP/1.1 only: better a call that it may understand than none.
            Err(_) if self.spec.protocol == Protocol::Auto && grpc && lacks_http2() => {
                self.secure(endpoint, &tls.any).await?
            }
            secured => secured?,
        };
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        match (self.spec.protocol, http2) {
            (Protocol::Http2, false) => {
                if let Some(times) = endpoint.unproven.due() {
                    let (tenant, app) = self.owner();
                    tracing::warn!(
                        tenant, app, service = %endpoint.target.host, address = %endpoint.address, times,
                        "the service does not speak HTTP/2"
                    );
                }
                return Err(Reason::UpstreamBroken);
            }
            (Protocol::Auto, _) if !grpc => endpoint.lacks_http1.store(http2, Ordering::Relaxed),
            (Protocol::Auto, false) => endpoint.lacks_http2.store(true, Ordering::Relaxed),
            _ => {}
        }
        if http2 {
            self.begin_http2(endpoint, stream, slot, until).await
        } else {
            begin_http1(stream, slot, until).await
        }
    }

    async fn begin_http2<IO>(&self, endpoint: &Endpoint, io: IO, slot: Slot, until: Instant) -> Result<Link, Reason>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (wire, _) = Wire::new(io, slot);
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_header_list_size(65_536)
            .keep_alive_interval(SIGN_OF_LIFE)
            .initial_max_send_streams(UNSAID)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| reason_of(&error))?;
        let mut connection = Box::pin(connection);
        let late = Instant::now() + self.connect_limit();
        // The service says first of all how many requests it takes at once (RFC 9113 section 3.4). Nobody tells when it
        // has, so it is looked for.
        while connection.current_max_send_streams() == UNSAID {
            tokio::select! {
                _ended = &mut connection => return Err(Reason::UpstreamBroken),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            if Instant::now() > late {
                return Err(Reason::UpstreamBroken);
            }
        }
        let most = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
        let told = Arc::clone(&most);
        tokio::spawn(poll_fn(move |cx| {
            let ended = connection.as_mut().poll(cx);
            told.store(connection.current_max_send_streams(), Ordering::Relaxed);
            ended
        }));
        endpoint.pool.share(sender, until, most).ok_or(Reason::UpstreamBroken)
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<TcpStream, Reason> {
        let limit = self.connect_limit();
        let opened = tokio::time::timeout(limit, TcpStream::connect(endpoint.address)).await;
        let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", limit.as_secs())));
        let stream = opened.unwrap_or_else(late).map_err(|error| {
            if let Some(times) = endpoint.unreached.due() {
                let (tenant, app) = self.owner();
                tracing::warn!(
                    tenant, app, service = %endpoint.target.host, address = %endpoint.address, %error, times,
                    "the service cannot be reached"
                );
            }
            Reason::UpstreamUnreachable
        })?;
        // Best effort: without it answers are only slower.
        let _ = stream.set_nodelay(true);
        keep_alive(&stream);
        Ok(stream)
    }

    /// A connection whose service has proved who it is, and until when it may be used.
    async fn secure(
        &self,
        endpoint: &Endpoint,
        connector: &TlsConnector,
    ) -> Result<(TlsStream<TcpStream>, Instant), Reason> {
        let name = endpoint.target.name.clone().ok_or(Reason::Internal)?;
        // Before the handshake: what is renewed meanwhile can only live longer.
        let ours = tls::shown(connector.config());
        let stream = self.dial(endpoint).await?;
        match tokio::time::timeout(self.connect_limit(), connector.connect(name, stream)).await {
            Ok(Ok(stream)) => {
                let theirs = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let left = tls::left(connector.config(), ours.iter().chain(theirs));
                Ok((stream, Instant::now() + left.min(AGE)))
            }
            Ok(Err(error)) => {
                if declines_protocol(&error) {
                    endpoint.lacks_http2.store(true, Ordering::Relaxed);
                }
                if let Some(times) = endpoint.unproven.due() {
                    let (tenant, app) = self.owner();
                    tracing::warn!(
                        tenant, app, service = %endpoint.target.host, address = %endpoint.address, %error, times,
                        "the service's identity could not be established"
                    );
                }
                Err(if is_about_identity(&error) { Reason::UpstreamIdentity } else { Reason::UpstreamUnreachable })
            }
            Err(_) => Err(Reason::UpstreamUnreachable),
        }
    }
}

async fn begin_http1<IO>(io: IO, slot: Slot, until: Instant) -> Result<Link, Reason>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (wire, heard) = Wire::new(io, slot);
    let begun = http1::Builder::new().max_header_size(HEAD_MAX).handshake(TokioIo::new(wire)).await;
    let (sender, connection) = begun.map_err(|error| reason_of(&error))?;
    tokio::spawn(connection.with_upgrades());
    Ok(Link { sender: Sender::Http1(sender, heard), until, kept: false })
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

/// Whether the service speaks none of the protocols that were offered.
fn declines_protocol(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)))
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Transport, keepalive};

    #[tokio::test]
    async fn a_service_that_has_vanished_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spec = format!("url = 'http://{}'", listener.local_addr().unwrap());
        let upstream = Upstream::new(&toml::from_str(&spec).unwrap(), Transport::Plain).unwrap();
        let endpoint = Arc::clone(&upstream.fleet.load()[0]);
        let stream = upstream.dial(&endpoint).await.unwrap();
        assert_eq!(keepalive::told(&stream), (true, 60, 15, 4));
    }
}
