//! The way of a request, from top to bottom.
//!
//! Time limits, load shedding and panic catching stand around it in [`Proxy::handle`], as plain code: each of their
//! ends is an answer and an entry like any other, which a layer outside could give neither.

use std::{
    ops::ControlFlow,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use arc_swap::ArcSwap;
use cardea_core::{Caller, Clock, Entropy, EntryId, Reason, SessionId, Timestamp};
use cardea_policy::Principal;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, request::Parts as Head};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{
    Admitted, App, Assertions, Body, Canonical, Connection, Faces, Failure, Limits, OwnPages, Permit, Rates, Recorder,
    Sessions, Settings, Site, Snapshot, StoreFault, Tokens, access,
    access::{Answer, Asker},
    body::Measure,
    failure::{self, Fail, Reader},
    framing,
    headers::{self, cookies, outbound},
    listener::{Crowd, Turns},
    metrics::{Metrics, Stage, Upstreams},
    origin, rates,
    room::{Room, Shares, Slots},
    routing,
    seldom::Seldom,
    story::Story,
    streams::{Asked, Changed, Streams},
};

mod caller;
mod evaluating;
mod forwarding;
mod instead;
mod program;
mod rating;
mod sharing;
mod vouching;

pub use evaluating::{Evaluation, Inquiry};
use program::{Program, Spent};
use vouching::{Misunderstood, view};

/// The slowest that a body for our own pages may come once [`Limits::own_body`] is over, in bytes a second. 4 KiB: most come with
/// their head or just behind it, and a large import goes on over a poor line.
const OWN_RATE: u32 = 4 * 1024;

/// What the rest of the gateway lends to the data plane.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "trait objects")]
pub struct Parts {
    /// Sessions by handle.
    pub sessions: Arc<dyn Sessions>,
    /// Tokens of programs.
    pub tokens: Arc<dyn Tokens>,
    /// Signed identity for upstreams.
    pub assertions: Arc<dyn Assertions>,
    /// The log.
    pub recorder: Arc<dyn Recorder>,
    /// Our own pages and APIs.
    pub own: Arc<dyn OwnPages>,
    /// Pages of failures.
    pub faces: Arc<dyn Faces>,
    /// Requests counted by time.
    pub rates: Arc<Rates>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The data plane. One per process, shared by all listeners.
#[allow(missing_debug_implementations, reason = "trait objects")]
pub struct Proxy {
    parts: Parts,
    snapshot: ArcSwap<Snapshot>,
    slots: Slots,
    shares: Shares,
    /// Room for connections.
    pub(crate) room: Arc<Room>,
    /// Who is in it.
    pub(crate) crowd: Arc<Crowd>,
    /// What handshakes take, so that a crowd of them keeps no request waiting.
    pub(crate) turns: Turns,
    streams: Arc<Streams>,
    metrics: Metrics,
    visitor: Arc<Principal>,
    /// Tunnels, which outlive their connection's HTTP.
    pub(crate) tunnels: TaskTracker,
    misunderstood: Misunderstood,
    /// Proofs of possession that were shown.
    spent: Spent,
    /// Lines of the log that say that a store does not answer.
    silence: Seldom,
}

impl Proxy {
    /// Opens the house; metrics are registered in `registry`.
    pub fn new(parts: Parts, snapshot: Snapshot, registry: &mut Registry) -> Arc<Self> {
        let metrics = Metrics::new(registry);
        let proxy = Arc::new(Self {
            parts,
            slots: Slots::default(),
            shares: Shares::default(),
            crowd: Arc::default(),
            turns: Turns::default(),
            room: Room::of(snapshot.settings.limits.connections),
            snapshot: ArcSwap::from_pointee(snapshot),
            streams: Streams::new(metrics.open_streams.clone()),
            metrics,
            visitor: Arc::new(Principal::of(&Caller::Visitor)),
            tunnels: TaskTracker::new(),
            misunderstood: Misunderstood::default(),
            spent: Spent::default(),
            silence: Seldom::default(),
        });
        proxy.streams.serve(Arc::downgrade(&proxy));
        registry.register_collector(Box::new(Upstreams(Arc::downgrade(&proxy))));
        proxy.snapshot().begin();
        proxy
    }

    /// Swaps in a new snapshot; open streams are asked again. Gives the old one, so that whoever may take the time lets go
    /// of it: there may be thousands of apps in it.
    pub fn swap(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        snapshot.begin();
        self.room.resize(snapshot.settings.limits.connections);
        let before = self.snapshot.swap(Arc::new(snapshot));
        self.changed(Changed::Everything);
        before
    }

