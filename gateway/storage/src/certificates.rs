//! Certificates that the internal CA issued: what was given to whom, and until when.

use cardea_core::{TenantId, Timestamp};

use sqlx::any::AnyRow;

use crate::{Store, StoreFault, row::Read};

/// An issued certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Its serial number, in hex.
    pub serial: String,
    /// The tenant whose intermediate signed it.
    pub tenant: TenantId,
    /// The SPIFFE ID that it proves.
    pub spiffe_id: String,
    /// The service's name, or `gateway`.
    pub service: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// The serial of the one that it renews.
    pub renews: Option<String>,
}

impl Store {
    /// Keeps what was issued. The serial must be new; a repeated one is a fault.
    pub async fn insert_certificate(&self, certificate: &CertificateRecord) -> Result<(), StoreFault> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO certificates (tenant, serial, spiffe_id, service, issued_at, not_after, renews) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(certificate.tenant.as_str())
        .bind(certificate.serial.as_str())
        .bind(certificate.spiffe_id.as_str())
        .bind(certificate.service.as_str())
        .bind(certificate.issued_at.as_micros())
        .bind(certificate.not_after.as_micros())
        .bind(certificate.renews.as_deref())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// One certificate.
    pub async fn certificate(&self, tenant: &TenantId, serial: &str) -> Result<Option<CertificateRecord>, StoreFault> {
        let row = sqlx::query("SELECT * FROM certificates WHERE tenant = $1 AND serial = $2")
            .bind(tenant.as_str())
            .bind(serial)
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(certificate).transpose()
    }

    /// A tenant's certificates that have not ended, youngest first, at most 500; of one service if given.
    pub async fn certificates(
        &self,
        tenant: &TenantId,
        service: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<CertificateRecord>, StoreFault> {
        let rows = sqlx::query(
            "SELECT * FROM certificates WHERE tenant = $1 AND ($2 = '' OR service = $2) AND not_after > $3 \
             ORDER BY issued_at DESC, serial LIMIT 500",
        )
        .bind(tenant.as_str())
        .bind(service.unwrap_or_default())
        .bind(now.as_micros())
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(certificate).collect()
    }
}

fn certificate(row: &AnyRow) -> Result<CertificateRecord, StoreFault> {
    Ok(CertificateRecord {
        serial: row.text("serial")?,
        tenant: row.parsed("tenant", TenantId::parse)?,
        spiffe_id: row.text("spiffe_id")?,
        service: row.text("service")?,
        issued_at: row.time("issued_at")?,
        not_after: row.time("not_after")?,
        renews: row.opt_text("renews")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Dir, t0, tenant};
    use std::time::Duration;

    #[tokio::test]
    async fn what_was_issued_is_found_until_it_ends() {
        let dir = Dir::new();
        let store = dir.store().await;
        let issued = CertificateRecord {
            serial: "0a".to_owned(),
            tenant: tenant("acme"),
            spiffe_id: "spiffe://acme.cardea.internal/service/records".to_owned(),
            service: "records".to_owned(),
            issued_at: t0(),
            not_after: t0().plus(Duration::from_secs(60)),
            renews: None,
        };
        store.insert_certificate(&issued).await.unwrap();
        store.insert_certificate(&issued).await.unwrap_err();
        assert_eq!(store.certificate(&issued.tenant, "0a").await.unwrap(), Some(issued.clone()));
        assert_eq!(store.certificate(&tenant("beta"), "0a").await.unwrap(), None);
        assert_eq!(
            store.certificates(&issued.tenant, Some("records"), t0()).await.unwrap(),
            std::slice::from_ref(&issued)
        );
        assert_eq!(store.certificates(&issued.tenant, Some("other"), t0()).await.unwrap(), []);
        assert_eq!(store.certificates(&issued.tenant, None, issued.not_after).await.unwrap(), []);
    }
}
