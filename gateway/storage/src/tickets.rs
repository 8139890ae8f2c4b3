//! Tickets: one-time tokens that live for days, invitations and enrolment tokens. Taken by exactly one of any number
//! of racing takers; kept after that, so that a second use can be told from an unknown token.

use cardea_core::{TenantId, Timestamp};
use cardea_identity::TicketHash;
use serde::{Deserialize, Serialize};

use crate::{Store, StoreFault};

/// What a ticket is for. A ticket of one kind is never found for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TicketKind {
    /// Lets a person into the pool.
    Invitation,
    /// Lets a service enrol for its certificate.
    Enrolment,
}

/// A ticket as it is kept: the token itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRecord {
    /// What it is found by.
    pub hash: TicketHash,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: TicketKind,
    /// For whom: a user's id, or a service's name.
    pub subject: String,
    /// What else its use needs.
    pub payload: serde_json::Value,
    /// Who made it.
    pub author: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when it is as good as gone.
    pub expires: Timestamp,
    /// When it was used, if it has been.
    pub used: Option<Timestamp>,
}

impl Store {
    /// Keeps a new ticket.
    pub async fn insert_ticket(&self, ticket: &TicketRecord) -> Result<(), StoreFault> {
        let _ = ticket;
        todo!()
    }

    /// A ticket that could be taken now.
    pub async fn peek_ticket(
        &self,
        tenant: &TenantId,
        kind: TicketKind,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<TicketRecord>, StoreFault> {
        let _ = (tenant, kind, hash, now);
        todo!()
    }

    /// Takes a ticket: given to exactly one taker.
    pub async fn take_ticket(
        &self,
        tenant: &TenantId,
        kind: TicketKind,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<TicketRecord>, StoreFault> {
        let _ = (tenant, kind, hash, now);
        todo!()
    }

    /// Tickets of a kind that can still be taken, newest first, at most 200; of one subject if given.
    pub async fn tickets(
        &self,
        tenant: &TenantId,
        kind: TicketKind,
        subject: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<TicketRecord>, StoreFault> {
        let _ = (tenant, kind, subject, now);
        todo!()
    }

    /// Takes back a ticket that was not used; tells whether there was one.
    pub async fn revoke_ticket(&self, tenant: &TenantId, hash: &TicketHash) -> Result<bool, StoreFault> {
        let _ = (tenant, hash);
        todo!()
    }

    /// Takes back all unused tickets of a subject, as before a new invitation; tells how many.
    pub async fn revoke_tickets_of(
        &self,
        tenant: &TenantId,
        kind: TicketKind,
        subject: &str,
    ) -> Result<u64, StoreFault> {
        let _ = (tenant, kind, subject);
        todo!()
    }
}
