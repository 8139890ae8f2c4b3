//! Writing: one connection, and one turn for whoever writes.
//!
//! Not sqlx's pool: that one asks a connection whether it still answers each time it comes back, which the next in turn waits for.
//! A connection to a file answers; what can be amiss is a transaction that nobody ended, and of that we know. One to a server is
//! asked before it is used.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use cardea_core::{Secret, TenantId};
use sqlx::{AnyConnection, Connection as _, Executor as _, raw_sql};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard},
};

use crate::{
    StoreFault,
    engine::{Engine, SOON},
    limited::Limited,
    push::News,
};

/// The writer's connection.
#[derive(Debug)]
pub(crate) struct Writer {
    url: Secret<String>,
    engine: Engine,
    /// How a connection is set up.
    setting: &'static str,
    own: Arc<Mutex<Option<Limited>>>,
    /// A transaction was begun and has not ended: whoever began it may have gone.
    begun: AtomicBool,
    closed: AtomicBool,
    /// How often somebody's turn came and the server was away.
    refused: AtomicU64,
    news: Arc<News>,
}

/// The right to write. Dropped, the next in turn has it.
pub(crate) type Turn = OwnedMappedMutexGuard<Option<Limited>, Limited>;

/// A transaction that writes. INVARIANT: dropped without [`commit`](Self::commit), it changes nothing.
#[derive(Debug)]
pub(crate) struct Writing {
    turn: Turn,
    writer: Arc<Writer>,
    /// The last change that it announces.
    announces: Option<i64>,
    /// Others may be under way beside it, of other tenants.
    of_one: bool,
}

impl Writer {
    /// A writer to the database at `url`. It connects when it is first used.
    pub(crate) fn new(url: &str, engine: Engine, news: Arc<News>) -> Arc<Self> {
        Self::with(url, engine, engine.writes(), news)
    }

    /// One with which whatever is written fails.
    pub(crate) fn to_nowhere(url: &str, engine: Engine) -> Arc<Self> {
        Self::with(url, engine, engine.reads(), News::new())
    }

