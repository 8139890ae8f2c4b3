//! All that a file keeps, put into an empty database of a server's: for a house that began with one gateway and goes on with several.
//!
//! What is copied is what the schema says, so that no table is forgotten. INVARIANT: one transaction: where the copy breaks off, the
//! database is as empty as it was. Nobody else has the file open meanwhile, so that nothing newer comes.

use std::{collections::BTreeMap, path::Path};

use cardea_core::Timestamp;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection, raw_sql,
    sqlite::{SqliteConnectOptions, SqliteLockingMode},
};

use crate::{
    StoreFault,
    engine::Engine,
    shared::{RedisAt, TakenOver},
    store::{in_postgres, newest},
    versions,
};

/// What was copied.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// What went to Redis, where sessions are kept there.
    pub shared: Option<TakenOver>,
}

/// Other tables' rows point to these: they come first, in this order.
const FIRST: [&str; 4] = ["tenants", "users", "factors", "sessions"];

/// What a Redis keeps where there is one.
pub(crate) const SHARED: [&str; 4] = ["sessions", "handles", "one_time", "tries"];

/// Tables of the file's own.
const NOT_COPIED: &str = "name NOT LIKE 'sqlite%' AND name NOT IN ('migrations', 'owed')";

/// Rows at once: a few hundred kilobytes of entries.
const AT_ONCE: i64 = 200;

/// Copies the file `from` into the database at `to`, and what lives shortly to Redis where that is given, with how its keys begin.
/// `told` hears of each table once it is copied.
pub async fn copy(
    from: &Path,
    to: &str,
    redis: Option<(&RedisAt, &str)>,
    now: Timestamp,
    mut told: impl FnMut(&str, u64),
) -> Result<Copied, StoreFault> {
    let (mut source, mut target) = (source(from).await?, target(to).await?);
    let mut copied = Copied::default();
    if let Some((at, prefix)) = redis {
        TakenOver::would_be_alone(&mut source, at, prefix).await?;
    }
    for table in tables(&mut source).await? {
        if redis.is_some() && SHARED.contains(&&*table) {
            continue;
        }
        let rows = copy_table(&mut source, &mut target, &table).await?;
        told(&table, rows);
        copied.rows.insert(table, rows);
    }
    if heads_here(&mut source).await? != heads_there(&mut target).await? {
        return Err(StoreFault::NotWhole { table: "log_heads".to_owned() });
    }
    if let Some((at, prefix)) = redis {
        copied.shared = Some(TakenOver::from(&mut source, at, prefix, now).await?);
    }
    Engine::Postgres.soon(target.execute(raw_sql("COMMIT"))).await?;
    // It is done, however they end.
    let _ = (target.close().await, source.close().await);
    Ok(copied)
}

/// The file, to whoever has it alone.
async fn source(path: &Path) -> Result<SqliteConnection, StoreFault> {
    let there = std::fs::File::open(path).map(drop);
    there.map_err(|source| StoreFault::File { path: path.display().to_string(), source })?;
    // Whoever else has it open holds it shared, and so do those who only read: they may write next.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .locking_mode(SqliteLockingMode::Exclusive)
        .busy_timeout(std::time::Duration::from_secs(1));
    let in_use = |error: sqlx::Error| match &error {
        sqlx::Error::Database(told) if told.message().contains("locked") => {
            StoreFault::InUse { path: path.display().to_string() }
        }
        _ => error.into(),
    };
    let mut own = SqliteConnection::connect_with(&options).await.map_err(in_use)?;
    own.execute(raw_sql("BEGIN EXCLUSIVE")).await.map_err(in_use)?;
    let sql = "SELECT COALESCE(MAX(version), 0) AS version FROM migrations";
    let (stands, knows): (i64, _) = (sqlx::query(sql).fetch_one(&mut own).await?.try_get("version")?, newest());
    match stands.cmp(&knows) {
        std::cmp::Ordering::Equal => Ok(own),
        std::cmp::Ordering::Less => Err(StoreFault::Older { stands, knows }),
        std::cmp::Ordering::Greater => Err(StoreFault::Newer { stands, knows }),
    }
}

/// The database, empty but for tables, in a transaction under way.
async fn target(url: &str) -> Result<PgConnection, StoreFault> {
    let mut own = Engine::Postgres.soon(PgConnection::connect(url)).await?;
    own.execute(raw_sql(Engine::Postgres.writes())).await?;
    // A batch is written in milliseconds; what is read between two may take longer.
    own.execute(raw_sql("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '10min'")).await?;
    own.execute(raw_sql(Engine::Postgres.begins())).await?;
    let sql = "SELECT COUNT(*) AS found FROM information_schema.tables WHERE table_schema = current_schema()";
    let found: i64 = sqlx::query(sql).fetch_one(&mut own).await?.try_get("found")?;
    if found > 0 {
        return Err(StoreFault::Occupied);
    }
    own.execute(raw_sql("CREATE TABLE migrations (version BIGINT PRIMARY KEY)")).await?;
    for (version, sql) in in_postgres() {
        own.execute(raw_sql(sql)).await?;
        versions::note_there(&mut own, version).await?;
    }
    Ok(own)
}

