//! One connection from its first byte to its last: TLS, the choice of HTTP, its requests, and its end.
//!
//! Over TLS, ALPN settles which HTTP is spoken; a plain connection's first bytes do.

use std::{convert::Infallible, error::Error as _, pin::Pin, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION};
use hyper::{body::Incoming, server::conn::http2, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Place,
    opening::{self, Turned},
    quiet::{self, Quiet, Turn},
    resting::Resting,
};
use crate::{
    ClientCertificate, Connection, Drain, Limits, Proxy, Settings,
    body::Held,
    framing::{Bounds, Flood, Frames, Guard},
    keepalive::keep_alive,
    metrics::Counted,
    room,
};

/// Time to end after the word to do so, for whoever asks for nothing. Ten seconds: the word and its answer travel twice.
const LAST_WORD: Duration = Duration::from_secs(10);

pub(super) struct Serving {
    pub(super) proxy: Arc<Proxy>,
    /// Those that the connection was accepted under.
    pub(super) settings: Arc<Settings>,
    pub(super) drain: Drain,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) proxy_protocol: bool,
}

impl Serving {
    pub(super) async fn connection(self, stream: TcpStream, connection: Connection, room: room::Place) {
        let peer = connection.peer;
        if let Err(turned) = self.opened(stream, connection, room).await {
            self.proxy.metrics().turned_away(turned);
            tracing::debug!(%peer, why = turned.code(), "a connection was turned away");
        }
    }

    async fn opened(&self, mut stream: TcpStream, mut connection: Connection, room: room::Place) -> Result<(), Turned> {
        let limits = &self.settings.limits;
        prepare(&stream, limits);
        let client = opening::client((&self.proxy, &self.settings), &mut stream, connection.peer, self.proxy_protocol);
        let opening::Client { address, speaks_for_others, seat } = client.await?;
        (connection.peer, connection.speaks_for_others) = (address, speaks_for_others);
        if seat.is_none() {
            connection.watch.becomes_known();
        }
        if let Some(pause) = seat.as_ref().and_then(|seat| seat.pause(Instant::now())) {
            sleep(pause).await;
        }
        connection.place = Some(Arc::new(Place { room, seat }));
        match self.tls.clone() {
            Some(tls) => self.secured(stream, connection, tls, limits).await,
            None => self.plain(stream, connection, limits).await?,
        }
        Ok(())
    }

    async fn plain(&self, stream: TcpStream, connection: Connection, limits: &Limits) -> Result<(), Turned> {
        // No request is made before these bytes have come, so the time for that is theirs.
        let sniffed = tokio::select! {
            sniffed = tokio::time::timeout(limits.idle, opening::sniff(stream)) => sniffed,
            () = self.drain.begun() => return Ok(()),
            leaving = quiet::from_the_start(&self.proxy.room, &connection, limits.idle) => {
                // The place first: until it is given back, nobody else need leave for the one who waits.
                drop((connection, leaving));
                return Err(Turned::MadeRoom);
            }
        };
        match sniffed.map_err(|_| Turned::TooSlow)? {
            Ok((true, stream)) => self.http2(stream, connection, limits).await,
            Ok((false, stream)) => self.http1(stream, connection, limits).await,
            // Gone before it said anything.
            Err(_) => {}
        }
        Ok(())
    }