    /// Forgets what was counted of apps that are no longer there. To be called after a swap, by whoever may take the time.
    pub fn tidy(&self) {
        self.metrics.retain(&self.snapshot());
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Something that decisions rest on has changed: the open streams that it may concern are asked again.
    pub fn changed(&self, what: Changed) {
        self.streams.change(what);
    }

    /// Cuts every open stream of a session, without asking.
    pub fn cut(&self, session: SessionId) {
        self.streams.cut(session);
    }

    /// Cuts every open stream: the gateway closes.
    pub(crate) fn cut_all(&self) {
        self.streams.cut_all();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn mint(&self, at: Timestamp) -> EntryId {
        EntryId::mint(at, &*self.parts.entropy)
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.snapshot.load().settings)
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.parts.entropy
    }

    pub(crate) fn recorder(&self) -> &dyn Recorder {
        &*self.parts.recorder
    }

    /// Answers one request of a connection. Never fails: every failure is an answer, and every end an entry.
    pub async fn handle(self: &Arc<Self>, connection: &Arc<Connection>, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        // Read before anything is decided: a change from here on makes open streams ask again.
        let changes = self.streams.changes();
        let snapshot = self.snapshot.load_full();
        let mut story = Story::begin(self, connection, &snapshot.settings, &head);
        let span = story.span.clone();
        let ended = match self.slots.take(snapshot.settings.limits.concurrency) {
            Some(_slot) => {
                let walk =
                    AssertUnwindSafe(self.walk(&mut story, connection, (snapshot, changes), head, body)).catch_unwind();
                std::pin::pin!(walk).instrument(span).await
            }
            None => Ok(Err(Reason::Overloaded.into())),
        };
        let called = story.called.take();
        // A proxy that asks would pass it on to its own clients.
        let beside = connection.beside.as_deref().filter(|_| story.asking.is_none());
        let mut response = match ended.unwrap_or_else(|_panic| Err(Reason::Internal.into())) {
            Ok(response) => {
                let reason = response.extensions().get::<Reason>().copied();
                story.end(response.status().as_u16(), response.body(), reason);
                response
            }
            Err(fail) => self.refuse(story, &fail),
        };
        if let Some(called) = called {
            response.headers_mut().insert(outbound::REQUEST_ID.clone(), called);
        }
        if let Some(beside) = beside {
            response.headers_mut().insert(http::header::ALT_SVC, beside.clone());
        }
        response
    }

    /// The picture in DESIGN section 3, line by line.
    async fn walk(
        self: &Arc<Self>,
        story: &mut Story,
        connection: &Arc<Connection>,
        (snapshot, changes): (Arc<Snapshot>, u64),
        mut head: Head,
        body: Body,
    ) -> Result<Response<Body>, Fail> {
        refused_below(&head, connection, &snapshot.settings.limits)?;
        let viewed = view(story, &head, connection, &snapshot);
        let (canonical, site) = viewed.inspect_err(|why| self.misunderstood.tell(story, connection, *why))?;
        let canonical = Arc::new(canonical);
        story.is_about(&canonical);
        let site = story.site.insert(site.ok_or_else(|| snapshot.nobody_at(canonical.host()))?).clone();
        connection.holds(story.at)?;
        let app = story.app.insert(routing::route(&site, &canonical, connection)?).clone();
        story.span.record("app", app.spec.id.as_str());
        // What another proxy carries answers for itself to other origins.
        if let Some(cors) = app.declared.cors.as_ref().filter(|_| story.asking.is_none()) {
            story.crossing = Some(Box::new(cors.read(&canonical, &head.headers)?));
        }
        self.rate_of_address(story, (&site, &app), canonical.client())?;
        if app.own == Some(routing::OwnApp::Decisions) {
            story.called = head.headers.get(&outbound::REQUEST_ID).cloned();
        }
        let trailers = headers::takes_trailers(&head.headers);
        if let Some(asking) = story.asking {
            headers::refuse_spellings(&head.headers, &app.mapped, asking.dialect)?;
            story.withheld = headers::unmapped(&head.headers, &app.mapped);
        }
        headers::clean(&mut head.headers, &app.mapped)?;
        let edge = story.stage(Stage::Edge, story.began);
        self.parts.recorder.admits(&site.tenant.id)?;
        let limits = &snapshot.settings.limits;
        let limit = limits.decision;
        let program = self.program(story, (&site, &app), &canonical, connection, (&mut head.headers, limits));
        let (asker, over, proof) = match within(limit, program).await? {
            Some(Program { asker, proof }) => (asker, None, proof),
            None => {
                let caller = self.caller(&site, &canonical, connection, (&head.headers, limits));
                let (asker, over) = within(limit, caller).await?;
                (asker, over, None)
            }
        };
        story.is_by(&asker);
        self.rates_of(story, (&site, &app), &asker, canonical.client())?;
        let _shares = self.shares_of(&asker, canonical.client(), (&site, &app), limits)?;
        let way = Way { snapshot, site, app, canonical, asker, connection: Arc::clone(connection), changes, trailers };
        let permit = self.admit(story, &way, over, &head.headers)?;
        self.spend(story, proof.as_ref())?;
        let access = story.stage(Stage::Access, edge);
        let response = match (story.asking, way.app.own) {
            (Some(asking), _) => Box::pin(self.vouch(story, &way, permit, asking, &head.headers)).await?,
            (None, Some(_)) => {
                let response = Box::pin(within(limit, self.own_page(story, &way, permit, head, body))).await;
                story.stage(Stage::Own, access);
                response?
            }
            (None, None) => match instead::answer(story, &way, permit, &mut head.headers)? {
                ControlFlow::Break(response) => response,
                ControlFlow::Continue(permit) => self.forward(story, &way, permit, head, body).await?,
            },
        };
        Ok(self.finish(story, &way, response).await)
    }

    /// Puts the question, and takes only a permit for a yes.
    fn admit(&self, story: &mut Story, way: &Way, over: Option<Reason>, headers: &HeaderMap) -> Result<Permit, Fail> {
        let Way { site, app, canonical, asker, .. } = way;
        if app.own.is_some_and(|own| own != routing::OwnApp::Machines) {
            origin::check_change(canonical, headers).inspect_err(|_| story.is_anothers(canonical, headers))?;
        }
        if access::is_held(asker, app, canonical) {
            let fail = self.held(way, headers);
            return Err(Fail { lead: fail.lead && !story.is_scripts(), ..fail });
        }
        let (method, path) = (canonical.method().as_str(), canonical.path());
        let preflight = story.crossing.as_ref().is_some_and(|crossing| crossing.preflight);
        let target = if preflight { app.model.preflight(path) } else { app.model.locate(method, path) };
        let nothing = || if app.model.knows(method) { Reason::NotFound } else { Reason::MethodNotAllowed };
        let target = target.ok_or_else(nothing)?;
        if !program::in_scope(asker, &target) {
            return Err(story.is_refused("its scope does not say so", Reason::InsufficientScope));
        }
        let (answer, decision) = access::decide(&site.tenant, asker, &target, canonical, (story.entry, story.at));
        story.decision = Some(decision);
        match answer {
            Answer::Allowed(permit) => {
                if !matches!(asker.principal().caller(), Caller::Visitor) {
                    way.connection.watch.becomes_known();
                }
                Ok(permit)
            }
            Answer::Denied(need) => {
                let fail = self.denied(need, over, way, headers);
                Err(Fail { lead: fail.lead && !story.is_scripts(), ..fail })
            }
        }
    }

    /// Our own pages and APIs, which take the permit from the request's [`Admitted`].
    async fn own_page(
        &self,
        story: &Story,
        way: &Way,
        permit: Permit,
        mut head: Head,
        body: Body,
    ) -> Result<Response<Body>, Fail> {
        let measure = Measure { bytes: u64::MAX, rate: OWN_RATE, stretch: way.limits().own_body };
        let (body, arrival) = body.held_to(measure, &way.connection)?;
        head.uri = way.canonical.target().clone().into();
        head.extensions.insert(Admitted::new(permit, way, story));
        let response = self.parts.own.call(Request::from_parts(head, body)).await;
        match arrival.and_then(|arrival| arrival.broke()) {
            Some(reason) => Err(reason.into()),
            None => Ok(response),
        }
    }

    /// What every answer carries, and the next handle where this one is due.
    async fn finish(&self, story: &Story, way: &Way, mut response: Response<Body>) -> Response<Body> {
        let tls = way.canonical.tls();
        let headers = response.headers_mut();
        headers.insert(outbound::REQUEST_ID.clone(), story.id.clone());
        headers::secure(headers, tls);
        rating::tell(story, headers);
        if let Some(cookie) = self.rotated(story, way, headers).await {
            headers.append(http::header::SET_COOKIE, cookie);
        }
        response
    }

    /// Says no, with what would help.
    fn refuse(&self, story: Story, fail: &Fail) -> Response<Body> {
        let mut failure = Failure {
            tenant: story.site.as_ref().map(|site| Arc::clone(&site.tenant)),
            app: story.app.as_ref().map(|app| app.spec.id.clone()),
            // Ours are known to nobody by a name.
            app_name: story.app.as_ref().filter(|app| app.own.is_none()).map(|app| app.spec.name.clone()),
            signed_in_as: match &story.caller {
                Caller::User(user) => Some(user.email.clone()),
                _ => None,
            },
            challenge: fail.challenge.clone(),
            add_factor: fail.add_factor.clone(),
            misput: story.misput().map(str::to_owned),
            languages: story.languages,
            ..Failure::new(fail.reason, story.entry)
        };
        if let Some(wait) = story.rate.and_then(|standing| standing.wait) {
            failure.retry_after = Some(rates::worth_trying_in(wait));
        }
        let faces = &*self.parts.faces;
        let reader = match story.reader {
            Reader::Person if story.is_scripts() => Reader::Program,
            reader => reader,
        };
        let draw = || failure::answer(&failure, fail, reader, story.tls, faces);
        // A page that cannot be drawn is a defect, but the answer stays a no.
        let mut response = std::panic::catch_unwind(AssertUnwindSafe(draw))
            .unwrap_or_else(|_panic| failure::answer(&failure, fail, Reader::Program, story.tls, faces));
        if let Some(crossing) = &story.crossing {
            crossing.mark(response.headers_mut());
        }
        rating::tell(&story, response.headers_mut());
        if let Some(asking) = story.asking {
            response = asking.understood(response, fail.reason);
        }
        story.span.in_scope(|| tracing::debug!(reason = fail.reason.code(), "request refused"));
        // gRPC's answers all have the status 200: the entry tells what it means.
        let told = if story.reader == Reader::Grpc { fail.reason.status() } else { response.status().as_u16() };
        story.end(told, response.body(), Some(fail.reason));
        response
    }

    /// Asks the question of an open stream again, with everything as it is now.
    pub(crate) async fn ask_again(&self, asked: &Asked) -> Result<bool, StoreFault> {
        let now = self.now();
        if asked.connection.holds(now).is_err() {
            return Ok(false);
        }
        let snapshot = self.snapshot();
        let canonical = &asked.canonical;
        let Some(site) = snapshot.hosts.get(&**canonical.host()) else { return Ok(false) };
        // INVARIANT: what decides no request decides for no stream either. A log that is full for a moment cuts none.
        if let Err(Reason::StoreUnavailable | Reason::TenantUnavailable) = self.parts.recorder.admits(&site.tenant.id) {
            return Ok(false);
        }
        let Ok(app) = routing::route(site, canonical, &asked.connection) else { return Ok(false) };
        if app.spec.id != asked.app {
            return Ok(false);
        }
        let asker = match &asked.asker {
            Asker::Other(_) => asked.asker.clone(),
            Asker::Token(was) => match self.parts.tokens.current(was, now).await? {
                Some(token) if token.is_live(now) && token.apps.contains(&asked.app) => Asker::Token(token),
                _ => return Ok(false),
            },
            Asker::Session(was) => {
                match self.parts.sessions.current(&site.tenant.id, was.id, canonical.host(), now).await? {
                    Some(session) if session.id == was.id && session.is_live(now) => Asker::Session(session),
                    _ => return Ok(false),
                }
            }
        };
        let Some(target) = app.model.locate(canonical.method().as_str(), canonical.path()) else { return Ok(false) };
        let held = access::is_held(&asker, &app, canonical) || !program::in_scope(&asker, &target);
        Ok(!held && access::still_allowed(&site.tenant, &asker, &target, canonical, now))
    }
}

/// Ends what takes longer than the limit. What is done at once, as almost every step is, needs no timer.
async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, Fail>>) -> Result<T, Fail> {
    let mut step = std::pin::pin!(step);
    if let Some(done) = step.as_mut().now_or_never() {
        return done;
    }
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| Err(Reason::TimedOut.into()))
}