    fn with(url: &str, engine: Engine, setting: &'static str, news: Arc<News>) -> Arc<Self> {
        let (begun, closed, refused) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self {
            url: Secret::new(url.to_owned()),
            engine,
            setting,
            own: Arc::default(),
            begun,
            closed,
            refused,
            news,
        })
    }

    /// Waits for the right to write.
    pub(crate) async fn turn(&self) -> Result<Turn, StoreFault> {
        let refused = self.refused.load(Ordering::Acquire);
        let waited = tokio::time::timeout(self.engine.patience_for_a_turn(), Arc::clone(&self.own).lock_owned()).await;
        let mut own = waited.map_err(|_| sqlx::Error::PoolTimedOut)?;
        // Whoever waits behind one who is refused is refused with it: each would find out for itself, one after the other.
        if self.refused.load(Ordering::Acquire) != refused {
            return Err(sqlx::Error::PoolTimedOut.into());
        }
        if self.begun.load(Ordering::Acquire) {
            self.take_back(&mut own).await;
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(sqlx::Error::PoolClosed.into());
        }
        self.connected(&mut own).await.inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::AcqRel);
        })?;
        Ok(OwnedMutexGuard::try_map(own, Option::as_mut).map_err(|_| sqlx::Error::PoolClosed)?)
    }

    /// Sees that there is a connection that answers.
    async fn connected(&self, own: &mut Option<Limited>) -> Result<(), sqlx::Error> {
        if own.as_ref().is_some_and(Limited::is_silent) || self.engine == Engine::Postgres && !answers(own).await? {
            *own = None;
        }
        if own.is_none() {
            let connects = async {
                let mut new = AnyConnection::connect(self.url.expose()).await?;
                new.execute(raw_sql(self.setting)).await?;
                Ok::<_, sqlx::Error>(Limited::alone(new, self.engine))
            };
            let connects = tokio::time::timeout(self.engine.patience(), connects).await;
            *own = Some(connects.map_err(|_| sqlx::Error::PoolTimedOut)??);
        }
        Ok(())
    }

    /// Begins to write.
    pub(crate) async fn begin(self: &Arc<Self>) -> Result<Writing, StoreFault> {
        self.begin_for(None).await
    }

    /// Begins to write; rows of that tenant's alone, where one is named.
    pub(crate) async fn begin_for(self: &Arc<Self>, tenant: Option<&TenantId>) -> Result<Writing, StoreFault> {
        let (turn, of_one) = (self.turn().await?, tenant.is_some());
        let mut writing = Writing { turn, writer: Arc::clone(self), announces: None, of_one };
        // Before it is: whoever asked may be gone when it has begun.
        self.begun.store(true, Ordering::Release);
        let begins = match self.engine {
            // Prepared once.
            Engine::Sqlite => sqlx::query(self.engine.begins()).execute(&mut *writing.turn).await.map(|_| ()),
            Engine::Postgres => {
                let sql = tenant.map_or_else(|| self.engine.begins().to_owned(), |one| self.engine.begins_for(one));
                writing.turn.tell(sql, SOON).await
            }
        };
        // Of two statements the first may have gone through.
        self.begun.store(begins.is_ok() || self.engine == Engine::Postgres, Ordering::Release);
        begins?;
        Ok(writing)
    }

    /// Ends a transaction that nobody has ended. On a full disk or a failed read SQLite may have done so itself, and says that there
    /// is none: that connection is closed, and whoever is next has a new one.
    async fn take_back(&self, own: &mut Option<Limited>) {
        let ended = match own.as_mut() {
            Some(own) if !own.is_silent() => own.tell("ROLLBACK".to_owned(), SOON).await.is_ok(),
            _ => false,
        };
        if !ended && let Some(spoilt) = own.take() {
            // It is gone either way.
            let _ = self.engine.soon(spoilt.let_go()).await;
        }
        self.begun.store(false, Ordering::Release);
    }

    /// Takes back what nobody has ended, and closes the connection: nothing is written any more.
    pub(crate) async fn close(&self) {
        let mut own = self.own.lock().await;
        self.closed.store(true, Ordering::Release);
        if self.begun.load(Ordering::Acquire) {
            self.take_back(&mut own).await;
        }
        if let Some(own) = own.take()
            && let Err(error) = self.engine.soon(own.close()).await
        {
            tracing::warn!(%error, "the writer's connection did not end in order");
        }
    }
}

/// Whether a connection, if there is one, answers. One that is silent is a fault: the server has stopped, and no other would answer.
async fn answers(own: &mut Option<Limited>) -> Result<bool, sqlx::Error> {
    let Some(open) = own else { return Ok(true) };
    let pong = open.ping().await;
    if open.is_silent() {
        *own = None;
        return Err(sqlx::Error::PoolTimedOut);
    }
    Ok(pong.is_ok())
}

impl Writing {
    /// Whether what it numbers among all that the house has is its own.
    pub(crate) const fn is_alone(&self) -> bool {
        !self.of_one
    }

    /// Notes that a change is announced in it; tells whether the database is to tell the others, when it ends.
    pub(crate) fn announces(&mut self, seq: i64) -> bool {
        self.announces = Some(seq);
        self.writer.engine == Engine::Postgres && !self.writer.news.has_way()
    }

    /// Ends it: once this has returned, what was written is on disk, and word of it is out. A server is waited for as long as for any
    /// statement: what it has done is not told as failed.
    pub(crate) async fn commit(mut self) -> Result<(), StoreFault> {
        let engine = self.writer.engine;
        match engine {
            Engine::Sqlite => sqlx::query(engine.commits()).execute(&mut *self.turn).await.map(|_| ())?,
            Engine::Postgres => {
                let limit = self.turn.limit();
                self.turn.tell(engine.commits().to_owned(), limit).await?;
            }
        }
        self.writer.begun.store(false, Ordering::Release);
        let (news, announces) = (Arc::clone(&self.writer.news), self.announces);
        // The next may write meanwhile.
        drop(self);
        if let Some(seq) = announces {
            news.tell(seq).await;
        }
        Ok(())
    }
}

impl Deref for Writing {
    type Target = Limited;

