//! The durable store, in SQLite or PostgreSQL: one writer, several readers, one of them for searches, tables brought up to date on opening.

use std::{
    cmp::Ordering,
    fmt::Write as _,
    path::Path,
    sync::{Arc, Once},
};

use cardea_core::{Entropy, Secret, TenantId};
use cardea_identity::Sealer;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor, Row, SqliteConnection, any::AnyPoolOptions};
use tokio::sync::Mutex;

use crate::{
    StoreFault,
    engine::{Engine, SQLITE_WRITES},
    limited::Limited,
    owed,
    push::News,
    reader::Reader,
    seal_up,
    vault::Vault,
    versions,
    writing::{Turn, Writer, Writing},
};

/// The durable store. Cloning shares it.
///
/// Contract: each function is one transaction. Once it has returned `Ok`, its effect survives a crash of the process
/// and of the machine (WAL, `synchronous = FULL`); an `Err` says nothing about whether it took effect.
#[derive(Debug, Clone)]
pub struct Store(Arc<Pools>);

/// SQLite takes one writer at a time: with one connection and one turn, writers queue here and not in busy loops.
#[derive(Debug)]
struct Pools {
    engine: Engine,
    url: Secret<String>,
    reader: Reader,
    /// One connection: whatever is searched for, requests find theirs free.
    searcher: AnyPool,
    writer: Arc<Writer>,
    /// The log's, of SQLite's own kind, where that is the database: written with in the writer's turn.
    log: Mutex<Option<SqliteConnection>>,
    vault: Vault,
    news: Arc<News>,
}

/// Readers. Four: what two cores can use, with some waiting for the disk.
const READERS: u32 = 4;

/// For a connection that writes much: where nobody else writes, the file is brought up to date once in 16 MiB of what was
/// written, and not in eight.
const MUCH: &str = "PRAGMA wal_autocheckpoint = 2000;";

impl Store {
    /// Opens the SQLite file at `path`, creating it (mode 0600) and bringing its tables up to date. The tenants' keys are
    /// sealed under `operator`'s.
    pub async fn open(path: &Path, operator: Sealer, entropy: Arc<dyn Entropy>) -> Result<Self, StoreFault> {
        drivers();
        create_private(path)?;
        let url = sqlite_url(path)?;
        Self::of(url, Engine::Sqlite, Vault::new(Some(operator), Some(entropy))).await
    }

    /// Opens the PostgreSQL database at `url` (`postgres://…`), bringing its tables up to date. Several processes may.
    pub async fn connect(url: &str, operator: Sealer, entropy: Arc<dyn Entropy>) -> Result<Self, StoreFault> {
        drivers();
        Self::of(url.to_owned(), Engine::Postgres, Vault::new(Some(operator), Some(entropy))).await
    }

    /// Asks the PostgreSQL server at `url` what it is.
    pub async fn reach(url: &str) -> Result<String, StoreFault> {
        drivers();
        let mut own = alone(url).await?;
        let row = sqlx::query("SELECT current_setting('server_version') AS version").fetch_one(&mut own).await?;
        let version: String = row.try_get("version")?;
        own.close().await?;
        Ok(format!("PostgreSQL {version}"))
    }

    /// Whether keys are kept in the PostgreSQL database at `url`, so that the operator's must be there.
    pub async fn holds_keys(url: &str) -> Result<bool, StoreFault> {
        drivers();
        let mut own = alone(url).await?;
        let holds = has_table(&mut own, "tenant_keys").await? && {
            let row = sqlx::query("SELECT COUNT(*) AS found FROM tenant_keys").fetch_one(&mut own).await?;
            row.try_get::<i64, _>("found")? > 0
        };
        own.close().await?;
        Ok(holds)
    }

    /// Whether nothing was ever kept in the PostgreSQL database at `url`.
    pub async fn holds_nothing(url: &str) -> Result<bool, StoreFault> {
        drivers();
        let mut own = alone(url).await?;
        let nothing = !has_table(&mut own, "migrations").await?;
        own.close().await?;
        Ok(nothing)
    }

