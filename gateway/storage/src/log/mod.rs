//! The tenants' logs: entries taken at once, written in groups, linked as they are written.
//!
//! ```text
//! record → queue → committer ─ one transaction a group: entries, links, heads ─→ disk → waiters
//! ```

mod columns;
mod commit;
mod group;
mod query;
mod queue;
mod search;

use std::{sync::Arc, time::Duration};

use cardea_audit::Entry;
use cardea_core::Clock;

use self::{
    commit::Committer,
    queue::{Pending, Queue},
};
pub(crate) use self::{commit::hash, query::Opened};
pub use self::{
    query::Logged,
    search::{LogPage, LogQuery},
};
use crate::{Store, StoreFault};

/// Bounds of the log.
#[derive(Debug, Clone)]
pub struct LogLimits {
    /// How old the oldest unwritten entry may be before nothing is admitted. Two seconds: a busy disk takes less.
    pub oldest: Duration,
    /// How many entries may wait before nothing is admitted. 65,536: some seconds at full load, tens of megabytes.
    pub waiting: usize,
    /// The most entries written at once. 4,096: a group costs a disk's flush, some thirty milliseconds of a busy one, and
    /// while one is written the next gathers; so a disk that slow still takes a hundred thousand entries a second.
    pub batch: usize,
    /// How long a group gathers unless somebody waits for it. Fifty milliseconds: nobody waits for it, and at load it makes
    /// groups of many hundreds, of which each costs one commit and one of each page that is written on from its middle.
    pub gather: Duration,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { oldest: Duration::from_secs(2), waiting: 65_536, batch: 4_096, gather: Duration::from_millis(50) }
    }
}

/// When a fault is injected into a commit, for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything is written.
    BeforeWrite,
    /// When everything is written and nothing committed.
    BeforeCommit,
    /// After the commit, before its success is known: *failed but persisted*.
    AfterCommit,
}

/// Asked at each moment of each commit; an error makes the commit fail there. For tests.
pub trait FaultHook: Send + Sync {
    /// `Err` to fail here.
    fn at(&self, moment: Moment) -> Result<(), String>;
}

/// Takes entries. Cloning shares it; when the last clone is gone, what waits is still written.
///
/// Contract: an entry that was taken is written once, in the order in which entries of its tenant were taken, however
/// often writing fails in between, as long as the process lives. What [`Log::record_durable`] has confirmed survives a
/// crash of the machine.
#[derive(Clone)]
pub struct Log(Arc<Handle>);

struct Handle {
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
    limits: LogLimits,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Figures for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogMetrics {
    /// Entries that wait to be written.
    pub waiting: u64,
    /// Entries written since the start.
    pub written: u64,
    /// Groups written since the start.
    pub groups: u64,
    /// Microseconds that the last group took.
    pub last_commit_micros: u64,
    /// Groups that failed since the start.
    pub failures: u64,
}

impl Log {
    /// Starts the task that writes. Each log's head is read and held against its last entry; a log that was cut or
    /// replaced there is a fault.
    pub async fn start(store: &Store, limits: LogLimits, clock: Arc<dyn Clock>) -> Result<Self, StoreFault> {
        Self::begin(store, limits, clock, None).await
    }

    /// As [`Log::start`], with faults injected.
    pub async fn start_with_faults(
        store: &Store,
        limits: LogLimits,
        clock: Arc<dyn Clock>,
        hook: Arc<dyn FaultHook>,
    ) -> Result<Self, StoreFault> {
        Self::begin(store, limits, clock, Some(hook)).await
    }

    async fn begin(
        store: &Store,
        limits: LogLimits,
        clock: Arc<dyn Clock>,
        hook: Option<Arc<dyn FaultHook>>,
    ) -> Result<Self, StoreFault> {
        let queue = Arc::new(Queue::default());
        let committer = Committer::open(store, Arc::clone(&queue), limits.clone(), Arc::clone(&clock), hook).await?;
        tokio::spawn(committer.run());
        Ok(Self(Arc::new(Handle { queue, clock, limits })))
    }

    /// Takes an entry to be written within milliseconds. Never waits and never loses: the bound on what waits is kept
    /// by [`Log::admits`], and what is under way when it says no still finds room.
    pub fn record(&self, entry: Entry) {
        self.0.queue.push(Pending { entry, taken: self.0.clock.now(), done: None });
    }

    /// Takes an entry and waits until it is on disk. `Err`: it is not known to be; it stays in line and is written as
    /// soon as writing works again. So make the change first, then record it, then answer.
    pub async fn record_durable(&self, entry: Entry) -> Result<(), StoreFault> {
        let (done, wait) = tokio::sync::oneshot::channel();
        self.0.queue.push(Pending { entry, taken: self.0.clock.now(), done: Some(done) });
        wait.await.unwrap_or_else(|_| Err("it has ended".to_owned())).map_err(StoreFault::Log)
    }

    /// Whether requests may be admitted: entries are being written, and there is room for more.
    pub fn admits(&self) -> bool {
        let queue = &self.0.queue;
        if queue.waiting() >= self.0.limits.waiting {
            return false;
        }
        match queue.oldest() {
            Some(oldest) => self.0.clock.now().since(oldest) <= self.0.limits.oldest,
            None => true,
        }
    }

    /// Waits until everything taken so far is on disk; `Err` as soon as it cannot be written.
    pub async fn flush(&self) -> Result<(), StoreFault> {
        self.0.queue.flush().await.map_err(StoreFault::Log)
    }

    /// The last that a process does with its log: waits until everything taken is on disk, through failures that pass,
    /// such as another process holding the file; `Err` if it could not be written for as long as `limit`.
    pub async fn finish(&self, limit: Duration) -> Result<(), StoreFault> {
        let mut last = None;
        let written = async {
            while let Err(fault) = self.flush().await {
                last = Some(fault);
            }
        };
        match tokio::time::timeout(limit, written).await {
            Ok(()) => Ok(()),
            Err(_) => Err(last.unwrap_or_else(|| StoreFault::Log("it takes too long".to_owned()))),
        }
    }

    /// Figures for metrics.
    pub fn metrics(&self) -> LogMetrics {
        self.0.queue.metrics()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Log").field(&self.metrics()).finish()
    }
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod tests;