    fn deref(&self) -> &Limited {
        &self.turn
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut Limited {
        &mut self.turn
    }
}

impl Drop for Writing {
    /// Soon, and not only when somebody writes next: until then other processes could not write.
    fn drop(&mut self) {
        if !self.writer.begun.load(Ordering::Acquire) {
            return;
        }
        // Without a runtime the process ends, and what was begun with it.
        if let Ok(runtime) = Handle::try_current() {
            let writer = Arc::clone(&self.writer);
            runtime.spawn(async move { drop(writer.turn().await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use sqlx::Row as _;

    use super::*;
    use crate::{Store, testing::Dir};

    const WRITES: &str = "INSERT INTO guard_rails (name, text) VALUES ('x', '')";

    async fn written(store: &Store) -> i64 {
        let row = sqlx::query("SELECT COUNT(*) FROM guard_rails").fetch_one(store.reader()).await.unwrap();
        row.try_get(0).unwrap()
    }

    #[tokio::test]
    async fn what_nobody_ends_is_taken_back_and_hinders_no_other_process() {
        let dir = Dir::new();
        let (ours, theirs) = (dir.store().await, dir.store().await);
        let mut left = ours.write().await.unwrap();
        sqlx::query(WRITES).execute(&mut *left).await.unwrap();
        drop(left);
        // Of the database's patience nothing is needed: ours writes no more, and yet has ended it.
        theirs.write().await.unwrap().commit().await.unwrap();
        assert_eq!(written(&ours).await, 0);
        let mut kept = ours.write().await.unwrap();
        sqlx::query(WRITES).execute(&mut *kept).await.unwrap();
        kept.commit().await.unwrap();
        assert_eq!(written(&theirs).await, 1);
    }

    /// At each place where whoever writes may go away, they leave nothing begun behind.
    #[tokio::test]
    async fn whoever_goes_away_while_it_begins_or_ends_leaves_the_writer_fit() {
        let dir = Dir::new();
        let store = dir.store().await;
        for steps in 0..12 {
            let before = written(&store).await;
            let mut writes = Box::pin(async {
                let mut tx = store.write().await.unwrap();
                sqlx::query("DELETE FROM guard_rails").execute(&mut *tx).await.unwrap();
                sqlx::query(WRITES).execute(&mut *tx).await.unwrap();
                tx.commit().await.unwrap();
            });
            let mut left = steps;
            poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                writes.as_mut().poll(context)
            })
            .await;
            drop(writes);
            let mut tx = store.write().await.unwrap();
            let row = sqlx::query("SELECT COUNT(*) FROM guard_rails").fetch_one(&mut *tx).await.unwrap();
            let stands: i64 = row.try_get(0).unwrap();
            assert!(stands == before || stands == 1, "{steps}: {stands}");
            tx.commit().await.unwrap();
        }
    }

    /// PostgreSQL says so of an end that took all back; SQLite keeps what went well.
    #[tokio::test]
    async fn a_transaction_in_which_something_failed_is_not_called_written_where_it_was_taken_back() {
        let dir = Dir::new();
        let store = dir.store().await;
        let mut tx = store.write().await.unwrap();
        sqlx::query(WRITES).execute(&mut *tx).await.unwrap();
        sqlx::query("SELECT nothing FROM nowhere").execute(&mut *tx).await.unwrap_err();
        let said = tx.commit().await.is_ok();
        assert_eq!(said, written(&store).await == 1);
        store.write().await.unwrap().commit().await.unwrap();
    }

    /// Each would find out for itself, one after the other, and nobody is there any more who asked.
    #[tokio::test]
    async fn whoever_waits_behind_one_that_a_silent_server_keeps_waiting_is_refused_with_it() {
        sqlx::any::install_default_drivers();
        // It takes connections, and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://cardea@{}/cardea", silent.local_addr().unwrap());
        let writer = Writer::new(&url, Engine::Postgres, News::new());
        let since = std::time::Instant::now();
        let turns = futures_util::future::join_all((0..20).map(|_| writer.turn())).await;
        assert!(turns.iter().all(Result::is_err));
        assert!(since.elapsed() < 2 * Engine::Postgres.patience(), "after {:?}", since.elapsed());
    }

    #[tokio::test]
    async fn nothing_is_written_once_it_is_closed() {
        let dir = Dir::new();
        let store = dir.store().await;
        store.close().await;
        store.write().await.unwrap_err();
        store.turn().await.unwrap_err();
    }
}
