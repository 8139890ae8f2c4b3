//! Word of changes, so that whoever follows the feed looks at once. It carries nothing but a number: what was changed is read from the
//! feed, and whoever hears nothing looks now and then.
//!
//! In the process itself a commit tells it. Between processes Redis does where sessions lie there, else PostgreSQL does, in the very
//! transaction that announces the change. INVARIANT: word that is called reliable was heard within the last two beats, over the whole
//! way: each who listens sends a beat and hears its own.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{Executor as _, postgres::PgListener, raw_sql};
use tokio::{sync::watch, time::Instant};

use crate::{Store, StoreFault, engine::Engine};

/// By which name PostgreSQL tells it.
pub(crate) const CHANNEL: &str = "cardea_changes";

/// One second: how long word is waited for before it is asked whether it would come.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// What a beat says, which is no change.
pub(crate) const BEATS: &str = "0";

/// Pause before listening is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// Tells other processes.
#[async_trait]
pub(crate) trait Push: Send + Sync + std::fmt::Debug {
    /// Tells that `seq` is in the feed. What cannot be told now is found by whoever looks.
    async fn tell(&self, seq: i64);
}

/// What has been heard, in this process.
#[derive(Debug)]
pub(crate) struct News {
    newest: watch::Sender<i64>,
    reliable: AtomicBool,
    by: OnceLock<Arc<dyn Push>>,
}

/// Word of changes as it comes.
#[derive(Debug)]
pub struct Word {
    heard: watch::Receiver<i64>,
    news: Arc<News>,
}

impl News {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { newest: watch::Sender::new(0), reliable: AtomicBool::new(false), by: OnceLock::new() })
    }

    /// Notes that a change is in the feed.
    pub(crate) fn note(&self, seq: i64) {
        self.newest.send_if_modified(|newest| {
            let newer = seq > *newest;
            *newest = seq.max(*newest);
            newer
        });
    }

    /// Tells it to this process and the others.
    pub(crate) async fn tell(&self, seq: i64) {
        self.note(seq);
        if let Some(by) = self.by.get() {
            by.tell(seq).await;
        }
    }

    /// Whether others are told in another way than by the database.
    pub(crate) fn has_way(&self) -> bool {
        self.by.get().is_some()
    }

    pub(crate) fn push_by(&self, by: Arc<dyn Push>) {
        // The first stands: all ways lead to the same servers.
        let _ = self.by.set(by);
    }

    /// Notes whether word comes. When it begins to, something may have been said before.
    pub(crate) fn set_reliable(&self, reliable: bool) {
        if self.reliable.swap(reliable, Ordering::AcqRel) != reliable && reliable {
            self.newest.send_modify(|_| {});
        }
    }

    /// Notes what came: a number, or a beat.
    pub(crate) fn heard(&self, text: &str) {
        self.set_reliable(true);
        if let Ok(seq) = text.parse() {
            self.note(seq);
        }
    }
}

impl Word {
    /// Waits for it.
    pub async fn comes(&mut self) {
        if self.heard.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether what any process changes would be heard: whoever waits may look less often.
    pub fn is_reliable(&self) -> bool {
        self.news.reliable.load(Ordering::Acquire)
    }
}

impl Store {
    /// Word of changes from now on.
    pub fn word(&self) -> Word {
        let news = Arc::clone(self.news());
        Word { heard: news.newest.subscribe(), news }
    }

    /// Passes on what PostgreSQL tells; never returns.
    pub(crate) async fn hear(&self) {
        if self.engine() == Engine::Sqlite {
            // A file tells nobody: whoever else writes in it is found by looking.
            return std::future::pending().await;
        }
        loop {
            if let Err(fault) = self.listen().await {
                tracing::debug!(error = fault.with_causes(), "no word of changes for now");
            }
            self.news().set_reliable(false);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Until it fails.
    async fn listen(&self) -> Result<(), StoreFault> {
        let patience = self.engine().patience();
        let timed_out = |_| sqlx::Error::PoolTimedOut;
        let connects = tokio::time::timeout(patience, PgListener::connect(self.url())).await;
        let mut own = connects.map_err(timed_out)??;
        tokio::time::timeout(patience, own.listen(CHANNEL)).await.map_err(timed_out)??;
        let mut last = Instant::now();
        loop {
            if last.elapsed() > 2 * BEAT {
                return Err(sqlx::Error::PoolTimedOut.into());
            }
            match tokio::time::timeout(BEAT, own.try_recv()).await {
                Ok(told) => {
                    let told = told?.ok_or(sqlx::Error::PoolClosed)?;
                    self.news().heard(told.payload());
                    last = Instant::now();
                }
                Err(_) => {
                    let beat = raw_sql("SELECT pg_notify('cardea_changes', '0')");
                    tokio::time::timeout(BEAT, own.execute(beat)).await.map_err(timed_out)??;
                }
            }
        }
    }
}
