//! Which database keeps the durable state, and what is said to the two differently. Everything else is said alike: placeholders
//! are `$1`, and the functions of SQLite's that statements use are made in PostgreSQL by its first migration.

use std::time::Duration;

use cardea_core::TenantId;

use crate::{StoreFault, limited::heard};

/// A word whether it is there: less than whoever waits for a connection waits in all.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A read: a server that is there has answered by then, and who asked is still there.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(4);

/// Everything that a house is made of, read at once: longer than a server lets one statement of it take.
const AT_LAST: Duration = Duration::from_secs(40);

/// Longer than a server lets one wait for the right to write.
pub(crate) const SOON: Duration = Duration::from_secs(12);

/// Longer than a server lets one statement take.
pub(crate) const STATEMENT: Duration = Duration::from_secs(33);

/// A database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A file of this machine's, for one gateway.
    Sqlite,
    /// A server, for several.
    Postgres,
}

/// FNV-1a of 32 bits (RFC 9923): every gateway of a house numbers a tenant alike.
const FNV: (u32, u32) = (0x811c_9dc5, 0x0100_0193);

/// For the writer. `FULL`: in WAL mode `NORMAL` may lose acknowledged commits when the machine stops.
/// `secure_delete`: what is deleted or replaced is overwritten with zeros in its page, not only let go of.
/// Pages of 8 KiB, in a file that is made anew: nearly all that is written are entries of a kilobyte, of which seven fit such a
/// page and three the usual one of 4 KiB, with a quarter of it left empty and written all the same.
pub(crate) const SQLITE_WRITES: &str = "PRAGMA page_size = 8192; PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                       PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;";

/// For readers: one that tries to write is a defect, and fails.
const SQLITE_READS: &str =
    "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;";

/// For the writer. `synchronous_commit`: whatever the server's own default is, what was acknowledged is on its disk. The limits
/// end what a client that has died, or hangs, holds up for the others.
const POSTGRES_WRITES: &str = "SET synchronous_commit = on; SET lock_timeout = '10s'; SET statement_timeout = '30s'; \
                               SET idle_in_transaction_session_timeout = '5s';";

/// For readers: one that tries to write is a defect, and fails.
const POSTGRES_READS: &str = "SET default_transaction_read_only = on; SET statement_timeout = '30s'; \
                              SET idle_in_transaction_session_timeout = '30s';";

impl Engine {
    /// The longest wait for a connection. A file has them all open, and who waits for one waits for others; a server that is away
    /// is told as a fault while whoever asked is still there.
    pub(crate) const fn patience(self) -> Duration {
        match self {
            Self::Sqlite => Duration::from_secs(30),
            Self::Postgres => Duration::from_secs(3),
        }
    }

    /// The longest wait for a turn to write. A file's writers are ours, and each ends; with a server nobody waits longer than for it.
    pub(crate) const fn patience_for_a_turn(self) -> Duration {
        match self {
            Self::Sqlite => Duration::from_secs(30),
            Self::Postgres => PROMPTLY,
        }
    }

    /// How a connection is set up that writes.
    pub(crate) const fn writes(self) -> &'static str {
        match self {
            Self::Sqlite => SQLITE_WRITES,
            Self::Postgres => POSTGRES_WRITES,
        }
    }

    /// The same of one that reads.
    pub(crate) const fn reads(self) -> &'static str {
        match self {
            Self::Sqlite => SQLITE_READS,
            Self::Postgres => POSTGRES_READS,
        }
    }

    /// What begins a transaction that writes. INVARIANT: whoever has begun one is alone in writing so until it ends, here and in
    /// every other process: what it reads in between stands when it commits. SQLite has one writer; `IMMEDIATE`, since a
    /// transaction that first reads could otherwise lose its right to write. In PostgreSQL a lock is taken that all of ours
    /// take, and each statement then sees what was committed before it; single statements go by it (one-time values, first
    /// handles, when somebody was seen or a key used, what was used of rates, what is over of Redis's), and no transaction rests on what they change.
    pub(crate) const fn begins(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(4848291053);",
        }
    }

    /// What begins a transaction that writes rows of one tenant's and nothing else. INVARIANT: it is alone among that tenant's, and none
    /// of the others is under way beside it; those of other tenants may be. So it numbers nothing that tenants share: it announces no
    /// change and writes no entry. Whoever has the whole lock shut out waits for the shared ones, and they for nobody who waits for it.
    pub(crate) fn begins_for(self, tenant: &TenantId) -> String {
        let alone = tenant.as_str().bytes().fold(FNV.0, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(FNV.1));
        match self {
            Self::Sqlite => self.begins().to_owned(),
            // Two tenants of one number wait for each other, as all did.
            Self::Postgres => format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock_shared(4848291053); \
                 SELECT pg_advisory_xact_lock(484829105, {});",
                alone.cast_signed()
            ),
        }
    }

    /// What begins a transaction that reads: all of its statements see the same moment.
    pub(crate) const fn reads_one_moment(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// What ends a transaction that writes. PostgreSQL ends one in which something failed with a word of success, and has taken it
    /// all back: so it is asked something first, which then fails.
    pub(crate) const fn commits(self) -> &'static str {
        match self {
            Self::Sqlite => "COMMIT",
            Self::Postgres => "SELECT 1; COMMIT;",
        }
    }

    /// Does something that is to be over soon. A server that has stopped in the middle, or a host that is gone, says nothing more,
    /// and no clock of its own ends that. A file answers.
    pub(crate) async fn soon<T>(self, done: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        heard(self, SOON, None, done).await
    }

    /// The same of what is read.
    pub(crate) async fn promptly<T>(
        self,
        done: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        heard(self, PROMPTLY, None, done).await
    }

    /// The same of whether it is there; a file is.
    pub(crate) async fn at_once(self, asked: impl Future<Output = Result<(), sqlx::Error>>) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite => Ok(()),
            Self::Postgres => heard(self, AT_ONCE, None, asked).await,
        }
    }

    /// The same of all that there is.
    pub(crate) async fn at_last<T>(self, done: impl Future<Output = Result<T, StoreFault>>) -> Result<T, StoreFault> {
        match self {
            Self::Sqlite => done.await,
            Self::Postgres => tokio::time::timeout(AT_LAST, done).await.map_err(|_| sqlx::Error::PoolTimedOut)?,
        }
    }

    /// The function that joins texts of several rows.
    pub(crate) const fn joins_texts(self) -> &'static str {
        match self {
            Self::Sqlite => "group_concat",
            Self::Postgres => "string_agg",
        }
    }
}
