//! Open streams and their permits: what still flows is asked again when something changes, and cut when the answer
//! would be no (DESIGN section 3, rule 7).
//!
//! A body that passes at once is never registered. One that has to wait, or that is still passing a second later, is:
//! a sweeper asks its question again after every change, and looks every second whether its session has ended.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use cardea_core::{AppId, SessionId};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{Canonical, Connection, Proxy, access::Asker};

/// How often sessions are looked at. A second: half of what a cut may take.
const BEAT: Duration = Duration::from_secs(1);

/// How old an answer may get without a change. Thirty seconds: what every cached decision fact may, and time itself
/// is such a fact.
const STALE: Duration = Duration::from_secs(30);

/// What was asked when a stream began.
pub(crate) struct Asked {
    pub(crate) canonical: Arc<Canonical>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) app: AppId,
    pub(crate) asker: Asker,
}

struct Open {
    asked: Arc<Asked>,
    cut: CancellationToken,
    /// The change that the last answer knew of, and when it was given.
    answered: Mutex<(u64, Instant)>,
}

/// Every stream that has been open for long enough to matter.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<u64, Arc<Open>>>,
    next: AtomicU64,
    changes: AtomicU64,
    changed: Notify,
    sweeping: AtomicBool,
    proxy: std::sync::OnceLock<Weak<Proxy>>,
    pub(crate) gauge: Gauge,
}

impl Streams {
    pub(crate) fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { gauge, ..Self::default() })
    }

    /// Tells it whom to ask.
    pub(crate) fn serve(&self, proxy: Weak<Proxy>) {
        let _ = self.proxy.set(proxy);
    }

    /// Something changed that answers rest on.
    pub(crate) fn change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// The changes so far. Read before the question is put, so that none is missed between.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Cuts all streams of a session.
    pub(crate) fn cut(&self, session: SessionId) {
        for open in self.all() {
            if open.asked.asker.session().is_some_and(|s| s.id == session) {
                open.cut.cancel();
            }
        }
    }

    /// Cuts every stream.
    pub(crate) fn cut_all(&self) {
        for open in self.all() {
            open.cut.cancel();
        }
    }

    fn all(&self) -> Vec<Arc<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Registers a stream whose question was answered when `changes` was read.
    pub(crate) fn register(self: &Arc<Self>, asked: Arc<Asked>, changes: u64, at: Instant) -> Registered {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let cut = CancellationToken::new();
        let open = Arc::new(Open { asked, cut: cut.clone(), answered: Mutex::new((changes, at)) });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, open);
        self.gauge.inc();
        if !self.sweeping.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        if changes != self.changes() {
            self.changed.notify_waiters();
        }
        Registered { id, cut, streams: Arc::clone(self) }
    }
}

/// A stream's place in the register, given up on drop.
pub(crate) struct Registered {
    id: u64,
    pub(crate) cut: CancellationToken,
    streams: Arc<Streams>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.streams.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.streams.gauge.dec();
    }
}

/// Asks again after each change, and looks after sessions with every beat; ends when the gateway does.
async fn sweep(streams: Weak<Streams>) {
    loop {
        let Some(held) = streams.upgrade() else { return };
        let changed = held.changed.notified();
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(BEAT) => {}
        }
        let Some(proxy) = held.proxy.get().and_then(Weak::upgrade) else { return };
        for open in held.all() {
            if !holds(&proxy, &held, &open).await {
                open.cut.cancel();
            }
        }
    }
}

async fn holds(proxy: &Arc<Proxy>, streams: &Streams, open: &Open) -> bool {
    let now = proxy.now();
    if open.asked.asker.session().is_some_and(|session| !session.is_live(now)) {
        return false;
    }
    let (known, at) = *open.answered.lock().unwrap_or_else(PoisonError::into_inner);
    let changes = streams.changes();
    if known == changes && at.elapsed() < STALE {
        return true;
    }
    match proxy.ask_again(&open.asked).await {
        Ok(true) => {
            *open.answered.lock().unwrap_or_else(PoisonError::into_inner) = (changes, Instant::now());
            true
        }
        Ok(false) => false,
        // The store does not answer: what was known may serve until it is stale, not longer.
        Err(_) => at.elapsed() < STALE,
    }
}

/// Ties a body to its permit; registers itself only if the body takes its time.
pub(crate) struct Tie {
    streams: Arc<Streams>,
    asked: Option<Arc<Asked>>,
    changes: u64,
    began: Instant,
    registered: Option<(Registered, Pin<Box<WaitForCancellationFutureOwned>>)>,
}

impl Tie {
    pub(crate) fn new(streams: &Arc<Streams>, asked: Arc<Asked>, changes: u64, began: Instant) -> Self {
        Self { streams: Arc::clone(streams), asked: Some(asked), changes, began, registered: None }
    }

    /// Whether the stream is cut. Called before each piece.
    pub(crate) fn poll_cut(&mut self, cx: &mut Context<'_>) -> bool {
        if self.registered.is_none() && self.began.elapsed() > BEAT {
            self.watch(cx);
        }
        match &mut self.registered {
            Some((_, cut)) => cut.as_mut().poll(cx) == Poll::Ready(()),
            None => false,
        }
    }

    /// Wakes the body's task when the stream is cut. Called when there is nothing to pass yet.
    pub(crate) fn watch(&mut self, cx: &mut Context<'_>) {
        if let Some(asked) = self.asked.take() {
            let registered = self.streams.register(asked, self.changes, self.began);
            let mut cut = Box::pin(registered.cut.clone().cancelled_owned());
            // Already cut: the next poll says so.
            if cut.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
            self.registered = Some((registered, cut));
        }
    }
}
