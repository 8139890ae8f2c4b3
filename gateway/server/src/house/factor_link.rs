//! The link by which somebody with one factor adds the first beyond it: an administrator's word for them, which takes nothing
//! away. Whoever opens it signs in with what they have, so that it is of no use to anybody else.

use std::fmt;

use cardea_audit::Event;
use cardea_core::{Assurance, Caller, SessionId, Timestamp, UserId};
use cardea_identity::{
    Factor, Session, Status, TicketHash, User,
    assurance::reachable,
    enrolment::{self, Adding},
    invitation::Invitation,
    sign_in::usable,
};
use cardea_storage::{StoreFault, TicketKind};

use super::{ChangeFault, Doer, House, subject};
use crate::state::TenantState;

/// The address of a link, before its token.
pub(crate) const FACTOR_LINK: &str = "/factors/link/";

/// A link just made.
#[derive(Clone)]
pub struct FactorLink {
    /// For whom.
    pub user: User,
    /// The link; shown once.
    pub url: String,
    /// Until when it may be used.
    pub expires: Timestamp,
    /// Whether a letter may carry it. Not where a code in the same mailbox is all that the person signs in with: then whoever
    /// reads the mail would hold both, and the link would vouch for nobody.
    pub by_letter: bool,
}

/// Without the link, which opens something.
impl fmt::Debug for FactorLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactorLink({}, until {})", self.user.id, self.expires)
    }
}

/// Who follows a link, and where.
#[derive(Debug)]
pub(crate) struct Following<'a> {
    /// The tenant.
    pub tenant: &'a TenantState,
    /// Who.
    pub user: &'a User,
    /// The session that the request itself is made in.
    pub session: SessionId,
    /// The link's ticket.
    pub ticket: &'a TicketHash,
    /// The present moment.
    pub now: Timestamp,
}

impl House {
    /// Makes a link by which a person adds a first factor beyond the only one; older ones are worthless from now on. What they
    /// have stays as it is.
    pub async fn make_factor_link(
        &self,
        tenant: &TenantState,
        id: UserId,
        doer: &Doer,
    ) -> Result<FactorLink, ChangeFault> {
        let user = self.store.user(tenant.id(), id).await?.ok_or(ChangeFault::NotFound("user"))?;
        let rules = &tenant.bundle.tenant.factors;
        let factors = self.store.factors(tenant.id(), id).await?;
        let own = usable(rules, &factors);
        let conflict = |why: &str| Err(ChangeFault::Conflict(format!("`{}` {why}", user.email)));
        match user.status {
            Status::Active => {}
            Status::Invited => return conflict("has not joined yet: an invitation lets them add factors, too"),
            Status::Suspended | Status::Deleted => return conflict("is suspended: activate first"),
        }
        let links = tenant.bundle.providers.values().any(|provider| provider.link);
        if !rules.totp && !rules.passkey && !links {
            return conflict(
                "could add nothing: the tenant allows neither `totp` nor `passkey`, nor an account to be linked",
            );
        }
        if reachable(&[], &own, None) >= Some(Assurance::Two) {
            return conflict("can show two factors, and adds others by these: let who lost them start over");
        }
        let by_letter = self.may_go_by_letter(tenant, id, &own).await?;
        let link = Invitation::new(&user, &factors);
        let link = if by_letter { link } else { link.by_hand() };
        let (ticket, expires) = self.keep_link(tenant, &user, (TicketKind::Factor, &link), doer).await?;
        self.record(tenant.id(), doer, Event::FactorLinkMade { user: subject(&user), expires }).await?;
        let origin = self.config.origin(&tenant.bundle.tenant.sign_in_host);
        let url = format!("{origin}{FACTOR_LINK}{}", ticket.expose_text());
        Ok(FactorLink { user, url, expires, by_letter })
    }

    /// Whether somebody with these factors signs in with something else than the mailbox that a letter goes to.
    async fn may_go_by_letter(&self, tenant: &TenantState, user: UserId, own: &[Factor]) -> Result<bool, StoreFault> {
        Ok(!self.sends_codes(tenant) || reachable(&[], own, self.vouched(tenant, user).await?).is_some())
    }

    /// For whom a link is; nobody where it opens nothing any more. The link stays good.
    pub(crate) async fn factor_link(
        &self,
        tenant: &TenantState,
        ticket: &TicketHash,
    ) -> Result<Option<UserId>, StoreFault> {
        let kept = self.store.peek_ticket(tenant.id(), TicketKind::Factor, ticket, self.now()).await?;
        let Some(link) = kept.and_then(|one| serde_json::from_value::<Invitation>(one.payload).ok()) else {
            return Ok(None);
        };
        let Some(user) = self.store.user(tenant.id(), link.user).await? else { return Ok(None) };
        let factors = self.store.factors(tenant.id(), user.id).await?;
        if user.status != Status::Active || link.check(&user, &factors).is_err() {
            return Ok(None);
        }
        // INVARIANT: what may have gone by letter is worthless once the mailbox is all that its person signs in with: an account was
        // unlinked meanwhile, or the tenant's rules are others.
        let own = usable(&tenant.bundle.tenant.factors, &factors);
        let open = !link.by_letter || self.may_go_by_letter(tenant, user.id, &own).await?;
        Ok(open.then_some(user.id))
    }

    /// Spends a link, and puts a session that it stands behind in the place of the one it is shown in. `None` where the link is
    /// not this person's, or spent, or the session over.
    pub(crate) async fn follow_link(
        &self,
        following: &Following<'_>,
        doer: Doer,
    ) -> Result<Option<Session>, StoreFault> {
        let Following { tenant, user, session: old, ticket, now } = *following;
        let before = self.shared.session(tenant.id(), old).await?;
        let Some(before) = before.filter(|before| before.ended.is_none() && before.user == user.id) else {
            return Ok(None);
        };
        // INVARIANT: looked at before it is taken. Whoever opens another's link in their own session spends nothing.
        if self.factor_link(tenant, ticket).await? != Some(user.id)
            || self.store.take_ticket(tenant.id(), TicketKind::Factor, ticket, now).await?.is_none()
        {
            return Ok(None);
        }
        let session = before.linked(now, &*self.entropy);
        // If we crash before this, the link is spent and has opened nothing: another is made.
        if !self.replace(&before, &session, now).await? {
            return Ok(None);
        }
        let doer = doer.known_as(Caller::User(tenant.facts(user)), Some(session.id));
        let event = Event::FactorLinkUsed { user: subject(user), session: session.id };
        if let Err(fault) = self.record(tenant.id(), &doer, event).await {
            self.end_unheld(&session).await;
            return Err(fault);
        }
        Ok(Some(session))
    }

    /// Whether whoever holds this session adds a factor by an administrator's link only.
    pub(crate) async fn needs_link(
        &self,
        tenant: &TenantState,
        session: &Session,
        factors: &[Factor],
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let rules = &tenant.bundle.tenant.factors;
        let vouched = self.unheard(tenant, session).await?;
        let adding = Adding { session, usable: &usable(rules, factors), vouched, rules, now };
        Ok(enrolment::may_lift(&adding).is_err())
    }
}
