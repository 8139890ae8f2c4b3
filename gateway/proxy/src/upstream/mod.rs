//! Carrying an admitted request to its service and the answer back.
//!
//! INVARIANT: [`forward`] and [`websocket::open`] take a [`Permit`] by value; there is no other way from here to a service
//! for what anybody asked. The only requests of our own are those of `minding` and `telling`, which carry nothing of a caller's.
//!
//! A service has addresses ([`fleet`]), an address has connections ([`pool`]). The usual way of a request, onto a kept
//! connection of a fit address, takes one lock and makes nothing new; whatever else may happen is boxed in `errand`.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cardea_core::{AppId, Reason, TenantId, resources::UpstreamSpec};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use rustls_pki_types::ServerName;
use tokio::{sync::Notify, time::Instant};
use tokio_rustls::TlsConnector;

use crate::{Body, Permit, failure::grpc, seldom::Seldom};

mod budget;
mod connect;
pub(crate) mod endpoint;
mod errand;
mod exchange;
mod fleet;
mod minding;
pub(crate) mod pool;
mod room;
pub(crate) mod silence;
mod sticky;
mod telling;
pub mod tls;
pub(crate) mod upload;
pub(crate) mod websocket;
mod wire;

use budget::Budget;
use endpoint::{Endpoint, Target};
use errand::Errand;
use fleet::Fleet;
use pool::{Lease, Needs};
use room::Room;
pub use room::TenantRoom;
pub use sticky::StickyKey;
pub use telling::Telling;
use upload::Progress;

/// How the connection to a service is protected.
#[derive(Clone)]
pub enum Transport {
    /// Plain HTTP.
    Plain,
    /// TLS, as [`tls::mutual`] or [`tls::public`] made it.
    Tls(Arc<rustls::ClientConfig>),
}

/// What a service shares with the tenant's others.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Room for all connections together.
    pub room: TenantRoom,
    /// Under which sticky cookies name addresses.
    pub key: StickyKey,
}

impl Default for Standing {
    fn default() -> Self {
        Self { room: TenantRoom::new(u32::MAX), key: StickyKey::new(&[0; 32]) }
    }
}

/// A service and the connections kept to it. Keep it across snapshots where its spec, transport and standing are unchanged:
/// its pools, and what is known of its addresses, live in it.
pub struct Upstream {
    spec: UpstreamSpec,
    /// Whose it is, for the log.
    owner: Option<(TenantId, AppId)>,
    targets: Vec<Arc<Target>>,
    tls: Option<Connectors>,
    answer: Duration,
    idle: Option<Duration>,
    slow_start: Duration,
    standing: Standing,
    room: Arc<Room>,
    fleet: Arc<Fleet>,
    /// When the names were last looked up for a request that found none.
    looking: tokio::sync::Mutex<Option<Instant>>,
    turn: AtomicUsize,
    budget: Budget,
    minded: AtomicBool,
    wake: Arc<Notify>,
}

/// One for each choice of protocols that a handshake may offer.
struct Connectors {
    /// HTTP/1.1 first: for requests.
    any: TlsConnector,
    http1: TlsConnector,
    /// Also for gRPC: where both are offered, some services choose HTTP/1.1.
    http2: TlsConnector,
}

/// The service's address cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("upstream `{0}` cannot be used: {1}")]
pub struct BadUpstream(pub String, pub &'static str);

/// How many addresses of a service are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct States {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) ejected: u64,
}

impl Upstream {
    /// A service by itself that is not yet connected to.
    pub fn new(spec: &UpstreamSpec, transport: Transport) -> Result<Self, BadUpstream> {
        Self::among(spec, transport, Standing::default())
    }

    /// A service among the tenant's others.
    pub fn among(spec: &UpstreamSpec, transport: Transport, standing: Standing) -> Result<Self, BadUpstream> {
        let tls = match (spec.is_https(), transport) {
            (false, Transport::Plain) => None,
            (true, Transport::Tls(config)) => Some(Connectors::new(&config)),
            _ => return Err(BadUpstream(name_of(spec), "its scheme and its protection disagree")),
        };
        let targets = spec.all_urls().map(|url| target(url, tls.is_some())).collect::<Result<Vec<_>, _>>()?;
        if targets.is_empty() {
            return Err(BadUpstream(String::new(), "it has no address"));
        }
        let room = Arc::new(Room::new(spec.connections, standing.room.clone()));
        let fleet = Arc::new(Fleet::from_pointee(literal(&targets, &room, &standing.key)));
        standing.room.join(&fleet);
        Ok(Self {
            fleet,
            targets,
            tls,
            answer: Duration::from_secs(spec.answer_seconds.into()),
            idle: spec.idle_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            slow_start: Duration::from_secs(spec.slow_start_seconds.into()),
            budget: Budget::new(spec.retries.budget_percent),
            spec: spec.clone(),
            owner: None,
            standing,
            room,
            looking: tokio::sync::Mutex::default(),
            turn: AtomicUsize::new(0),
            minded: AtomicBool::new(false),
            wake: Arc::default(),
        })
    }

    /// Says whose it is: the log then names them where it cannot be reached.
    #[must_use]
    pub fn of(self, tenant: &TenantId, app: &AppId) -> Self {
        Self { owner: Some((tenant.clone(), app.clone())), ..self }
    }

