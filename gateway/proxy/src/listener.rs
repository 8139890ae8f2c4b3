//! Accepts connections, speaks TLS and HTTP, and hands each request to the pipeline.
//!
//! HTTP/1.1 or HTTP/2 is settled by ALPN; a plain listener speaks HTTP/1.1 only.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Body, Connection, Door, Drain, Proxy,
    framing::{FIELDS_MAX, Guard},
    room::Place,
    settings::Settings,
    upstream::tls::spiffe_id,
};

/// How a listener's connections are protected.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "rustls configurations print keys' names")]
pub enum Security {
    /// Plain HTTP; only on loopback addresses.
    Plain,
    /// TLS. ALPN, session tickets and early data are set by the listener; the certificate resolver and client
    /// verifier are the server's.
    Tls(Arc<rustls::ServerConfig>),
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Plain HTTP beyond this machine.
    #[error("listener `{0}` is plain HTTP on an address that is not loopback: give it `tls`")]
    PlainBeyondLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on `{address}`: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A bound listener.
#[allow(missing_debug_implementations, reason = "holds rustls configurations")]
pub struct Listener {
    socket: StdListener,
    address: SocketAddr,
    security: Security,
    door: Door,
}

/// Time for a TLS handshake. Ten seconds: three lost packets on a slow line.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Time for a request's head, and for a kept connection to say something. A minute and a quarter: what nginx allows,
/// so that proxies before us, tuned to it, close first.
const HEAD: Duration = Duration::from_secs(75);

/// How long to wait after the system refused a connection (too many open files): it will refuse the next one too.
const PAUSE: Duration = Duration::from_millis(100);

impl Listener {
    /// Binds an address. Port 0 takes a free one; see [`Listener::address`].
    pub fn bind(address: SocketAddr, security: Security, door: Door) -> Result<Self, ListenError> {
        if matches!(security, Security::Plain) && !address.ip().is_loopback() {
            return Err(ListenError::PlainBeyondLoopback(address));
        }
        let bind = |source| ListenError::Bind { address, source };
        let socket = open(address).map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        Ok(Self { socket, address, security, door })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` begins, then lets what is under way finish for at most `grace`.
    pub async fn serve(self, proxy: Arc<Proxy>, drain: Drain, grace: Duration) {
        let socket = match TcpListener::from_std(self.socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, address = %self.address, "the listener cannot be served");
                return;
            }
        };
        let tls = match &self.security {
            Security::Plain => None,
            Security::Tls(config) => Some(TlsAcceptor::from(tightened(config, self.door))),
        };
        let mut connections = JoinSet::new();
        while let Some((stream, peer, place)) = next(&socket, &proxy, &drain, &mut connections).await {
            let settings = proxy.settings();
            let serving = Serving { proxy: Arc::clone(&proxy), settings, drain: drain.clone() };
            let (tls, door) = (tls.clone(), self.door);
            let connection = Connection { place: Some(Arc::new(place)), ..Connection::plain(peer, door) };
            connections.spawn(serving.connection(stream, connection, tls));
        }
        drop(socket);
        proxy.tunnels.close();
        let all_ended = async {
            while connections.join_next().await.is_some() {}
            proxy.tunnels.wait().await;
        };
        if tokio::time::timeout(grace, all_ended).await.is_err() {
            proxy.cut_all();
            connections.shutdown().await;
        }
    }
}

/// The next connection, once there is room for it; none once the gateway closes down. Whoever finds no room waits in
/// the system's queue, which costs nothing here. Meanwhile, connections that have ended are taken out of `connections`.
async fn next(
    socket: &TcpListener,
    proxy: &Proxy,
    drain: &Drain,
    connections: &mut JoinSet<()>,
) -> Option<(TcpStream, SocketAddr, Place)> {
    loop {
        let taking = async {
            let place = proxy.room.place().await?;
            Some((socket.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            () = drain.begun() => return None,
            Some(_) = connections.join_next() => continue,
            taken = taking => taken?,
        };
        match accepted {
            Ok((stream, peer)) => return Some((stream, peer, place)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Opens a socket that a restarted gateway can take over at once.
fn open(address: SocketAddr) -> std::io::Result<StdListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // 1024: a burst of reconnecting clients after a restart.
    socket.listen(1024)?;
    Ok(socket.into())
}

/// The server's configuration with what must hold on every listener.
fn tightened(config: &rustls::ServerConfig, door: Door) -> Arc<rustls::ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Early data can be replayed.
    config.max_early_data_size = 0;
    if door == Door::Machines {
        // A resumed session would not show its certificate again.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Arc::new(config)
}

struct Serving {
    proxy: Arc<Proxy>,
    /// Those that the connection was accepted under.
    settings: Arc<Settings>,
    drain: Drain,
}

impl Serving {
    async fn connection(self, stream: TcpStream, mut connection: Connection, tls: Option<TlsAcceptor>) {
        // Best effort: without it answers are only slower.
        let _ = stream.set_nodelay(true);
        let peer = connection.peer;
        let Some(tls) = tls else { return self.http1(stream, connection).await };
        let handshakes = &self.proxy.metrics().handshakes;
        let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                handshakes.failed(&error);
                return tracing::debug!(%peer, %error, "handshake failed");
            }
            Err(_) => {
                handshakes.timed_out();
                return tracing::debug!(%peer, "handshake took too long");
            }
        };
        let session = stream.get_ref().1;
        connection.tls = true;
        connection.sni = session.server_name().map(Arc::from);
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        connection.workload = certificate.and_then(spiffe_id).map(Arc::from);
        connection.certificate = certificate.map(|certificate| certificate.clone().into_owned());
        if certificate.is_some() && connection.workload.is_none() {
            handshakes.unnamed();
            return tracing::debug!(%peer, "a client certificate without one SPIFFE ID");
        }
        handshakes.done();
        if session.alpn_protocol() == Some(b"h2") {
            self.http2(stream, connection).await;
        } else {
            self.http1(stream, connection).await;
        }
    }

    async fn http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: Connection) {
        let guarded = Guard::new(stream, Arc::clone(&connection.watch), self.settings.limits.header_bytes);
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_headers(FIELDS_MAX)
            .serve_connection(TokioIo::new(guarded), service(Arc::clone(&self.proxy), connection))
            .with_upgrades();
        let mut serving = pin!(serving);
        let _open = Counted::new(&self.proxy);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = self.drain.begun() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: Connection) {
        let serving = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(256)
            .max_header_list_size(u32::try_from(self.settings.limits.header_bytes).unwrap_or(u32::MAX))
            // Windows bound what a client can make us hold: 256 KiB a stream, 1 MiB a connection.
            .initial_stream_window_size(262_144)
            .initial_connection_window_size(1_048_576)
            .max_send_buf_size(262_144)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .enable_connect_protocol()
            .serve_connection(TokioIo::new(stream), service(Arc::clone(&self.proxy), connection));
        let mut serving = pin!(serving);
        let _open = Counted::new(&self.proxy);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = self.drain.begun() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}

fn service(
    proxy: Arc<Proxy>,
    connection: Connection,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
> {
    let connection = Arc::new(connection);
    service_fn(move |request: Request<Incoming>| {
        let (proxy, connection) = (Arc::clone(&proxy), Arc::clone(&connection));
        async move { Ok(proxy.handle(connection, request.map(Body::from)).await) }
    })
}

/// An open connection in the metrics.
struct Counted(Arc<Proxy>);

impl Counted {
    fn new(proxy: &Arc<Proxy>) -> Self {
        proxy.metrics().connections.inc();
        Self(Arc::clone(proxy))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics().connections.dec();
    }
}
