//! Accepts connections, speaks TLS and HTTP, and hands each request to the pipeline.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use crate::{Door, Drain, Proxy};

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

impl Listener {
    /// Binds an address. Port 0 takes a free one; see [`Listener::address`].
    pub fn bind(address: SocketAddr, security: Security, door: Door) -> Result<Self, ListenError> {
        if matches!(security, Security::Plain) && !address.ip().is_loopback() {
            return Err(ListenError::PlainBeyondLoopback(address));
        }
        let bind = |source| ListenError::Bind { address, source };
        let socket = StdListener::bind(address).map_err(bind)?;
        socket.set_nonblocking(true).map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        Ok(Self { socket, address, security, door })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` begins, then lets what is under way finish for at most `grace`.
    pub async fn serve(self, proxy: Arc<Proxy>, drain: Drain, grace: Duration) {
        let _ = (self.socket, self.security, self.door, proxy, grace);
        drain.begun().await;
    }
}
