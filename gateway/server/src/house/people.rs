//! What is done to people, in one place each: the change, the eviction from memory, the entry.

use std::{fmt, sync::Arc};

use cardea_audit::{Event, Subject};
use cardea_core::{
    Diagnostic, GroupId, SessionId, TenantId, Timestamp, UserId, attributes, caller::UserFacts, diagnostic::nearest,
};
use cardea_identity::{
    Email, Factor, Status, Ticket, TicketHash, User, invitation::Invitation, one_time::Purpose, session::EndReason,
};
use cardea_proxy::{Changed, live_token::Ended};
use cardea_storage::{Inserted, StoreFault, TicketKind, TicketRecord};

use super::{Doer, House};
use crate::state::TenantState;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFault {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// There is nobody and nothing of that name.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// What stands contradicts it.
    #[error("{0}")]
    Conflict(String),
    /// Others have the same done just now.
    #[error("the same is being done for others: try again in a moment")]
    Busy,
    /// What was asked for is not possible.
    #[error("{0}")]
    Invalid(Diagnostic),
}

/// A person just invited.
#[derive(Clone)]
pub struct Invited {
    /// Who.
    pub user: User,
    /// The link, to be sent to the person; shown once.
    pub url: String,
    /// Until when it may be used.
    pub expires: Timestamp,
}

impl Invited {
    /// Whether a letter may carry the link. Of who has joined it replaces whatever they sign in with, and of who was here before
    /// and starts over, what they had: a mailbox would be all that it takes. It is handed over by whoever made sure who asks.
    pub fn by_letter(&self) -> bool {
        self.user.status == Status::Invited && self.user.last_seen.is_none()
    }
}

/// Without the link, which opens an account.
impl fmt::Debug for Invited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invited({}, until {})", self.user.id, self.expires)
    }
}

/// How an entry names a user.
pub(crate) fn subject(user: &User) -> Subject {
    Subject { id: user.id, email: user.email.to_string() }
}

impl TenantState {
    /// What decisions may know of a user: groups with all that stand above them.
    pub fn facts(&self, user: &User) -> Arc<UserFacts> {
        Arc::new(UserFacts {
            id: user.id,
            email: user.email.to_string(),
            name: user.name.clone(),
            groups: self.bundle.all_groups(&user.groups),
            attributes: attributes::declared(&user.attributes, &self.bundle.tenant.attributes),
        })
    }

    /// `groups`, each once and sorted, if the tenant has them all.
    pub fn known_groups(&self, groups: &[GroupId]) -> Result<Vec<GroupId>, ChangeFault> {
        for group in groups {
            if !self.bundle.groups.contains_key(group) {
                let one = Diagnostic::new("groups", format!("there is no group `{group}`"));
                let known = self.bundle.groups.keys().map(GroupId::as_str);
                let near = nearest(group.as_str(), known.clone()).map(|near| format!("did you mean `{near}`? "));
                return Err(ChangeFault::Invalid(
                    one.help(near.unwrap_or_default() + &listed(&known.collect::<Vec<_>>())),
                ));
            }
        }
        let mut groups = groups.to_vec();
        groups.sort();
        groups.dedup();
        Ok(groups)
    }
}

/// Groups that there are, the first of them by name.
fn listed(groups: &[&str]) -> String {
    const SHOWN: usize = 12;
    match groups.len() {
        0 => "the tenant has no groups yet: each is a file below `groups/`".to_owned(),
        count if count > SHOWN => format!("there are `{}` and {} more", groups[..SHOWN].join("`, `"), count - SHOWN),
        _ => format!("there are `{}`", groups.join("`, `")),
    }
}

