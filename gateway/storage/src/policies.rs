//! Policy sets as versions: kept for good, one of them active per tenant.

use cardea_core::{TenantId, Timestamp, resources::PolicySet};

use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    row::{Read, number},
};

/// One version of a tenant's policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Counted from 1 within the tenant.
    pub version: u64,
    /// The hash over the texts.
    pub hash: String,
    /// Who made it: an e-mail address, or `operator`.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// What the author says of it.
    pub note: String,
    /// Whether it decides now.
    pub active: bool,
}

/// A set to be kept as a new version.
#[derive(Debug, Clone)]
pub struct NewVersion<'a> {
    /// The set.
    pub set: &'a PolicySet,
    /// The hash over the texts.
    pub hash: &'a str,
    /// Who makes it.
    pub author: &'a str,
    /// What the author says of it.
    pub note: &'a str,
}

/// What came of activating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The version decides now.
    Active {
        /// Its number.
        version: u64,
        /// The one that it replaced.
        before: Option<u64>,
    },
    /// Another version was activated in the meantime; nothing changed.
    BaseMoved {
        /// The one that is active.
        active: Option<u64>,
    },
    /// There is no such version, or no such tenant.
    Unknown,
}

impl Store {
    /// The version that decides, with its set.
    pub async fn active_policies(&self, tenant: &TenantId) -> Result<Option<(Version, PolicySet)>, StoreFault> {
        let row = sqlx::query(
            "SELECT v.version, v.hash, v.author, v.made_at, v.note, v.body, 1 AS active FROM policy_versions v \
             JOIN tenants t ON t.id = v.tenant AND t.active_policy = v.version WHERE v.tenant = $1",
        )
        .bind(tenant.as_str())
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| Ok((version(&row)?, row.json("body")?))).transpose()
    }

    /// All versions, newest first, at most `limit`, below `before` if given.
    pub async fn policy_versions(
        &self,
        tenant: &TenantId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Version>, StoreFault> {
        let rows = sqlx::query(
            "SELECT v.version, v.hash, v.author, v.made_at, v.note, \
             CASE WHEN t.active_policy = v.version THEN 1 ELSE 0 END AS active FROM policy_versions v \
             JOIN tenants t ON t.id = v.tenant WHERE v.tenant = $1 AND v.version < $2 ORDER BY v.version DESC LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(before.map_or(i64::MAX, number))
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(version).collect()
    }

    /// One version with its set.
    pub async fn policy_version(
        &self,
        tenant: &TenantId,
        wanted: u64,
    ) -> Result<Option<(Version, PolicySet)>, StoreFault> {
        let row = sqlx::query(
            "SELECT v.version, v.hash, v.author, v.made_at, v.note, v.body, \
             CASE WHEN t.active_policy = v.version THEN 1 ELSE 0 END AS active FROM policy_versions v \
             JOIN tenants t ON t.id = v.tenant WHERE v.tenant = $1 AND v.version = $2",
        )
        .bind(tenant.as_str())
        .bind(number(wanted))
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| Ok((version(&row)?, row.json("body")?))).transpose()
    }

    /// Keeps a new version and makes it decide, if `base` is still the active one.
    pub async fn activate_new(
        &self,
        tenant: &TenantId,
        new: NewVersion<'_>,
        base: Option<u64>,
        now: Timestamp,
    ) -> Result<Activation, StoreFault> {
        let mut tx = self.write().await?;
        let Some(active) = active(&mut tx, tenant).await? else { return Ok(Activation::Unknown) };
        if active != base {
            return Ok(Activation::BaseMoved { active });
        }
        let version = insert(&mut tx, tenant, &new, now).await?;
        announce(&mut tx, Some(tenant), &Change::Policies, now).await?;
        tx.commit().await?;
        Ok(Activation::Active { version, before: active })
    }

    /// Makes a kept version decide again, if `base` is still the active one.
    pub async fn activate_again(
        &self,
        tenant: &TenantId,
        version: u64,
        base: Option<u64>,
        now: Timestamp,
    ) -> Result<Activation, StoreFault> {
        let mut tx = self.write().await?;
        let Some(active) = active(&mut tx, tenant).await? else { return Ok(Activation::Unknown) };
        if active != base {
            return Ok(Activation::BaseMoved { active });
        }
        let done = sqlx::query(
            "UPDATE tenants SET active_policy = $2 WHERE id = $1 \
             AND EXISTS (SELECT 1 FROM policy_versions v WHERE v.tenant = $1 AND v.version = $2)",
        )
        .bind(tenant.as_str())
        .bind(number(version))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(Activation::Unknown);
        }
        announce(&mut tx, Some(tenant), &Change::Policies, now).await?;
        tx.commit().await?;
        Ok(Activation::Active { version, before: active })
    }
}

