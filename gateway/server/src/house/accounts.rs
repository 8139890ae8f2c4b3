//! Accounts at providers by which people sign in: what those providers' words could be worth, and the end of one.

use cardea_audit::Event;
use cardea_core::{Assurance, FactorId, ProviderId, SessionId, TenantId, UserId, resources::ProviderSpec};
use cardea_identity::{
    Had, LinkedAccount, LinkedIdentity, Origin, Session, Status, User, assurance::Proof, enrolment, oidc::best_word,
    session::EndReason,
};
use cardea_storage::{Linked, StoreFault, Unlinked, Unlinking};

use super::{Cause, ChangeFault, Doer, House, subject};
use crate::state::TenantState;

/// As what the sessions are over that rest on what was taken away.
pub(super) const CHANGED: Cause = Cause::Here(EndReason::FactorChanged);

/// The most that providers' words could be worth.
pub(crate) struct Vouched {
    /// Of any of them.
    pub(crate) any: Option<Assurance>,
    /// Of those that brought the person here. What somebody linked by themselves settles nothing that is owed: it may never be
    /// worth what it could be.
    pub(crate) brought: Option<Assurance>,
}

/// The provider at which an account opens its person's; none where it said that the account is disabled, the tenant has that provider no
/// more, or lets nobody link accounts there any more and this is one that somebody linked: whoever turns `link` off means what is
/// linked, too.
pub(crate) fn opens_by<'a>(state: &'a TenantState, account: &LinkedAccount) -> Option<&'a ProviderSpec> {
    let spec = state.bundle.providers.get(&account.identity.provider);
    spec.filter(|spec| !account.off && (account.is_brought() || spec.link))
}

/// The most that the words about these accounts could be worth.
pub(crate) fn best_of<'a>(
    state: &TenantState,
    accounts: impl IntoIterator<Item = &'a LinkedAccount>,
) -> Option<Assurance> {
    accounts.into_iter().filter_map(|account| opens_by(state, account)).map(best_word).max()
}

impl House {
    /// Whether a provider of the tenant's brought this person, though it may have disabled the account since: whoever it shuts out is let in by
    /// no mailbox.
    pub(crate) async fn is_brought(&self, state: &TenantState, user: UserId) -> Result<bool, StoreFault> {
        let here = |account: &LinkedAccount| state.bundle.providers.contains_key(&account.identity.provider);
        Ok(!state.bundle.providers.is_empty()
            && self.store.identities(state.id(), user).await?.iter().any(|one| one.is_brought() && here(one)))
    }

    /// A person's accounts, of those that open something. Where the tenant has no provider, no store is asked.
    pub(crate) async fn accounts(&self, state: &TenantState, user: UserId) -> Result<Vec<LinkedAccount>, StoreFault> {
        if state.bundle.providers.is_empty() {
            return Ok(Vec::new());
        }
        let mut linked = self.store.identities(state.id(), user).await?;
        linked.retain(|account| opens_by(state, account).is_some());
        Ok(linked)
    }

    /// The providers that could give their word for this person, each with the most that it could be worth.
    pub(crate) async fn words(
        &self,
        state: &TenantState,
        user: UserId,
    ) -> Result<Vec<(ProviderId, Assurance)>, StoreFault> {
        let accounts = self.accounts(state, user).await?;
        let known = accounts.iter().filter_map(|account| opens_by(state, account));
        Ok(known.map(|spec| (spec.id.clone(), best_word(spec))).collect())
    }

    /// The most that the word of a provider could be worth to whom this person is linked; none where there is none.
    pub(crate) async fn vouched(&self, state: &TenantState, user: UserId) -> Result<Option<Assurance>, StoreFault> {
        Ok(self.vouched_by(state, user).await?.any)
    }

    /// The same, and apart from it what those are worth who brought this person here.
    pub(crate) async fn vouched_by(&self, state: &TenantState, user: UserId) -> Result<Vouched, StoreFault> {
        let accounts = self.accounts(state, user).await?;
        let brought = accounts.iter().filter(|account| account.is_brought());
        Ok(Vouched { any: best_of(state, &accounts), brought: best_of(state, brought) })
    }

    /// The same of those that are still to be heard in this session.
    pub(crate) async fn unheard(
        &self,
        state: &TenantState,
        session: &Session,
    ) -> Result<Option<Assurance>, StoreFault> {
        Ok(enrolment::unheard(&session.proofs, &self.words(state, session.user).await?))
    }

    /// Links an account that a person has proven from inside, in `session`, and says so. What was taken from them and is not told of yet
    /// is told first, since linking it anew forgets that it was ever taken away.
    pub(crate) async fn link_own(
        &self,
        tenant: &TenantId,
        (user, session): (UserId, SessionId),
        account: &LinkedIdentity,
        had: &Had,
        doer: &Doer,
    ) -> Result<Linked, StoreFault> {
        let Some(user) = self.store.user(tenant, user).await? else { return Ok(Linked::NoUser) };
        self.finish_unlinking(tenant, &user, Some(session), doer).await?;
        let linked = self.store.link_own_identity(tenant, user.id, account, had, self.now()).await?;
        if matches!(linked, Linked::Done | Linked::Already { told: false }) {
            self.forget_user(user.id);
            self.tell_linked(tenant, &user, (account, Origin::Person), doer).await?;
        }
        Ok(linked)
    }