    async fn of(url: String, engine: Engine, vault: Vault) -> Result<Self, StoreFault> {
        let news = News::new();
        let writer = Writer::new(&url, engine, Arc::clone(&news));
        migrate(&writer, &vault, engine).await?;
        if engine == Engine::Sqlite {
            owed::settle(connect_log(&url).await?).await?;
        }
        let (reader, searcher) = (connect(&url, engine, READERS).await?, connect(&url, engine, 1).await?);
        let reader = Reader::new(reader, engine);
        let url = Secret::new(url);
        let store = Self(Arc::new(Pools { engine, url, reader, searcher, writer, log: Mutex::default(), vault, news }));
        store.sealer(None).await?;
        Ok(store)
    }

    /// Opens the file to read it: nothing is made, brought up to date or written, whatever is asked. Without the operator's
    /// key what is sealed stays so, and asking for it is a fault.
    pub async fn open_to_read(path: &Path, operator: Option<Sealer>) -> Result<Self, StoreFault> {
        drivers();
        let file = std::fs::File::open(path).map(drop);
        file.map_err(|source| StoreFault::File { path: path.display().to_string(), source })?;
        Self::to_read(sqlite_url(path)?, Engine::Sqlite, operator).await
    }

    /// The same of a PostgreSQL database.
    pub async fn connect_to_read(url: &str, operator: Option<Sealer>) -> Result<Self, StoreFault> {
        drivers();
        Self::to_read(url.to_owned(), Engine::Postgres, operator).await
    }

    async fn to_read(url: String, engine: Engine, operator: Option<Sealer>) -> Result<Self, StoreFault> {
        let reader = Reader::new(connect(&url, engine, READERS).await?, engine);
        if engine == Engine::Postgres && !has_table(&mut reader.acquire().await?, "migrations").await? {
            return Err(StoreFault::Nothing);
        }
        let sql = "SELECT COALESCE(MAX(version), 0) AS version FROM migrations";
        let stands: i64 = sqlx::query(sql).fetch_one(&reader).await?.try_get("version")?;
        let knows = newest();
        match stands.cmp(&knows) {
            Ordering::Less => Err(StoreFault::Older { stands, knows }),
            Ordering::Greater if !versions::goes_on_with(&mut reader.acquire().await?, knows).await? => {
                Err(StoreFault::Newer { stands, knows })
            }
            // The writer is no writer: a command that only looks and yet writes is a defect, and fails.
            Ordering::Equal | Ordering::Greater => {
                let (writer, searcher) = (Writer::to_nowhere(&url, engine), reader.pool().clone());
                let (vault, url, news) = (Vault::new(operator, None), Secret::new(url), News::new());
                Ok(Self(Arc::new(Pools { engine, url, reader, searcher, writer, log: Mutex::default(), vault, news })))
            }
        }
    }

    /// Whether it answers: for readiness.
    pub async fn ping(&self) -> Result<(), StoreFault> {
        sqlx::query("SELECT 1").fetch_one(self.reader()).await?;
        Ok(())
    }

    /// Ends all connections, having written what is to be written. The last one leaves all in one file.
    pub async fn close(&self) {
        if let Some(log) = self.0.log.lock().await.take()
            && let Err(error) = log.close().await
        {
            tracing::warn!(%error, "the log's connection did not end in order");
        }
        // A pool waits for what is out, which may be at a server that has stopped.
        for pool in [self.0.reader.pool(), &self.0.searcher] {
            let closed = async {
                pool.close().await;
                Ok(())
            };
            let _ = self.0.engine.soon(closed).await;
        }
        self.0.writer.close().await;
    }

    pub(crate) fn engine(&self) -> Engine {
        self.0.engine
    }

