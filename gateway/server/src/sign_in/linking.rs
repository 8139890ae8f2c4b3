//! Back from a provider with an account that somebody who is signed in here wants to sign in with, too. They set out from the
//! portal (`portal/accounts.rs`), where they proved that they may.

use axum::response::Response;
use cardea_audit::Event;
use cardea_core::{FactorId, Reason, SessionId, UserId, resources::ProviderSpec};
use cardea_identity::{LinkedIdentity, sign_in::Flow};
use cardea_storage::Linked;

use super::visit::{No, Visit, see_other};
use crate::house::Doer;

/// An account is to be linked, to whom this session is of. INVARIANT: made by [`begun_here`] only.
pub(super) struct Linking {
    session: SessionId,
    user: UserId,
    had: Vec<FactorId>,
}

/// What a provider's answer is to be linked to; nothing where it is an answer to a sign-in. Refuses what was begun in another session.
pub(super) async fn begun_here(visit: &Visit, flow: &Flow, spec: &ProviderSpec) -> Result<Option<Linking>, No> {
    let here = visit.admitted.session().map(|session| session.id);
    let (session, user, had) = match flow.links(here) {
        Ok(None) => return Ok(None),
        Ok(Some((user, had))) => (here.ok_or(Reason::SessionEnded)?, user, had.to_vec()),
        Err(reason) => {
            visit.note_provider(spec, reason, None, "an account was to be linked in another session");
            return Err(reason.into());
        }
    };
    // The tenant may have thought better of it.
    if !spec.link {
        return Err(Reason::FactorNotAllowed.into());
    }
    Ok(Some(Linking { session, user, had }))
}

impl Linking {
    /// Links it; the entry is on disk before this returns. The session stays as it is: nothing was proven to it.
    pub(super) async fn end(self, visit: &Visit, account: &LinkedIdentity, doer: Doer) -> Result<Response, No> {
        let (house, tenant) = (&visit.house, visit.id());
        // As the store has it now: it may have been ended from elsewhere while its person was away.
        let session = house.shared.session(tenant, self.session).await?;
        if session.is_none_or(|session| session.ended.is_some() || session.user != self.user) {
            return Err(Reason::SessionEnded.into());
        }
        match house.store.link_own_identity(tenant, self.user, account, &self.had, visit.now).await? {
            Linked::Done | Linked::Already { told: false } => {}
            Linked::Already { told: true } => return Ok(linked(visit)),
            Linked::Taken => return Err(self.taken(visit)),
            Linked::Changed => return Err(Reason::Conflict.into()),
            Linked::NoUser | Linked::Unlinked => return Err(Reason::SessionEnded.into()),
        }
        house.forget_user(self.user);
        let user = house.store.user(tenant, self.user).await?.ok_or(Reason::SessionEnded)?;
        house.tell_linked(tenant, &user, (account, true), &doer).await?;
        Ok(linked(visit))
    }

    /// INVARIANT: says that it is somebody's, and not whose.
    fn taken(&self, visit: &Visit) -> No {
        let event = Event::FactorRefused {
            user: self.user,
            factor_kind: "linked".into(),
            reason: Reason::AccountTaken,
            detail: "the account is another user's".to_owned(),
        };
        visit.house.note(visit.id(), &visit.noting(), event);
        Reason::AccountTaken.into()
    }
}

fn linked(visit: &Visit) -> Response {
    visit.drop_flow().on(see_other("/factors?done=linked"))
}
