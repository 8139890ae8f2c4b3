//! Open streams and their permits: what still flows is asked again when something changes, and cut when the answer
//! would be no (DESIGN section 3, rule 7).
//!
//! A body that passes at once is never registered. One that has to wait, or that is still passing a second later, is:
//! a sweeper asks its question again after every change that may concern it, and looks every second whether its session has
//! ended. No question may hold up the others: many are asked at once, none for long, and those first that have waited longest.
//!
//! INVARIANT: a body of which nobody has taken anything for a while is not registered either, since nobody looks at it. Before
//! it passes on, its question is answered as of then.

use std::{
    collections::HashMap,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use cardea_core::{AppId, SessionId, Timestamp, UserId};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{Canonical, Connection, Proxy, access::Asker, live_token::Ended};

/// How often sessions are looked at. A second: half of what a cut may take.
const BEAT: Duration = Duration::from_secs(1);

/// How old an answer may get. Thirty seconds: what every cached decision fact may, and time itself is such a fact.
const STALE: Duration = Duration::from_secs(30);

/// When it is asked for again without a change. Five seconds before, so that a store that stumbles cuts nobody.
const ASK_AGAIN: Duration = Duration::from_secs(25);

/// How long ago a permit may have been given that nobody has looked after since. Two seconds: what a cut may take.
const LATE: Duration = Duration::from_secs(2);

/// Time for all questions of one round. A second: with the beat before it, what a cut may take. What has no answer by
/// then is asked in the next round.
const ROUND: Duration = Duration::from_secs(1);

/// Questions asked at once: enough that some that hang stop no others, too few to crowd out requests at the store.
const AT_ONCE: usize = 64;

/// What has changed of that which answers rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Policies, apps, groups: whatever is asked of anybody.
    Everything,
    /// A user: who they are, their factors, or one of their sessions.
    User(UserId),
    /// A session.
    Session(SessionId),
    /// What a program had.
    Program(Ended),
}

impl Changed {
    fn concerns(self, asker: &Asker) -> bool {
        match (self, asker) {
            (Self::Everything, _) => true,
            (Self::User(id), Asker::Session(session)) => session.user.id == id,
            (Self::User(id), Asker::Token(token)) => token.is_of(Ended::User(id)),
            (Self::Session(id), Asker::Session(session)) => session.id == id,
            (Self::Program(end), Asker::Token(token)) => token.is_of(end),
            _ => false,
        }
    }
}

/// What was asked when a stream began.
pub(crate) struct Asked {
    pub(crate) canonical: Arc<Canonical>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) app: AppId,
    pub(crate) asker: Asker,
    /// The answer has become no: what belongs to this question, in either direction, was cut for it.
    pub(crate) denied: AtomicBool,
}

impl Asked {
    fn is_denied(&self) -> bool {
        self.denied.load(Ordering::Acquire)
    }
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

    /// Something changed that answers rest on. What it does not concern has known of it at once; an answer that is being given
    /// meanwhile knows nothing of it, and is asked for once more.
    pub(crate) fn change(&self, what: Changed) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.changes.fetch_add(1, Ordering::AcqRel);
        for one in open.values().filter(|one| !what.concerns(&one.asked.asker)) {
            let mut answered = one.answered.lock().unwrap_or_else(PoisonError::into_inner);
            if answered.0 == before {
                answered.0 = before + 1;
            }
        }
        drop(open);
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
                open.deny();
            }
        }
    }

    /// Cuts every stream: the gateway closes.
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
        let open = Arc::new(Open { asked, cut, answered: Mutex::new((changes, at)) });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&open));
        self.gauge.inc();
        if !self.sweeping.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        if changes != self.changes() {
            self.changed.notify_waiters();
        }
        Registered { id, open, streams: Arc::clone(self) }
    }

    /// Asks until there is an answer that is younger than this call; a cut is one.
    async fn settle(self: Arc<Self>, open: Arc<Open>) {
        let since = Instant::now();
        loop {
            // Read before the question is put, so that none is missed between.
            let changes = self.changes();
            match self.proxy.get().and_then(Weak::upgrade) {
                Some(proxy) => Arc::clone(&open).ask(&proxy, changes, Instant::now() + ROUND).await,
                None => open.deny(),
            }
            if open.cut.is_cancelled() || open.answered().1 >= since {
                return;
            }
            // The store has not answered: it is not asked again at once.
            tokio::time::sleep(BEAT).await;
        }
    }
}

/// Why a stream was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What allowed it no longer holds.
    Denied,
    /// The gateway closes.
    Closing,
}

/// A stream's place in the register, given up on drop.
pub(crate) struct Registered {
    id: u64,
    open: Arc<Open>,
    streams: Arc<Streams>,
}

impl Registered {
    /// Why it was cut.
    pub(crate) fn why(&self) -> End {
        if self.open.asked.is_denied() { End::Denied } else { End::Closing }
    }

    /// Cancelled when it is cut.
    pub(crate) fn cut(&self) -> &CancellationToken {
        &self.open.cut
    }
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
        // From here on no change is missed, not even one during the round.
        let changed = held.changed.notified();
        let Some(proxy) = held.proxy.get().and_then(Weak::upgrade) else { return };
        held.round(&proxy).await;
        drop(proxy);
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(BEAT) => {}
        }
    }
}

