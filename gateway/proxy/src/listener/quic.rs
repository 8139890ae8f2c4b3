//! HTTP/3 beside a TLS listener: at the same address and port over UDP, with the same certificates and under the same
//! limits. Each request goes the one way that all go ([`Proxy::handle`]).
//!
//! A client stays where its handshake left it: one that goes on from another address has to connect anew, since policies
//! and entries speak of the address. Nothing is taken before the handshake is complete (0-RTT), and no WebSocket is opened
//! over it (RFC 9220): a browser opens those over HTTP/2 or HTTP/1.1.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use quinn::{
    Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::{HandshakeData, QuicServerConfig},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{ListenError, Place, Turned};
use crate::{Connection, Door, Drain, Limits, Proxy, Settings};

mod answer;
mod body;
mod serving;
mod transport;

use serving::{Serving, code};
pub use transport::{Opener, Transport};

/// Handshakes under way from which on a client shows first that it is where it says. Sixty-four: some milliseconds of work.
const CALM: usize = 64;

/// One-way streams that a client may open: three of HTTP/3 itself, and some that mean nothing.
const ONE_WAY: u32 = 16;

/// What is kept of clients whose handshake has not begun: they are let in or refused at once.
const WAITING: usize = 1_024;

/// How often a silent connection is asked whether it lives. Twenty seconds: browsers let go of one after thirty.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Silence after which it does not. Two such questions, and time for an answer.
const LIFELESS: u32 = 50_000;

/// Time for the last words to leave, once all is over. Half a second: within what the gateway adds to the time to drain.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A UDP socket for HTTP/3.
#[allow(missing_debug_implementations, reason = "rustls configurations print keys' names")]
pub struct Http3 {
    socket: UdpSocket,
    address: SocketAddr,
    config: ServerConfig,
}

impl Http3 {
    /// Binds the address of a TLS listener, whose certificates and versions are `config`.
    pub(super) fn bind(address: SocketAddr, config: &rustls::ServerConfig) -> Result<Self, ListenError> {
        let bind = |source: io::Error| {
            // TCP may be had where UDP is not.
            let source = io::Error::new(source.kind(), format!("for HTTP/3 (UDP): {source}"));
            ListenError::Bind { address, source }
        };
        let socket = open(address).map_err(bind)?;
        let unusable = |error| bind(io::Error::other(error));
        let crypto = QuicServerConfig::try_from(tightened(config)).map_err(unusable)?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.migration(false).max_incoming(WAITING).incoming_buffer_size(16 * 1024);
        config.incoming_buffer_size_total(4 * 1024 * 1024);
        Ok(Self { socket, address, config })
    }

    /// Serves until `drain` begins, then lets what is under way finish for at most `grace`, or the time that it says.
    pub async fn serve(self, proxy: Arc<Proxy>, drain: Drain, grace: Duration) {
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(self.config.clone()), self.socket, runtime);
        let endpoint = match endpoint {
            Ok(endpoint) => endpoint,
            Err(error) => {
                tracing::error!(%error, address = %self.address, "HTTP/3 cannot be served");
                return;
            }
        };
        let mut connections = JoinSet::new();
        let arrivals = Arrivals { proxy: Arc::clone(&proxy), config: self.config, shaking: Arc::new(()) };
        loop {
            let incoming = tokio::select! {
                () = drain.begun() => break,
                Some(_) = connections.join_next() => continue,
                incoming = endpoint.accept() => incoming,
            };
            let Some(incoming) = incoming else { break };
            let settings = proxy.settings();
            if let Some((incoming, place)) = arrivals.admit(incoming, &settings) {
                connections.spawn(arrivals.connection(incoming, place, settings, drain.clone()));
            }
        }
        endpoint.set_server_config(None);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain.grace().unwrap_or(grace), all_ended).await.is_err() {
            proxy.cut_all();
            connections.shutdown().await;
        }
        endpoint.close(code(h3::error::Code::H3_NO_ERROR), b"");
        let _ = tokio::time::timeout(LAST_WORDS, endpoint.wait_idle()).await;
    }
}

/// Clients that want to connect.
struct Arrivals {
    proxy: Arc<Proxy>,
    config: ServerConfig,
    /// Held by each handshake under way.
    shaking: Arc<()>,
}

