//! Accepting an invitation: the one change that touches the ticket, the factors and the person.

use std::collections::BTreeSet;

use cardea_core::{FactorId, TenantId, Timestamp, UserId};
use cardea_identity::{Factor, Status, TicketHash};

use crate::{
    Store, StoreFault, TicketKind,
    changes::{Change, announce},
    devices, factors, identities, tickets,
};

/// What accepting an invitation changes.
#[derive(Debug, Clone, Copy)]
pub struct Accepting<'a> {
    /// The invitation's ticket.
    pub ticket: &'a TicketHash,
    /// Who accepts.
    pub user: UserId,
    /// The factors that they have, which go.
    pub before: &'a [Factor],
    /// The one that was chosen; none by who signs in with the mailbox alone.
    pub chosen: Option<&'a Factor>,
    /// The present moment.
    pub now: Timestamp,
}

/// What came of accepting an invitation. All but [`Accepted::Done`] change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Done.
    Done {
        /// Whether the person was only invited until now.
        joined: bool,
    },
    /// The ticket was used, taken back, or is past its time.
    Spent,
    /// The person has other factors by now, or may not enter.
    Moved,
    /// The passkey is enrolled already, by this user or another of the pool.
    CredentialTaken,
}

impl Store {
    /// Accepts an invitation in one step: the ticket is spent, the old factors go, the chosen one is enrolled, and who was
    /// invited is active. If we crash before it, the link is as good as before.
    pub async fn accept_invitation(&self, tenant: &TenantId, with: &Accepting<'_>) -> Result<Accepted, StoreFault> {
        let Accepting { ticket, user, before, chosen, now } = *with;
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        if tickets::take(&mut tx, &sealer, tenant, TicketKind::Invitation, ticket, now).await?.is_none() {
            return Ok(Accepted::Spent);
        }
        let row = sqlx::query("SELECT status FROM users WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        let status = row.as_ref().map(crate::users::status).transpose()?;
        let stand: BTreeSet<FactorId> = factors::ids(&mut tx, tenant, user).await?;
        let may = matches!(status, Some(Status::Invited | Status::Active));
        if !may || stand != before.iter().map(|factor| factor.id).collect() {
            return Ok(Accepted::Moved);
        }
        sqlx::query("DELETE FROM factors WHERE tenant = $1 AND user_id = $2")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .execute(&mut *tx)
            .await?;
        identities::drop_own(&mut tx, &sealer, tenant, user).await?;
        if let Some(chosen) = chosen
            && !factors::enrol(&mut tx, (&sealer, self.entropy()?), tenant, user, chosen).await?
        {
            return Ok(Accepted::CredentialTaken);
        }
        sqlx::query("UPDATE users SET status = $3, changed_at = $4 WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(Status::Active.as_str())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        devices::drop_all(&mut tx, tenant, user).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), now).await?;
        tx.commit().await?;
        Ok(Accepted::Done { joined: status == Some(Status::Invited) })
    }
}