    /// INVARIANT: what a connection needs for its handshake alone, and for a request alone, is boxed, and given back when
    /// that is over: most of a gateway's connections are idle, and each holds what its future holds. A future keeps room for
    /// all that it ever held across a wait, twice for what it waits for: so the stream goes from the handshake straight to
    /// whoever serves it, and that one is boxed too.
    fn secured<'a>(
        &'a self,
        stream: TcpStream,
        connection: Connection,
        tls: TlsAcceptor,
        limits: &'a Limits,
    ) -> impl Future<Output = ()> + Send + 'a {
        let shaken = Box::pin(self.shake_hands(stream, connection, tls, limits));
        async move {
            if let Some(serving) = shaken.await {
                serving.await;
            }
        }
    }

    /// Who serves the stream, by the HTTP that was settled on, with what was shown of the client.
    async fn shake_hands(
        &self,
        stream: TcpStream,
        mut connection: Connection,
        tls: TlsAcceptor,
        limits: &Limits,
    ) -> Option<BoxFuture<'_, ()>> {
        let handshakes = &self.proxy.metrics().handshakes;
        let shaking = async {
            // A turn is for what was heard, not for listening.
            stream.readable().await?;
            self.proxy.turns.in_turns(tls.accept(stream)).await
        };
        let stream = match tokio::time::timeout(limits.handshake, shaking).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                handshakes.failed(&error);
                tracing::debug!(peer = %connection.peer, %error, "handshake failed");
                return None;
            }
            Err(_) => {
                handshakes.timed_out();
                tracing::debug!(peer = %connection.peer, "handshake took too long");
                return None;
            }
        };
        if !shown(&stream, &mut connection) {
            handshakes.unnamed();
            tracing::debug!(peer = %connection.peer, "a client certificate without one SPIFFE ID");
            return None;
        }
        handshakes.done();
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            return Some(self.http2(stream, connection, limits));
        }
        Some(self.http1(stream, connection, limits))
    }

    fn http1<IO>(&self, stream: IO, connection: Connection, limits: &Limits) -> BoxFuture<'_, ()>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let bounds = Bounds { head: limits.header_bytes, fields: limits.headers, time: limits.head };
        let guarded = Guard::new(stream, Arc::clone(&connection.watch), bounds);
        let connection = Arc::new(connection);
        let service = service(Arc::clone(&self.proxy), Arc::clone(&connection), self.drain.clone());
        let asleep = self.proxy.metrics().resting.clone();
        let mut serving = Resting::new(guarded, service, limits.headers, Arc::clone(&connection.watch), asleep);
        let idle = limits.idle;
        Box::pin(async move {
            let (end, rest) = (Resting::end as fn(Pin<&mut _>), Resting::rest as fn(Pin<&mut _>));
            self.keep(Pin::new(&mut serving), Words { end, rest: Some(rest) }, &connection, (idle, None)).await;
        })
    }

    fn http2<IO>(&self, stream: IO, connection: Connection, limits: &Limits) -> BoxFuture<'_, ()>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let counted = Frames::new(stream, Arc::clone(&connection.watch), limits);
        let connection = Arc::new(connection);
        let service = service(Arc::clone(&self.proxy), Arc::clone(&connection), self.drain.clone());
        let serving = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.http2_streams)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(256)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            // Windows bound what a client can make us hold: 256 KiB a stream, 1 MiB a connection.
            .initial_stream_window_size(262_144)
            .initial_connection_window_size(1_048_576)
            .max_send_buf_size(262_144)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .enable_connect_protocol()
            .serve_connection(TokioIo::new(counted), service);
        let (mut serving, times) = (Box::pin(serving), (limits.idle, Some(LAST_WORD)));
        Box::pin(async move {
            let words = Words { end: http2::Connection::graceful_shutdown, rest: None };
            self.keep(serving.as_mut(), words, &connection, times).await;
        })
    }

    /// Serves a connection until it ends, the gateway closes, its client's certificate ends, or it has asked for nothing for
    /// `idle`, or for less where others have no place. Who does not end within `last_word` after being told to is not waited
    /// for: HTTP/2 ends by agreement, and a client may not agree.
    async fn keep<C: Future<Output = hyper::Result<()>>>(
        &self,
        mut serving: Pin<&mut C>,
        words: Words<C>,
        connection: &Arc<Connection>,
        (idle, last_word): (Duration, Option<Duration>),
    ) {
        let _open = Counted::one_more(&self.proxy.metrics().connections);
        let mut quiet = Quiet::of(connection, &self.proxy.room, idle, words.rest.is_some());
        // HTTP/1 is let go of with an answer. Whoever comes while the gateway leaves has found no other, and is served.
        let by_agreement = words.rest.is_none() && !self.drain.is_leaving();
        let leaving = loop {
            let turn = tokio::select! {
                ended = serving.as_mut() => return self.tell(connection, ended.err()),
                () = self.drain.leaving(), if by_agreement => {
                    (words.end)(serving.as_mut());
                    return self.tell(connection, serving.await.err());
                }
                () = self.drain.begun() => {
                    (words.end)(serving.as_mut());
                    return self.tell(connection, serving.await.err());
                }
                turn = quiet.turn(&self.proxy) => turn,
            };
            match (turn, words.rest) {
                (Turn::Over(leaving), _) => break leaving,
                (Turn::Rest, Some(rest)) => rest(serving.as_mut()),
                (Turn::Rest, None) => {}
            }
        };
        (words.end)(serving.as_mut());
        if leaving.is_some() {
            self.proxy.metrics().turned_away(Turned::MadeRoom);
        }
        // Who waits for a place waits for no farewell.
        let mut patience = if leaving.is_some() { Some(Duration::ZERO) } else { last_word };
        let ended = loop {
            let Some(time) = patience else { break serving.await };
            match tokio::time::timeout(time, serving.as_mut()).await {
                Ok(ended) => break ended,
                Err(_) if quiet.is_busy() => patience = last_word,
                Err(_) => break Ok(()),
            }
        };
        self.tell(connection, ended.err());
    }

    /// Tells of an end that was not agreed on.
    fn tell(&self, connection: &Connection, error: Option<hyper::Error>) {
        let calmed = || {
            let h2 = error.as_ref()?.source()?.downcast_ref::<h2::Error>()?;
            (h2.is_library() && h2.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)).then_some(Flood::Frames)
        };
        if let Some(flood) = connection.watch.flood().or_else(calmed) {
            self.proxy.metrics().flooded(flood);
            connection.flooded();
            tracing::warn!(peer = %connection.peer, kind = flood.code(), "a flood was ended with its connection");
        } else if let Some(error) = error {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}

