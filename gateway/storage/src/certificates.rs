//! Certificates that the internal CA issued: what was given to whom, and until when.

use cardea_core::{TenantId, Timestamp};

use crate::{Store, StoreFault};

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
        let _ = certificate;
        todo!()
    }

    /// One certificate.
    pub async fn certificate(&self, tenant: &TenantId, serial: &str) -> Result<Option<CertificateRecord>, StoreFault> {
        let _ = (tenant, serial);
        todo!()
    }

    /// A tenant's certificates that have not ended, youngest first, at most 500; of one service if given.
    pub async fn certificates(
        &self,
        tenant: &TenantId,
        service: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<CertificateRecord>, StoreFault> {
        let _ = (tenant, service, now);
        todo!()
    }
}