    pub(crate) fn news(&self) -> &Arc<News> {
        &self.0.news
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url.expose()
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// Randomness for what is sealed.
    pub(crate) fn entropy(&self) -> Result<&dyn Entropy, StoreFault> {
        self.0.vault.entropy()
    }

    /// Leaves nothing of what was deleted beside its page: brings the file up to date and cuts off the log of writes, in
    /// which older pages lie. Waits for readers as long as any writer does; what it could not do is told, and the next does.
    /// A server cleans up by itself, in its own time: there what was deleted is worth nothing without the key that went before.
    pub(crate) async fn scrub(&self) -> Result<(), StoreFault> {
        if self.0.engine == Engine::Postgres {
            return Ok(());
        }
        let _turn = self.turn().await?;
        let mut own = self.connect_log().await?;
        if !owed::cut_off(&mut own).await? {
            tracing::warn!("the database is in use, and what was destroyed stays in the log of writes for now");
        }
        Ok(own.close().await?)
    }

    /// Where to read. A read sees every write that was acknowledged before it.
    pub(crate) fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// Where to search: what may take long.
    pub(crate) fn searcher(&self) -> &AnyPool {
        &self.0.searcher
    }

    /// Begins to write.
    pub(crate) async fn write(&self) -> Result<Writing, StoreFault> {
        self.0.writer.begin().await
    }

    /// Begins to write rows of one tenant's and nothing else: see [`Engine::begins_for`].
    pub(crate) async fn write_in(&self, tenant: &TenantId) -> Result<Writing, StoreFault> {
        self.0.writer.begin_for(Some(tenant)).await
    }

    /// The right to write: with one statement, which is a transaction by itself, or with the log's connection, as long as this is
    /// held. Whoever writes waits here, and not in SQLite's busy loops.
    pub(crate) async fn turn(&self) -> Result<Turn, StoreFault> {
        self.0.writer.turn().await
    }

    /// Where the log's connection rests between two groups. What is taken and not put back is closed.
    pub(crate) fn log_connection(&self) -> &Mutex<Option<SqliteConnection>> {
        &self.0.log
    }

    /// The log's connection, opened.
    pub(crate) async fn connect_log(&self) -> Result<SqliteConnection, StoreFault> {
        connect_log(self.url()).await
    }
}

/// A connection to a PostgreSQL database, for a look.
async fn alone(url: &str) -> Result<Limited, StoreFault> {
    let connects = Engine::Postgres.promptly(AnyConnection::connect(url));
    Ok(Limited::alone(connects.await?, Engine::Postgres))
}

/// Whether a PostgreSQL database has a table of that name where ours are.
async fn has_table(own: &mut Limited, name: &str) -> Result<bool, StoreFault> {
    let sql = "SELECT COUNT(*) AS found FROM information_schema.tables \
               WHERE table_schema = current_schema() AND table_name = $1";
    let row = sqlx::query(sql).bind(name).fetch_one(own).await?;
    Ok(row.try_get::<i64, _>("found")? > 0)
}

async fn connect_log(url: &str) -> Result<SqliteConnection, StoreFault> {
    let mut connection = SqliteConnection::connect(url).await?;
    connection.execute(sqlx::raw_sql(SQLITE_WRITES)).await?;
    connection.execute(sqlx::raw_sql(MUCH)).await?;
    Ok(connection)
}

fn drivers() {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
}

/// The version that this program knows.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, _)| *version)
}

async fn connect(url: &str, engine: Engine, most: u32) -> Result<AnyPool, StoreFault> {
    let options = AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(engine.patience())
        .min_connections(1)
        // Connections to a file neither age nor rest. One to a server is asked, since that may have gone and come back; of one that is
        // lost whoever reads is to notice nothing but the wait.
        .max_lifetime(None)
        .idle_timeout(None)
        .test_before_acquire(false)
        .before_acquire(move |connection, _| {
            Box::pin(async move { engine.at_once(connection.ping()).await.map(|()| true) })
        })
        // What comes back is asked in time: whoever used it may have gone because the server had stopped.
        .after_release(move |connection, _| {
            Box::pin(async move { Ok(engine == Engine::Sqlite || engine.soon(connection.ping()).await.is_ok()) })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(engine.reads())).await.map(|_| ()) })
        });
    Ok(options.connect(url).await?)
}

/// Makes the file before SQLite does, so that it is never readable by others; SQLite gives `-wal` and `-shm` its mode.
fn create_private(path: &Path) -> Result<(), StoreFault> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(path).map(|_| ());
    made.map_err(|source| StoreFault::File { path: path.display().to_string(), source })
}

fn sqlite_url(path: &Path) -> Result<String, StoreFault> {
    let fault = |source| StoreFault::File { path: path.display().to_string(), source };
    let path = std::path::absolute(path).map_err(fault)?;
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    Ok(url)
}

