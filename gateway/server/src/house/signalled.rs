//! What a provider's word ends that comes by itself: the sessions, streams and programs that rest on one account over there.

use cardea_audit::Event;
use cardea_core::{ProviderId, TenantId, UserId};
use cardea_identity::{
    LinkedAccount, LinkedIdentity, TicketHash, User,
    assurance::Proof,
    oauth2::grant::GrantEndReason,
    one_time::{OneTime, Purpose},
    session::EndReason,
    signals::session_name,
};
use cardea_storage::StoreFault;

use super::{Cause, Doer, House, subject};
use crate::state::TenantState;

/// What a provider said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signalled<'a> {
    /// Which provider.
    pub(crate) provider: &'a ProviderId,
    /// What it said, as the entry tells it.
    pub(crate) signal: &'a str,
    /// The provider's session that alone is meant, where one is.
    pub(crate) sid: Option<&'a str>,
    /// As what the sessions are over that rest on it; none where it ends nothing.
    pub(crate) ends: Option<EndReason>,
}

/// Whom a provider means: a person, with the account of theirs over there; or, where only a session was named, all of those.
pub(crate) type Meant = (User, Vec<LinkedAccount>);

impl House {
    /// Whether a signal was taken before.
    pub(crate) async fn was_taken(&self, tenant: &TenantId, once: &TicketHash) -> Result<bool, StoreFault> {
        Ok(self.shared.peek(tenant, Purpose::Signal, once, self.now()).await?.is_some())
    }

    /// Notes that it was.
    pub(crate) async fn is_taken(&self, tenant: &TenantId, once: &TicketHash) -> Result<(), StoreFault> {
        let sealer = self.sealer(tenant).await?;
        let value = OneTime::under(*once, (Purpose::Signal, tenant), &(), &sealer, self.now(), &*self.entropy)?;
        self.shared.put(&value, self.now()).await
    }

    /// Notes whose a provider's session is, so that the provider may end it by its name alone.
    pub(crate) async fn know_session(
        &self,
        tenant: &TenantId,
        (issuer, sid): (&str, &str),
        user: UserId,
    ) -> Result<(), StoreFault> {
        let (purpose, hash, sealer) = (Purpose::ProviderSession, session_name(issuer, sid), self.sealer(tenant).await?);
        let value = OneTime::under(hash, (purpose, tenant), &user, &sealer, self.now(), &*self.entropy)?;
        self.shared.put(&value, self.now()).await
    }

    /// The person whose account that is at a provider.
    pub(crate) async fn whose_account(
        &self,
        tenant: &TenantState,
        (provider, issuer, subject): (&ProviderId, &str, &str),
    ) -> Result<Option<Meant>, StoreFault> {
        let identity =
            LinkedIdentity { provider: provider.clone(), issuer: issuer.to_owned(), subject: subject.to_owned() };
        let found = self.store.user_by_identity(tenant.id(), &identity).await?;
        Ok(found.map(|(user, account)| (user, vec![account])))
    }

    /// The person whose that session of a provider is, with their accounts there.
    pub(crate) async fn whose_session(
        &self,
        tenant: &TenantState,
        (provider, issuer): (&ProviderId, &str),
        sid: &str,
    ) -> Result<Option<Meant>, StoreFault> {
        let (id, purpose, now) = (tenant.id(), Purpose::ProviderSession, self.now());
        let found = self.shared.peek(id, purpose, &session_name(issuer, sid), now).await?;
        let Some(found) = found else { return Ok(None) };
        let user: UserId = found.open(purpose, id, &self.sealer(id).await?, now)?;
        let Some(user) = self.store.user(id, user).await? else { return Ok(None) };
        self.with_accounts(tenant, (provider, issuer), user).await.map(Some)
    }

    /// A person with their accounts at a provider.
    pub(crate) async fn with_accounts(
        &self,
        tenant: &TenantState,
        (provider, issuer): (&ProviderId, &str),
        user: User,
    ) -> Result<Meant, StoreFault> {
        let mut accounts = self.store.identities(tenant.id(), user.id).await?;
        accounts.retain(|account| account.identity.provider == *provider && account.identity.issuer == issuer);
        Ok((user, accounts))
    }

    /// Takes from an account at a provider that it opens anything, or gives it back, until the provider says otherwise.
    pub(crate) async fn turn_account(
        &self,
        tenant: &TenantId,
        user: UserId,
        account: &LinkedIdentity,
        off: bool,
    ) -> Result<(), StoreFault> {
        self.store.turn_identity(tenant, user, account, off.then(|| self.now()), self.now()).await?;
        self.forget_user(user);
        Ok(())
    }

    /// Ends what rests on the accounts that a provider spoke of, and says so; where it meant nobody here, only that. May be done
    /// again: what broke off half-way is made whole.
    pub(crate) async fn take_signal(
        &self,
        tenant: &TenantState,
        meant: Option<Meant>,
        said: Signalled<'_>,
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        let mut sessions = 0;
        if let Some(((user, accounts), why)) = meant.as_ref().zip(said.ends) {
            for account in accounts {
                sessions += self.end_by_word(tenant.id(), (user, account), (said.sid, why), doer).await?;
                // A session over there is one browser's: what programs may do was not given by it alone.
                if said.sid.is_none() {
                    self.end_programs_by_word(tenant, user, account, doer).await?;
                }
            }
        }
        let event = Event::SignalTaken {
            provider: said.provider.clone(),
            signal: said.signal.into(),
            user: meant.as_ref().map(|(user, _)| subject(user)),
            sessions,
        };
        self.record(tenant.id(), doer, event).await
    }

    /// Ends the sessions that rest on an account, of those that may have been begun in the provider's session `sid` where one is
    /// named.
    async fn end_by_word(
        &self,
        tenant: &TenantId,
        (user, account): (&User, &LinkedAccount),
        (sid, why): (Option<&str>, EndReason),
        doer: &Doer,
    ) -> Result<u64, StoreFault> {
        let (id, at) = (account.id(), &account.identity.provider);
        let gone = |proof: &Proof| proof.means.rests_on(&id, at) && sid.is_none_or(|sid| proof.means.given_in(sid));
        self.end_what_rests_on(tenant, user.id, gone, (None, Cause::Provider(why)), doer).await
    }

    /// Ends what programs may do in the name of whom a provider brought, access keys included. Of a person of the pool only what
    /// they let programs do when they had signed in by a linked account: the rest was given by what is theirs still.
    async fn end_programs_by_word(
        &self,
        tenant: &TenantState,
        user: &User,
        account: &LinkedAccount,
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        if account.is_brought() {
            self.end_programs(tenant.id(), user.id).await?;
            self.forget_user(user.id);
            return Ok(());
        }
        for grant in self.store.grants_of(tenant.id(), user.id, self.now()).await? {
            if grant.factors.iter().any(|factor| factor == "linked") {
                self.end_grant(tenant, &grant, (GrantEndReason::Account, doer)).await?;
            }
        }
        Ok(())
    }
}
