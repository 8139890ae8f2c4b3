//! Who is told of a request's end beside the log of entries: an access log, and a collector of traces. They are part of the
//! settings, so that a reload begins or ends them. Where there is neither, nothing is gathered for them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use cardea_audit::{Actor, Client, Entry, Event, Request as Record};
use cardea_core::{AppId, Caller, Entropy, EntryId, Reason, TenantId, Timestamp, entropy};
use http::{HeaderMap, Uri, Version, header};

use crate::{metrics::Stage, trace_context};

/// Those who are told.
#[derive(Clone, Default)]
pub struct Observers {
    /// The access log.
    pub lines: Option<Arc<dyn Lines>>,
    /// The collector of traces.
    pub traces: Option<Arc<dyn Traces>>,
}

/// An access log.
pub trait Lines: Send + Sync + 'static {
    /// Takes a request's line to be written. Never waits.
    fn write(&self, line: Line);
}

/// A collector of traces.
pub trait Traces: Send + Sync + 'static {
    /// Whether a trace is told, by seven bytes of randomness that decide alike wherever they are looked at.
    fn samples(&self, random: u64) -> bool;

    /// Takes a request's spans to be sent. Never waits.
    fn send(&self, trace: Trace);
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, traces } = self;
        f.debug_struct("Observers").field("lines", &lines.is_some()).field("traces", &traces.is_some()).finish()
    }
}

/// A request as an access log tells of it. The path is told as entries tell it, and of the referrer no more than its origin:
/// neither a query nor another's path is ours to write down.
#[derive(Debug, Clone)]
pub struct Line {
    /// The id of the request's entry.
    pub entry: EntryId,
    /// When it came.
    pub at: Timestamp,
    /// How long it took until its answer's head, in microseconds.
    pub micros: u64,
    /// From where, and with what.
    pub client: Option<Client>,
    /// `user:<id>`, `workload:…`; nothing for a visitor.
    pub caller: Option<String>,
    /// The tenant, where the host is somebody's.
    pub tenant: Option<TenantId>,
    /// The app.
    pub app: Option<AppId>,
    /// The method.
    pub method: Arc<str>,
    /// The host; empty where it could not be read.
    pub host: Arc<str>,
    /// The path; empty where it could not be read.
    pub path: Arc<str>,
    /// The protocol's version.
    pub version: Version,
    /// The answer's status.
    pub status: u16,
    /// Why it ended otherwise than it asked.
    pub reason: Option<Reason>,
    /// Bytes of the answer's body, where they are known from its head.
    pub bytes: Option<u64>,
    /// The origin that the client came from.
    pub referrer: Option<Arc<str>>,
}

/// The spans of one request. INVARIANT: no path, query, address, cookie or identity stands in it.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Names the trace: the client's where it brought one.
    pub id: u128,
    /// The client's span.
    pub parent: Option<u64>,
    /// The request's span.
    pub span: u64,
    /// The stages that it went through, in their order.
    pub stages: Vec<Span>,
    /// When it came.
    pub at: Timestamp,
    /// How long it took until its answer's head.
    pub took: Duration,
    /// The id of the request's entry.
    pub entry: EntryId,
    /// The tenant.
    pub tenant: Option<TenantId>,
    /// The app.
    pub app: Option<AppId>,
    /// The method.
    pub method: Arc<str>,
    /// The host.
    pub host: Arc<str>,
    /// The action and the type of the resource that were decided on.
    pub question: Option<(Arc<str>, Arc<str>)>,
    /// The answer's status.
    pub status: u16,
    /// Why it ended otherwise than it asked.
    pub reason: Option<Reason>,
}

/// A stage of a request.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Names it within the trace; what the service is told is the span of its own stage.
    pub id: u64,
    /// Which.
    pub stage: &'static str,
    /// Since the request's beginning.
    pub begins: Duration,
    /// Its length.
    pub took: Duration,
}

/// What is gathered of a request for those who are told.
pub(crate) struct Gathered {
    lines: Option<Arc<dyn Lines>>,
    version: Version,
    referrer: Option<Arc<str>>,
    trace: Option<Tracing>,
    bytes: Option<u64>,
}

struct Tracing {
    to: Arc<dyn Traces>,
    id: u128,
    parent: Option<u64>,
    span: u64,
    /// The span that the service is told as its parent.
    service: u64,
    stages: Vec<Span>,
}

/// A request's head as far as it is of interest here.
pub(crate) struct Seen<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) version: Version,
    pub(crate) entry: EntryId,
    /// Whether it came from a listed proxy, whose word on what is sampled is taken: anybody else could have all told.
    pub(crate) trusted: bool,
}

