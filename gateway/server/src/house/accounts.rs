//! Accounts at providers by which people sign in: what those providers' words could be worth, and the end of one.

use cardea_audit::Event;
use cardea_core::{Assurance, ProviderId, SessionId, TenantId, UserId};
use cardea_identity::{LinkedAccount, Session, assurance::Means, enrolment, oidc::best_word, session::EndReason};
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

    /// Takes an account from a person, whoever linked it, and ends what rests on it. Whoever had no other way in is invited from
    /// now on.
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
        let found = linked.iter().find(|one| one.id() == account).ok_or_else(gone)?;
        let by = Unlinking::Administrator { mailbox: self.sends_codes(tenant) };
        let which = (&found.identity.provider, found.linked);
        let Unlinked::Done { account, invited } =
            self.store.unlink_identity(tenant.id(), id, which, by, self.now()).await?
        else {
            return Err(gone());
        };
        self.forget_user(id);
        if invited {
            self.end_sessions_of_user(tenant.id(), id, None, EndReason::FactorChanged, doer).await?;
        } else {
            self.end_what_rests_on_account(tenant.id(), id, &account.provider, None, doer).await?;
        }
        let event =
            Event::IdentityUnlinked { user: subject(&user), provider: account.provider, subject: account.subject };
        self.record(tenant.id(), doer, event).await?;
        Ok(())
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
        for session in self.shared.sessions_of_user(tenant, user, self.now()).await? {
            let word = |means: &Means| matches!(means, Means::Oidc { provider: said, .. } if said == provider);
            if Some(session.id) != except && session.proofs.iter().any(|proof| word(&proof.means)) {
                self.end_session(tenant, session.id, EndReason::FactorChanged, doer).await?;
            }
        }
        Ok(())
    }
}
