//! Shared state in the durable store's own database. Ends are announced in the transaction that makes them.

use std::time::Duration;

use async_trait::async_trait;
use cardea_core::{Entropy, SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    HandleHash, HandleRecord, Sealer, Session, TicketHash,
    guard::Limit,
    one_time::{OneTime, Purpose},
    session::End,
};
use sqlx::any::AnyRow;

use super::{Forgiven, RateLevel, RateUse, SharedState, sql_handles, sql_once, sql_rates};
use crate::{
    Grounds, Store, StoreFault,
    changes::{Change, announce},
    grounds,
    row::{Read, number},
    sealed::{self, Place},
    writing::Writing,
};

/// Shared state in the durable store's own database.
#[derive(Debug, Clone)]
pub struct SqlShared(Store);

impl SqlShared {
    /// Shared state beside everything else in `store`.
    pub const fn new(store: Store) -> Self {
        Self(store)
    }
}

const SESSION: &str = "SELECT s.id, s.sealed, s.version, s.last_seen_at, s.ended_at, s.ended_why FROM sessions s";

#[async_trait]
impl SharedState for SqlShared {
    async fn session_insert(&self, session: &Session) -> Result<(), StoreFault> {
        let (mut tx, sealer) = self.0.write_sealed_in(&session.tenant).await?;
        insert(&mut tx, (&sealer, self.0.entropy()?), session).await?;
        Ok(tx.commit().await?)
    }

    async fn handle_insert(&self, handle: &HandleRecord, _: &Session) -> Result<(), StoreFault> {
        sql_handles::insert(&self.0, handle).await
    }

    async fn session_open(
        &self,
        (session, handle): (&Session, &HandleRecord),
        forgiven: &Forgiven,
        now: Timestamp,
    ) -> Result<Grounds, StoreFault> {
        let (mut tx, sealer) = self.0.write_sealed_in(&session.tenant).await?;
        insert(&mut tx, (&sealer, self.0.entropy()?), session).await?;
        sql_handles::keep(&mut *tx, handle).await?;
        sql_once::forgive_in(&mut tx, &sealer, &session.tenant, forgiven).await?;
        let grounds = grounds::enter(&mut tx, &session.tenant, session.user, &session.proofs, now).await?;
        tx.commit().await?;
        Ok(grounds)
    }

    async fn session_by_handle(
        &self,
        tenant: &TenantId,
        hash: &HandleHash,
    ) -> Result<Option<(HandleRecord, Session)>, StoreFault> {
        sql_handles::opened(&self.0, tenant, hash).await
    }