    /// The tenant and the app, as lines of the log name them.
    fn owner(&self) -> (Option<&str>, Option<&str>) {
        self.owner.as_ref().map(|(tenant, app)| (tenant.as_str(), app.as_str())).unzip()
    }

    /// What it was made from.
    pub fn spec(&self) -> &UpstreamSpec {
        &self.spec
    }

    /// Whether it shares that room with the tenant's other services.
    pub fn is_in(&self, room: &TenantRoom) -> bool {
        self.room.tenant().is(room)
    }

    /// How long a body may be silent.
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.idle
    }

    fn connect_limit(&self) -> Duration {
        Duration::from_secs(self.spec.connect_seconds.into())
    }

    fn name(&self) -> String {
        name_of(&self.spec)
    }

    /// The address that a browser's cookie asks for; the cookie itself is ours, and goes no further.
    pub(crate) fn wish(&self, headers: &HeaderMap) -> Option<Box<str>> {
        sticky::wish(headers, self.spec.sticky_cookie.as_deref()?)
    }

    /// How its addresses are, and how many requests were sent again; `None` while it has not been used.
    pub(crate) fn states(&self) -> Option<(States, u64)> {
        if !self.minded.load(Ordering::Relaxed) {
            return None;
        }
        let mut states = States::default();
        for endpoint in self.fleet.load().iter() {
            let condition = endpoint.condition();
            match () {
                () if condition.down || condition.sick => states.down += 1,
                () if condition.until.is_some() => states.ejected += 1,
                () => states.up += 1,
            }
        }
        Some((states, self.budget.spent.load(Ordering::Relaxed)))
    }
}

fn name_of(spec: &UpstreamSpec) -> String {
    spec.all_urls().next().map(ToString::to_string).unwrap_or_default()
}

fn target(url: &url::Url, tls: bool) -> Result<Arc<Target>, BadUpstream> {
    let bad = |why| BadUpstream(url.to_string(), why);
    let host = url.host_str().ok_or_else(|| bad("it names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().ok_or_else(|| bad("it names no port"))?;
    let name = tls.then(|| ServerName::try_from(host.clone())).transpose().map_err(|_| bad("its host is no name"))?;
    Ok(Arc::new(Target { host, port, name, nameless: Seldom::default() }))
}

/// The addresses, where all are named as such: then nothing need be looked up.
fn literal(targets: &[Arc<Target>], room: &Arc<Room>, key: &StickyKey) -> Vec<Arc<Endpoint>> {
    let endpoint = |target: &Arc<Target>| {
        let address = target.literal()?;
        let label = sticky::label(key, target, address);
        Some(Arc::new(Endpoint::new(Arc::clone(target), address, Arc::clone(room), label, false)))
    };
    targets.iter().map(endpoint).collect::<Option<_>>().unwrap_or_default()
}

impl Connectors {
    fn new(config: &Arc<rustls::ClientConfig>) -> Self {
        let with = |protocols: &[&[u8]]| {
            let mut config = (**config).clone();
            config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Self { any: with(&[b"http/1.1", b"h2"]), http1: with(&[b"http/1.1"]), http2: with(&[b"h2"]) }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = self.tls.is_some();
        f.debug_struct("Upstream").field("url", &self.name()).field("tls", &tls).finish_non_exhaustive()
    }
}

/// A service's answer, with the connection to be kept once its body has passed.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
    /// How long its body may be silent.
    pub(crate) idle: Option<Duration>,
}

impl Answer {
    /// The cookie that keeps the browser with the address that answered; none where it has it, or needs none.
    pub(crate) fn cookie(&self, upstream: &Upstream, wish: Option<&str>, tls: bool) -> Option<HeaderValue> {
        let name = upstream.spec.sticky_cookie.as_deref()?;
        let label = self.lease.label()?;
        if wish == Some(label) { None } else { sticky::cookie(name, label, tls) }
    }
}

/// Forwards what `permit` allows, to the address that `wish` names if that is fit. What of it may be sent twice, and
/// when, is said in [`errand`].
pub(crate) async fn forward(
    permit: Permit,
    upstream: &Arc<Upstream>,
    request: Request<Body>,
    wish: Option<&str>,
    progress: Option<&Progress>,
) -> Result<Answer, Reason> {
    // Consumed here: what follows is the one use that it stands for.
    drop(permit);
    let needs = Needs { grpc: grpc::is_grpc(request.headers()), once: !exchange::Spare::is_harmless(&request) };
    let load = upstream.choose(wish, &[]);
    let link = load.as_ref().and_then(|load| load.endpoint().pool.take(upstream.wanted(load.endpoint(), needs)));
    let errand = match (load, link) {
        (Some(load), Some(link)) => {
            let address = load.endpoint().address;
            let spare = exchange::Spare::of(&request, &link);
            match exchange::exchange(upstream, load, link, request, progress).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => Errand::again(upstream, failed, spare, address, wish, needs)?,
            }
        }
        (load, _) => Errand::first(request, load, wish, needs),
    };
    // Boxed, as are other rare steps on this way: a future is as large as its largest step, and is moved for each request.
    Box::pin(errand.run(upstream, progress)).await
}

impl Upstream {
    /// Time until the answer's head, from the last sign of the request's body. A gRPC call may bring its own.
    fn answer_limit(&self, own: Option<Duration>) -> Duration {
        own.unwrap_or(self.answer)
    }
}
