//! A gateway that runs: its listeners, the tasks beside them, and the way they end.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use cardea_audit::Event;
#[cfg(feature = "http3")]
use cardea_proxy::listener::quic::Http3;
use cardea_proxy::{Door, Drain, Listener, Parts, Proxy, Security, certificates::Shown, listener::ListenError};
use cardea_storage::StoreFault;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::task::JoinSet;

use crate::{
    House,
    alone::{self, Claim, NotAlone},
    ca,
    config::{InForce, Scheme},
    ext_authz::{self, ExtAuthz},
    figures,
    house::Own,
    logout, mail,
    ops::{LogFigures, Ops},
    rates, reload,
};

/// A gateway at work. Dropping it stops it at once; [`Running::finish`] lets open requests end.
pub struct Running {
    /// Everything that it is made of.
    pub house: Arc<House>,
    /// Where people and programs connect.
    pub public: Vec<SocketAddr>,
    /// Where services enrol.
    pub machines: Option<SocketAddr>,
    /// Where proxies ask over gRPC.
    pub ext_authz: Option<SocketAddr>,
    /// Where the operator's machines look.
    pub ops: SocketAddr,
    drain: Drain,
    serving: JoinSet<()>,
    beside: JoinSet<()>,
    /// Dropped last: until then no other is to serve.
    _claim: Option<Claim>,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// Another gateway is in the way.
    #[error(transparent)]
    NotAlone(#[from] NotAlone),
    /// What was signed in before cannot be dropped.
    #[error("what lives shortly cannot be taken up: {0}")]
    Shared(#[from] StoreFault),
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The ops address cannot be had.
    #[error("cannot listen on `{address}` for ops: {source}")]
    Ops {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The listener of ext_authz cannot be had.
    #[error(transparent)]
    ExtAuthz(#[from] ext_authz::Fault),
    /// The machines listener has no certificate.
    #[error(transparent)]
    Ca(#[from] ca::CaFault),
    /// The access log or the traces cannot be begun.
    #[error("{0}")]
    Observing(#[from] cardea_core::Diagnostics),
    /// TLS cannot be set up.
    #[error("tls cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl StartFault {
    /// The way out, where there is one.
    pub fn help(&self) -> Option<&'static str> {
        if let Self::NotAlone(NotAlone::Beside(_) | NotAlone::Behind(_)) = self {
            return Some("stop that one first; several gateways share sessions in `[redis]`, with `[postgres]`");
        }
        let (Self::Listen(ListenError::Bind { source, .. })
        | Self::Ops { source, .. }
        | Self::ExtAuthz(ext_authz::Fault::Bind(_, source))) = self
        else {
            return None;
        };
        match source.kind() {
            ErrorKind::AddrInUse => {
                Some("another process listens there (`ss -ltunp` tells which): stop it, or choose another port")
            }
            ErrorKind::PermissionDenied => Some(
                "ports below 1024 want a right: `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the service's unit, \
                 or choose a higher port",
            ),
            ErrorKind::AddrNotAvailable => {
                Some("this machine has no such address: choose one of its own, or `0.0.0.0` for all of them")
            }
            _ => None,
        }
    }
}

impl Running {
    /// Opens every listener, then serves. Nothing is served if one of them cannot be opened.
    pub async fn start(house: Arc<House>) -> Result<Self, StartFault> {
        let claim = alone::claim(&house.config)?;
        let prepared = house.observing.open(&house.config)?;
        house.configure(house.config.clone(), prepared).await;
        let config = &house.config;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(LogFigures(house.log.clone())));
        figures::register(&house, &mut registry);
        let proxy = proxy(&house, &mut registry);
        house.attach(&proxy);
        let mut listeners = Vec::new();
        #[cfg(feature = "http3")]
        let mut quic = Vec::new();
        for (place, one) in config.listeners.iter().enumerate() {
            let security = match &one.scheme {
                Scheme::Plain => Security::Plain,
                Scheme::Tls(_) if one.client_certificates => {
                    Security::Tls(ca::Ca::asking(&house, Arc::new(Shown::at(&proxy, place)))?)
                }
                Scheme::Tls(_) => Security::Tls(tls(Shown::at(&proxy, place))?),
            };
            let listener = Listener::bind(one.address, security, Door::Public)?;
            #[cfg(feature = "http3")]
            let listener = with_http3(listener, (config, place), &mut quic)?;
            listeners.push(if one.proxy_protocol { listener.behind_proxies() } else { listener });
        }
        let public = listeners.iter().map(Listener::address).collect();
        let mut machines = None;
        if let Some(address) = config.machines {
            let listener = Listener::bind(address, Security::Tls(ca::Ca::machines(&house)?), Door::Machines)?;
            machines = Some(listener.address());
            listeners.push(listener);
        }
        let asked = match &config.ext_authz {
            Some(wanted) => Some(ExtAuthz::bind(wanted, &house).await?),
            None => None,
        };
        let ops = Ops::bind(config.ops).await.map_err(|source| StartFault::Ops { address: config.ops, source })?;
        // Before anybody is answered, and not where an address cannot be had: it drops what was there before, for good.
        house.shared.take_up(house.now()).await?;
        let mut running = Self {
            public,
            machines,
            ext_authz: asked.as_ref().map(ExtAuthz::address),
            ops: ops.address(),
            drain: Drain::new(),
            serving: JoinSet::new(),
            beside: JoinSet::new(),
            _claim: claim,
            house,
        };
        let grace = running.house.config.limits.drain;
        if let Some(asked) = asked {
            running.serving.spawn(asked.serve(Arc::clone(&proxy), running.drain.clone(), grace));
        }
        for listener in listeners {
            running.serving.spawn(listener.serve(Arc::clone(&proxy), running.drain.clone(), grace));
        }
        #[cfg(feature = "http3")]
        for http3 in quic {
            running.serving.spawn(http3.serve(Arc::clone(&proxy), running.drain.clone(), grace));
        }
        running.beside.spawn(ops.serve(Arc::clone(&running.house), Arc::new(registry), running.drain.clone()));
        running.beside.spawn(reload::follow(Arc::clone(&running.house)));
        running.beside.spawn(reload::hear(Arc::clone(&running.house)));
        running.beside.spawn(reload::watch(Arc::clone(&running.house)));
        running.beside.spawn(reload::housekeeping(Arc::clone(&running.house)));
        running.beside.spawn(mail::deliver(Arc::clone(&running.house)));
        running.beside.spawn(logout::deliver(Arc::clone(&running.house)));
        running.beside.spawn(rates::share(Arc::clone(&running.house)));
        running.beside.spawn(ca::keep(Arc::clone(&running.house)));
        reload::say(&running.house).await;
        running.house.note_own(Event::Started { version: env!("CARGO_PKG_VERSION").to_owned() });
        Ok(running)
    }

    /// Says that it is to get no more work, and goes on serving what comes all the same, for as long as `[limits] leave_seconds` says
    /// or until `at_once`: whoever sends it work looks only so often whether it wants any.
    pub async fn leave(&self, at_once: impl Future<Output = ()>) {
        self.drain.leave();
        // That in force, which may be another than at the start.
        let _ = tokio::time::timeout(self.house.limits().leave, at_once).await;
    }

    /// Takes no new work, lets what is under way end within the limit, and writes what is to be written.
    pub async fn finish(mut self) {
        // That in force, which may be another than at the start.
        let grace = self.house.limits().drain;
        self.drain.begin_within(grace);
        let limit = grace + Duration::from_secs(1);
        let ended = tokio::time::timeout(limit, async { while self.serving.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::warn!("requests were still open when the time to drain was over");
        }
        self.beside.shutdown().await;
        self.house.observing.close().await;
        InForce::withdraw(&self.house.config.state_dir);
        self.house.note_own(Event::Stopped {});
        self.house.close().await;
    }
}

/// The listener with HTTP/3 beside it, if its configuration wants that. The first one is told of at the port that browsers
/// see; a port of the system's choice is not known before.
#[cfg(feature = "http3")]
fn with_http3(
    listener: Listener,
    (config, place): (&crate::config::Config, usize),
    quic: &mut Vec<Http3>,
) -> Result<Listener, ListenError> {
    if !config.listeners.get(place).is_some_and(|one| one.http3) {
        return Ok(listener);
    }
    let seen = (place == 0 && config.public_port != 0).then_some(config.public_port);
    let (listener, http3) = listener.with_http3(seen)?;
    quic.extend(http3);
    Ok(listener)
}

/// The data plane of a house.
pub(crate) fn proxy(house: &Arc<House>, registry: &mut Registry) -> Arc<Proxy> {
    let parts = Parts {
        tokens: Arc::clone(house) as Arc<dyn cardea_proxy::Tokens>,
        sessions: Arc::clone(house) as _,
        assertions: Arc::clone(house) as _,
        recorder: Arc::clone(house) as _,
        own: Arc::new(Own::new(house)),
        faces: Arc::clone(house) as _,
        rates: Arc::clone(&house.rates),
        clock: Arc::clone(&house.clock),
        entropy: Arc::clone(&house.entropy),
    };
    Proxy::new(parts, house.state.load().snapshot(), registry)
}

/// TLS as browsers and programs speak it; who we are is told by the certificates in force.
fn tls(shown: Shown) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    Ok(Arc::new(config))
}
