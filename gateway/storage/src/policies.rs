//! Policy sets as versions: kept for good, one of them active per tenant.

use std::collections::BTreeMap;

use cardea_core::{
    Entropy, TenantId, Timestamp,
    resources::{PolicySet, PolicyText, TenantBundle},
};
use cardea_identity::Sealer;
use sqlx::any::AnyRow;

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    limited::Limited,
    resources,
    row::{Read, number, whose},
    sealed::{self, Place},
    writing::Writing,
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

/// What a set was checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// The tenant as it is written, with its active policies.
    pub bundle: TenantBundle,
    /// The operator's guard-rails.
    pub guard_rails: Vec<PolicyText>,
    /// The active version.
    pub version: Option<u64>,
}

impl Ground {
    /// Whether a set that fits here fits there too: only the policies themselves may differ.
    fn carries_what_fits(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.bundle, &other.bundle);
        ours.tenant == theirs.tenant
            && ours.apps == theirs.apps
            && ours.groups == theirs.groups
            && self.guard_rails == other.guard_rails
    }
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
    /// The tenant's apps or groups, or the guard-rails, are no longer what the set was checked against; nothing changed.
    GroundMoved,
    /// There is no such version, or no such tenant.
    Unknown,
}

impl Store {
    /// The version that decides, with its set.
    pub async fn active_policies(&self, tenant: &TenantId) -> Result<Option<(Version, PolicySet)>, StoreFault> {
        let row = sqlx::query(
            "SELECT v.version, v.hash, v.sealed, v.made_at, v.body, 1 AS active FROM policy_versions v \
             JOIN tenants t ON t.id = v.tenant AND t.active_policy = v.version WHERE v.tenant = $1",
        )
        .bind(tenant.as_str())
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let sealer = self.opener(Some(tenant), std::slice::from_ref(&row), "sealed").await?;
        Ok(Some((version(&sealer, &row)?, row.json("body")?)))
    }

    /// The number of each tenant's active version, where it is one: a tenant with another is illegible.
    pub async fn active_versions(&self) -> Result<BTreeMap<TenantId, u64>, StoreFault> {
        let rows = sqlx::query("SELECT id, active_policy FROM tenants WHERE active_policy IS NOT NULL")
            .fetch_all(self.reader())
            .await?;
        Ok(rows.iter().filter_map(|row| Some((whose(row, "id")?, row.count("active_policy").ok()?))).collect())
    }

