//! A gateway that runs: its listeners, the tasks beside them, and the way they end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use cardea_audit::Event;
use cardea_proxy::{Door, Drain, Limits, Listener, Parts, Proxy, Security};
use prometheus_client::registry::Registry;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::task::JoinSet;

use crate::{
    House, ca,
    config::{Certificate, ListenerConfig, Scheme},
    house::Own,
    ops::{LogFigures, Ops},
    reload,
};

/// A gateway at work. Dropping it stops it at once; [`Running::finish`] lets open requests end.
pub struct Running {
    /// Everything that it is made of.
    pub house: Arc<House>,
    /// Where people and programs connect.
    pub public: Vec<SocketAddr>,
    /// Where services enrol.
    pub machines: Option<SocketAddr>,
    /// Where the operator's machines look.
    pub ops: SocketAddr,
    /// The certificates of each listener, replaced by a reload.
    pub(crate) certificates: Vec<Arc<Certificates>>,
    drain: Drain,
    serving: JoinSet<()>,
    beside: JoinSet<()>,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] cardea_proxy::listener::ListenError),
    /// The ops address cannot be had.
    #[error("cannot listen on `{address}` for ops: {source}")]
    Ops {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The machines listener has no certificate.
    #[error(transparent)]
    Ca(#[from] ca::CaFault),
    /// TLS cannot be set up.
    #[error("tls cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Running {
    /// Opens every listener, then serves. Nothing is served if one of them cannot be opened.
    pub async fn start(house: Arc<House>) -> Result<Self, StartFault> {
        let config = &house.config;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(LogFigures(house.log.clone())));
        let proxy = proxy(&house, &mut registry);
        house.attach(&proxy);
        let (mut listeners, mut certificates) = (Vec::new(), Vec::new());
        for one in &config.listeners {
            let (security, resolver) = security(one)?;
            listeners.push(Listener::bind(one.address, security, Door::Public)?);
            certificates.extend(resolver);
        }
        let public = listeners.iter().map(Listener::address).collect();
        let mut machines = None;
        if let Some(address) = config.machines {
            let listener = Listener::bind(address, Security::Tls(ca::Ca::machines(&house)?), Door::Machines)?;
            machines = Some(listener.address());
            listeners.push(listener);
        }
        let ops = Ops::bind(config.ops).await.map_err(|source| StartFault::Ops { address: config.ops, source })?;
        let mut running = Self {
            public,
            machines,
            ops: ops.address(),
            certificates,
            drain: Drain::new(),
            serving: JoinSet::new(),
            beside: JoinSet::new(),
            house,
        };
        for listener in listeners {
            let grace = running.house.config.limits.drain;
            running.serving.spawn(listener.serve(Arc::clone(&proxy), running.drain.clone(), grace));
        }
        running.beside.spawn(ops.serve(Arc::clone(&running.house), Arc::new(registry), running.drain.clone()));
        running.beside.spawn(reload::follow(Arc::clone(&running.house)));
        running.beside.spawn(reload::housekeeping(Arc::clone(&running.house)));
        running.beside.spawn(ca::keep(Arc::clone(&running.house)));
        running.house.note_own(Event::Started { version: env!("CARGO_PKG_VERSION").to_owned() });
        Ok(running)
    }

    /// Takes no new work, lets what is under way end within the limit, and writes what is to be written.
    pub async fn finish(mut self) {
        self.drain.begin();
        let limit = self.house.config.limits.drain + Duration::from_secs(1);
        let ended = tokio::time::timeout(limit, async { while self.serving.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::warn!("requests were still open when the time to drain was over");
        }
        self.beside.shutdown().await;
        self.house.note_own(Event::Stopped {});
        self.house.close().await;
    }
}

/// The data plane of a house.
pub(crate) fn proxy(house: &Arc<House>, registry: &mut Registry) -> Arc<Proxy> {
    let parts = Parts {
        sessions: Arc::clone(house) as _,
        assertions: Arc::clone(house) as _,
        recorder: Arc::clone(house) as _,
        own: Arc::new(Own::new(house)),
        faces: Arc::clone(house) as _,
        clock: Arc::clone(&house.clock),
        entropy: Arc::clone(&house.entropy),
    };
    let config = &house.config;
    let limits = Limits {
        concurrency: config.limits.in_flight,
        header_bytes: config.limits.header_bytes,
        public_port: Some(config.public_port),
        ..Limits::default()
    };
    Proxy::new(parts, limits, house.state.load().snapshot(config), registry)
}

fn security(listener: &ListenerConfig) -> Result<(Security, Option<Arc<Certificates>>), rustls::Error> {
    let Scheme::Tls(certificates) = &listener.scheme else { return Ok((Security::Plain, None)) };
    let resolver = Arc::new(Certificates(ArcSwap::from_pointee(certificates.clone())));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&resolver) as _);
    Ok((Security::Tls(Arc::new(config)), Some(resolver)))
}

/// The certificates of a listener, chosen by the name that the client asks for.
#[derive(Debug)]
pub(crate) struct Certificates(pub(crate) ArcSwap<Vec<Arc<Certificate>>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.0.load();
        let named = hello.server_name().and_then(|host| all.iter().find(|one| one.covers(host)));
        // A client that names nobody of ours gets the first: a browser then shows whose it is.
        named.or(all.first()).map(|one| Arc::clone(&one.certified))
    }
}
