//! What waits to be written: taken in order, never lost, with the figures that admission reads without a lock.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use cardea_audit::Entry;
use cardea_core::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::LogMetrics;

/// Tells a waiter how it ended.
pub(super) type Done = oneshot::Sender<Result<(), String>>;

/// An entry that waits.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) entry: Entry,
    /// When it was taken: admission looks at the oldest.
    pub(super) taken: Timestamp,
    /// Who waits for it.
    pub(super) done: Option<Done>,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Pending>,
    /// Who wants everything written that was taken up to a number.
    flushes: Vec<(u64, Done)>,
    /// Entries taken since the start.
    taken: u64,
    /// Entries written since the start.
    written: u64,
    /// Whether somebody waits, so that a group should not gather any longer.
    urgent: bool,
    closed: bool,
}

/// No entry waits.
const NONE: i64 = i64::MAX;

/// The queue between those who record and the committer.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
    /// Entries in the queue and in the committer's hands.
    unwritten: AtomicUsize,
    oldest: AtomicI64,
    written: AtomicU64,
    groups: AtomicU64,
    last_commit: AtomicU64,
    failures: AtomicU64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            news: Notify::new(),
            unwritten: AtomicUsize::new(0),
            oldest: AtomicI64::new(NONE),
            written: AtomicU64::new(0),
            groups: AtomicU64::new(0),
            last_commit: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }
}

impl Waiting {
    /// Tells those whose entries are all written.
    fn flushed(&mut self) {
        let written = self.written;
        for (_, done) in self.flushes.extract_if(.., |(upto, _)| *upto <= written) {
            // Who no longer waits need not be told.
            let _ = done.send(Ok(()));
        }
    }
}

/// What the committer finds.
pub(super) enum Next {
    /// Entries wait; if `true`, somebody waits for them.
    Entries(bool),
    /// Nothing waits, and nothing more will come.
    Closed,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic runs under the lock; if it did, the entries are whole all the same.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, pending: Pending) {
        let mut waiting = self.lock();
        waiting.urgent |= pending.done.is_some();
        waiting.taken += 1;
        self.oldest.fetch_min(pending.taken.as_micros(), Ordering::Relaxed);
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        waiting.entries.push_back(pending);
        let wake = waiting.entries.len() == 1 || waiting.urgent;
        drop(waiting);
        if wake {
            self.news.notify_one();
        }
    }

    /// Waits for entries.
    pub(super) async fn next(&self) -> Next {
        loop {
            {
                let mut waiting = self.lock();
                if !waiting.entries.is_empty() {
                    return Next::Entries(waiting.urgent || waiting.closed);
                }
                waiting.flushed();
                waiting.urgent = false;
                if waiting.closed {
                    return Next::Closed;
                }
            }
            self.news.notified().await;
        }
    }

    /// Lets a group gather until it is full or somebody waits for it.
    pub(super) async fn gather(&self, full: usize) {
        loop {
            self.news.notified().await;
            let waiting = self.lock();
            if waiting.urgent || waiting.closed || waiting.entries.len() >= full {
                return;
            }
        }
    }

    /// Takes up to `most` entries, which stay counted until they are [`written`](Self::written).
    pub(super) fn take(&self, most: usize, into: &mut Vec<Pending>) {
        let mut waiting = self.lock();
        let count = waiting.entries.len().min(most.saturating_sub(into.len()));
        into.extend(waiting.entries.drain(..count));
        // Whoever waits has what they wait for in this group.
        waiting.urgent &= !waiting.entries.is_empty();
    }

    /// Notes that a group is on disk.
    pub(super) fn written(&self, group: &mut Vec<Pending>, micros: u64) {
        let mut waiting = self.lock();
        let oldest = waiting.entries.front().map_or(NONE, |pending| pending.taken.as_micros());
        self.oldest.store(oldest, Ordering::Relaxed);
        self.unwritten.fetch_sub(group.len(), Ordering::Relaxed);
        waiting.written += group.len() as u64;
        waiting.flushed();
        drop(waiting);
        self.written.fetch_add(group.len() as u64, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.last_commit.store(micros, Ordering::Relaxed);
        for done in group.drain(..).filter_map(|pending| pending.done) {
            let _ = done.send(Ok(()));
        }
    }

    /// Notes that a group could not be written; it is tried again. Whoever has waited since before `before` is told.
    pub(super) fn failed(&self, group: &mut [Pending], before: Timestamp, why: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.lock();
        let late = |pending: &&mut Pending| pending.taken < before;
        for pending in group.iter_mut().chain(waiting.entries.iter_mut()).filter(late) {
            if let Some(done) = pending.done.take() {
                let _ = done.send(Err(why.to_owned()));
            }
        }
        for (_, flush) in waiting.flushes.drain(..) {
            let _ = flush.send(Err(why.to_owned()));
        }
    }

    pub(super) async fn flush(&self) -> Result<(), String> {
        let (done, wait) = oneshot::channel();
        {
            let mut waiting = self.lock();
            waiting.urgent = true;
            let upto = waiting.taken;
            waiting.flushes.push((upto, done));
        }
        self.news.notify_one();
        wait.await.unwrap_or_else(|_| Err("it has ended".to_owned()))
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn waiting(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed)
    }

    pub(super) fn oldest(&self) -> Option<Timestamp> {
        match self.oldest.load(Ordering::Relaxed) {
            NONE => None,
            micros => Some(Timestamp::from_micros(micros)),
        }
    }

    pub(super) fn metrics(&self) -> LogMetrics {
        LogMetrics {
            waiting: self.waiting() as u64,
            written: self.written.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            last_commit_micros: self.last_commit.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}