/// Best effort: without the first answers are only slower, and without the others the system has limits of its own.
fn prepare(stream: &TcpStream, limits: &Limits) {
    let _ = stream.set_nodelay(true);
    keep_alive(stream);
    // Counts also against a client whose window stays shut (tcp(7)).
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limits.stalled));
}

/// Notes what the handshake showed of the client. A certificate without one name is nobody's.
fn shown(stream: &TlsStream<TcpStream>, connection: &mut Connection) -> bool {
    let session = stream.get_ref().1;
    connection.tls = true;
    connection.sni = session.server_name().map(Arc::from);
    let Some(certificate) = session.peer_certificates().and_then(|chain| chain.first()) else { return true };
    connection.certificate = ClientCertificate::read(certificate).map(Arc::new);
    connection.certificate.is_some()
}

fn service(
    proxy: Arc<Proxy>,
    connection: Arc<Connection>,
    drain: Drain,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Held>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Held>, Infallible>> + Send + 'static,
> {
    service_fn(move |request: Request<Incoming>| {
        connection.watch.stir();
        if request.extensions().get::<OnUpgrade>().is_some() {
            connection.watch.stays_awake();
        }
        let (proxy, connection, drain) = (Arc::clone(&proxy), Arc::clone(&connection), drain.clone());
        Box::pin(async move {
            let by_version = request.version() < Version::HTTP_2;
            let mut answer = proxy.handle(&connection, request.map(Into::into)).await;
            if by_version && drain.is_leaving() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(answer.map(|body| Held::new(body, connection)))
        })
    })
}

/// What a served connection is told.
struct Words<C> {
    /// To end, when what is under way has ended.
    end: fn(Pin<&mut C>),
    /// To let go of what requests need, where it can.
    rest: Option<fn(Pin<&mut C>)>,
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::keepalive;

    #[tokio::test]
    async fn a_client_that_has_vanished_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(!keepalive::told(&stream).0);
        prepare(&stream, &Limits::default());
        assert_eq!(keepalive::told(&stream), (true, 60, 15, 4));
    }
}
