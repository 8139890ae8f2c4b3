//! What lives shortly, taken over from the tables of a file by a Redis.

use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{HandleHash, TicketHash, one_time::Purpose};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    connection::{Connection, RedisAt},
    keys::{Key, Keys},
    redis::px,
    redis_handles::micros,
    redis_sessions::Kept,
    scripts::Scripts,
};
use crate::StoreFault;

/// How much a Redis took over: what had not reached its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Sessions, ended or not.
    pub sessions: u64,
    /// Handles that open them.
    pub handles: u64,
    /// One-time values.
    pub values: u64,
    /// Counts of tries.
    pub tries: u64,
}

struct Taker {
    to: Connection,
    keys: Keys,
    scripts: Scripts,
    now: Timestamp,
}

impl TakenOver {
    /// Whether nothing of the tenants' lies there already. INVARIANT: what an earlier try left is not gone on with: sessions that were ended
    /// since, and values that were used, would be as good there as they were.
    pub(crate) async fn would_be_alone(
        source: &mut SqliteConnection,
        at: &RedisAt,
        prefix: &str,
    ) -> Result<(), StoreFault> {
        let (mut to, keys) = (Connection::open(at).await?, Keys::new(prefix));
        for row in
            sqlx::query("SELECT id AS tenant FROM tenants UNION SELECT tenant FROM sessions").fetch_all(source).await?
        {
            let tenant = tenant(&row)?;
            let mut there = ::redis::cmd("EXISTS");
            there.arg(keys.live(&tenant));
            if there.query_async::<bool>(&mut to).await? {
                return Err(StoreFault::Held { tenant: tenant.to_string(), prefix: prefix.to_owned() });
            }
        }
        Ok(())
    }

    /// Takes over what is in `source`, where [`Self::would_be_alone`].
    pub(crate) async fn from(
        source: &mut SqliteConnection,
        at: &RedisAt,
        prefix: &str,
        now: Timestamp,
    ) -> Result<Self, StoreFault> {
        let (to, keys) = (Connection::open(at).await?, Keys::new(prefix));
        let mut taker = Taker { to, keys, scripts: Scripts::new(), now };
        let mut taken = Self::default();
        for row in rows(source, "SELECT * FROM sessions WHERE expires_at > $1", now).await? {
            taker.session(&row).await?;
            taken.sessions += 1;
        }
        let handles = "SELECT h.*, s.expires_at FROM handles h JOIN sessions s ON s.tenant = h.tenant AND s.id = h.session \
                       WHERE s.expires_at > $1";
        for row in rows(source, handles, now).await? {
            taker.handle(&row).await?;
            taken.handles += 1;
        }
        for row in rows(source, "SELECT * FROM one_time WHERE expires_at > $1", now).await? {
            taker.value(&row).await?;
            taken.values += 1;
        }
        for row in rows(source, "SELECT * FROM tries WHERE forget_at > $1", now).await? {
            taker.tries(&row).await?;
            taken.tries += 1;
        }
        Ok(taken)
    }
}

impl Taker {
    async fn session(&mut self, row: &SqliteRow) -> Result<(), StoreFault> {
        let (tenant, expires) = (tenant(row)?, time(row, "expires_at")?);
        let id = parsed(row, "id", SessionId::parse)?;
        let user = parsed(row, "user_id", UserId::parse)?;
        let ended: Option<i64> = row.try_get("ended_at")?;
        let why: Option<String> = row.try_get("ended_why")?;
        let kept = Kept {
            user,
            id,
            version: row.try_get::<i64, _>("version")?.unsigned_abs(),
            seen: row.try_get("last_seen_at")?,
            expires,
            now: self.now,
            ended: ended.map(|at| (at, why.unwrap_or_default())),
            // Whoever reads it knows the form in which a file has it.
            sealed: row.try_get("sealed")?,
        };
        let (keys, args) = (self.keys.of_session(&tenant, user, id), kept.args([&[]; 3]));
        let _: u32 = self.to.run(&self.scripts.session_insert, &keys, &args).await?;
        Ok(())
    }