impl House {
    /// Suspends a user and ends every session; tells how many ended. May be done again: what broke off half-way is made
    /// whole.
    pub async fn suspend_user(&self, tenant: &TenantId, id: UserId, doer: &Doer) -> Result<u64, ChangeFault> {
        let user = self.store.user(tenant, id).await?.ok_or(ChangeFault::NotFound("user"))?;
        // First the door, then those inside: a sign-in that races this finds the door shut. If we crash between, the
        // sessions open nothing, since whoever is suspended may not enter; the next try ends them.
        let shut = user.status == Status::Suspended;
        if !shut && !self.store.set_status(tenant, id, user.status, Status::Suspended, self.now()).await? {
            return Err(ChangeFault::Conflict(format!("`{}` was changed by somebody else just now", user.email)));
        }
        let sessions = self.end_quietly(tenant, id, None, EndReason::Suspended).await?;
        self.record(tenant, doer, Event::UserSuspended { user: subject(&user), sessions }).await?;
        Ok(sessions)
    }

    /// Lets a suspended user sign in again, as what they were before: who was invited is invited still.
    pub async fn activate_user(&self, tenant: &TenantId, id: UserId, doer: &Doer) -> Result<User, ChangeFault> {
        let mut user = self.store.user(tenant, id).await?.ok_or(ChangeFault::NotFound("user"))?;
        // INVARIANT: before the door opens. What a suspension left behind must not come back to life.
        if user.status == Status::Suspended {
            self.end_quietly(tenant, id, None, EndReason::Suspended).await?;
        }
        // Of who was suspended before that was noted: whoever has something to sign in with was active.
        let known =
            !self.store.factors(tenant, id).await?.is_empty() || !self.store.identities(tenant, id).await?.is_empty();
        let unknown = if known { Status::Active } else { Status::Invited };
        let Some(status) = self.store.lift_suspension(tenant, id, unknown, self.now()).await? else {
            return Err(ChangeFault::Conflict(format!("`{}` is not suspended", user.email)));
        };
        user.status = status;
        self.forget_user(id);
        self.record(tenant, doer, Event::UserActivated { user: subject(&user) }).await?;
        Ok(user)
    }

    /// Puts a user into exactly these groups.
    pub async fn set_groups(
        &self,
        tenant: &TenantState,
        id: UserId,
        groups: &[GroupId],
        doer: &Doer,
    ) -> Result<(), ChangeFault> {
        let after = tenant.known_groups(groups)?;
        let user = self.store.user(tenant.id(), id).await?.ok_or(ChangeFault::NotFound("user"))?;
        let before =
            self.store.set_groups(tenant.id(), id, &after, self.now()).await?.ok_or(ChangeFault::NotFound("user"))?;
        self.forget_user(id);
        let event = Event::GroupsChanged { user: subject(&user), before, after, provider: None };
        self.record(tenant.id(), doer, event).await?;
        Ok(())
    }

    /// Adds a person to the pool and makes the link by which they choose their first factor.
    pub async fn invite_user(
        &self,
        tenant: &TenantState,
        email: Email,
        name: &str,
        groups: &[GroupId],
        doer: &Doer,
    ) -> Result<Invited, ChangeFault> {
        let groups = tenant.known_groups(groups)?;
        let name = User::checked_name(name).ok_or_else(|| {
            ChangeFault::Invalid(Diagnostic::new("name", "it cannot be a name").help(User::NAME_HELP))
        })?;
        let now = self.now();
        let user = User {
            id: UserId::mint(now, &*self.entropy),
            tenant: tenant.id().clone(),
            email,
            name: name.to_owned(),
            status: Status::Invited,
            groups,
            created: now,
            changed: now,
            last_seen: None,
            attributes: cardea_core::Attributes::default(),
        };
        match self.store.insert_user(&user).await? {
            Inserted::Done => {}
            Inserted::EmailTaken => {
                return Err(ChangeFault::Conflict(format!("`{}` is in the pool already", user.email)));
            }
            Inserted::IdUsed => return Err(ChangeFault::Conflict("try again".to_owned())),
        }
        self.send_invitation(tenant, user, &[], doer).await
    }

