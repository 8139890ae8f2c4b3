//! Accounts at providers that were taken from somebody. INVARIANT: what was unlinked stays so until its person links it anew. A
//! provider's word, as about an address of its domain, gives it back to nobody.

use cardea_core::{ProviderId, TenantId, UserId};
use cardea_identity::{AccountId, LinkedIdentity, Sealer};

use crate::{
    Store, StoreFault,
    row::Read,
    sealed::{self, ACCOUNT, Place, account},
    writing::Writing,
};

impl Store {
    /// The accounts that were taken from a user and of which no entry tells yet, each with what addresses called it.
    pub async fn untold_unlinkings(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Vec<(AccountId, LinkedIdentity)>, StoreFault> {
        let sql = "SELECT provider, mark, sealed, linked_at FROM unlinked \
                   WHERE tenant = $1 AND user_id = $2 AND told = 0 ORDER BY rowid";
        let rows = sqlx::query(sql).bind(tenant.as_str()).bind(user.to_string()).fetch_all(self.reader()).await?;
        let sealer = self.opener(Some(tenant), &rows, "sealed").await?;
        let opened = rows.iter().map(|row| {
            let provider = row.parsed("provider", ProviderId::parse)?;
            let place = Place::Account { user, mark: &row.text("mark")? };
            let (issuer, subject) = sealed::open(&sealer, place, row.bytes("sealed")?)?;
            let id = AccountId::of(&provider, row.time("linked_at")?);
            Ok((id, LinkedIdentity { provider, issuer, subject }))
        });
        opened.collect()
    }

    /// Notes that an entry tells of it.
    pub async fn unlinking_told(
        &self,
        tenant: &TenantId,
        user: UserId,
        identity: &LinkedIdentity,
    ) -> Result<(), StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let sql = "UPDATE unlinked SET told = 1 WHERE tenant = $1 AND user_id = $2 AND mark IN (SELECT value FROM json_each($3))";
        sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(marks(&sealer, identity)?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

/// The marks under which an account may be known while keys change, as a JSON list.
pub(crate) fn marks(sealer: &Sealer, identity: &LinkedIdentity) -> Result<String, StoreFault> {
    Ok(serde_json::to_string(&sealer.marks(ACCOUNT, &account(identity)))?)
}

/// Whether an account with one of these marks was taken from this user.
pub(crate) async fn was(tx: &mut Writing, tenant: &TenantId, user: UserId, marks: &str) -> Result<bool, StoreFault> {
    let sql = "SELECT 1 AS was FROM unlinked WHERE tenant = $1 AND user_id = $2 AND mark IN (SELECT value FROM json_each($3))";
    let row = sqlx::query(sql)
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(marks.to_owned())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// Forgets that it was, since its person links it anew: so it is never both.
pub(crate) async fn forget(tx: &mut Writing, tenant: &TenantId, user: UserId, marks: &str) -> Result<(), StoreFault> {
    let sql = "DELETE FROM unlinked WHERE tenant = $1 AND user_id = $2 AND mark IN (SELECT value FROM json_each($3))";
    sqlx::query(sql).bind(tenant.as_str()).bind(user.to_string()).bind(marks.to_owned()).execute(&mut **tx).await?;
    Ok(())
}
