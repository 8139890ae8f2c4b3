//! Back from a provider with an account that somebody who is signed in here wants to sign in with, too. They set out from the
//! portal (`portal/accounts.rs`), where they proved that they may, and whatever comes of it they go back there.

use std::fmt::Display;

use axum::response::Response;
use cardea_audit::Event;
use cardea_core::{Reason, SessionId, UserId, resources::ProviderSpec};
use cardea_identity::{
    Had, LinkedIdentity,
    oidc::{Attempt, Refused},
    sign_in::{Aim, Flow},
};
use cardea_storage::Linked;

use super::{
    oidc::{reason_of, vouched_for},
    visit::{No, Visit, see_other},
};
use crate::house::Doer;

/// An account is to be linked, to whom this session is of. INVARIANT: made by [`begun_here`] only.
pub(super) struct Linking {
    session: SessionId,
    user: UserId,
    had: Had,
}

/// What a provider's answer is to be linked to; nothing where it is an answer to a sign-in. Refuses what was begun in another session.
pub(super) fn begun_here(visit: &Visit, flow: &Flow, spec: &ProviderSpec) -> Result<Option<Linking>, No> {
    let here = visit.admitted.session().map(|session| session.id);
    match flow.links(here) {
        Ok(None) => Ok(None),
        Ok(Some((user, had))) => {
            let session = here.ok_or(Reason::SessionEnded)?;
            Ok(Some(Linking { session, user, had: had.clone() }))
        }
        Err(reason) => {
            visit.note_provider(spec, reason, None, "an account was to be linked in another session");
            Err(reason.into())
        }
    }
}

/// There is no way to the provider: on the way to link an account that is no failed sign-in.
pub(super) fn no_way(visit: &Visit, flow: &Flow, spec: &ProviderSpec, refused: &Refused) -> No {
    match flow.aim() {
        Aim::Link { user, .. } => not_linked(visit, *user, reason_of(refused), refused),
        _ => visit.provider_no(spec, refused),
    }
}

/// INVARIANT: says of an account that is somebody's that it is, and not whose.
fn not_linked(visit: &Visit, user: UserId, reason: Reason, why: impl Display) -> No {
    let event = Event::FactorRefused { user, factor_kind: "linked".into(), reason, detail: why.to_string() };
    visit.house.note(visit.id(), &visit.noting(), event);
    No::NotLinked(reason)
}

impl Linking {
    /// Reads the answer, and links the account; the entry is on disk before this returns. The session stays as it is: nothing was
    /// proven to it.
    pub(super) async fn end(
        self,
        visit: &Visit,
        spec: &ProviderSpec,
        attempt: &Attempt,
        doer: Doer,
    ) -> Result<Response, No> {
        // The tenant may have thought better of it.
        if !spec.link {
            return Err(self.refused(visit, Reason::FactorNotAllowed, "the provider's file says `link` no more"));
        }
        let account = match vouched_for(visit, spec, attempt).await {
            Ok(person) => person.identity,
            Err(refused) => return Err(self.refused(visit, reason_of(&refused), &refused)),
        };
        // As the store has it now: it may have been ended from elsewhere while its person was away.
        let session = visit.house.shared.session(visit.id(), self.session).await?;
        if session.is_none_or(|session| session.ended.is_some() || session.user != self.user) {
            return Err(self.refused(visit, Reason::SessionEnded, "the session ended on the way"));
        }
        self.link(visit, &account, &doer).await?;
        Ok(visit.drop_flow().on(see_other("/factors?done=linked")))
    }

    async fn link(&self, visit: &Visit, account: &LinkedIdentity, doer: &Doer) -> Result<(), No> {
        let (reason, why) =
            match visit.house.link_own(visit.id(), (self.user, self.session), account, &self.had, doer).await? {
                Linked::Done | Linked::Already { .. } => return Ok(()),
                Linked::Taken => (Reason::AccountTaken, "the account is another user's"),
                Linked::Changed => (Reason::Conflict, "the ways to sign in were changed on the way"),
                Linked::NoUser | Linked::Unlinked => (Reason::SessionEnded, "the user may not enter"),
            };
        Err(self.refused(visit, reason, why))
    }

    fn refused(&self, visit: &Visit, reason: Reason, why: impl Display) -> No {
        not_linked(visit, self.user, reason, why)
    }
}
