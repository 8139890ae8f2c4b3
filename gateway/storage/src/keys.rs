//! Keys at rest, always sealed: assertion keys with their schedule, and whatever else must be kept secret (CA keys).

use cardea_core::{TenantId, Timestamp};
use cardea_identity::{Sealed, keys::KeyRecord};

use sqlx::any::AnyRow;

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    row::{Read, owner},
};

/// A sealed secret with what may be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord {
    /// Whose; the operator's own where absent.
    pub tenant: Option<TenantId>,
    /// What it is for: `ca-root`, `ca-intermediate`, `gateway`, ….
    pub purpose: String,
    /// Names it within the purpose.
    pub id: String,
    /// The secret.
    pub sealed: Sealed,
    /// What belongs to it and is not secret: a certificate chain in PEM, a public key.
    pub public: String,
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
}

impl Store {
    /// Keeps a new assertion key, unless the tenant has one that signs beyond `unless_beyond` (another gateway was
    /// faster); tells whether it was kept.
    pub async fn insert_key(&self, key: &KeyRecord, unless_beyond: Timestamp) -> Result<bool, StoreFault> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "INSERT INTO signing_keys (tenant, id, sealed, public, created_at, signs_from, signs_until, published_until) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8 \
             WHERE NOT EXISTS (SELECT 1 FROM signing_keys k WHERE k.tenant = $1 AND k.signs_until > $9)",
        )
        .bind(key.tenant.as_str())
        .bind(key.id.as_str())
        .bind(key.sealed.as_str())
        .bind(key.public.as_str())
        .bind(key.created.as_micros())
        .bind(key.signs_from.as_micros())
        .bind(key.signs_until.as_micros())
        .bind(key.published_until.as_micros())
        .bind(unless_beyond.as_micros())
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        announce(&mut tx, Some(&key.tenant), &Change::Keys, key.created).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A tenant's assertion keys that are still published, oldest first.
    pub async fn keys(&self, tenant: &TenantId, now: Timestamp) -> Result<Vec<KeyRecord>, StoreFault> {
        let sql = "SELECT * FROM signing_keys WHERE tenant = $1 AND published_until > $2 ORDER BY signs_from, id";
        let rows = sqlx::query(sql).bind(tenant.as_str()).bind(now.as_micros()).fetch_all(self.reader()).await?;
        let keys = rows.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        for key in &keys {
            // Whoever opens it then knows the key that it is sealed under.
            self.sealer_with(Some(tenant), key.sealed.key_id()).await?;
        }
        Ok(keys)
    }

    /// Forgets assertion keys that are no longer published; tells how many.
    pub async fn drop_old_keys(&self, now: Timestamp) -> Result<u64, StoreFault> {
        let mut tx = self.write().await?;
        let done = sqlx::query("DELETE FROM signing_keys WHERE published_until <= $1")
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Keeps a sealed secret, unless there is one of that tenant, purpose and id; tells whether it was kept.
    pub async fn insert_sealed(&self, record: &SealedRecord) -> Result<bool, StoreFault> {
        let mut tx = self.write().await?;
        let done = sqlx::query(INSERT_SEALED)
            .bind(owner(record.tenant.as_ref()))
            .bind(record.purpose.as_str())
            .bind(record.id.as_str())
            .bind(record.sealed.as_str())
            .bind(record.public.as_str())
            .bind(record.not_before.as_micros())
            .bind(record.not_after.as_micros())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        announce(&mut tx, record.tenant.as_ref(), &Change::Authority, record.not_before).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The sealed secrets of a tenant (or the operator) for a purpose, youngest `not_before` first.
    pub async fn sealed(&self, tenant: Option<&TenantId>, purpose: &str) -> Result<Vec<SealedRecord>, StoreFault> {
        let sql = "SELECT * FROM secrets WHERE tenant = $1 AND purpose = $2 ORDER BY not_before DESC, id";
        let rows = sqlx::query(sql).bind(owner(tenant)).bind(purpose).fetch_all(self.reader()).await?;
        let records = rows.iter().map(sealed).collect::<Result<Vec<_>, _>>()?;
        for record in &records {
            self.sealer_with(tenant, record.sealed.key_id()).await?;
        }
        Ok(records)
    }
}

const INSERT_SEALED: &str = "INSERT INTO secrets (tenant, purpose, id, sealed, public, not_before, not_after) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";

fn key(row: &AnyRow) -> Result<KeyRecord, StoreFault> {
    Ok(KeyRecord {
        id: row.text("id")?,
        tenant: row.parsed("tenant", TenantId::parse)?,
        sealed: Sealed::from_stored(row.text("sealed")?),
        public: row.text("public")?,
        created: row.time("created_at")?,
        signs_from: row.time("signs_from")?,
        signs_until: row.time("signs_until")?,
        published_until: row.time("published_until")?,
    })
}

fn sealed(row: &AnyRow) -> Result<SealedRecord, StoreFault> {
    Ok(SealedRecord {
        tenant: row.owner("tenant")?,
        purpose: row.text("purpose")?,
        id: row.text("id")?,
        sealed: Sealed::from_stored(row.text("sealed")?),
        public: row.text("public")?,
        not_before: row.time("not_before")?,
        not_after: row.time("not_after")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Dir, t0, tenant};
    use std::time::Duration;

    fn key(id: &str) -> KeyRecord {
        let days = |n: u64| t0().plus(Duration::from_secs(n * 86_400));
        KeyRecord {
            id: id.to_owned(),
            tenant: tenant("acme"),
            sealed: Sealed::from_stored("c2VhbGVk"),
            public: "p".to_owned(),
            created: t0(),
            signs_from: t0(),
            signs_until: days(30),
            published_until: days(31),
        }
    }

    #[tokio::test]
    async fn of_gateways_that_rotate_at_once_one_makes_the_key() {
        let dir = Dir::new();
        let store = dir.store().await;
        let keys: Vec<_> = (0..8).map(|nth| key(&format!("k{nth}"))).collect();
        let kept = futures_util::future::join_all(keys.iter().map(|key| store.insert_key(key, t0()))).await;
        assert_eq!(kept.into_iter().filter_map(Result::ok).filter(|kept| *kept).count(), 1);
        let kept = store.keys(&tenant("acme"), t0()).await.unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(store.keys(&tenant("beta"), t0()).await.unwrap(), []);
        let end = kept[0].published_until;
        assert_eq!(store.keys(&tenant("acme"), end).await.unwrap(), []);
        assert_eq!(store.drop_old_keys(end).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_sealed_secret_is_never_replaced() {
        let dir = Dir::new();
        let store = dir.store().await;
        let first = SealedRecord {
            tenant: None,
            purpose: "ca-root".to_owned(),
            id: "1".to_owned(),
            sealed: Sealed::from_stored("one"),
            public: "pem".to_owned(),
            not_before: t0(),
            not_after: t0(),
        };
        let second = SealedRecord { sealed: Sealed::from_stored("two"), ..first.clone() };
        assert!(store.insert_sealed(&first).await.unwrap());
        assert!(!store.insert_sealed(&second).await.unwrap());
        assert_eq!(store.sealed(None, "ca-root").await.unwrap(), [first]);
        assert_eq!(store.sealed(Some(&tenant("acme")), "ca-root").await.unwrap(), []);
    }
}
