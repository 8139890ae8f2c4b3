//! Recovery codes: a set is one factor with its codes' hashes beside it. A set comes and goes whole; a code is spent once.

use cardea_core::{FactorId, TenantId, Timestamp, UserId};
use cardea_identity::{Factor, factors::recovery::CodeHash};

use crate::{
    FactorInserted, Store, StoreFault,
    changes::{Change, announce},
    devices, factors,
    row::Read,
    writing::Writing,
};

/// What came of spending a recovery code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeSpent {
    /// It was good, and is not any more.
    Done {
        /// How many are left of its set.
        left: u64,
    },
    /// It was of this set, and is spent.
    Before,
    /// It is none of this set.
    Unknown,
}

impl Store {
    /// Puts a set of recovery codes in the place of the one that the user has, if the user's factors are those of `had`
    /// still. In one step: there is never a code of each.
    pub async fn replace_recovery(
        &self,
        tenant: &TenantId,
        user: UserId,
        factor: &Factor,
        codes: &[CodeHash],
        had: &[FactorId],
    ) -> Result<FactorInserted, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        if let Some(amiss) = factors::amiss(&mut tx, tenant, user, Some(had)).await? {
            return Ok(amiss);
        }
        // The codes of the old set go with it.
        sqlx::query("DELETE FROM factors WHERE tenant = $1 AND user_id = $2 AND kind = 'recovery'")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .execute(&mut *tx)
            .await?;
        factors::enrol(&mut tx, (&sealer, self.entropy()?), tenant, user, factor).await?;
        for hash in codes {
            sqlx::query("INSERT INTO recovery_codes (factor, hash) VALUES ($1, $2)")
                .bind(factor.id.to_string())
                .bind(hash.to_string())
                .execute(&mut *tx)
                .await?;
        }
        devices::drop_all(&mut tx, tenant, user).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), factor.created).await?;
        tx.commit().await?;
        Ok(FactorInserted::Done)
    }

    /// Spends a code of the user's set `factor`: [`CodeSpent::Done`] exactly once for each, however many ask.
    pub async fn spend_recovery_code(
        &self,
        tenant: &TenantId,
        user: UserId,
        factor: FactorId,
        code: &CodeHash,
        now: Timestamp,
    ) -> Result<CodeSpent, StoreFault> {
        let mut tx = self.write().await?;
        // INVARIANT: one statement looks and spends; the set must be this user's, of this tenant.
        let done = sqlx::query(
            "UPDATE recovery_codes SET used_at = $5 WHERE factor = $3 AND hash = $4 AND used_at IS NULL \
             AND EXISTS (SELECT 1 FROM factors WHERE id = $3 AND tenant = $1 AND user_id = $2)",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(factor.to_string())
        .bind(code.to_string())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return not_spent(&mut tx, tenant, user, factor, code).await;
        }
        sqlx::query("UPDATE factors SET last_used_at = $2 WHERE id = $1")
            .bind(factor.to_string())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query("SELECT COUNT(*) AS codes FROM recovery_codes WHERE factor = $1 AND used_at IS NULL")
            .bind(factor.to_string())
            .fetch_one(&mut *tx)
            .await?;
        let left = row.count("codes")?;
        tx.commit().await?;
        Ok(CodeSpent::Done { left })
    }

    /// How many codes of the user's set `factor` are left.
    pub async fn recovery_codes_left(
        &self,
        tenant: &TenantId,
        user: UserId,
        factor: FactorId,
    ) -> Result<u64, StoreFault> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS codes FROM recovery_codes WHERE factor = $3 AND used_at IS NULL \
             AND EXISTS (SELECT 1 FROM factors WHERE id = $3 AND tenant = $1 AND user_id = $2)",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(factor.to_string())
        .fetch_one(self.reader())
        .await?;
        row.count("codes")
    }
}

/// Why a code was not spent: for the entry, never for whoever typed it.
async fn not_spent(
    tx: &mut Writing,
    tenant: &TenantId,
    user: UserId,
    factor: FactorId,
    code: &CodeHash,
) -> Result<CodeSpent, StoreFault> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS codes FROM recovery_codes WHERE factor = $3 AND hash = $4 \
         AND EXISTS (SELECT 1 FROM factors WHERE id = $3 AND tenant = $1 AND user_id = $2)",
    )
    .bind(tenant.as_str())
    .bind(user.to_string())
    .bind(factor.to_string())
    .bind(code.to_string())
    .fetch_one(&mut **tx)
    .await?;
    Ok(if row.count("codes")? == 0 { CodeSpent::Unknown } else { CodeSpent::Before })
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