    /// Makes a new link for somebody in the pool: one who did not use the first, or who lost every factor. Older links
    /// are worthless from now on.
    pub async fn invite_again(&self, tenant: &TenantState, id: UserId, doer: &Doer) -> Result<Invited, ChangeFault> {
        let user = self.store.user(tenant.id(), id).await?.ok_or(ChangeFault::NotFound("user"))?;
        if !matches!(user.status, Status::Invited | Status::Active) {
            return Err(ChangeFault::Conflict(format!("`{}` is suspended: activate first", user.email)));
        }
        let factors = self.store.factors(tenant.id(), id).await?;
        self.send_invitation(tenant, user, &factors, doer).await
    }

    pub(super) async fn send_invitation(
        &self,
        tenant: &TenantState,
        user: User,
        factors: &[Factor],
        doer: &Doer,
    ) -> Result<Invited, ChangeFault> {
        let (ticket, expires) =
            self.keep_link(tenant, &user, (TicketKind::Invitation, &Invitation::new(&user, factors)), doer).await?;
        let event = Event::UserInvited { user: subject(&user), groups: user.groups.clone(), expires };
        self.record(tenant.id(), doer, event).await?;
        let origin = self.config.origin(&tenant.bundle.tenant.sign_in_host);
        let url = format!("{origin}/sign-in/invitation/{}", ticket.expose_text());
        Ok(Invited { user, url, expires })
    }

    /// Draws the token of a link for a person with these factors, and keeps what it stands for in the place of older ones.
    pub(super) async fn keep_link(
        &self,
        tenant: &TenantState,
        user: &User,
        (kind, link): (TicketKind, &Invitation),
        doer: &Doer,
    ) -> Result<(Ticket, Timestamp), StoreFault> {
        let (now, ticket) = (self.now(), Ticket::draw(&*self.entropy));
        let expires = now.plus(Purpose::Invitation.life());
        let record = TicketRecord {
            hash: ticket.hash(),
            tenant: tenant.id().clone(),
            kind,
            subject: user.id.to_string(),
            payload: serde_json::to_value(link)?,
            author: doer.name(),
            created: now,
            expires,
            used: None,
        };
        self.store.renew_ticket(&record).await?;
        Ok((ticket, expires))
    }

    /// The person whom an invitation's link opens the door for, with their factors; the link stays good.
    pub async fn invitation(
        &self,
        tenant: &TenantId,
        hash: &TicketHash,
    ) -> Result<Option<(User, Vec<Factor>)>, StoreFault> {
        let ticket = self.store.peek_ticket(tenant, TicketKind::Invitation, hash, self.now()).await?;
        let Some(invitation) = ticket.and_then(|one| serde_json::from_value::<Invitation>(one.payload).ok()) else {
            return Ok(None);
        };
        let Some(user) = self.store.user(tenant, invitation.user).await? else { return Ok(None) };
        let factors = self.store.factors(tenant, user.id).await?;
        Ok(invitation.check(&user, &factors).is_ok().then_some((user, factors)))
    }

    pub(crate) async fn subject_of(&self, tenant: &TenantId, id: UserId) -> Result<Subject, StoreFault> {
        let user = self.store.user(tenant, id).await?;
        Ok(user.as_ref().map_or_else(|| Subject { id, email: String::new() }, subject))
    }

    /// A session changed or ended: whoever holds it in memory lets go, and its open streams are asked again.
    pub fn forget_session(&self, id: SessionId) {
        self.cache.forget_session(id);
        if let Some(proxy) = self.proxy() {
            proxy.changed(Changed::Session(id));
        }
    }

    /// Something changed that this gateway does not know of: nothing is believed that was read before.
    pub(crate) fn forget_everybody(&self) {
        drop(self.cache.clear());
        self.tokens.clear();
        if let Some(proxy) = self.proxy() {
            proxy.changed(Changed::Everything);
        }
    }

    /// A user changed: sessions are read anew, and their open streams are asked again.
    pub fn forget_user(&self, id: UserId) {
        self.cache.forget_user(id);
        self.tokens.forget(Ended::User(id));
        if let Some(proxy) = self.proxy() {
            proxy.changed(Changed::User(id));
        }
    }
}
