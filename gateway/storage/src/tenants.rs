//! Tenants: which there are, and what deleting one takes with it.

use cardea_core::{TenantId, Timestamp, resources::TenantSpec};
use sqlx::{Any, Transaction};

use crate::{Store, StoreFault, row::Read};

impl Store {
    /// All tenants, by id.
    pub async fn tenants(&self) -> Result<Vec<TenantSpec>, StoreFault> {
        let rows = sqlx::query("SELECT spec FROM tenants ORDER BY id").fetch_all(self.reader()).await?;
        rows.iter().map(|row| row.json("spec")).collect()
    }

    /// One tenant.
    pub async fn tenant(&self, id: &TenantId) -> Result<Option<TenantSpec>, StoreFault> {
        let row = sqlx::query("SELECT spec FROM tenants WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| row.json("spec")).transpose()
    }
}

/// Keeps a new or changed tenant.
pub(crate) async fn put(tx: &mut Transaction<'_, Any>, spec: &TenantSpec) -> Result<(), StoreFault> {
    sqlx::query("INSERT INTO tenants (id, spec) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET spec = excluded.spec")
        .bind(spec.id.as_str())
        .bind(serde_json::to_string(spec)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Everything that goes with a tenant. Its log stays, and so do its people's ids, emptied.
const DROP: &[&str] = &[
    "DELETE FROM memberships WHERE tenant = $1",
    "DELETE FROM factors WHERE tenant = $1",
    "DELETE FROM identities WHERE tenant = $1",
    "DELETE FROM tickets WHERE tenant = $1",
    "DELETE FROM signing_keys WHERE tenant = $1",
    "DELETE FROM secrets WHERE tenant = $1",
    "DELETE FROM handles WHERE tenant = $1",
    "DELETE FROM sessions WHERE tenant = $1",
    "DELETE FROM one_time WHERE tenant = $1",
    "DELETE FROM tries WHERE tenant = $1",
    "DELETE FROM resources WHERE tenant = $1",
    "DELETE FROM policy_versions WHERE tenant = $1",
    "DELETE FROM tenants WHERE id = $1",
];

/// Deletes a tenant with its people, keys and policies: one made later under the same name starts empty.
pub(crate) async fn drop(tx: &mut Transaction<'_, Any>, id: &TenantId, now: Timestamp) -> Result<(), StoreFault> {
    sqlx::query("UPDATE users SET status = 'deleted', email = '', name = '', changed_at = $2 WHERE tenant = $1")
        .bind(id.as_str())
        .bind(now.as_micros())
        .execute(&mut **tx)
        .await?;
    for sql in DROP {
        sqlx::query(*sql).bind(id.as_str()).execute(&mut **tx).await?;
    }
    Ok(())
}
