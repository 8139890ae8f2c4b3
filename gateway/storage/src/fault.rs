//! What a store says when it cannot answer.

use cardea_core::TenantId;

/// A store that cannot be reached, or holds what it cannot. Never an answer to the question that was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The database failed or cannot be reached.
    #[error("the database does not answer as it should")]
    Sql(#[from] sqlx::Error),
    /// The database was written by a newer Cardea, beside which this one cannot go on.
    #[error(
        "the database is of version {stands}, and this program knows versions up to {knows} and cannot go on beside it: \
         start a newer program"
    )]
    Newer {
        /// The database's version.
        stands: i64,
        /// The newest that is known.
        knows: i64,
    },
    /// The database was written by an older Cardea, and is opened to be read only.
    #[error(
        "the database is of version {stands}, older than {knows}: start the gateway once, which brings it up to date"
    )]
    Older {
        /// The database's version.
        stands: i64,
        /// The version that is known.
        knows: i64,
    },
    /// Nothing was ever kept in the database, which is opened to be read only.
    #[error("the database is empty: nothing has been kept in it yet")]
    Nothing,
    /// Something is kept in the database that was to be empty.
    #[error("the database is not empty")]
    Occupied,
    /// Redis holds sessions of a tenant that were to be taken over.
    #[error("redis holds sessions of `{tenant}` already, under keys that begin with `{prefix}:`")]
    Held {
        /// The tenant.
        tenant: String,
        /// How the keys begin.
        prefix: String,
    },
    /// Another process has the file open that was to be nobody's.
    #[error("`{path}` is in use")]
    InUse {
        /// The file.
        path: String,
    },
    /// A table was not copied as it is.
    #[error("`{table}` was not copied whole")]
    NotWhole {
        /// The table.
        table: String,
    },
    /// Redis failed or cannot be reached.
    #[error("redis does not answer as it should")]
    Redis(#[from] redis::RedisError),
    /// What is there is no Redis of the kind that the configuration says, or a cluster that does not serve everybody.
    #[error("redis is not as it should be: {0}")]
    Cluster(String),
    /// A stored value cannot be read back.
    #[error("`{what}` holds a value that cannot be read: {why}")]
    Corrupt {
        /// Which column or key.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Resources of a tenant cannot be read back.
    #[error("tenant `{tenant}` cannot be read: {why}")]
    Illegible {
        /// The tenant.
        tenant: TenantId,
        /// What of it, and why.
        why: String,
    },
    /// A value cannot be written as JSON.
    #[error("a value cannot be written as json")]
    Encoding(#[from] serde_json::Error),
    /// Something sealed was changed, moved, or sealed under a key that is not there.
    #[error("what is sealed does not open: it was changed, or sealed under a key that was destroyed")]
    Sealed(#[from] cardea_identity::sealing::CannotOpen),
    /// A tenant's key is sealed under another operator's key.
    #[error("the store is sealed under another operator's key than the one that is given")]
    OtherKey,
    /// The operator's key was not given.
    #[error("what is asked for is sealed, and the operator's key was not given")]
    Keyless,
    /// The tenant's key was destroyed, and with it all that was sealed under it.
    #[error("it was sealed under a key that was destroyed with its tenant")]
    NoKey,
    /// An entry does not open.
    #[error("entry {seq} does not open: it was changed, or its key was destroyed with the tenant that was")]
    Closed {
        /// Its number.
        seq: u64,
    },
    /// A file cannot be made or opened.
    #[error("`{path}` cannot be opened")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Too many others changed the same value at once.
    #[error("`{what}` is contended: gave up after many tries")]
    Contended {
        /// Which value.
        what: &'static str,
    },
    /// The memory that holds what lives shortly has reached its bound.
    #[error("there are too many {what} at once, and no more are taken for now")]
    Full {
        /// Of what.
        what: &'static str,
    },
    /// Entries cannot be written.
    #[error("the log cannot be written: {0}")]
    Log(String),
    /// A search was given up.
    #[error("the search took longer than {seconds} s: ask for less, by app, caller, event, reason or verdict")]
    Slow {
        /// The limit.
        seconds: u64,
    },
    /// What was changed could not be read for longer than may be.
    #[error("what was changed could not be read for {seconds} s")]
    Outdated {
        /// The limit.
        seconds: u64,
    },
    /// A log does not verify.
    #[error("the log of `{log}` is broken: {found}")]
    Broken {
        /// The tenant, or `operator`.
        log: String,
        /// The first thing wrong.
        found: cardea_audit::Break,
    },
}

impl StoreFault {
    /// The fault with its causes, for log lines: by itself it names only the step.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }

    pub(crate) fn corrupt(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt { what, why: why.to_string() }
    }
}
