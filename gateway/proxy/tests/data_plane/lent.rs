//! What the server lends to the data plane, made up and breakable.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use cardea_audit::Entry;
use cardea_core::{Clock, Reason, SessionId, TenantId, Timestamp, entropy::Fixed};
use cardea_identity::HandleHash;
use cardea_proxy::{
    Admitted, AssertionFor, Assertions, Body, Faces, Failure, Found, LiveSession, OwnPages, Recorder, Sessions,
    StoreFault, Tokens,
    live_token::{Judged, LiveToken, Shown},
};
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;

/// A clock that stands still until it is moved.
pub(crate) struct TestClock(pub(crate) AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// The clock, as the data plane holds it.
pub(crate) struct SharedClock(pub(crate) Arc<Lent>);

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// What the server lends, with a switch to break each part.
pub(crate) struct Lent {
    pub(crate) clock: TestClock,
    pub(crate) entropy: Fixed,
    pub(crate) troubles: Mutex<HashMap<SessionId, Trouble>>,
    /// What the texts of tokens are worth.
    pub(crate) tokens: Mutex<HashMap<String, Judged>>,
    pub(crate) live: Mutex<HashMap<HandleHash, Arc<LiveSession>>>,
    pub(crate) rotations: Mutex<Vec<String>>,
    pub(crate) entries: Mutex<Vec<Entry>>,
    pub(crate) sessions_fail: AtomicBool,
    pub(crate) sessions_hang: AtomicBool,
    pub(crate) assertions_fail: AtomicBool,
    pub(crate) log_full: AtomicBool,
    pub(crate) paused: AtomicBool,
    pub(crate) log_fails: AtomicBool,
    pub(crate) own_panics: AtomicBool,
    pub(crate) suspended: AtomicBool,
    /// The last request that came to a page of ours, kept where somebody wants it.
    pub(crate) admitted: Mutex<Option<Admitted>>,
    pub(crate) keeps_admitted: AtomicBool,
    pub(crate) written: tokio::sync::Notify,
}

/// What befalls the question after a session.
#[derive(Clone, Copy)]
pub(crate) enum Trouble {
    Hangs,
    Panics,
}

impl Lent {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: TestClock(AtomicI64::new(1_800_000_000)),
            entropy: Fixed::new(11),
            troubles: Mutex::default(),
            tokens: Mutex::default(),
            live: Mutex::default(),
            rotations: Mutex::default(),
            entries: Mutex::default(),
            sessions_fail: AtomicBool::default(),
            sessions_hang: AtomicBool::default(),
            assertions_fail: AtomicBool::default(),
            log_full: AtomicBool::default(),
            paused: AtomicBool::default(),
            log_fails: AtomicBool::default(),
            own_panics: AtomicBool::default(),
            suspended: AtomicBool::default(),
            admitted: Mutex::default(),
            keeps_admitted: AtomicBool::default(),
            written: tokio::sync::Notify::new(),
        })
    }
}

/// A token that is not known is somebody else's.
impl Tokens for Lent {
    fn known(&self, _: &TenantId, _: Shown<'_>, _: Timestamp) -> Option<Arc<LiveToken>> {
        None
    }

    fn judge<'a>(
        &'a self,
        _: &'a TenantId,
        shown: Shown<'a>,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Judged, StoreFault>> {
        Box::pin(async {
            if self.sessions_fail.load(Ordering::SeqCst) {
                return Err(StoreFault("the store is away".to_owned()));
            }
            if self.sessions_hang.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Ok(self.tokens.lock().unwrap().get(shown.text).cloned().unwrap_or(Judged::Foreign))
        })
    }

    fn current<'a>(
        &'a self,
        token: &'a Arc<LiveToken>,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Arc<LiveToken>>, StoreFault>> {
        Box::pin(async move {
            let tokens = self.tokens.lock().unwrap();
            let known = tokens.values().any(|one| matches!(one, Judged::Good(good) if good.by == token.by));
            Ok(known.then(|| Arc::clone(token)))
        })
    }
}

impl Sessions for Lent {
    fn cached(&self, _: &TenantId, handle: &HandleHash, now: Timestamp) -> Option<Arc<LiveSession>> {
        if self.sessions_fail.load(Ordering::SeqCst) {
            return None;
        }
        self.live.lock().unwrap().get(handle).filter(|session| session.is_live(now)).cloned()
    }

    fn find<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a HandleHash,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Found, StoreFault>> {
        Box::pin(async {
            if self.sessions_fail.load(Ordering::SeqCst) {
                return Err(StoreFault("the store is away".to_owned()));
            }
            if self.sessions_hang.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let suspended = self.suspended.load(Ordering::SeqCst);
            Ok(Found::Over(if suspended { Reason::UserSuspended } else { Reason::SessionEnded }))
        })
    }

    fn current<'a>(
        &'a self,
        _: &'a TenantId,
        session: SessionId,
        _: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Arc<LiveSession>>, StoreFault>> {
        Box::pin(async move {
            let trouble = self.troubles.lock().unwrap().get(&session).copied();
            match trouble {
                Some(Trouble::Hangs) => std::future::pending().await,
                Some(Trouble::Panics) => panic!("told to"),
                None => Ok(self.live.lock().unwrap().values().find(|s| s.id == session && s.is_live(now)).cloned()),
            }
        })
    }

    fn rotate<'a>(
        &'a self,
        _: &'a Arc<LiveSession>,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Option<String>, StoreFault>> {
        Box::pin(async { Ok(self.rotations.lock().unwrap().pop()) })
    }
}

impl Assertions for Lent {
    fn assertion(&self, of: &AssertionFor<'_>) -> Result<Option<HeaderValue>, StoreFault> {
        if self.assertions_fail.load(Ordering::SeqCst) {
            return Err(StoreFault("the key is away".to_owned()));
        }
        Ok(of.session.map(|session| HeaderValue::try_from(format!("signed-for-{}", session.user.email)).unwrap()))
    }
}

impl Recorder for Lent {
    fn admits(&self, _: &TenantId) -> Result<(), Reason> {
        if self.paused.load(Ordering::SeqCst) {
            return Err(Reason::TenantUnavailable);
        }
        if self.log_full.load(Ordering::SeqCst) { Err(Reason::LogUnavailable) } else { Ok(()) }
    }

    fn record(&self, entry: Entry) {
        self.entries.lock().unwrap().push(entry);
        self.written.notify_waiters();
    }

    fn record_before(&self, entry: Entry) -> BoxFuture<'_, Result<(), StoreFault>> {
        Box::pin(async move {
            if self.log_fails.load(Ordering::SeqCst) {
                return Err(StoreFault("the disk is full".to_owned()));
            }
            self.entries.lock().unwrap().push(entry);
            Ok(())
        })
    }
}

impl OwnPages for Lent {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        assert!(!self.own_panics.load(Ordering::SeqCst), "told to");
        if self.keeps_admitted.load(Ordering::SeqCst) {
            *self.admitted.lock().unwrap() = request.extensions().get().cloned();
        }
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let _ = body.collect().await;
            let admitted = head.extensions.get::<Admitted>().cloned().unwrap();
            let (first, second) = (admitted.take_permit(), admitted.take_permit());
            let permits = usize::from(first.is_some()) + usize::from(second.is_some());
            let app = admitted.app().spec.id.clone();
            Response::new(Body::full(format!("{app} {} permits={permits}", head.uri)))
        })
    }
}

impl Faces for Lent {
    fn page(&self, failure: &Failure) -> Response<Body> {
        let mut page = Response::new(Body::full(format!("<p>{}", failure.reason)));
        page.headers_mut().insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
        page
    }
}
