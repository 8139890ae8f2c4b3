//! Accounts at providers by which people sign in: what those providers' words could be worth, and the end of one.

use cardea_audit::Event;
use cardea_core::{Assurance, FactorId, ProviderId, SessionId, TenantId, UserId};
use cardea_identity::{
    LinkedAccount, LinkedIdentity, Session, Status, User, assurance::Means, enrolment, oidc::best_word,
    session::EndReason,
};
use cardea_storage::{StoreFault, Unlinked, Unlinking};

use super::{ChangeFault, Doer, House, subject};
use crate::state::TenantState;

/// The most that providers' words could be worth.
pub(crate) struct Vouched {
    /// Of any of them.
    pub(crate) any: Option<Assurance>,
    /// Of those that brought the person here. What somebody linked by themselves settles nothing that is owed: it may never be
    /// worth what it could be.
    pub(crate) brought: Option<Assurance>,
}

impl House {
    /// A person's accounts. A provider that the tenant no longer has opens nothing.
    pub(crate) async fn accounts(&self, state: &TenantState, user: UserId) -> Result<Vec<LinkedAccount>, StoreFault> {
        let mut linked = self.store.identities(state.id(), user).await?;
        linked.retain(|account| state.bundle.providers.contains_key(&account.identity.provider));
        Ok(linked)
    }

    /// The providers that could give their word for this person, each with the most that it could be worth.
    async fn words(&self, state: &TenantState, user: UserId) -> Result<Vec<(ProviderId, Assurance)>, StoreFault> {
        let linked = self.store.identities(state.id(), user).await?;
        let known = linked.iter().filter_map(|account| state.bundle.providers.get(&account.identity.provider));
        Ok(known.map(|spec| (spec.id.clone(), best_word(spec))).collect())
    }

    /// The most that the word of a provider could be worth to whom this person is linked; none where there is none.
    pub(crate) async fn vouched(&self, state: &TenantState, user: UserId) -> Result<Option<Assurance>, StoreFault> {
        Ok(self.vouched_by(state, user).await?.any)
    }

    /// The same, and apart from it what those are worth who brought this person here.
    pub(crate) async fn vouched_by(&self, state: &TenantState, user: UserId) -> Result<Vouched, StoreFault> {
        let mut vouched = Vouched { any: None, brought: None };
        for account in self.store.identities(state.id(), user).await? {
            let word = state.bundle.providers.get(&account.identity.provider).map(best_word);
            vouched.any = vouched.any.max(word);
            if !account.own {
                vouched.brought = vouched.brought.max(word);
            }
        }
        Ok(vouched)
    }

    /// The same of those that are still to be heard in this session.
    pub(crate) async fn unheard(
        &self,
        state: &TenantState,
        session: &Session,
    ) -> Result<Option<Assurance>, StoreFault> {
        Ok(enrolment::unheard(session, &self.words(state, session.user).await?))
    }

    /// Says that an account was linked: by the person, or by the provider's word. May be done again: what broke off before it is
    /// made whole.
    pub(crate) async fn tell_linked(
        &self,
        tenant: &TenantId,
        user: &User,
        (account, own): (&LinkedIdentity, bool),
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        let LinkedIdentity { provider, subject: there, .. } = account.clone();
        let event = Event::IdentityLinked { user: subject(user), provider, subject: there, own };
        self.record(tenant, doer, event).await?;
        self.store.linking_told(tenant, account).await
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
        for (_, account) in self.store.untold_unlinkings(tenant, user.id).await? {
            self.end_what_rests_on_account(tenant, user.id, &account.provider, except, doer).await?;
            let LinkedIdentity { provider, subject: there, .. } = account.clone();
            self.record(tenant, doer, Event::IdentityUnlinked { user: subject(user), provider, subject: there })
                .await?;
            self.store.unlinking_told(tenant, user.id, &account).await?;
        }
        Ok(())
    }

    /// Whether the account that addresses call `id` was taken from a person, and that broke off before it was told.
    pub(crate) async fn is_half_unlinked(&self, tenant: &TenantId, user: UserId, id: &str) -> Result<bool, StoreFault> {
        Ok(self.store.untold_unlinkings(tenant, user).await?.iter().any(|(one, _)| one == id))
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
        let invited = match linked.iter().find(|one| one.id() == account) {
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

    /// Ends the sessions, but one if given, that rest on a provider's word about this person. Several accounts there cannot be
    /// told apart in a session: all that rests on any of them goes.
    pub(crate) async fn end_what_rests_on_account(
        &self,
        tenant: &TenantId,
        user: UserId,
        provider: &ProviderId,
        except: Option<SessionId>,
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        let word = |means: &Means| matches!(means, Means::Oidc { provider: said, .. } if said == provider);
        self.end_what_rests_on(tenant, user, word, (except, doer)).await
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
        let shown = |means: &Means| means.factor() == Some(factor);
        self.end_what_rests_on(tenant, user, shown, (except, doer)).await
    }

    /// Until there is none: one that is raised meanwhile goes on as another.
    async fn end_what_rests_on(
        &self,
        tenant: &TenantId,
        user: UserId,
        gone: impl Fn(&Means) -> bool + Send + Sync,
        (except, doer): (Option<SessionId>, &Doer),
    ) -> Result<(), StoreFault> {
        loop {
            let open = self.shared.sessions_of_user(tenant, user, self.now()).await?;
            let rests = |session: &&Session| {
                Some(session.id) != except && session.proofs.iter().any(|proof| gone(&proof.means))
            };
            let resting: Vec<_> = open.iter().filter(rests).map(|session| session.id).collect();
            if resting.is_empty() {
                return Ok(());
            }
            for id in resting {
                self.end_session(tenant, id, EndReason::FactorChanged, doer).await?;
            }
        }
    }
}
