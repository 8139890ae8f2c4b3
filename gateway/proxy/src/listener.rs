//! Accepts connections, as many as there may be, and has each of them served.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{Connection, Door, Drain, Proxy, room};

mod crowd;
mod opening;
mod proxy_protocol;
#[cfg(feature = "http3")]
pub mod quic;
mod quiet;
mod resting;
mod serving;
mod turns;

pub(crate) use crowd::{Crowd, Place, counted_as};
pub(crate) use opening::Turned;
use serving::Serving;
pub(crate) use turns::Turns;

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
    proxy_protocol: bool,
    beside: Option<Arc<HeaderValue>>,
}

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
        Ok(Self { socket, address, security, door, proxy_protocol: false, beside: None })
    }

    /// Takes connections of listed proxies only, each of which begins with the client's address in the PROXY protocol,
    /// version 2. It stands before TLS.
    pub fn behind_proxies(self) -> Self {
        Self { proxy_protocol: true, ..self }
    }

    /// HTTP/3 at the same address, to be served beside it; answers of this one tell of it, at `port` where browsers see
    /// another than the listener's. None for plain listeners.
    #[cfg(feature = "http3")]
    pub fn with_http3(self, port: Option<u16>) -> Result<(Self, Option<quic::Http3>), ListenError> {
        let Security::Tls(config) = &self.security else { return Ok((self, None)) };
        let http3 = quic::Http3::bind(self.address, config)?;
        // A day: what browsers assume by themselves where nothing is said.
        let told = format!("h3=\":{}\"; ma=86400", port.unwrap_or(self.address.port()));
        let beside = HeaderValue::try_from(told).ok().map(Arc::new);
        Ok((Self { beside, ..self }, Some(http3)))
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` begins, then lets what is under way finish for at most `grace`, or the time that it says.
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
        while let Some((stream, peer, room)) = next(&socket, &proxy, &drain, &mut connections).await {
            let (tls, proxy_protocol) = (tls.clone(), self.proxy_protocol);
            let (settings, drain) = (proxy.settings(), drain.clone());
            let serving = Serving { proxy: Arc::clone(&proxy), settings, drain, tls, proxy_protocol };
            let mut connection = Connection::plain(peer, self.door);
            connection.beside.clone_from(&self.beside);
            connections.spawn(serving.connection(stream, connection, room));
        }
        drop(socket);
        proxy.tunnels.close();
        let all_ended = async {
            while connections.join_next().await.is_some() {}
            proxy.tunnels.wait().await;
        };
        if tokio::time::timeout(drain.grace().unwrap_or(grace), all_ended).await.is_err() {
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
) -> Option<(TcpStream, SocketAddr, room::Place)> {
    loop {
        let taking = async {
            let room = proxy.room.place().await?;
            Some((socket.accept().await, room))
        };
        let (accepted, room) = tokio::select! {
            () = drain.begun() => return None,
            Some(_) = connections.join_next() => continue,
            taken = taking => taken?,
        };
        match accepted {
            Ok((stream, peer)) => return Some((stream, peer, room)),
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
