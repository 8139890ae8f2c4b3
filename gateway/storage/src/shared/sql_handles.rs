//! Handles in SQL.

use cardea_core::{SessionId, TenantId, Timestamp};
use cardea_identity::{HandleHash, HandleRecord, Session};
use sqlx::{Any, Executor};

use super::sql::session;
use crate::{Store, StoreFault, row::Read};

pub(super) async fn insert(store: &Store, handle: &HandleRecord) -> Result<(), StoreFault> {
    keep(&mut *store.turn().await?, handle).await
}

pub(super) async fn opened(
    store: &Store,
    tenant: &TenantId,
    hash: &HandleHash,
) -> Result<Option<(HandleRecord, Session)>, StoreFault> {
    let row = sqlx::query(
        "SELECT h.session, h.host, h.issued_at, h.replaces, h.offered_at, h.superseded_at, \
         s.id, s.sealed, s.version, s.last_seen_at, s.ended_at, s.ended_why FROM handles h \
         JOIN sessions s ON s.tenant = h.tenant AND s.id = h.session WHERE h.tenant = $1 AND h.hash = $2",
    )
    .bind(tenant.as_str())
    .bind(hash.to_string())
    .fetch_optional(store.reader())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let replaces = row.opt_text("replaces")?.map(|text| HandleHash::parse(&text)).transpose();
    let handle = HandleRecord {
        hash: *hash,
        tenant: tenant.clone(),
        session: row.parsed("session", SessionId::parse)?,
        host: row.text("host")?,
        issued_at: row.time("issued_at")?,
        replaces: replaces.map_err(|why| StoreFault::corrupt("replaces", why))?,
        offered_at: row.opt_time("offered_at")?,
        superseded_at: row.opt_time("superseded_at")?,
    };
    let sealer = store.opener(Some(tenant), std::slice::from_ref(&row), "sealed").await?;
    Ok(Some((handle, session(&sealer, &row)?)))
}

pub(super) async fn offer(store: &Store, before: &HandleRecord, next: &HandleRecord) -> Result<bool, StoreFault> {
    let mut tx = store.write_in(&before.tenant).await?;
    let done = sqlx::query(
        "UPDATE handles SET offered_at = $3 \
         WHERE tenant = $1 AND hash = $2 AND superseded_at IS NULL AND COALESCE(offered_at, 0) = $4",
    )
    .bind(before.tenant.as_str())
    .bind(before.hash.to_string())
    .bind(next.issued_at.as_micros())
    .bind(before.offered_at.map_or(0, Timestamp::as_micros))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("DELETE FROM handles WHERE tenant = $1 AND replaces = $2")
        .bind(before.tenant.as_str())
        .bind(before.hash.to_string())
        .execute(&mut *tx)
        .await?;
    keep(&mut *tx, next).await?;
    tx.commit().await?;
    Ok(true)
}

pub(super) async fn shown(store: &Store, handle: &HandleRecord, at: Timestamp) -> Result<bool, StoreFault> {
    let mut tx = store.write_in(&handle.tenant).await?;
    let kept = sqlx::query("SELECT replaces FROM handles WHERE tenant = $1 AND hash = $2")
        .bind(handle.tenant.as_str())
        .bind(handle.hash.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(kept) = kept else { return Ok(false) };
    let Some(replaced) = kept.opt_text("replaces")? else { return Ok(true) };
    sqlx::query("UPDATE handles SET replaces = NULL WHERE tenant = $1 AND hash = $2")
        .bind(handle.tenant.as_str())
        .bind(handle.hash.to_string())
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE handles SET superseded_at = $3 WHERE tenant = $1 AND hash = $2 AND superseded_at IS NULL")
        .bind(handle.tenant.as_str())
        .bind(replaced)
        .bind(at.as_micros())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

pub(super) async fn keep(writer: impl Executor<'_, Database = Any>, handle: &HandleRecord) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO handles (hash, tenant, session, host, issued_at, replaces, offered_at, superseded_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(handle.hash.to_string())
    .bind(handle.tenant.as_str())
    .bind(handle.session.to_string())
    .bind(handle.host.as_str())
    .bind(handle.issued_at.as_micros())
    .bind(handle.replaces.map(|hash| hash.to_string()))
    .bind(handle.offered_at.map(Timestamp::as_micros))
    .bind(handle.superseded_at.map(Timestamp::as_micros))
    .execute(writer)
    .await?;
    Ok(())
}