/// Every table of the schema, in the order in which they can be filled.
async fn tables(source: &mut SqliteConnection) -> Result<Vec<String>, StoreFault> {
    let sql = format!("SELECT name FROM sqlite_master WHERE type = 'table' AND {NOT_COPIED} ORDER BY name");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(source).await?;
    let mut tables = rows.iter().map(|row| row.try_get::<String, _>("name")).collect::<Result<Vec<_>, _>>()?;
    tables.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    Ok(tables)
}

/// The columns of a table, by name and kind as the server calls it; a fault where the file has others.
async fn columns(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
) -> Result<Vec<(String, String)>, StoreFault> {
    let rows =
        sqlx::query("SELECT name FROM pragma_table_info($1) ORDER BY name").bind(table).fetch_all(source).await?;
    let here = rows.iter().map(|row| row.try_get::<String, _>("name")).collect::<Result<Vec<_>, _>>()?;
    let rows = sqlx::query(
        "SELECT column_name::text AS name, data_type::text AS kind FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'NO' \
         ORDER BY column_name::text COLLATE \"C\"",
    )
    .bind(table)
    .fetch_all(target)
    .await?;
    let there = rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("kind")?)));
    let there = there.collect::<Result<Vec<(String, String)>, sqlx::Error>>()?;
    if !there.iter().map(|(name, _)| name).eq(&here) {
        return Err(StoreFault::NotWhole { table: table.to_owned() });
    }
    Ok(there)
}

/// The statements that read a table as JSON, one object a row, and write what was read.
fn statements(table: &str, columns: &[(String, String)]) -> (String, String) {
    let reads = columns.iter().map(|(name, kind)| match kind.as_str() {
        "bytea" => format!("'{name}', CASE WHEN \"{name}\" IS NULL THEN NULL ELSE hex(\"{name}\") END"),
        _ => format!("'{name}', \"{name}\""),
    });
    let values = columns.iter().map(|(name, kind)| match kind.as_str() {
        "bytea" => format!("decode(r ->> '{name}', 'hex')"),
        kind => format!("(r ->> '{name}')::{kind}"),
    });
    let names = columns.iter().map(|(name, _)| format!("\"{name}\""));
    let [reads, values, names] =
        [reads.collect::<Vec<_>>(), values.collect(), names.collect()].map(|parts| parts.join(", "));
    (
        format!(
            "SELECT rowid AS at, json_object({reads}) AS one FROM \"{table}\" \
             WHERE rowid > $1 ORDER BY rowid LIMIT {AT_ONCE}"
        ),
        format!(
            "INSERT INTO \"{table}\" ({names}) SELECT {values} \
             FROM json_array_elements($1::text::json) WITH ORDINALITY AS each (r, nth) ORDER BY nth"
        ),
    )
}

/// Copies a table in the order of its rows, and counts it on both sides.
async fn copy_table(source: &mut SqliteConnection, target: &mut PgConnection, table: &str) -> Result<u64, StoreFault> {
    let (reads, writes) = statements(table, &columns(source, target, table).await?);
    let mut last = i64::MIN;
    loop {
        let rows = sqlx::query(AssertSqlSafe(reads.clone())).bind(last).fetch_all(&mut *source).await?;
        let Some(row) = rows.last() else { break };
        last = row.try_get("at")?;
        let batch = rows.iter().map(|row| row.try_get::<String, _>("one")).collect::<Result<Vec<_>, _>>()?;
        let batch = format!("[{}]", batch.join(","));
        sqlx::query(AssertSqlSafe(writes.clone())).bind(batch).execute(&mut *target).await?;
    }
    let sql = format!("SELECT COUNT(*) AS n FROM \"{table}\"");
    let here: i64 = sqlx::query(AssertSqlSafe(sql.clone())).fetch_one(source).await?.try_get("n")?;
    let there: i64 = sqlx::query(AssertSqlSafe(sql)).fetch_one(target).await?.try_get("n")?;
    if here != there {
        return Err(StoreFault::NotWhole { table: table.to_owned() });
    }
    Ok(u64::try_from(there).unwrap_or_default())
}

/// The heads of the logs, as texts.
async fn heads_here(source: &mut SqliteConnection) -> Result<Vec<String>, StoreFault> {
    let sql = "SELECT tenant || ' ' || size || ' ' || hex(link) AS head FROM log_heads ORDER BY tenant";
    let rows = sqlx::query(sql).fetch_all(source).await?;
    Ok(rows.iter().map(|row| row.try_get("head")).collect::<Result<_, _>>()?)
}

async fn heads_there(target: &mut PgConnection) -> Result<Vec<String>, StoreFault> {
    let sql = "SELECT tenant || ' ' || size || ' ' || hex(link) AS head FROM log_heads ORDER BY tenant";
    let rows = sqlx::query(sql).fetch_all(target).await?;
    Ok(rows.iter().map(|row| row.try_get("head")).collect::<Result<_, _>>()?)
}

#[cfg(test)]
#[path = "copying_tests.rs"]
mod tests;
