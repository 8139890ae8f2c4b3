//! What takes away all that a person could prove: starting over after a loss, and leaving for good.

use cardea_audit::Event;
use cardea_core::{TenantId, UserId};
use cardea_identity::session::EndReason;
use cardea_storage::StartedOver;

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
    /// recovery code is gone, every session ends, older links are worthless, and a new one is made. Until it is used they are
    /// invited. Accounts that they linked go too; what came by a provider's word stays, and opens as before: that is the provider's to end. May be done again:
    /// what broke off half-way is made whole, but its entry counts only what was gone this time.
    pub async fn reset_user(&self, tenant: &TenantState, id: UserId, doer: &Doer) -> Result<Reset, ChangeFault> {
        // First what opens the door, then those inside: a sign-in that races this has nothing to show, and what came in
        // between the two steps goes with the second. Whoever is linked to a provider stays active: a session that was
        // ending may have added a factor, so both are done until, after an end, there is nothing more to take.
        let (mut gone, mut sessions, mut ended) = (Vec::new(), 0, false);
        loop {
            let (factors, accounts) = match self.store.reset_user(tenant.id(), id, self.now()).await? {
                StartedOver::Done { factors, accounts } => (factors, accounts),
                StartedOver::NoUser => return Err(ChangeFault::NotFound("user")),
                StartedOver::Suspended if ended => break,
                StartedOver::Suspended => return Err(self.suspended(tenant.id(), id).await?),
            };
            if ended && factors.is_empty() && accounts.is_empty() {
                break;
            }
            sessions += self.end_quietly(tenant.id(), id, None, EndReason::FactorChanged).await?;
            gone.extend(factors);
            ended = true;
        }
        let known = self.store.user(tenant.id(), id).await?.ok_or(ChangeFault::NotFound("user"))?;
        let user = subject(&known);
        for (factor, kind) in &gone {
            let event = Event::FactorRemoved { user: user.clone(), factor: *factor, factor_kind: kind.as_str().into() };
            self.record(tenant.id(), doer, event).await?;
        }
        self.finish_unlinking(tenant.id(), &known, None, doer).await?;
        let factors = gone.len() as u64;
        self.record(tenant.id(), doer, Event::UserReset { user, factors, sessions }).await?;
        let invited = self.send_invitation(tenant, known, &[], doer).await?;
        Ok(Reset { invited, factors, sessions })
    }

    async fn suspended(&self, tenant: &TenantId, id: UserId) -> Result<ChangeFault, ChangeFault> {
        let known = self.store.user(tenant, id).await?.ok_or(ChangeFault::NotFound("user"))?;
        Ok(ChangeFault::Conflict(format!("`{}` is suspended: activate first", known.email)))
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
