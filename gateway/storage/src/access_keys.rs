//! Personal access keys: found by the hash of their secret, of which nothing else is kept.

use std::collections::BTreeSet;

use cardea_core::{AccessKeyId, AppId, TenantId, Timestamp, UserId};
use cardea_identity::{
    Sealer,
    oauth2::{
        Scope,
        access_key::{AccessKey, AccessKeyHash, MOST},
    },
};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    row::Read,
    sealed::{self, Place},
};

/// What of a key lies sealed.
#[derive(Serialize, Deserialize)]
struct Body {
    name: String,
    scope: Scope,
    apps: BTreeSet<AppId>,
}

impl Store {
    /// Keeps a new key, unless its person has as many as one may have; tells whether it did.
    pub async fn access_key_insert(&self, key: &AccessKey) -> Result<bool, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(&key.tenant)).await?;
        let (tenant, user) = (key.tenant.as_str(), key.user.to_string());
        let row =
            sqlx::query("SELECT COUNT(*) AS n FROM access_keys WHERE tenant = $1 AND user_id = $2 AND expires_at > $3")
                .bind(tenant)
                .bind(&user)
                .bind(key.created.as_micros())
                .fetch_one(&mut *tx)
                .await?;
        if row.count("n")? >= u64::try_from(MOST).unwrap_or(u64::MAX) {
            return Ok(false);
        }
        let body = Body { name: key.name.clone(), scope: key.scope.clone(), apps: key.apps.clone() };
        let sealed = sealed::seal(&sealer, Place::AccessKey(key.id), &body, self.entropy()?)?;
        sqlx::query(
            "INSERT INTO access_keys (tenant, id, user_id, hash, sealed, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(tenant)
        .bind(key.id.to_string())
        .bind(user)
        .bind(key.hash.to_string())
        .bind(sealed)
        .bind(key.created.as_micros())
        .bind(key.expires.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The key of that hash, past its time or not.
    pub async fn access_key(&self, tenant: &TenantId, hash: &AccessKeyHash) -> Result<Option<AccessKey>, StoreFault> {
        let sql = "SELECT * FROM access_keys WHERE tenant = $1 AND hash = $2";
        let rows = sqlx::query(sql).bind(tenant.as_str()).bind(hash.to_string()).fetch_all(self.reader()).await?;
        Ok(self.opened_keys(tenant, &rows).await?.pop())
    }

    /// A user's keys, newest first; those past their time, too, until they are swept away.
    pub async fn access_keys_of(&self, tenant: &TenantId, user: UserId) -> Result<Vec<AccessKey>, StoreFault> {
        let sql = "SELECT * FROM access_keys WHERE tenant = $1 AND user_id = $2 ORDER BY created_at DESC, id DESC";
        let rows = sqlx::query(sql).bind(tenant.as_str()).bind(user.to_string()).fetch_all(self.reader()).await?;
        self.opened_keys(tenant, &rows).await
    }

    async fn opened_keys(&self, tenant: &TenantId, rows: &[AnyRow]) -> Result<Vec<AccessKey>, StoreFault> {
        let sealer = self.opener(Some(tenant), rows, "sealed").await?;
        rows.iter().map(|row| key(&sealer, tenant, row)).collect()
    }

    /// Notes that a key was used; never moves back.
    pub async fn access_key_used(&self, tenant: &TenantId, id: AccessKeyId, at: Timestamp) -> Result<(), StoreFault> {
        let sql = "UPDATE access_keys SET last_used_at = $3 \
                   WHERE tenant = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at < $3)";
        sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(at.as_micros())
            .execute(&mut *self.turn().await?)
            .await?;
        Ok(())
    }

    /// Lets go of a user's key, and announces it; gives it, to exactly one caller.
    pub async fn access_key_remove(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: AccessKeyId,
        now: Timestamp,
    ) -> Result<Option<AccessKey>, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let sql = "DELETE FROM access_keys WHERE tenant = $1 AND user_id = $2 AND id = $3 RETURNING *";
        let rows = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(id.to_string())
            .fetch_all(&mut *tx)
            .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let gone = key(&sealer, tenant, row)?;
        announce(&mut tx, Some(tenant), &Change::AccessKey(id), now).await?;
        tx.commit().await?;
        Ok(Some(gone))
    }
}

fn key(sealer: &Sealer, tenant: &TenantId, row: &AnyRow) -> Result<AccessKey, StoreFault> {
    let id = row.parsed("id", AccessKeyId::parse)?;
    let Body { name, scope, apps } = sealed::open(sealer, Place::AccessKey(id), row.bytes("sealed")?)?;
    Ok(AccessKey {
        id,
        tenant: tenant.clone(),
        user: row.parsed("user_id", UserId::parse)?,
        hash: row.parsed("hash", AccessKeyHash::parse)?,
        name,
        scope,
        apps,
        created: row.time("created_at")?,
        expires: row.time("expires_at")?,
        last_used: row.opt_time("last_used_at")?,
    })
}

#[cfg(test)]
#[path = "access_keys_tests.rs"]
mod tests;
