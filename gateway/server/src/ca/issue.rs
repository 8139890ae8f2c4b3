//! Issuing, in one place: signed, kept, recorded, and only then given out.

use std::{sync::Arc, time::Duration};

use cardea_audit::{Event, event::Certificate};
use cardea_certs::{Enrolment, EnrolmentToken, Issued, Profile, Request, SpiffeId};
use cardea_core::{TenantId, Timestamp};
use cardea_identity::TicketHash;
use cardea_storage::{CertificateRecord, TicketKind, TicketRecord};

use super::{Ca, CaFault, TenantCa};
use crate::{House, house::Doer};

/// What is to be issued, and by what right.
pub(super) struct Issuance {
    pub(super) profile: Profile,
    /// An enrolment token's id, or `gateway`.
    pub(super) by: Arc<str>,
    /// The serial of the certificate that it replaces.
    pub(super) before: Option<String>,
}

/// An enrolment token just made.
#[derive(Debug, Clone)]
pub struct EnrolmentMade {
    /// The token; shown once.
    pub token: EnrolmentToken,
    /// The name that its use gives.
    pub spiffe_id: SpiffeId,
    /// Until when it may be used.
    pub expires: Timestamp,
}

impl Ca {
    /// Signs, keeps and records. A crash in between leaves a certificate that nobody was given.
    pub(super) async fn issue(
        &self,
        house: &House,
        tenant: &TenantCa,
        what: Issuance,
        request: &Request,
        doer: &Doer,
    ) -> Result<Issued, CaFault> {
        let now = house.now();
        let issued = tenant.authority.issue(&what.profile, request, self.ttl, now, &*house.entropy)?;
        let (name, service) = match &what.profile {
            Profile::Workload(id) => (id.to_string(), id.service_name().unwrap_or("gateway").to_owned()),
            Profile::Server(hosts) => (format!("https://{}", hosts.join(",")), "gateway".to_owned()),
        };
        let record = CertificateRecord {
            serial: issued.facts.serial.clone(),
            tenant: tenant.tenant.clone(),
            spiffe_id: name.clone(),
            service,
            issued_at: now,
            not_after: issued.facts.not_after,
            renews: what.before.clone(),
        };
        house.store.insert_certificate(&record).await?;
        let certificate = Certificate { serial: record.serial, spiffe_id: name, not_after: issued.facts.not_after };
        let event = match what.before {
            Some(before) => Event::CertificateRenewed { certificate, before },
            None => Event::CertificateIssued { certificate, by: what.by },
        };
        house.record(&tenant.tenant, doer, event).await?;
        Ok(issued)
    }

    /// Makes an enrolment token for a service of a tenant.
    pub async fn make_enrolment(
        &self,
        house: &House,
        tenant: &TenantId,
        service: &str,
        ttl: Duration,
        doer: &Doer,
    ) -> Result<EnrolmentMade, CaFault> {
        if house.store.tenant(tenant).await?.is_none() {
            return Err(CaFault::NoTenant(tenant.clone()));
        }
        let (now, domain) = (house.now(), cardea_certs::TrustDomain::of_tenant(tenant, &house.config.trust_domain)?);
        let enrolment = Enrolment::new(tenant.clone(), &domain, service, now, ttl)?;
        let token = EnrolmentToken::mint(&*house.entropy);
        let ticket = TicketRecord {
            hash: TicketHash::from_bytes(token.hash()),
            tenant: tenant.clone(),
            kind: TicketKind::Enrolment,
            subject: service.to_owned(),
            payload: serde_json::to_value(&enrolment).map_err(cardea_storage::StoreFault::from)?,
            author: doer.name(),
            created: now,
            expires: enrolment.expires_at,
            used: None,
        };
        let made = Event::TokenMade {
            token: token_id(&token),
            token_kind: "enrolment".into(),
            subject: enrolment.spiffe_id.to_string(),
            expires: enrolment.expires_at,
        };
        house.record(tenant, doer, made).await?;
        house.store.insert_ticket(&ticket).await?;
        Ok(EnrolmentMade { token, spiffe_id: enrolment.spiffe_id, expires: enrolment.expires_at })
    }
}

/// Names a token in entries without being it: the beginning of its hash.
pub(super) fn token_id(token: &EnrolmentToken) -> String {
    TicketHash::from_bytes(token.hash()).to_string().chars().take(12).collect()
}
