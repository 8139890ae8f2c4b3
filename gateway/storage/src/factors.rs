//! Enrolled factors. What must happen once (a time step, a counter) is one compare-and-set.

use std::collections::BTreeSet;

use cardea_core::{Entropy, FactorId, TenantId, Timestamp, UserId};
use cardea_identity::{Factor, FactorData, FactorKind, Sealer, Status};
use serde::{Deserialize, Serialize};
use sqlx::{Any, Executor, any::AnyRow};

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    devices,
    rotation::secret_again,
    row::{Read, const_sql, number},
    sealed::{self, Place},
    writing::Writing,
};

/// What came of enrolling a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorInserted {
    /// It is enrolled.
    Done,
    /// The passkey is enrolled already, by this user or another of the pool.
    CredentialTaken,
    /// There is no such user, or none who may add one.
    NoUser,
    /// The user's factors are others by now.
    Changed,
}

const COLUMNS: &str = "SELECT id, user_id, sealed, step, created_at, last_used_at FROM factors";

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
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        if let Some(amiss) = amiss(&mut tx, tenant, user, had).await? {
            return Ok(amiss);
        }
        if !enrol(&mut tx, (&sealer, self.entropy()?), tenant, user, factor).await? {
            return Ok(FactorInserted::CredentialTaken);
        }
        devices::drop_all(&mut tx, tenant, user).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), factor.created).await?;
        tx.commit().await?;
        Ok(FactorInserted::Done)
    }

    /// A user's factors, oldest first.
    pub async fn factors(&self, tenant: &TenantId, user: UserId) -> Result<Vec<Factor>, StoreFault> {
        let rows = of_user(self.reader(), tenant, user).await?;
        let sealer = self.opener(Some(tenant), &rows, "sealed").await?;
        rows.iter().map(|row| factor(&sealer, row)).collect()
    }

    /// Replaces what is needed to check a passkey, if it is still `from`; tells whether it was. Its credential id must stay. For
    /// its counter, and for a copy that was found.
    pub async fn replace_passkey(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        from: &FactorData,
        to: &FactorData,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        if credential(from).is_none() || credential(from) != credential(to) {
            return Ok(false);
        }
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let Some(stands) = kept(&mut tx, &sealer, tenant, user, id).await? else { return Ok(false) };
        if stands.data != *from {
            return Ok(false);
        }
        let sealed = sealed_up(&sealer, self.entropy()?, (id, &stands.name), to)?;
        sqlx::query("UPDATE factors SET sealed = $4, last_used_at = $5 WHERE tenant = $1 AND user_id = $2 AND id = $3")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(id.to_string())
            .bind(sealed)
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        // Found copied, it may not be its person's alone any more.
        if copied(from) != copied(to) {
            devices::drop_all(&mut tx, tenant, user).await?;
        }
        tx.commit().await?;
        Ok(true)
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

    /// Renames a factor; tells whether there is one.
    pub async fn rename_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        name: &str,
    ) -> Result<bool, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let Some(stands) = kept(&mut tx, &sealer, tenant, user, id).await? else { return Ok(false) };
        let sealed = sealed_up(&sealer, self.entropy()?, (id, name), &stands.data)?;
        sqlx::query("UPDATE factors SET sealed = $4 WHERE tenant = $1 AND user_id = $2 AND id = $3")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(id.to_string())
            .bind(sealed)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Removes a factor and gives it back, if there was one.
    pub async fn remove_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        id: FactorId,
        now: Timestamp,
    ) -> Result<Option<Factor>, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let Some(removed) = kept(&mut tx, &sealer, tenant, user, id).await? else { return Ok(None) };
        sqlx::query("DELETE FROM factors WHERE id = $1").bind(id.to_string()).execute(&mut *tx).await?;
        devices::drop_all(&mut tx, tenant, user).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), now).await?;
        tx.commit().await?;
        Ok(Some(removed))
    }
}

/// What keeps a factor from being added: the user is gone, or, where `had` is given, is not active or has other factors. A
/// session that adds one may be ending: whoever starts over is not active any more.
pub(crate) async fn amiss(
    tx: &mut Writing,
    tenant: &TenantId,
    user: UserId,
    had: Option<&[FactorId]>,
) -> Result<Option<FactorInserted>, StoreFault> {
    let row = sqlx::query("SELECT status FROM users WHERE tenant = $1 AND id = $2 AND status <> 'deleted'")
        .bind(tenant.as_str())
        .bind(user.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(Some(FactorInserted::NoUser)) };
    if had.is_some() && row.text("status")? != Status::Active.as_str() {
        return Ok(Some(FactorInserted::NoUser));
    }
    let Some(had) = had else { return Ok(None) };
    let has = ids(tx, tenant, user).await?;
    Ok((has != had.iter().copied().collect()).then_some(FactorInserted::Changed))
}