impl Streams {
    /// Looks at every stream once, and cuts those whose permit no longer holds.
    async fn round(&self, proxy: &Proxy) {
        let (now, changes) = (proxy.now(), self.changes());
        let (over, others): (Vec<_>, Vec<_>) = self.all().into_iter().partition(|open| open.is_over(now));
        for open in over {
            open.deny();
        }
        let until = Instant::now() + ROUND;
        let mut doubtful: Vec<_> = others.into_iter().filter(|open| open.is_doubtful(changes)).collect();
        doubtful.sort_by_cached_key(|open| open.answered().1);
        stream::iter(doubtful).for_each_concurrent(AT_ONCE, |open| open.ask(proxy, changes, until)).await;
    }
}

impl Open {
    fn is_over(&self, now: Timestamp) -> bool {
        match &self.asked.asker {
            Asker::Session(session) => !session.is_live(now),
            Asker::Token(token) => !token.is_live(now),
            Asker::Other(_) => false,
        }
    }

    fn answered(&self) -> (u64, Instant) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_doubtful(&self, changes: u64) -> bool {
        let (known, at) = self.answered();
        known != changes || at.elapsed() >= ASK_AGAIN
    }

    /// Asks its question again, and cuts it unless the answer is yes. A question that panics is answered with no. One
    /// that the store does not answer leaves what was known, until that is stale.
    async fn ask(self: Arc<Self>, proxy: &Proxy, changes: u64, until: Instant) {
        let asked = AssertUnwindSafe(proxy.ask_again(&self.asked)).catch_unwind();
        let holds = match tokio::time::timeout_at(until, asked).await {
            Ok(Ok(Ok(yes))) => yes,
            Ok(Err(_panic)) => false,
            Ok(Ok(Err(_))) | Err(_) => {
                if self.answered().1.elapsed() >= STALE {
                    self.deny();
                }
                return;
            }
        };
        if holds {
            *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = (changes, Instant::now());
        } else {
            self.deny();
        }
    }

    /// Cuts it, and says why first.
    fn deny(&self) {
        self.asked.denied.store(true, Ordering::Release);
        self.cut.cancel();
    }
}

/// Ties a body to its permit; registers itself only if the body takes its time.
pub(crate) struct Tie {
    streams: Arc<Streams>,
    asked: Arc<Asked>,
    changes: u64,
    began: Instant,
    registered: Option<(Registered, Pin<Box<WaitForCancellationFutureOwned>>)>,
    /// Its question, where what was known of it has grown old while nobody looked.
    settling: Option<BoxFuture<'static, ()>>,
}

impl Tie {
    pub(crate) fn new(streams: &Arc<Streams>, asked: Arc<Asked>, changes: u64, began: Instant) -> Self {
        Self { streams: Arc::clone(streams), asked, changes, began, registered: None, settling: None }
    }

    /// Whether the stream is cut, once that is known. Called before each piece.
    pub(crate) fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let age = self.began.elapsed();
        if self.registered.is_none() && age > BEAT {
            let old = age > LATE || self.changes != self.streams.changes();
            self.watch(cx);
            let open = self.registered.as_ref().filter(|_| old).map(|(registered, _)| Arc::clone(&registered.open));
            self.settling = open.map(|open| Arc::clone(&self.streams).settle(open).boxed());
        }
        let Some((registered, cut)) = &mut self.registered else { return Poll::Ready(false) };
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if let Some(settling) = &mut self.settling {
            ready!(settling.as_mut().poll(cx));
            self.settling = None;
        }
        Poll::Ready(registered.cut().is_cancelled())
    }

    /// Whether it ended since its question is answered otherwise now, also where the other direction was cut first.
    pub(crate) fn is_denied(&self) -> bool {
        self.asked.is_denied()
    }

    /// Wakes the body's task when the stream is cut. Called when there is nothing to pass yet.
    pub(crate) fn watch(&mut self, cx: &mut Context<'_>) {
        if self.registered.is_none() {
            let registered = self.streams.register(Arc::clone(&self.asked), self.changes, self.began);
            let mut cut = Box::pin(registered.cut().clone().cancelled_owned());
            // Already cut: the next poll says so.
            if cut.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
            self.registered = Some((registered, cut));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use cardea_core::Caller;
    use cardea_policy::Principal;

    use super::*;
    use crate::Door;

    /// A visitor's stream that began so long ago, when `changes` was read.
    fn tie(streams: &Arc<Streams>, changes: u64, ago: Duration) -> Tie {
        let asked = Asked {
            canonical: Canonical::of_target("/x", false).unwrap().into(),
            connection: Connection::plain(([127, 0, 0, 1], 1).into(), Door::Public).into(),
            app: AppId::parse("records").unwrap(),
            asker: Asker::Other(Arc::new(Principal::of(&Caller::Visitor))),
            denied: AtomicBool::new(false),
        };
        Tie::new(streams, asked.into(), changes, Instant::now() - ago)
    }

    /// Nobody answers here: whatever passes has passed without an answer.
    #[tokio::test]
    async fn what_nobody_looked_at_passes_nothing_before_it_was_asked_about() {
        let streams = Streams::new(Gauge::default());
        let cx = &mut Context::from_waker(Waker::noop());
        let (young, at_once, late) = (Duration::from_millis(1_500), Duration::ZERO, Duration::from_secs(60));
        assert_eq!(tie(&streams, 0, young).poll_cut(cx), Poll::Ready(false), "it was looked after in time");
        assert_ne!(tie(&streams, 0, late).poll_cut(cx), Poll::Ready(false), "nobody looked for a minute");
        streams.change(Changed::Everything);
        assert_eq!(tie(&streams, 0, at_once).poll_cut(cx), Poll::Ready(false), "it passes at once");
        assert_ne!(tie(&streams, 0, young).poll_cut(cx), Poll::Ready(false), "something has changed");
        assert_eq!(tie(&streams, 1, young).poll_cut(cx), Poll::Ready(false), "it knows of the change");
    }
}