/// Each file once, in this order; a file that has been handed out is never changed.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../migrations/0001_house.sql")),
    (2, include_str!("../migrations/0002_offered_handles.sql")),
    (3, include_str!("../migrations/0003_recovery.sql")),
    (SEALED, include_str!("../migrations/0004_sealed.sql")),
    (MARKED, include_str!("../migrations/0005_marked_tries.sql")),
    (6, include_str!("../migrations/0006_activity.sql")),
    (7, include_str!("../migrations/0007_suspended_from.sql")),
    (8, include_str!("../migrations/0008_own_accounts.sql")),
    (9, include_str!("../migrations/0009_unlinked.sql")),
    (10, include_str!("../migrations/0010_programs.sql")),
    (11, include_str!("../migrations/0011_ended.sql")),
    (12, include_str!("../migrations/0012_rates.sql")),
    (13, include_str!("../migrations/0013_accounts_off.sql")),
    (14, include_str!("../migrations/0014_program_indexes.sql")),
];

/// What a PostgreSQL database begins with: there were none before. Migrations after it are given to both.
const BEGINS_AT: (i64, &str) = (9, include_str!("../migrations/postgres/0009_house.sql"));

/// Migrations that are given to PostgreSQL in words of its own.
const IN_POSTGRES: &[(i64, &str)] = &[
    (10, include_str!("../migrations/postgres/0010_programs.sql")),
    (12, include_str!("../migrations/postgres/0012_rates.sql")),
];

/// All that PostgreSQL is told, from an empty database on.
pub(crate) fn in_postgres() -> impl Iterator<Item = (i64, &'static str)> {
    let later = MIGRATIONS.iter().filter(|(version, _)| *version > BEGINS_AT.0);
    std::iter::once(&BEGINS_AT).chain(later).map(|(version, sql)| (*version, words(*version, sql, Engine::Postgres)))
}

/// A migration in the words of an engine.
fn words(version: i64, sql: &'static str, engine: Engine) -> &'static str {
    let own = IN_POSTGRES.iter().find(|(own, _)| *own == version && engine == Engine::Postgres);
    own.map_or(sql, |(_, own)| *own)
}

/// From this version on personal data and secrets are sealed.
const SEALED: i64 = 4;

/// From this version on names of tries are keyed marks.
const MARKED: i64 = 5;

/// Brings the tables up to date, in one transaction: two processes that start together do it once.
async fn migrate(writer: &Arc<Writer>, vault: &Vault, engine: Engine) -> Result<(), StoreFault> {
    let mut tx = writer.begin().await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY)").execute(&mut *tx).await?;
    if engine == Engine::Sqlite {
        sqlx::query(owed::TABLE).execute(&mut *tx).await?;
    }
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) AS version FROM migrations").fetch_one(&mut *tx).await?;
    let mut stands: i64 = row.try_get("version")?;
    let knows = newest();
    if stands > knows {
        if !versions::goes_on_with(&mut tx, knows).await? {
            return Err(StoreFault::Newer { stands, knows });
        }
        tracing::warn!(stands, knows, "the database is newer than this program, which may go on beside newer ones");
    }
    if engine == Engine::Postgres && stands == 0 {
        let (version, sql) = BEGINS_AT;
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO migrations (version) VALUES ($1)").bind(version).execute(&mut *tx).await?;
        stands = version;
    }
    for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > stands) {
        sqlx::raw_sql(words(*version, sql, engine)).execute(&mut *tx).await?;
        if *version == SEALED {
            seal_up::seal_what_lies_open(&mut tx, vault).await?;
            sqlx::raw_sql(include_str!("../migrations/0004_sealed_after.sql")).execute(&mut *tx).await?;
        }
        versions::note(&mut tx, *version).await?;
    }
    if engine == Engine::Postgres {
        return tx.commit().await;
    }
    if stands > 0 && stands < SEALED {
        // What lay open lies in pages that are free now, and in the log of writes.
        owed::note(&mut tx, owed::ANEW).await?;
    } else if stands > 0 && stands < MARKED {
        // What was deleted was overwritten in its page, and lies in the log of writes.
        owed::note(&mut tx, owed::CUT_OFF).await?;
    }
    tx.commit().await
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