/// The ids of a user's factors.
pub(crate) async fn ids(tx: &mut Writing, tenant: &TenantId, user: UserId) -> Result<BTreeSet<FactorId>, StoreFault> {
    let rows = sqlx::query("SELECT id FROM factors WHERE tenant = $1 AND user_id = $2")
        .bind(tenant.as_str())
        .bind(user.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| row.parsed("id", FactorId::parse)).collect()
}

/// Enrols a factor, unless it is a passkey that somebody of the pool has; tells whether it did.
pub(crate) async fn enrol(
    tx: &mut Writing,
    seals: (&Sealer, &dyn Entropy),
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
    insert(tx, seals, tenant, user, factor).await?;
    Ok(true)
}

async fn insert(
    tx: &mut Writing,
    (sealer, entropy): (&Sealer, &dyn Entropy),
    tenant: &TenantId,
    user: UserId,
    factor: &Factor,
) -> Result<(), StoreFault> {
    let step = match &factor.data {
        FactorData::Totp { last_step, .. } => last_step.map(number),
        _ => None,
    };
    let sealed = sealed_up(sealer, entropy, (factor.id, &factor.name), &factor.data)?;
    sqlx::query(
        "INSERT INTO factors (id, tenant, user_id, kind, sealed, credential, step, created_at, last_used_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(factor.id.to_string())
    .bind(tenant.as_str())
    .bind(user.to_string())
    .bind(factor.kind().as_str())
    .bind(sealed)
    .bind(credential(&factor.data))
    .bind(step)
    .bind(factor.created.as_micros())
    .bind(factor.last_used.map(Timestamp::as_micros))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// When a passkey was last found copied.
fn copied(data: &FactorData) -> Option<Timestamp> {
    match data {
        FactorData::Passkey { copied, .. } => *copied,
        _ => None,
    }
}

fn credential(data: &FactorData) -> Option<&str> {
    match data {
        FactorData::Passkey { credential_id, .. } => Some(credential_id),
        _ => None,
    }
}

/// What is kept sealed.
#[derive(Serialize)]
pub(crate) struct Kept<'a> {
    pub(crate) name: &'a str,
    pub(crate) data: FactorData,
}

/// What was kept sealed.
#[derive(Deserialize)]
pub(crate) struct WasKept {
    pub(crate) name: String,
    pub(crate) data: FactorData,
}

/// What is kept of a factor, sealed; its own secret goes along to the key that seals now.
fn sealed_up(
    sealer: &Sealer,
    entropy: &dyn Entropy,
    (id, name): (FactorId, &str),
    data: &FactorData,
) -> Result<Vec<u8>, StoreFault> {
    let mut data = without_step(data);
    secret_again(id, &mut data, sealer, entropy)?;
    sealed::seal(sealer, Place::Factor(id), &Kept { name, data }, entropy)
}

/// What is kept sealed is without the step, which has a column of its own.
fn without_step(data: &FactorData) -> FactorData {
    match data {
        FactorData::Totp { secret, .. } => FactorData::Totp { secret: secret.clone(), last_step: None },
        other => other.clone(),
    }
}

/// A user's factor as it stands in a transaction.
async fn kept(
    tx: &mut Writing,
    sealer: &Sealer,
    tenant: &TenantId,
    user: UserId,
    id: FactorId,
) -> Result<Option<Factor>, StoreFault> {
    let row = sqlx::query(const_sql!(COLUMNS, " WHERE tenant = $1 AND user_id = $2 AND id = $3"))
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(|row| factor(sealer, row)).transpose()
}

/// A user's factors as they are kept, oldest first.
pub(crate) async fn of_user(
    from: impl Executor<'_, Database = Any>,
    tenant: &TenantId,
    user: UserId,
) -> Result<Vec<AnyRow>, StoreFault> {
    let rows = sqlx::query(const_sql!(COLUMNS, " WHERE tenant = $1 AND user_id = $2 ORDER BY created_at, id"))
        .bind(tenant.as_str())
        .bind(user.to_string())
        .fetch_all(from)
        .await?;
    Ok(rows)
}

/// The factor of a row.
pub(crate) fn factor(sealer: &Sealer, row: &AnyRow) -> Result<Factor, StoreFault> {
    let id = row.parsed("id", FactorId::parse)?;
    let WasKept { name, mut data } = sealed::open(sealer, Place::Factor(id), row.bytes("sealed")?)?;
    if let FactorData::Totp { last_step, .. } = &mut data {
        *last_step = row.opt_int("step")?.and_then(|step| u64::try_from(step).ok());
    }
    Ok(Factor { id, name, data, created: row.time("created_at")?, last_used: row.opt_time("last_used_at")? })
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
