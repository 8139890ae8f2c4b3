//! What clients prove themselves by that is kept here, and the tokens that were given back before their time.

use cardea_core::{ClientId, TenantId, Timestamp, TokenId};
use cardea_identity::TicketHash;

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    row::Read,
};

/// Secrets of one client that are good at once: the one in use and the one that will be.
const SECRETS: i64 = 2;

impl Store {
    /// Keeps the hash of a client's new secret. The youngest before it stays good, so that a client can be told of the new one while it
    /// works; with `only` none does. Tells how many went.
    pub async fn client_secret_insert(
        &self,
        tenant: &TenantId,
        client: &ClientId,
        hash: &TicketHash,
        only: bool,
        now: Timestamp,
    ) -> Result<u64, StoreFault> {
        let mut tx = self.write().await?;
        let keep = if only { 0 } else { SECRETS - 1 };
        let sql = "DELETE FROM client_secrets WHERE tenant = $1 AND client = $2 AND hash NOT IN \
                   (SELECT hash FROM client_secrets WHERE tenant = $1 AND client = $2 \
                   ORDER BY created_at DESC, hash LIMIT $3)";
        let gone = sqlx::query(sql).bind(tenant.as_str()).bind(client.as_str()).bind(keep).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO client_secrets (tenant, client, hash, created_at) VALUES ($1, $2, $3, $4)")
            .bind(tenant.as_str())
            .bind(client.as_str())
            .bind(hash.to_string())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(gone.rows_affected())
    }

    /// Whether a secret is the client's.
    pub async fn client_secret_is(
        &self,
        tenant: &TenantId,
        client: &ClientId,
        hash: &TicketHash,
    ) -> Result<bool, StoreFault> {
        let sql = "SELECT 1 AS is_it FROM client_secrets WHERE tenant = $1 AND client = $2 AND hash = $3";
        let row = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(client.as_str())
            .bind(hash.to_string())
            .fetch_optional(self.reader())
            .await?;
        Ok(row.is_some())
    }

    /// How many secrets of a client are good, and when the youngest was made.
    pub async fn client_secrets(
        &self,
        tenant: &TenantId,
        client: &ClientId,
    ) -> Result<(u64, Option<Timestamp>), StoreFault> {
        let sql =
            "SELECT COUNT(*) AS n, MAX(created_at) AS youngest FROM client_secrets WHERE tenant = $1 AND client = $2";
        let row = sqlx::query(sql).bind(tenant.as_str()).bind(client.as_str()).fetch_one(self.reader()).await?;
        Ok((row.count("n")?, row.opt_time("youngest")?))
    }

    /// Notes that an access token was given back, and announces it.
    pub async fn token_revoke(
        &self,
        tenant: &TenantId,
        id: TokenId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut tx = self.write().await?;
        let sql =
            "INSERT INTO revoked_tokens (tenant, id, until) VALUES ($1, $2, $3) ON CONFLICT (tenant, id) DO NOTHING";
        sqlx::query(sql).bind(tenant.as_str()).bind(id.to_string()).bind(until.as_micros()).execute(&mut *tx).await?;
        announce(&mut tx, Some(tenant), &Change::Token(id), now).await?;
        tx.commit().await
    }

    /// Whether an access token was given back.
    pub async fn token_is_revoked(&self, tenant: &TenantId, id: TokenId) -> Result<bool, StoreFault> {
        let sql = "SELECT 1 AS is_it FROM revoked_tokens WHERE tenant = $1 AND id = $2";
        let row = sqlx::query(sql).bind(tenant.as_str()).bind(id.to_string()).fetch_optional(self.reader()).await?;
        Ok(row.is_some())
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::entropy::Fixed;

    use super::*;
    use crate::testing::{Dir, t0, tenant};

    fn secret(byte: u8) -> TicketHash {
        TicketHash::from_bytes([byte; 32])
    }

    #[tokio::test]
    async fn of_a_clients_secrets_two_are_good_and_no_other_clients_is() {
        let (dir, at) = (Dir::new(), |seconds| t0().plus(std::time::Duration::from_secs(seconds)));
        let store = dir.store().await;
        let (acme, beta) = (tenant("acme"), tenant("beta"));
        let (sync, other) = (ClientId::parse("sync").unwrap(), ClientId::parse("other").unwrap());
        for (byte, gone) in [(1, 0), (2, 0), (3, 1)] {
            let made = store.client_secret_insert(&acme, &sync, &secret(byte), false, at(u64::from(byte))).await;
            assert_eq!(made.unwrap(), gone);
        }
        for (byte, good) in [(1, false), (2, true), (3, true)] {
            assert_eq!(store.client_secret_is(&acme, &sync, &secret(byte)).await.unwrap(), good, "{byte}");
            assert!(!store.client_secret_is(&acme, &other, &secret(byte)).await.unwrap());
            assert!(!store.client_secret_is(&beta, &sync, &secret(byte)).await.unwrap());
        }
        assert_eq!(store.client_secret_insert(&acme, &sync, &secret(4), true, at(4)).await.unwrap(), 2);
        assert_eq!(store.client_secrets(&acme, &sync).await.unwrap(), (1, Some(at(4))));
    }

    #[tokio::test]
    async fn a_token_that_was_given_back_is_known_until_it_is_over() {
        let dir = Dir::new();
        let store = dir.store().await;
        let (acme, id) = (tenant("acme"), TokenId::mint(t0(), &Fixed::new(1)));
        let until = t0().plus(std::time::Duration::from_secs(600));
        assert!(!store.token_is_revoked(&acme, id).await.unwrap());
        for _ in 0..2 {
            store.token_revoke(&acme, id, until, t0()).await.unwrap();
        }
        assert!(store.token_is_revoked(&acme, id).await.unwrap());
        assert!(!store.token_is_revoked(&tenant("beta"), id).await.unwrap());
        assert_eq!(store.changes_since(0).await.unwrap()[0].change, Change::Token(id));
        store.sweep_programs(until.plus(std::time::Duration::from_secs(1))).await.unwrap();
        assert!(!store.token_is_revoked(&acme, id).await.unwrap());
    }
}
