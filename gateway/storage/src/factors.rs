//! Enrolled factors. What must happen once (a time step, a counter) is one compare-and-set.

use std::collections::BTreeSet;

use cardea_core::{FactorId, TenantId, Timestamp, UserId};
use cardea_identity::{Factor, FactorData, FactorKind};
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    row::{Read, const_sql, number},
};

/// What came of enrolling a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorInserted {
    /// It is enrolled.
    Done,
    /// The passkey is enrolled already, by this user or another of the pool.
    CredentialTaken,
    /// There is no such user.
    NoUser,
    /// The user's factors are others by now.
    Changed,
}

const COLUMNS: &str = "SELECT id, user_id, name, data, step, created_at, last_used_at FROM factors";

impl Store {
    /// Enrols a factor.
    pub async fn insert_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        factor: &Factor,
    ) -> Result<FactorInserted, StoreFault> {
        self.insert_factor_if(tenant, user, factor, None).await
    }

    /// As [`insert_factor`](Self::insert_factor), if the user's factors are those of `had` still: what was demanded of
    /// whoever adds one was judged by them.
    pub async fn insert_factor_beside(
        &self,
        tenant: &TenantId,
        user: UserId,
        factor: &Factor,
        had: &[FactorId],
    ) -> Result<FactorInserted, StoreFault> {
        self.insert_factor_if(tenant, user, factor, Some(had)).await
    }

    async fn insert_factor_if(
        &self,
        tenant: &TenantId,
        user: UserId,
        factor: &Factor,
        had: Option<&[FactorId]>,
    ) -> Result<FactorInserted, StoreFault> {
        let mut tx = self.write().await?;
        if let Some(amiss) = amiss(&mut tx, tenant, user, had).await? {
            return Ok(amiss);
        }
        if !enrol(&mut tx, tenant, user, factor).await? {
            return Ok(FactorInserted::CredentialTaken);
        }
        announce(&mut tx, Some(tenant), &Change::User(user), factor.created).await?;
        tx.commit().await?;
        Ok(FactorInserted::Done)
    }

    /// A user's factors, oldest first.
    pub async fn factors(&self, tenant: &TenantId, user: UserId) -> Result<Vec<Factor>, StoreFault> {
        let rows = sqlx::query(const_sql!(COLUMNS, " WHERE tenant = $1 AND user_id = $2 ORDER BY created_at, id"))
            .bind(tenant.as_str())
            .bind(user.to_string())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(factor).collect()
    }

    /// Replaces what is needed to check a factor, if it is still `from`; tells whether it was. Kind and credential id
    /// must stay. For passkey counters and changed passwords.
    pub async fn replace_factor_data(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        from: &FactorData,
        to: &FactorData,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        if std::mem::discriminant(from) != std::mem::discriminant(to) || credential(from) != credential(to) {
            return Ok(false);
        }
        let mut tx = self.write().await?;
        // The step has a column of its own (see `advance_totp`) and is not part of what is compared.
        let done = sqlx::query(
            "UPDATE factors SET data = $5, last_used_at = $6 WHERE tenant = $1 AND user_id = $2 AND id = $3 AND data = $4",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(id.to_string())
        .bind(stored(from)?)
        .bind(stored(to)?)
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Spends a TOTP time step and all before it: true exactly once for each step, however many ask.
    pub async fn advance_totp(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        step: u64,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let mut tx = self.write().await?;
        // INVARIANT: the step never goes back (RFC 6238 section 5.2).
        let done = sqlx::query(
            "UPDATE factors SET step = $4, last_used_at = $5 WHERE tenant = $1 AND user_id = $2 AND id = $3 \
             AND kind = 'totp' AND (step IS NULL OR step < $4)",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(id.to_string())
        .bind(number(step))
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Notes that a factor proved something.
    pub async fn factor_used(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        at: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE factors SET last_used_at = $4 WHERE tenant = $1 AND user_id = $2 AND id = $3")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(id.to_string())
            .bind(at.as_micros())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Renames a factor; tells whether there is one.
    pub async fn rename_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        name: &str,
    ) -> Result<bool, StoreFault> {
        let mut tx = self.write().await?;
        let done = sqlx::query("UPDATE factors SET name = $4 WHERE tenant = $1 AND user_id = $2 AND id = $3")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(id.to_string())
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes a factor and gives it back, if there was one.
    pub async fn remove_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        now: Timestamp,
    ) -> Result<Option<Factor>, StoreFault> {
        let mut tx = self.write().await?;
        let row = sqlx::query(const_sql!(COLUMNS, " WHERE tenant = $1 AND user_id = $2 AND id = $3"))
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(removed) = row.as_ref().map(factor).transpose()? else { return Ok(None) };
        sqlx::query("DELETE FROM factors WHERE id = $1").bind(id.to_string()).execute(&mut *tx).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), now).await?;
        tx.commit().await?;
        Ok(Some(removed))
    }
}

/// What keeps a factor from being added: the user is gone, or has other factors than `had`.
pub(crate) async fn amiss(
    tx: &mut Transaction<'_, Any>,
    tenant: &TenantId,
    user: UserId,
    had: Option<&[FactorId]>,
) -> Result<Option<FactorInserted>, StoreFault> {
    let row = sqlx::query("SELECT COUNT(*) AS users FROM users WHERE tenant = $1 AND id = $2 AND status <> 'deleted'")
        .bind(tenant.as_str())
        .bind(user.to_string())
        .fetch_one(&mut **tx)
        .await?;
    if row.count("users")? == 0 {
        return Ok(Some(FactorInserted::NoUser));
    }
    let Some(had) = had else { return Ok(None) };
    let has = ids(tx, tenant, user).await?;
    Ok((has != had.iter().copied().collect()).then_some(FactorInserted::Changed))
}

/// The ids of a user's factors.
pub(crate) async fn ids(
    tx: &mut Transaction<'_, Any>,
    tenant: &TenantId,
    user: UserId,
) -> Result<BTreeSet<FactorId>, StoreFault> {
    let rows = sqlx::query("SELECT id FROM factors WHERE tenant = $1 AND user_id = $2")
        .bind(tenant.as_str())
        .bind(user.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| row.parsed("id", FactorId::parse)).collect()
}

/// Enrols a factor, unless it is a passkey that somebody of the pool has; tells whether it did.
pub(crate) async fn enrol(
    tx: &mut Transaction<'_, Any>,
    tenant: &TenantId,
    user: UserId,
    factor: &Factor,
) -> Result<bool, StoreFault> {
    let row = sqlx::query("SELECT COUNT(*) AS taken FROM factors WHERE tenant = $1 AND credential = $2")
        .bind(tenant.as_str())
        .bind(credential(&factor.data).unwrap_or_default())
        .fetch_one(&mut **tx)
        .await?;
    if row.count("taken")? > 0 {
        return Ok(false);
    }
    insert(tx, tenant, user, factor).await?;
    Ok(true)
}

async fn insert(
    tx: &mut Transaction<'_, Any>,
    tenant: &TenantId,
    user: UserId,
    factor: &Factor,
) -> Result<(), StoreFault> {
    let step = match &factor.data {
        FactorData::Totp { last_step, .. } => last_step.map(number),
        _ => None,
    };
    sqlx::query(
        "INSERT INTO factors (id, tenant, user_id, kind, name, data, credential, step, created_at, last_used_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(factor.id.to_string())
    .bind(tenant.as_str())
    .bind(user.to_string())
    .bind(factor.kind().as_str())
    .bind(factor.name.as_str())
    .bind(stored(&factor.data)?)
    .bind(credential(&factor.data))
    .bind(step)
    .bind(factor.created.as_micros())
    .bind(factor.last_used.map(Timestamp::as_micros))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn credential(data: &FactorData) -> Option<&str> {
    match data {
        FactorData::Passkey { credential_id, .. } => Some(credential_id),
        _ => None,
    }
}

/// The JSON that is kept, without the step, which has a column of its own.
fn stored(data: &FactorData) -> Result<String, StoreFault> {
    let text = match data {
        FactorData::Totp { secret, .. } => {
            serde_json::to_string(&FactorData::Totp { secret: secret.clone(), last_step: None })
        }
        other => serde_json::to_string(other),
    };
    Ok(text?)
}

fn factor(row: &AnyRow) -> Result<Factor, StoreFault> {
    let mut data: FactorData = row.json("data")?;
    if let FactorData::Totp { last_step, .. } = &mut data {
        *last_step = row.opt_int("step")?.and_then(|step| u64::try_from(step).ok());
    }
    Ok(Factor {
        id: row.parsed("id", FactorId::parse)?,
        name: row.text("name")?,
        data,
        created: row.time("created_at")?,
        last_used: row.opt_time("last_used_at")?,
    })
}

/// The kind in a row.
pub(crate) fn kind(row: &AnyRow) -> Result<FactorKind, StoreFault> {
    row.parsed("kind", |text| {
        FactorKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| format!("unknown kind `{text}`"))
    })
}

#[cfg(test)]
#[path = "factors_tests.rs"]
mod tests;
