//! The listener of `[ext_authz]`: gRPC over HTTP/2, plain on loopback or mTLS with certificates of ours.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use cardea_proxy::{ClientCertificate, Connection, Door, Drain, Proxy};
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::service;
use crate::{House, ca, config};

/// Connections at once. A proxy keeps one for each of its threads.
const CONNECTIONS: usize = 1_024;

/// Questions at once on one connection; more wait in the proxy.
const STREAMS: u32 = 1_024;

/// Time for a TLS handshake, as on other listeners.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Time for what is under way once the client's certificate ends: what a decision may take.
const LAST_WORD: Duration = Duration::from_secs(30);

/// How long to wait after the system refused a connection: it will refuse the next one too.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the listener is not opened.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The address cannot be had.
    #[error("cannot listen on `{0}` for ext_authz: {1}")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// It has no certificate.
    #[error(transparent)]
    Ca(#[from] ca::CaFault),
}

/// A bound listener.
pub(crate) struct ExtAuthz {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    callers: Arc<[String]>,
}

impl ExtAuthz {
    /// Binds the address.
    pub(crate) async fn bind(config: &config::ExtAuthz, house: &Arc<House>) -> Result<Self, Fault> {
        let fault = |error| Fault::Bind(config.address, error);
        let socket = TcpListener::bind(config.address).await.map_err(fault)?;
        let address = socket.local_addr().map_err(fault)?;
        // The configuration knows no plain listener beyond loopback.
        let mutual = !config.callers.is_empty();
        let tls = if mutual { Some(TlsAcceptor::from(ca::Ca::machines(house)?)) } else { None };
        Ok(Self { socket, address, tls, callers: config.callers.clone().into() })
    }

    /// The address that was bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` begins, then lets what is under way finish for at most `grace`, or the time that it says.
    pub(crate) async fn serve(self, proxy: Arc<Proxy>, drain: Drain, grace: Duration) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = drain.begun() => break,
                Some(_) = connections.join_next() => continue,
                accepted = async { (Arc::clone(&room).acquire_owned().await, self.socket.accept().await) } => accepted,
            };
            let (Ok(slot), Ok((stream, peer))) = accepted else {
                tracing::warn!("a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let one = One { proxy: Arc::clone(&proxy), drain: drain.clone(), callers: Arc::clone(&self.callers) };
            let tls = self.tls.clone();
            connections.spawn(async move {
                one.connection(stream, peer, tls).await;
                drop(slot);
            });
        }
        drop(self.socket);
        let grace = drain.grace().unwrap_or(grace);
        let ended = tokio::time::timeout(grace, async { while connections.join_next().await.is_some() {} });
        if ended.await.is_err() {
            connections.shutdown().await;
        }
    }
}

struct One {
    proxy: Arc<Proxy>,
    drain: Drain,
    callers: Arc<[String]>,
}

impl One {
    async fn connection(self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
        // Best effort: without it answers are only slower.
        let _ = stream.set_nodelay(true);
        let mut connection = Connection::plain(peer, Door::Asked);
        let Some(tls) = tls else { return self.http2(stream, connection).await };
        let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "handshake failed"),
            Err(_) => return tracing::debug!(%peer, "handshake took too long"),
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = certificate.and_then(ClientCertificate::read);
        let Some(certificate) = certificate.filter(|one| self.callers.iter().any(|id| **id == **one.spiffe_id()))
        else {
            return tracing::warn!(%peer, "somebody who is not listed asks about requests");
        };
        connection.certificate = Some(Arc::new(certificate));
        self.http2(stream, connection).await;
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: Connection) {
        let (proxy, connection) = (self.proxy, Arc::new(connection));
        let service = TowerToHyperService::new(service(Arc::clone(&proxy), Arc::clone(&connection)));
        let mut serving = pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS)
                .keep_alive_interval(Duration::from_secs(30))
                .keep_alive_timeout(Duration::from_secs(20))
                .serve_connection(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = self.drain.begun() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
            // Its client opens another one with its next certificate.
            () = connection.ending(&proxy) => {
                serving.as_mut().graceful_shutdown();
                tokio::time::timeout(LAST_WORD, serving).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}