    async fn handle(&mut self, row: &SqliteRow) -> Result<(), StoreFault> {
        let (tenant, expires) = (tenant(row)?, time(row, "expires_at")?);
        let hash = parsed(row, "hash", HandleHash::parse)?;
        let replaces = row.try_get::<Option<String>, _>("replaces")?;
        let replaces = replaces.map(|text| HandleHash::parse(&text)).transpose();
        let replaces = replaces.map_err(|why| StoreFault::corrupt("replaces", why))?;
        let at = |column| Ok::<_, StoreFault>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros));
        let mut fields = vec![
            ("n", parsed(row, "session", SessionId::parse)?.as_bytes().to_vec()),
            ("h", row.try_get::<String, _>("host")?.into_bytes()),
            ("i", micros(at("issued_at")?)),
        ];
        fields.extend(replaces.map(|hash| ("r", hash.as_bytes().to_vec())));
        for (field, column) in [("o", "offered_at"), ("s", "superseded_at")] {
            fields.extend(at(column)?.map(|at| (field, micros(Some(at)))));
        }
        self.hash(&self.keys.handle(&tenant, &hash), &fields, expires).await?;
        // The one that it is to replace knows whom to drop where another is given out instead.
        if let Some(before) = replaces {
            self.hash(&self.keys.handle(&tenant, &before), &[("x", hash.as_bytes().to_vec())], expires).await?;
        }
        Ok(())
    }

    async fn value(&mut self, row: &SqliteRow) -> Result<(), StoreFault> {
        let purpose: String = row.try_get("purpose")?;
        let parsed_purpose = serde_json::from_value::<Purpose>(serde_json::Value::String(purpose));
        let purpose = parsed_purpose.map_err(|why| StoreFault::corrupt("purpose", why))?;
        let hash = parsed(row, "hash", TicketHash::parse)?;
        let (expires, body): (_, String) = (time(row, "expires_at")?, row.try_get("body")?);
        let key = self.keys.one_time(&tenant(row)?, purpose, &hash);
        self.text(&key, &format!("{} {body}", expires.as_micros()), expires).await
    }

    async fn tries(&mut self, row: &SqliteRow) -> Result<(), StoreFault> {
        let (count, last): (i64, i64) = (row.try_get("count")?, row.try_get("last_at")?);
        let key = self.keys.tries(&tenant(row)?, &row.try_get::<String, _>("name")?);
        self.text(&key, &format!("{count} {last}"), time(row, "forget_at")?).await
    }

    async fn hash(&mut self, key: &Key, fields: &[(&str, Vec<u8>)], expires: Timestamp) -> Result<(), StoreFault> {
        let mut set = ::redis::cmd("HSET");
        set.arg(key);
        for (name, value) in fields {
            set.arg(name).arg(value);
        }
        let () = set.query_async(&mut self.to).await?;
        let mut expire = ::redis::cmd("PEXPIRE");
        expire.arg(key).arg(px(expires, self.now));
        Ok(expire.query_async(&mut self.to).await?)
    }

    async fn text(&mut self, key: &Key, text: &str, expires: Timestamp) -> Result<(), StoreFault> {
        let mut set = ::redis::cmd("SET");
        set.arg(key).arg(text).arg("PX").arg(px(expires, self.now));
        Ok(set.query_async(&mut self.to).await?)
    }
}

async fn rows(source: &mut SqliteConnection, sql: &'static str, now: Timestamp) -> Result<Vec<SqliteRow>, StoreFault> {
    Ok(sqlx::query(sql).bind(now.as_micros()).fetch_all(source).await?)
}

fn tenant(row: &SqliteRow) -> Result<TenantId, StoreFault> {
    parsed(row, "tenant", TenantId::parse)
}

fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreFault> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

fn parsed<T, E: std::fmt::Display>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, StoreFault> {
    parse(&row.try_get::<String, _>(column)?).map_err(|why| StoreFault::corrupt(column, why))
}