impl Observers {
    /// Begins to gather; nothing where nobody is to be told.
    pub(crate) fn gather<'a>(&self, seen: impl FnOnce() -> Seen<'a>, random: &dyn Entropy) -> Option<Box<Gathered>> {
        if self.lines.is_none() && self.traces.is_none() {
            return None;
        }
        Some(Box::new(self.begin(&seen(), random)))
    }

    fn begin(&self, seen: &Seen<'_>, random: &dyn Entropy) -> Gathered {
        let trace = self.traces.as_ref().and_then(|to| Tracing::begin(to, seen, random));
        let referrer = self.lines.as_ref().and_then(|_| origin(seen.headers));
        Gathered { lines: self.lines.clone(), version: seen.version, referrer, trace, bytes: None }
    }
}

/// The origin of the page that a request came from.
fn origin(headers: &HeaderMap) -> Option<Arc<str>> {
    let uri: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    // Without userinfo, which no browser sends.
    let host = authority.as_str().rsplit('@').next()?;
    Some(format!("{scheme}://{host}/").into())
}

impl Tracing {
    fn begin(to: &Arc<dyn Traces>, seen: &Seen<'_>, random: &dyn Entropy) -> Option<Self> {
        let given = trace_context::given(seen.headers);
        let own = seen.entry.as_uuid().as_u128();
        let sampled = match &given {
            Some(given) if seen.trusted => given.sampled,
            _ => to.samples(low(own)),
        };
        if !sampled {
            return None;
        }
        let draw = || u64::from_be_bytes(entropy::bytes(random)) | 1;
        let (id, parent) = given.map_or((own, None), |given| (given.trace, Some(given.span)));
        let (span, service) = (draw(), draw());
        Some(Self { to: Arc::clone(to), id, parent, span, service, stages: Vec::with_capacity(4) })
    }
}

/// The seven last bytes, which are random in every kind of id (W3C Trace Context level 2, section 3.3.2.2).
fn low(id: u128) -> u64 {
    u64::try_from(id & ((1 << 56) - 1)).unwrap_or_default()
}

impl Gathered {
    /// A stage is over.
    pub(crate) fn stage(&mut self, stage: Stage, began: Instant, (since, until): (Instant, Instant)) {
        let Some(trace) = &mut self.trace else { return };
        let id = match stage {
            Stage::Upstream => trace.service,
            // Distinct from each other and from the request's, which is odd and random like this one.
            other => trace.span.wrapping_add(2 * (1 + other as u64)),
        };
        trace.stages.push(Span { id, stage: stage.name(), begins: since - began, took: until - since });
    }

    /// The trace and the span that the service is told.
    pub(crate) fn told_to_service(&self) -> Option<(u128, u64)> {
        self.trace.as_ref().map(|trace| (trace.id, trace.service))
    }

    /// The answer's body has so many bytes.
    pub(crate) fn answers(&mut self, bytes: Option<u64>) {
        self.bytes = bytes;
    }

    /// Tells of the request's end.
    pub(crate) fn tell(self, entry: &Entry) {
        let Event::Request(request) = &entry.event else { return };
        if let Some(lines) = &self.lines {
            lines.write(self.line(entry, request));
        }
        if let Some(trace) = self.trace {
            let question = request.decision.as_ref().map(|asked| (asked.action.clone(), asked.resource.kind.clone()));
            let to = Arc::clone(&trace.to);
            to.send(Trace {
                id: trace.id,
                parent: trace.parent,
                span: trace.span,
                stages: trace.stages,
                at: entry.at,
                took: Duration::from_micros(request.micros),
                entry: entry.id,
                tenant: entry.tenant.clone(),
                app: request.app.clone(),
                method: Arc::clone(&request.method),
                host: Arc::clone(&request.host),
                question,
                status: request.status,
                reason: request.reason,
            });
        }
    }

    fn line(&self, entry: &Entry, request: &Record) -> Line {
        Line {
            entry: entry.id,
            at: entry.at,
            micros: request.micros,
            client: entry.client.clone(),
            caller: match &entry.actor {
                Actor::Caller(Caller::Visitor) | Actor::Ours(_) => None,
                Actor::Caller(caller) => Some(caller.label()),
            },
            tenant: entry.tenant.clone(),
            app: request.app.clone(),
            method: Arc::clone(&request.method),
            host: Arc::clone(&request.host),
            path: Arc::clone(&request.path),
            version: self.version,
            status: request.status,
            reason: request.reason,
            bytes: self.bytes,
            referrer: self.referrer.clone(),
        }
    }
}