    /// Says that an account was linked: by the person, or by the provider's word. May be done again: what broke off before it is
    /// made whole.
    pub(crate) async fn tell_linked(
        &self,
        tenant: &TenantId,
        user: &User,
        (account, origin): (&LinkedIdentity, Origin),
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        let LinkedIdentity { provider, subject: there, .. } = account.clone();
        let event = Event::IdentityLinked { user: subject(user), provider, subject: there, own: origin.into() };
        self.record(tenant, doer, event).await?;
        self.store.linking_told(tenant, account).await
    }

    /// Lets somebody in whom a provider's word brings and who was only invited so far, and says so; does nothing for others. May be
    /// done again: whoever was linked and no more than that is let in by the next word.
    pub(crate) async fn join_by_word(
        &self,
        tenant: &TenantId,
        user: &mut User,
        provider: &ProviderId,
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        if user.status == Status::Invited
            && self.store.set_status(tenant, user.id, Status::Invited, Status::Active, self.now()).await?
        {
            user.status = Status::Active;
            let event = Event::UserJoined { user: subject(user), provider: Some(provider.clone()) };
            self.record(tenant, doer, event).await?;
        }
        Ok(())
    }

    /// Makes whole what the store has begun: ends the sessions, but one if given, that rest on accounts that were taken from a
    /// person, and says so of each that was not told of yet.
    pub(crate) async fn finish_unlinking(
        &self,
        tenant: &TenantId,
        user: &User,
        except: Option<SessionId>,
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        for (id, account) in self.store.untold_unlinkings(tenant, user.id).await? {
            let rests = |proof: &Proof| proof.means.rests_on(&id, &account.provider);
            // As of a factor that is removed: what was given on its strength goes with it.
            self.end_programs(tenant, user.id).await?;
            self.end_what_rests_on(tenant, user.id, rests, (except, CHANGED), doer).await?;
            let LinkedIdentity { provider, subject: there, .. } = account.clone();
            self.record(tenant, doer, Event::IdentityUnlinked { user: subject(user), provider, subject: there })
                .await?;
            self.store.unlinking_told(tenant, user.id, &account).await?;
        }
        Ok(())
    }

    /// Whether the account that addresses call `id` was taken from a person, and that broke off before it was told.
    pub(crate) async fn is_half_unlinked(&self, tenant: &TenantId, user: UserId, id: &str) -> Result<bool, StoreFault> {
        Ok(self.store.untold_unlinkings(tenant, user).await?.iter().any(|(one, _)| one.as_str() == id))
    }

    /// Takes an account from a person, whoever linked it, and ends what rests on it. Whoever had no other way in is invited from
    /// now on. May be done again: what broke off half-way is made whole.
    pub async fn unlink_account(
        &self,
        tenant: &TenantState,
        id: UserId,
        account: &str,
        doer: &Doer,
    ) -> Result<(), ChangeFault> {
        let gone = || ChangeFault::NotFound("linked account");
        let user = self.store.user(tenant.id(), id).await?.ok_or(ChangeFault::NotFound("user"))?;
        let linked = self.store.identities(tenant.id(), id).await?;
        let invited = match linked.iter().find(|one| one.id().as_str() == account) {
            Some(found) => {
                let by = Unlinking::Administrator { mailbox: self.sends_codes(tenant) };
                let which = (&found.identity.provider, found.linked);
                let done = self.store.unlink_identity(tenant.id(), id, which, by, self.now()).await?;
                let Unlinked::Done { invited, .. } = done else { return Err(gone()) };
                invited
            }
            None if self.is_half_unlinked(tenant.id(), id, account).await? => user.status == Status::Invited,
            None => return Err(gone()),
        };
        self.forget_user(id);
        if invited {
            self.end_sessions_of_user(tenant.id(), id, None, EndReason::FactorChanged, doer).await?;
        }
        Ok(self.finish_unlinking(tenant.id(), &user, None, doer).await?)
    }

    /// Ends the sessions, but one if given, that rest on a factor.
    pub(crate) async fn end_what_rests_on_factor(
        &self,
        tenant: &TenantId,
        user: UserId,
        factor: FactorId,
        except: Option<SessionId>,
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        let shown = |proof: &Proof| proof.means.factor() == Some(factor);
        // What programs may do was given on the strength of all that the person had: whoever removes a factor may have lost it.
        self.end_programs(tenant, user).await?;
        self.end_what_rests_on(tenant, user, shown, (except, CHANGED), doer).await?;
        Ok(())
    }
}