/// Everything that was found out before a request was admitted.
pub(crate) struct Way {
    /// The generation that the request began under, and ends under.
    snapshot: Arc<Snapshot>,
    pub(crate) site: Arc<Site>,
    pub(crate) app: Arc<App>,
    pub(crate) canonical: Arc<Canonical>,
    pub(crate) asker: Asker,
    pub(crate) connection: Arc<Connection>,
    changes: u64,
    trailers: bool,
}

impl Way {
    fn limits(&self) -> &Limits {
        &self.snapshot.settings.limits
    }

    fn asked(&self) -> Arc<Asked> {
        Arc::new(Asked {
            canonical: Arc::clone(&self.canonical),
            connection: Arc::clone(&self.connection),
            app: self.app.spec.id.clone(),
            asker: self.asker.clone(),
            denied: AtomicBool::new(false),
        })
    }
}

/// What [`crate::framing`] refused below HTTP comes up here as a stand-in. The reason is what the guard noted of this
/// connection; from the request itself none is taken, and a client that makes up a stand-in gets nothing by it.
/// Fields are counted below HTTP/1 only.
fn refused_below(head: &Head, connection: &Connection, limits: &Limits) -> Result<(), Reason> {
    if head.headers.contains_key(framing::REFUSED) {
        #[cfg(feature = "http3")]
        if head.extensions.get::<framing::TooLarge>().is_some() {
            return Err(Reason::HeadersTooLarge);
        }
        return Err(connection.watch.refused().unwrap_or(Reason::BadHeader));
    }
    if head.headers.len() > limits.headers { Err(Reason::HeadersTooLarge) } else { Ok(()) }
}