impl Arrivals {
    /// Room for one more, found before anything is computed for it. Whoever has not shown yet that it is where it says has
    /// half of a client's room at most: so nobody can take another's whole by claiming to be it.
    fn admit(&self, incoming: Incoming, settings: &Settings) -> Option<(Incoming, Place)> {
        let client = incoming.remote_address().ip();
        let shown = incoming.remote_address_validated();
        if !shown && Arc::strong_count(&self.shaking) > CALM {
            return asked_to_show(incoming);
        }
        let Some(Some(room)) = self.proxy.room.place().now_or_never() else {
            incoming.refuse();
            return None;
        };
        if settings.trusts(client) {
            return Some((incoming, Place { room, seat: None }));
        }
        let most = settings.limits.connections_per_client;
        match self.proxy.crowd.admit(client, if shown { most } else { most / 2 }) {
            Some(seat) => Some((incoming, Place { room, seat: Some(seat) })),
            None if !shown => asked_to_show(incoming),
            None => {
                self.proxy.metrics().turned_away(Turned::TooMany);
                tracing::debug!(%client, why = Turned::TooMany.code(), "a connection was turned away");
                incoming.refuse();
                None
            }
        }
    }

    fn connection(
        &self,
        incoming: Incoming,
        place: Place,
        settings: Arc<Settings>,
        drain: Drain,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (proxy, shaking) = (Arc::clone(&self.proxy), Arc::clone(&self.shaking));
        let mut config = self.config.clone();
        config.transport_config(Arc::new(transport(&settings.limits)));
        async move {
            if let Some(pause) = place.seat.as_ref().and_then(|seat| seat.pause(Instant::now())) {
                sleep(pause).await;
            }
            let shaken = Box::pin(shake_hands(&proxy, incoming, config, settings.limits.handshake)).await;
            drop(shaking);
            let Some(quic) = shaken else { return };
            let mut connection = Connection::plain(quic.remote_address(), Door::Public);
            connection.tls = true;
            connection.sni = name_asked_for(&quic).map(Arc::from);
            if place.seat.is_none() {
                connection.watch.becomes_known();
            }
            connection.place = Some(Arc::new(place));
            let serving = Serving { proxy, settings, drain, connection: Arc::new(connection) };
            serving.keep(quic).await;
        }
    }
}

fn asked_to_show<T>(incoming: Incoming) -> Option<T> {
    // One that has shown it is not asked again.
    let _ = incoming.retry();
    None
}

async fn shake_hands(
    proxy: &Proxy,
    incoming: Incoming,
    config: ServerConfig,
    limit: Duration,
) -> Option<quinn::Connection> {
    let (peer, handshakes) = (incoming.remote_address(), &proxy.metrics().handshakes);
    let shaken = async { incoming.accept_with(Arc::new(config))?.await };
    match tokio::time::timeout(limit, shaken).await {
        Ok(Ok(quic)) => {
            handshakes.done();
            Some(quic)
        }
        Ok(Err(error)) => {
            handshakes.failed_over_quic(&error);
            tracing::debug!(%peer, %error, "handshake failed");
            None
        }
        Err(_) => {
            handshakes.timed_out();
            tracing::debug!(%peer, "handshake took too long");
            None
        }
    }
}

/// The name that the client asked a certificate for.
fn name_asked_for(quic: &quinn::Connection) -> Option<String> {
    quic.handshake_data()?.downcast::<HandshakeData>().ok()?.server_name
}

/// What a client may make us hold, as for HTTP/2: 256 KiB a stream, 1 MiB a connection in each direction.
fn transport(limits: &Limits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(limits.http2_streams.into())
        .max_concurrent_uni_streams(ONE_WAY.into())
        .stream_receive_window(262_144_u32.into())
        .receive_window(1_048_576_u32.into())
        .send_window(1_048_576)
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(LIFELESS))));
    transport
}

/// A listener's TLS as it must be here.
fn tightened(config: &rustls::ServerConfig) -> rustls::ServerConfig {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h3".to_vec()];
    // Early data can be replayed.
    config.max_early_data_size = 0;
    // A session begun over TCP is not taken up here, nor the other way round. As everywhere, one is taken up under its own
    // name only.
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS);
    config
}

/// Sessions that are kept to be taken up: as many as rustls keeps by itself.
const SESSIONS: usize = 256;

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
