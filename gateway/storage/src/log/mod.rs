//! The tenants' logs: entries taken at once, written in groups, linked as they are written.

use std::{sync::Arc, time::Duration};

use cardea_audit::{Entry, Hash, Head};
use cardea_core::{Clock, EntryId, TenantId, Timestamp};

use crate::{Store, StoreFault};

/// Bounds of the log.
#[derive(Debug, Clone)]
pub struct LogLimits {
    /// How old the oldest unwritten entry may be before nothing is admitted. Two seconds: a busy disk takes less.
    pub oldest: Duration,
    /// How many entries may wait. 65,536: some seconds at full load, and tens of megabytes.
    pub waiting: usize,
    /// The most entries written at once.
    pub batch: usize,
    /// How long a group gathers. Two milliseconds: unseen by a person, and long enough for a group.
    pub gather: Duration,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { oldest: Duration::from_secs(2), waiting: 65_536, batch: 512, gather: Duration::from_millis(2) }
    }
}

/// When a fault is injected into a commit, for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything is written.
    BeforeWrite,
    /// After the commit, before its success is known: *failed but persisted*.
    AfterCommit,
}

/// Asked at each moment of each commit; an error makes the commit fail there. For tests.
pub trait FaultHook: Send + Sync {
    /// `Err` to fail here.
    fn at(&self, moment: Moment) -> Result<(), String>;
}

/// Takes entries. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Log(Arc<()>);

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
    /// Entries refused because too many waited.
    pub dropped: u64,
}

/// Which entries to show.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only of these events (codes); all where empty.
    pub events: Vec<String>,
    /// Only of this app.
    pub app: Option<String>,
    /// Only by this caller: a label such as `user:<id>`.
    pub caller: Option<String>,
    /// Only with this reason.
    pub reason: Option<String>,
    /// Only with this verdict.
    pub verdict: Option<String>,
    /// Only those whose body holds this text, in any case.
    pub text: Option<String>,
    /// Only from then on.
    pub from: Option<Timestamp>,
    /// Only before then.
    pub to: Option<Timestamp>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<u64>,
    /// At most so many; between 1 and 500.
    pub limit: u32,
}

/// A stored entry with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its number in the log.
    pub seq: u64,
    /// The canonical bytes; [`Entry::read`] reads them.
    pub body: Vec<u8>,
    /// Their hash.
    pub leaf: Hash,
    /// The link.
    pub link: Hash,
}

/// A page of entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The entries.
    pub items: Vec<Logged>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

impl Log {
    /// Starts the task that writes. Heads are read from the store and their last entries checked.
    pub async fn start(store: &Store, limits: LogLimits, clock: Arc<dyn Clock>) -> Result<Self, StoreFault> {
        let _ = (store, limits, clock);
        todo!()
    }

    /// As [`Log::start`], with faults injected.
    pub async fn start_with_faults(
        store: &Store,
        limits: LogLimits,
        clock: Arc<dyn Clock>,
        hook: Arc<dyn FaultHook>,
    ) -> Result<Self, StoreFault> {
        let _ = (store, limits, clock, hook);
        todo!()
    }

    /// Takes an entry to be written within milliseconds. Never waits. While the log [`admits`](Log::admits), room
    /// for the entries of requests under way is kept.
    pub fn record(&self, entry: Entry) {
        let _ = entry;
        todo!()
    }

    /// Takes an entry and waits until it is on disk.
    pub async fn record_durable(&self, entry: Entry) -> Result<(), StoreFault> {
        let _ = entry;
        todo!()
    }

    /// Whether requests may be admitted: entries are being written, and there is room for more.
    pub fn admits(&self) -> bool {
        todo!()
    }

    /// Waits until everything taken so far is on disk, or cannot be written.
    pub async fn flush(&self) -> Result<(), StoreFault> {
        todo!()
    }

    /// Figures for metrics.
    pub fn metrics(&self) -> LogMetrics {
        LogMetrics::default()
    }
}

/// A log is named by its tenant, or by `None` for the operator's own.
impl Store {
    /// A page of entries, newest first.
    pub async fn log(&self, tenant: Option<&TenantId>, query: &LogQuery) -> Result<LogPage, StoreFault> {
        let _ = (tenant, query);
        todo!()
    }

    /// One entry.
    pub async fn log_entry(&self, tenant: Option<&TenantId>, id: EntryId) -> Result<Option<Logged>, StoreFault> {
        let _ = (tenant, id);
        todo!()
    }

    /// Entries from `seq` on, oldest first, at most `limit`: for exports and verification.
    pub async fn log_range(&self, tenant: Option<&TenantId>, seq: u64, limit: u32) -> Result<Vec<Logged>, StoreFault> {
        let _ = (tenant, seq, limit);
        todo!()
    }

    /// The head that the log was left with.
    pub async fn log_head(&self, tenant: Option<&TenantId>) -> Result<Head, StoreFault> {
        let _ = tenant;
        todo!()
    }

    /// The logs that there are, those of deleted tenants too.
    pub async fn logs(&self) -> Result<Vec<Option<TenantId>>, StoreFault> {
        todo!()
    }

    /// Checks a whole log against its head and those that somebody remembers.
    pub async fn verify_log(
        &self,
        tenant: Option<&TenantId>,
        known: &[Head],
    ) -> Result<Result<Head, cardea_audit::Break>, StoreFault> {
        let _ = (tenant, known);
        todo!()
    }
}