    async fn session(&self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreFault> {
        let row = sqlx::query(crate::row::const_sql!(SESSION, " WHERE s.tenant = $1 AND s.id = $2"))
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(self.0.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let sealer = self.0.opener(Some(tenant), std::slice::from_ref(&row), "sealed").await?;
        session(&sealer, &row).map(Some)
    }

    async fn handle_offer(&self, before: &HandleRecord, next: &HandleRecord, _: &Session) -> Result<bool, StoreFault> {
        sql_handles::offer(&self.0, before, next).await
    }

    async fn handle_shown(&self, handle: &HandleRecord, at: Timestamp) -> Result<bool, StoreFault> {
        sql_handles::shown(&self.0, handle, at).await
    }

    async fn session_touch(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<(), StoreFault> {
        sqlx::query("UPDATE sessions SET last_seen_at = $3 WHERE tenant = $1 AND id = $2 AND last_seen_at < $3")
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(at.as_micros())
            .execute(&mut *self.0.turn().await?)
            .await?;
        Ok(())
    }

    async fn session_end(&self, tenant: &TenantId, id: SessionId, end: End) -> Result<bool, StoreFault> {
        let sql = "UPDATE sessions SET ended_at = $2, ended_why = $3, version = version + 1 \
                   WHERE tenant = $1 AND ended_at IS NULL AND id = $4 RETURNING id";
        Ok(self.end(sql, tenant, end, &[id.to_string()], &Change::Session(id)).await?.len() == 1)
    }

    async fn session_replace(&self, old: SessionId, end: End, next: &Session) -> Result<bool, StoreFault> {
        let (mut tx, sealer) = self.0.write_sealed(Some(&next.tenant)).await?;
        let ended = sqlx::query(
            "UPDATE sessions SET ended_at = $3, ended_why = $4, version = version + 1 \
             WHERE tenant = $1 AND id = $2 AND ended_at IS NULL",
        )
        .bind(next.tenant.as_str())
        .bind(old.to_string())
        .bind(end.at.as_micros())
        .bind(end.why.as_str())
        .execute(&mut *tx)
        .await?;
        if ended.rows_affected() == 0 || !insert(&mut tx, (&sealer, self.0.entropy()?), next).await? {
            return Ok(false);
        }
        announce(&mut tx, Some(&next.tenant), &Change::Session(old), end.at).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn sessions_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreFault> {
        let rows = sqlx::query(crate::row::const_sql!(
            SESSION,
            " WHERE s.tenant = $1 AND s.user_id = $2 AND s.ended_at IS NULL AND s.expires_at > $3 ORDER BY s.id DESC"
        ))
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(now.as_micros())
        .fetch_all(self.0.reader())
        .await?;
        let sealer = self.0.opener(Some(tenant), &rows, "sealed").await?;
        rows.iter().map(|row| session(&sealer, row)).collect()
    }

    async fn end_all_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        except: Option<SessionId>,
        end: End,
    ) -> Result<Vec<SessionId>, StoreFault> {
        let sql = "UPDATE sessions SET ended_at = $2, ended_why = $3, version = version + 1 \
                   WHERE tenant = $1 AND ended_at IS NULL AND expires_at > $2 AND user_id = $4 AND id <> $5 RETURNING id";
        let except = except.map(|id| id.to_string()).unwrap_or_default();
        self.end(sql, tenant, end, &[user.to_string(), except], &Change::SessionsOf(user)).await
    }

    async fn session_count(&self, tenant: &TenantId, now: Timestamp) -> Result<u64, StoreFault> {
        sqlx::query("SELECT COUNT(*) AS live FROM sessions WHERE tenant = $1 AND ended_at IS NULL AND expires_at > $2")
            .bind(tenant.as_str())
            .bind(now.as_micros())
            .fetch_one(self.0.reader())
            .await?
            .count("live")
    }

    async fn put(&self, value: &OneTime, _: Timestamp) -> Result<(), StoreFault> {
        sql_once::put(&self.0, value).await
    }

    async fn peek(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<OneTime>, StoreFault> {
        sql_once::peek(&self.0, tenant, purpose, hash, now).await
    }

    async fn take(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<OneTime>, StoreFault> {
        sql_once::take(&self.0, tenant, purpose, hash, now).await
    }

    async fn attempt(&self, tenant: &TenantId, limit: &Limit, now: Timestamp) -> Result<Option<Duration>, StoreFault> {
        sql_once::attempt(&self.0, tenant, limit, now).await
    }

    async fn attempt_each(
        &self,
        tenant: &TenantId,
        limits: &[&Limit],
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreFault> {
        sql_once::attempt_each(&self.0, tenant, limits, now).await
    }

    async fn give_back(&self, tenant: &TenantId, limit: &Limit, _: Timestamp) -> Result<(), StoreFault> {
        sql_once::give_back(&self.0, tenant, limit).await
    }

    async fn forgive(&self, tenant: &TenantId, key: &str) -> Result<(), StoreFault> {
        let forgiven = Forgiven { keys: vec![key.to_owned()], back: Vec::new() };
        sql_once::forgive_each(&self.0, tenant, &forgiven).await
    }

    async fn forgive_each(&self, tenant: &TenantId, forgiven: &Forgiven, _: Timestamp) -> Result<(), StoreFault> {
        sql_once::forgive_each(&self.0, tenant, forgiven).await
    }

    async fn rates_used(&self, uses: &[RateUse], now: Timestamp) -> Result<Vec<RateLevel>, StoreFault> {
        sql_rates::add(&self.0, uses, now).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), StoreFault> {
        let mut tx = self.0.write().await?;
        for sql in SWEEP {
            sqlx::query(*sql).bind(now.as_micros()).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn hear(&self) {
        self.0.hear().await;
    }

    async fn ping(&self) -> Result<(), StoreFault> {
        self.0.ping().await
    }
}

/// Handles go with their sessions.
const SWEEP: &[&str] = &[
    "DELETE FROM sessions WHERE expires_at <= $1",
    "DELETE FROM one_time WHERE expires_at <= $1",
    "DELETE FROM tries WHERE forget_at <= $1",
    "DELETE FROM rates WHERE forget_at <= $1",
    // Of a time in which others held what is over.
    "DELETE FROM ended WHERE until <= $1",
    "DELETE FROM ended_users WHERE until <= $1",
];

impl SqlShared {
    /// Ends the sessions that `sql` names by tenant (`$1`) and `values` (from `$4` on) and gives back, and announces it.
    async fn end(
        &self,
        sql: &'static str,
        tenant: &TenantId,
        end: End,
        values: &[String],
        change: &Change,
    ) -> Result<Vec<SessionId>, StoreFault> {
        let mut tx = self.0.write().await?;
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(end.at.as_micros()).bind(end.why.as_str());
        let query = values.iter().fold(query, |query, value| query.bind(value.clone()));
        let rows = query.fetch_all(&mut *tx).await?;
        let ended = rows.iter().map(|row| row.parsed("id", SessionId::parse)).collect::<Result<Vec<_>, _>>()?;
        if !ended.is_empty() {
            announce(&mut tx, Some(tenant), change, end.at).await?;
            tx.commit().await?;
        }
        Ok(ended)
    }
}

/// Keeps a session; tells whether it was not kept before.
async fn insert(
    tx: &mut Writing,
    (sealer, entropy): (&Sealer, &dyn Entropy),
    session: &Session,
) -> Result<bool, StoreFault> {
    let done = sqlx::query(
        "INSERT INTO sessions (tenant, id, user_id, sealed, version, last_seen_at, expires_at, ended_at, ended_why) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(session.tenant.as_str())
    .bind(session.id.to_string())
    .bind(session.user.to_string())
    .bind(sealed::seal(sealer, Place::Session(session.id), session, entropy)?)
    .bind(number(session.version))
    .bind(session.last_seen.as_micros())
    .bind(session.expires.as_micros())
    .bind(session.ended.map(|end| end.at.as_micros()))
    .bind(session.ended.map(|end| end.why.as_str()))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The session of a row: what may change without a new version has columns of its own.
pub(super) fn session(sealer: &Sealer, row: &AnyRow) -> Result<Session, StoreFault> {
    let place = Place::Session(row.parsed("id", SessionId::parse)?);
    let mut session: Session = sealed::open(sealer, place, row.bytes("sealed")?)?;
    session.version = row.count("version")?;
    session.last_seen = row.time("last_seen_at")?;
    session.ended = match row.opt_time("ended_at")? {
        Some(at) => Some(End { at, why: row.parsed("ended_why", super::end_reason)? }),
        None => None,
    };
    Ok(session)
}
