//! Tenants: which there are, and what deleting one takes with it.

use cardea_core::{TenantId, Timestamp, resources::TenantSpec};

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    row::{Read, whose},
    writing::Writing,
};

impl Store {
    /// Which tenants there are, whatever is written of them.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, StoreFault> {
        let rows = sqlx::query("SELECT id FROM tenants ORDER BY id").fetch_all(self.reader()).await?;
        Ok(rows.iter().filter_map(|row| whose(row, "id")).collect())
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
pub(crate) async fn put(tx: &mut Writing, spec: &TenantSpec) -> Result<(), StoreFault> {
    sqlx::query("INSERT INTO tenants (id, spec) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET spec = excluded.spec")
        .bind(spec.id.as_str())
        .bind(serde_json::to_string(spec)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Everything that goes with a tenant. Its log stays, sealed under a key that is gone, and so do its people's ids, emptied.
const DROP: &[&str] = &[
    "UPDATE tenant_keys SET sealed = '' WHERE tenant = $1",
    "DELETE FROM memberships WHERE tenant = $1",
    "DELETE FROM factors WHERE tenant = $1",
    "DELETE FROM identities WHERE tenant = $1",
    "DELETE FROM unlinked WHERE tenant = $1",
    "DELETE FROM refresh_tokens WHERE tenant = $1",
    "DELETE FROM grants WHERE tenant = $1",
    "DELETE FROM access_keys WHERE tenant = $1",
    "DELETE FROM programs_ended WHERE tenant = $1",
    "DELETE FROM client_secrets WHERE tenant = $1",
    "DELETE FROM revoked_tokens WHERE tenant = $1",
    "DELETE FROM tickets WHERE tenant = $1",
    "DELETE FROM signing_keys WHERE tenant = $1",
    "DELETE FROM secrets WHERE tenant = $1",
    "DELETE FROM handles WHERE tenant = $1",
    "DELETE FROM sessions WHERE tenant = $1",
    "DELETE FROM one_time WHERE tenant = $1",
    "DELETE FROM tries WHERE tenant = $1",
    "DELETE FROM rates WHERE tenant = $1",
    "DELETE FROM ended WHERE tenant = $1",
    "DELETE FROM ended_users WHERE tenant = $1",
    "DELETE FROM resources WHERE tenant = $1",
    "DELETE FROM policy_versions WHERE tenant = $1",
    "DELETE FROM tenants WHERE id = $1",
];

/// Deletes a tenant with its people, keys and policies: one made later under the same name starts empty, under a new key.
///
/// Its key is overwritten in its page (`secure_delete`), so that nobody opens what else is left of it, backups included,
/// unless they hold a copy of the key from before. The page as it was lies in the log of writes until that is cut off,
/// which is done right after (see [`Store::scrub`]); there too it is sealed under the operator's key. What a file system
/// or a disk keeps of blocks that were given back is theirs.
pub(crate) async fn drop(tx: &mut Writing, id: &TenantId, now: Timestamp) -> Result<(), StoreFault> {
    sqlx::query("UPDATE users SET status = 'deleted', person = $3, mark = '', changed_at = $2 WHERE tenant = $1")
        .bind(id.as_str())
        .bind(now.as_micros())
        .bind(Vec::<u8>::new())
        .execute(&mut **tx)
        .await?;
    for sql in DROP {
        sqlx::query(*sql).bind(id.as_str()).execute(&mut **tx).await?;
    }
    // Other processes let go of its keys, and seal nothing under them for one that is made later under its name.
    announce(tx, Some(id), &Change::Keys, now).await
}
