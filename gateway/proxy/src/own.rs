//! What the data plane asks of the rest of the gateway: five traits, implemented once by the server and once by the tests.
//!
//! INVARIANT: an answer that cannot be had is a [`StoreFault`], never "not signed in". Nothing here returns a default.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use cardea_audit::Entry;
use cardea_core::{Caller, EntryId, Languages, Reason, SessionId, TenantId, Timestamp};
use cardea_identity::HandleHash;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use rustls_pki_types::CertificateDer;

use crate::{
    App, Body, Canonical, ClientCertificate, Connection, Failure, LiveSession, LiveToken, Permit, Site, Tenant,
    pipeline::Way, story::Story,
};

/// A store did not answer, or answered nonsense. Becomes `503 store-unavailable`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct StoreFault(pub String);

/// What a handle opens.
#[derive(Debug, Clone)]
pub enum Found {
    /// A live session.
    Live(Arc<LiveSession>),
    /// Nothing, or nothing any more, and what whoever holds it may be told: `session-ended`, or `user-suspended`.
    Over(Reason),
}

/// Sessions, by the hash of a handle. Implementations count each find as the session's latest use.
pub trait Sessions: Send + Sync + 'static {
    /// What memory knows of this handle, without waiting: a session that is live at `now` and no older in memory than
    /// its limit. `None` means "ask [`Sessions::find`]", not "there is none".
    fn cached(&self, tenant: &TenantId, handle: &HandleHash, now: Timestamp) -> Option<Arc<LiveSession>>;

    /// The live session that this handle opens, asking the store. [`Found::Over`] only if the store itself said so.
    /// Where a superseded handle is used after its grace, the session is ended in here.
    fn find<'a>(
        &'a self,
        tenant: &'a TenantId,
        handle: &'a HandleHash,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Found, StoreFault>>;

    /// The session as it is now, by its id; it counts as no use. Asked for open streams after a change.
    fn current<'a>(
        &'a self,
        tenant: &'a TenantId,
        session: SessionId,
        host: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Arc<LiveSession>>, StoreFault>>;

    /// Gives out a new handle if nobody just has (one compare-and-set), as it goes into the cookie; the old one stays good
    /// until the new one is shown. `Ok(None)`: another request was first, this one changes nothing.
    fn rotate<'a>(
        &'a self,
        session: &'a Arc<LiveSession>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<String>, StoreFault>>;
}

/// What an assertion is about.
#[derive(Debug, Clone, Copy)]
pub struct AssertionFor<'a> {
    /// The tenant that asserts.
    pub tenant: &'a Arc<Tenant>,
    /// Who it is for.
    pub app: &'a Arc<App>,
    /// Who asks.
    pub caller: &'a Caller,
    /// The session, where there is one.
    pub session: Option<&'a Arc<LiveSession>>,
    /// The token of a program, where one was shown.
    pub token: Option<&'a Arc<LiveToken>>,
    /// The request, where the app wants an assertion for each.
    pub request: Option<(EntryId, &'a Canonical)>,
    /// The present moment.
    pub now: Timestamp,
}

/// Signs assertions, and keeps those that may serve more than one request (at most 30 s).
pub trait Assertions: Send + Sync + 'static {
    /// The value of `Cardea-Assertion`; `None` where the caller has no identity to assert (a visitor).
    fn assertion(&self, of: &AssertionFor<'_>) -> Result<Option<HeaderValue>, StoreFault>;
}

/// Writes entries.
pub trait Recorder: Send + Sync + 'static {
    /// Whether requests of this tenant may be decided now: entries can be written in time, and what decides is not older
    /// than its limit. While not, nothing is admitted.
    fn admits(&self, tenant: &TenantId) -> Result<(), Reason>;

    /// Takes an entry to be written with others. Never waits.
    fn record(&self, entry: Entry);

    /// Writes an entry and returns once it is durable.
    fn record_before(&self, entry: Entry) -> BoxFuture<'_, Result<(), StoreFault>>;
}

/// Cardea's own pages and APIs, called with an [`Admitted`] among the request's extensions. An answer that is a failure
/// puts its [`cardea_core::Reason`] among the response's extensions, for the entry.
pub trait OwnPages: Send + Sync + 'static {
    /// Answers a request that has been admitted.
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

/// Shows failures to people. What programs are told is decided in [`crate::failure`].
pub trait Faces: Send + Sync + 'static {
    /// The HTML page of a failure; status and headers other than `Content-Type` are set by the caller.
    fn page(&self, failure: &Failure) -> Response<Body>;
}

/// What our own pages are given of a request: proof that it was allowed, and all that was found out on the way.
#[derive(Debug, Clone)]
pub struct Admitted(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permit: Mutex<Option<Permit>>,
    site: Arc<Site>,
    app: Arc<App>,
    canonical: Arc<Canonical>,
    caller: Caller,
    session: Option<Arc<LiveSession>>,
    connection: Arc<Connection>,
    entry: EntryId,
    languages: Languages,
    at: Timestamp,
}

impl Admitted {
    pub(crate) fn new(permit: Permit, way: &Way, story: &Story) -> Self {
        Self(Arc::new(Inner {
            permit: Mutex::new(Some(permit)),
            site: Arc::clone(&way.site),
            app: Arc::clone(&way.app),
            canonical: Arc::clone(&way.canonical),
            caller: way.asker.principal().caller().clone(),
            session: way.asker.session().cloned(),
            connection: Arc::clone(&way.connection),
            entry: story.entry,
            languages: story.languages,
            at: story.at,
        }))
    }

    /// The permit, once. A second taker gets none: one permit serves one change.
    pub fn take_permit(&self) -> Option<Permit> {
        self.0.permit.lock().ok().and_then(|mut permit| permit.take())
    }

    /// The tenant.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.0.site.tenant
    }

    /// The host that was asked, and what answers there.
    pub fn site(&self) -> &Arc<Site> {
        &self.0.site
    }

    /// The app of ours that answers.
    pub fn app(&self) -> &Arc<App> {
        &self.0.app
    }

    /// The request as it was decided on.
    pub fn canonical(&self) -> &Canonical {
        &self.0.canonical
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The certificate that the client showed on this connection. It held when the request came.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.0.connection.certificate.as_deref().map(ClientCertificate::der)
    }

    /// The session, where somebody is signed in.
    pub fn session(&self) -> Option<&Arc<LiveSession>> {
        self.0.session.as_ref()
    }

    /// The id of the request's entry.
    pub fn entry(&self) -> EntryId {
        self.0.entry
    }

    /// What a person wants to read; nothing of a program, which reads no page.
    pub fn languages(&self) -> Languages {
        self.0.languages
    }

    /// When the request came.
    pub fn at(&self) -> Timestamp {
        self.0.at
    }

    /// The client's address.
    pub fn client(&self) -> IpAddr {
        self.0.canonical.client()
    }
}