    /// All versions, newest first, at most `limit`, below `before` if given.
    pub async fn policy_versions(
        &self,
        tenant: &TenantId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Version>, StoreFault> {
        let rows = sqlx::query(
            "SELECT v.version, v.hash, v.sealed, v.made_at, \
             CASE WHEN t.active_policy = v.version THEN 1 ELSE 0 END AS active FROM policy_versions v \
             JOIN tenants t ON t.id = v.tenant WHERE v.tenant = $1 AND v.version < $2 ORDER BY v.version DESC LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(before.map_or(i64::MAX, number))
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        let sealer = self.opener(Some(tenant), &rows, "sealed").await?;
        rows.iter().map(|row| version(&sealer, row)).collect()
    }

    /// One version with its set.
    pub async fn policy_version(
        &self,
        tenant: &TenantId,
        wanted: u64,
    ) -> Result<Option<(Version, PolicySet)>, StoreFault> {
        let row = sqlx::query(
            "SELECT v.version, v.hash, v.sealed, v.made_at, v.body, \
             CASE WHEN t.active_policy = v.version THEN 1 ELSE 0 END AS active FROM policy_versions v \
             JOIN tenants t ON t.id = v.tenant WHERE v.tenant = $1 AND v.version = $2",
        )
        .bind(tenant.as_str())
        .bind(number(wanted))
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let sealer = self.opener(Some(tenant), std::slice::from_ref(&row), "sealed").await?;
        Ok(Some((version(&sealer, &row)?, row.json("body")?)))
    }

    /// What a set of a tenant is to be checked against, as of one moment.
    pub async fn ground(&self, tenant: &TenantId) -> Result<Option<Ground>, StoreFault> {
        let mut moment = self.moment().await?;
        let found = self.engine().at_last(ground(&mut moment, tenant)).await?;
        moment.end().await?;
        Ok(found)
    }

    /// Keeps a new version and makes it decide, if `base` is still the active one and everything that the set was
    /// `checked` against still stands.
    pub async fn activate_new(
        &self,
        tenant: &TenantId,
        new: NewVersion<'_>,
        base: Option<u64>,
        checked: &Ground,
        now: Timestamp,
    ) -> Result<Activation, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        if let Some(refused) = moved(&mut tx, tenant, base, checked).await? {
            return Ok(refused);
        }
        let version = insert(&mut tx, (&sealer, self.entropy()?), tenant, &new, now).await?;
        announce(&mut tx, Some(tenant), &Change::Policies, now).await?;
        tx.commit().await?;
        Ok(Activation::Active { version, before: base })
    }

    /// Makes a kept version decide again, on the same conditions as a new one.
    pub async fn activate_again(
        &self,
        tenant: &TenantId,
        version: u64,
        base: Option<u64>,
        checked: &Ground,
        now: Timestamp,
    ) -> Result<Activation, StoreFault> {
        let mut tx = self.write().await?;
        if let Some(refused) = moved(&mut tx, tenant, base, checked).await? {
            return Ok(refused);
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
        Ok(Activation::Active { version, before: base })
    }
}

/// Why nothing may be activated, if so. INVARIANT: asked in the transaction that activates, so that no change of
/// resources comes between the check of a set and its taking effect.
async fn moved(
    tx: &mut Writing,
    tenant: &TenantId,
    base: Option<u64>,
    checked: &Ground,
) -> Result<Option<Activation>, StoreFault> {
    let Some(stands) = ground(tx, tenant).await? else { return Ok(Some(Activation::Unknown)) };
    if stands.version != base {
        return Ok(Some(Activation::BaseMoved { active: stands.version }));
    }
    Ok((!checked.carries_what_fits(&stands)).then_some(Activation::GroundMoved))
}

async fn ground(tx: &mut Limited, tenant: &TenantId) -> Result<Option<Ground>, StoreFault> {
    let Some(version) = active(tx, tenant).await? else { return Ok(None) };
    let mut loaded = resources::load(tx, Some(tenant)).await?;
    let bundle = loaded.tenants.remove(tenant);
    Ok(bundle.map(|bundle| Ground { bundle, guard_rails: loaded.guard_rails, version }))
}

fn version(sealer: &Sealer, row: &AnyRow) -> Result<Version, StoreFault> {
    let (author, note) = sealed::open(sealer, Place::Policies(row.int("version")?), row.bytes("sealed")?)?;
    Ok(Version {
        version: row.count("version")?,
        hash: row.text("hash")?,
        author,
        at: row.time("made_at")?,
        note,
        active: row.int("active")? == 1,
    })
}

/// The active version's number; the outer `None` says that there is no such tenant.
pub(crate) async fn active(from: &mut Limited, tenant: &TenantId) -> Result<Option<Option<u64>>, StoreFault> {
    let row = sqlx::query("SELECT active_policy FROM tenants WHERE id = $1")
        .bind(tenant.as_str())
        .fetch_optional(from)
        .await?;
    let Some(row) = row else { return Ok(None) };
    active_in(&row).map(Some)
}

/// The same of a row of tenants.
pub(crate) fn active_in(row: &AnyRow) -> Result<Option<u64>, StoreFault> {
    let number = row.opt_int("active_policy")?;
    number.map(u64::try_from).transpose().map_err(|why| StoreFault::corrupt("active_policy", why))
}

/// Keeps a new version and makes it decide; gives its number.
pub(crate) async fn insert(
    tx: &mut Writing,
    (sealer, entropy): (&Sealer, &dyn Entropy),
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
        "INSERT INTO policy_versions (tenant, version, hash, sealed, made_at, body) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.as_str())
    .bind(version)
    .bind(new.hash)
    .bind(sealed::seal(sealer, Place::Policies(version), &(new.author, new.note), entropy)?)
    .bind(now.as_micros())
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
#[path = "policies_tests.rs"]
mod tests;