fn version(row: &AnyRow) -> Result<Version, StoreFault> {
    Ok(Version {
        version: row.count("version")?,
        hash: row.text("hash")?,
        author: row.text("author")?,
        at: row.time("made_at")?,
        note: row.text("note")?,
        active: row.int("active")? == 1,
    })
}

/// The active version's number; the outer `None` says that there is no such tenant.
async fn active(tx: &mut Transaction<'_, Any>, tenant: &TenantId) -> Result<Option<Option<u64>>, StoreFault> {
    let row = sqlx::query("SELECT active_policy FROM tenants WHERE id = $1")
        .bind(tenant.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let number = row.opt_int("active_policy")?;
    number.map(u64::try_from).transpose().map(Some).map_err(|why| StoreFault::corrupt("active_policy", why))
}

/// Keeps a new version and makes it decide; gives its number.
pub(crate) async fn insert(
    tx: &mut Transaction<'_, Any>,
    tenant: &TenantId,
    new: &NewVersion<'_>,
    now: Timestamp,
) -> Result<u64, StoreFault> {
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) + 1 AS version FROM policy_versions WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_one(&mut **tx)
        .await?;
    let version = row.int("version")?;
    sqlx::query(
        "INSERT INTO policy_versions (tenant, version, hash, author, made_at, note, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant.as_str())
    .bind(version)
    .bind(new.hash)
    .bind(new.author)
    .bind(now.as_micros())
    .bind(new.note)
    .bind(serde_json::to_string(new.set)?)
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE tenants SET active_policy = $2 WHERE id = $1")
        .bind(tenant.as_str())
        .bind(version)
        .execute(&mut **tx)
        .await?;
    row.count("version")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Dir, spec, t0, tenant};
    use cardea_core::resources::PolicyText;

    fn set(text: &str) -> PolicySet {
        PolicySet { policies: vec![PolicyText { name: "main".to_owned(), text: text.to_owned() }], tests: vec![] }
    }

    fn new<'a>(set: &'a PolicySet, hash: &'a str) -> NewVersion<'a> {
        NewVersion { set, hash, author: "ada@x.example", note: "" }
    }

    async fn store_with_acme(dir: &Dir) -> Store {
        let store = dir.store().await;
        let mut tx = store.write().await.unwrap();
        crate::tenants::put(&mut tx, &spec("acme")).await.unwrap();
        tx.commit().await.unwrap();
        store
    }

    #[tokio::test]
    async fn versions_are_kept_and_one_can_go_back() {
        let dir = Dir::new();
        let (store, acme) = (store_with_acme(&dir).await, tenant("acme"));
        assert_eq!(store.active_policies(&acme).await.unwrap(), None);
        let (one, two) = (set("permit(principal, action, resource);"), set("// none"));
        let first = store.activate_new(&acme, new(&one, "h1"), None, t0()).await.unwrap();
        assert_eq!(first, Activation::Active { version: 1, before: None });
        let second = store.activate_new(&acme, new(&two, "h2"), Some(1), t0()).await.unwrap();
        assert_eq!(second, Activation::Active { version: 2, before: Some(1) });
        let back = store.activate_again(&acme, 1, Some(2), t0()).await.unwrap();
        assert_eq!(back, Activation::Active { version: 1, before: Some(2) });
        let (version, active) = store.active_policies(&acme).await.unwrap().unwrap();
        assert_eq!((version.version, version.active, active), (1, true, one));
        let (version, kept) = store.policy_version(&acme, 2).await.unwrap().unwrap();
        assert_eq!((version.active, kept), (false, two));
        let all = store.policy_versions(&acme, None, 10).await.unwrap();
        assert_eq!(all.iter().map(|v| (v.version, v.active)).collect::<Vec<_>>(), [(2, false), (1, true)]);
        assert_eq!(store.policy_versions(&acme, Some(2), 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn of_two_who_edit_the_same_version_one_is_told_to_look_again() {
        let dir = Dir::new();
        let (store, acme) = (store_with_acme(&dir).await, tenant("acme"));
        let set = set("x");
        let racing = (0..8).map(|_| store.activate_new(&acme, new(&set, "h"), None, t0()));
        let outcomes = futures_util::future::join_all(racing).await;
        let won = outcomes.iter().filter(|o| matches!(o, Ok(Activation::Active { .. }))).count();
        assert_eq!(won, 1);
        assert!(outcomes.iter().any(|o| matches!(o, Ok(Activation::BaseMoved { active: Some(1) }))));
    }

    #[tokio::test]
    async fn neither_an_unknown_version_nor_an_unknown_tenant_is_activated() {
        let dir = Dir::new();
        let store = store_with_acme(&dir).await;
        assert_eq!(store.activate_again(&tenant("acme"), 7, None, t0()).await.unwrap(), Activation::Unknown);
        let set = set("x");
        let none = store.activate_new(&tenant("none"), new(&set, "h"), None, t0()).await.unwrap();
        assert_eq!(none, Activation::Unknown);
        assert_eq!(store.last_change().await.unwrap(), 0);
    }
}
