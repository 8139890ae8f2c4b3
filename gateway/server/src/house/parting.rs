//! What takes away all that a person could prove: starting over after a loss, and leaving for good.

use cardea_audit::Event;
use cardea_core::{TenantId, UserId};
use cardea_identity::{Status, session::EndReason};

use super::{ChangeFault, Doer, House, Invited, subject};
use crate::state::TenantState;

/// A person who starts over.
#[derive(Debug)]
pub struct Reset {
    /// The link by which they choose anew how to sign in.
    pub invited: Invited,
    /// How many factors are gone.
    pub factors: u64,
    /// How many sessions ended.
    pub sessions: u64,
}

impl House {
    /// Lets a person start over who lost what they sign in with, or of whom somebody else may hold it: every factor and
    /// recovery code is gone, every session ends, older links are worthless, and a new one is made. Accounts at providers
    /// stay linked: those are the provider's to end. May be done again: what broke off half-way is made whole.
    pub async fn reset_user(&self, tenant: &TenantState, id: UserId, doer: &Doer) -> Result<Reset, ChangeFault> {
        let known = self.store.user(tenant.id(), id).await?.ok_or(ChangeFault::NotFound("user"))?;
        if !matches!(known.status, Status::Invited | Status::Active) {
            return Err(ChangeFault::Conflict(format!("`{}` is suspended: activate first", known.email)));
        }
        // First what opens the door, then those inside: a sign-in that races this has nothing to show, and what came in
        // between the two steps goes with the second.
        let gone = self.store.reset_user(tenant.id(), id, self.now()).await?.ok_or(ChangeFault::NotFound("user"))?;
        let sessions = self.end_quietly(tenant.id(), id, None, EndReason::FactorChanged).await?;
        let user = subject(&known);
        for (factor, kind) in &gone {
            let event = Event::FactorRemoved { user: user.clone(), factor: *factor, factor_kind: kind.as_str().into() };
            self.record(tenant.id(), doer, event).await?;
        }
        let factors = gone.len() as u64;
        self.record(tenant.id(), doer, Event::UserReset { user, factors, sessions }).await?;
        let invited = self.send_invitation(tenant, known, &[], doer).await?;
        Ok(Reset { invited, factors, sessions })
    }

    /// Deletes a person for good, and ends every session; tells how many ended. The id is given to nobody else, and the
    /// entries about the person stay.
    pub async fn delete_user(&self, tenant: &TenantId, id: UserId, doer: &Doer) -> Result<u64, ChangeFault> {
        let user = self.store.user(tenant, id).await?.ok_or(ChangeFault::NotFound("user"))?;
        // First the door. If we crash right after, the sessions open nothing, since there is nobody whose they are.
        if !self.store.delete_user(tenant, id, self.now()).await? {
            return Err(ChangeFault::NotFound("user"));
        }
        let sessions = self.end_quietly(tenant, id, None, EndReason::Suspended).await?;
        self.record(tenant, doer, Event::UserDeleted { user: subject(&user), sessions }).await?;
        Ok(sessions)
    }
}
