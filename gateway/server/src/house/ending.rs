//! The ends of sessions, in one place: the store first, then whoever holds them in memory, the apps that want to be told, what
//! programs may do by them, and the entry.
//!
//! INVARIANT: nothing else ends a session. Where another takes its place that goes on as the same ([`House::raise`],
//! [`House::follow_link`]), that one keeps the names that the other had, and apps are told of each when it is over: at once, where
//! nobody gets a handle to it.

use cardea_audit::{Event, Subject};
use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    Session,
    assurance::Proof,
    oauth2::grant::{GrantEnd, GrantEndReason},
    session::{End, EndReason},
};
use cardea_storage::StoreFault;

use super::{Doer, House, with_causes};
use crate::mail::Notice;

/// What ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something that was done here, or its time.
    Here(EndReason),
    /// The word of a provider, by which somebody signed in.
    Provider(EndReason),
}

impl Cause {
    const fn why(self) -> EndReason {
        match self {
            Self::Here(why) | Self::Provider(why) => why,
        }
    }

    /// Whether whoever held the session may not have been its person: then nothing that was allowed in it goes on. What goes on after
    /// a provider's word, that word says.
    const fn doubts_its_holder(self) -> bool {
        matches!(self, Self::Here(EndReason::Reuse | EndReason::Administrator | EndReason::FactorChanged))
    }

    /// The entry of the end of one session.
    fn event(self, user: Subject, session: SessionId) -> Event {
        let ended = |cause: &str| Event::SessionEnded {
            user: user.clone(),
            session: Some(session),
            cause: cause.into(),
            sessions: 1,
        };
        match self {
            Self::Provider(_) => ended("provider"),
            Self::Here(EndReason::Reuse) => Event::SessionReuse { user: user.id, session },
            Self::Here(EndReason::SignedOut) => Event::SignedOut { user, everywhere: false, sessions: 1 },
            Self::Here(why) => ended(why.as_str()),
        }
    }
}

impl House {
    /// Ends one session, whoever holds it. Tells whether it was live until now.
    pub async fn end_session(
        &self,
        tenant: &TenantId,
        id: SessionId,
        why: EndReason,
        doer: &Doer,
    ) -> Result<bool, StoreFault> {
        let Some(session) = self.shared.session(tenant, id).await? else { return Ok(false) };
        if why == EndReason::Reuse && session.ended.is_none() {
            // Whoever copied one cookie of that browser may have copied them all. First, since where it fails the session is as it was,
            // and found out again.
            self.forget_devices(tenant, session.user, |_, _| true, (why.as_str(), doer)).await?;
        }
        self.end_known(&session, Cause::Here(why), doer).await
    }

    async fn end_known(&self, session: &Session, cause: Cause, doer: &Doer) -> Result<bool, StoreFault> {
        let (tenant, id) = (&session.tenant, session.id);
        if !self.end_in_store(session, cause.why()).await? {
            return Ok(false);
        }
        if cause.doubts_its_holder() {
            self.end_grants_given_in(tenant, session.user, |given| given == id).await?;
        }
        let whose = self.subject_of(tenant, session.user).await?;
        if cause.why() == EndReason::Reuse {
            self.notify(tenant, whose.clone(), Notice::SessionReused);
        }
        self.record(tenant, doer, cause.event(whose, id)).await?;
        Ok(true)
    }

    /// Ends a session that gives way to another in the same browser, which does not go on as the same. It has no entry: that of the
    /// sign-in tells.
    pub(crate) async fn end_replaced(&self, tenant: &TenantId, id: SessionId) -> Result<(), StoreFault> {
        match self.shared.session(tenant, id).await? {
            Some(session) => self.end_in_store(&session, EndReason::Replaced).await?,
            // One that Redis does not know may be one that it has forgotten, and comes back.
            None => {
                let end = End { at: self.now(), why: EndReason::Replaced };
                self.forget_session(id);
                self.shared.session_end(tenant, id, end).await?
            }
        };
        Ok(())
    }

    /// Puts `next` in the place of a session, which goes on as that: nobody is told. False where it was over already.
    pub(super) async fn replace(&self, before: &Session, next: &Session, now: Timestamp) -> Result<bool, StoreFault> {
        // INVARIANT: one step. Of racing steps one goes on, and what a sign-out or an administrator has ended meanwhile does not go on
        // as another. If we crash after it, the person signs in again: nobody holds a handle yet.
        let end = End { at: now, why: EndReason::Replaced };
        let replaced = self.shared.session_replace(before.id, end, next).await;
        self.forget_session(before.id);
        if replaced.is_err()
            && let Ok(Some(Session { ended, .. })) = self.shared.session(&before.tenant, before.id).await
            && ended == Some(end)
        {
            // It was done, and could not say so.
            self.end_unheld(next).await;
        }
        replaced
    }

    /// Ends a session to which nobody gets a handle, since something failed after it was kept. What it took the place of is over
    /// already, so the apps are told whether or not the store can end this one, too.
    pub(crate) async fn end_unheld(&self, session: &Session) {
        let cause = Cause::Here(EndReason::Replaced);
        match self.end_in_store(session, cause.why()).await {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                tracing::warn!(session = %session.id, error = %with_causes(&error), "a session that nobody holds was not ended");
                let end = End { at: self.now(), why: cause.why() };
                self.tell_apps(&session.tenant, session.user, std::slice::from_ref(session), end).await;
            }
        }
        let nameless = Subject { id: session.user, email: String::new() };
        let whose = self.subject_of(&session.tenant, session.user).await.unwrap_or(nameless);
        self.note(&session.tenant, &Doer::gateway(), cause.event(whose, session.id));
    }

    /// Ends one session in the store and everywhere in memory, and tells the apps; true for exactly one caller.
    async fn end_in_store(&self, session: &Session, why: EndReason) -> Result<bool, StoreFault> {
        let end = End { at: self.now(), why };
        let ended = self.shared.session_end(&session.tenant, session.id, end).await?;
        self.forget_session(session.id);
        if let Some(proxy) = self.proxy() {
            proxy.cut(session.id);
        }
        if ended {
            self.tell_apps(&session.tenant, session.user, std::slice::from_ref(session), end).await;
        }
        Ok(ended)
    }

    /// Ends a user's sessions, but one if given; tells how many ended. Where it is all, no device of theirs is remembered either.
    pub async fn end_sessions_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        except: Option<SessionId>,
        why: EndReason,
        doer: &Doer,
    ) -> Result<u64, StoreFault> {
        if except.is_none() {
            self.forget_devices(tenant, user, |_, _| true, (why.as_str(), doer)).await?;
        }
        let ended = self.end_quietly(tenant, user, except, why).await?;
        if ended == 0 && except.is_some() {
            // Nothing happened: said again and again it would push out of sight what did.
            return Ok(0);
        }
        let user = self.subject_of(tenant, user).await?;
        let event = match why {
            EndReason::SignedOut => Event::SignedOut { user, everywhere: except.is_none(), sessions: ended },
            _ => Event::SessionEnded { user, session: None, cause: why.as_str().into(), sessions: ended },
        };
        self.record(tenant, doer, event).await?;
        Ok(ended)
    }

    /// The same, with what programs may do, and without an entry: that is the caller's, who does more.
    pub(super) async fn end_quietly(
        &self,
        tenant: &TenantId,
        user: UserId,
        except: Option<SessionId>,
        why: EndReason,
    ) -> Result<u64, StoreFault> {
        let open = self.shared.sessions_of_user(tenant, user, self.now()).await?;
        let end = End { at: self.now(), why };
        let ended = self.shared.end_all_of_user(tenant, user, except, end).await?;
        let mut gone = Vec::with_capacity(ended.len());
        for id in &ended {
            match open.iter().find(|session| session.id == *id) {
                Some(session) => gone.push(session.clone()),
                // Begun after the others were read. It has ended, whether or not it can be read now.
                None => gone.extend(self.shared.session(tenant, *id).await.ok().flatten()),
            }
        }
        self.tell_apps(tenant, user, &gone, end).await;
        match except {
            None => self.end_programs(tenant, user).await?,
            Some(here) => self.end_grants_given_in(tenant, user, |session| session != here).await?,
        }
        self.forget_user(user);
        for session in open.iter().filter(|session| Some(session.id) != except) {
            self.forget_session(session.id);
        }
        Ok(ended.len() as u64)
    }

    /// Ends the sessions, but one if given, of whose proofs one is `gone`; tells how many ended. Until there is none: one that is
    /// raised meanwhile goes on as another.
    pub(super) async fn end_what_rests_on(
        &self,
        tenant: &TenantId,
        user: UserId,
        gone: impl Fn(&Proof) -> bool + Send + Sync,
        (except, cause): (Option<SessionId>, Cause),
        doer: &Doer,
    ) -> Result<u64, StoreFault> {
        let mut ended = 0;
        loop {
            let open = self.shared.sessions_of_user(tenant, user, self.now()).await?;
            let rests = |session: &&Session| Some(session.id) != except && session.proofs.iter().any(&gone);
            let resting: Vec<_> = open.iter().filter(rests).collect();
            if resting.is_empty() {
                return Ok(ended);
            }
            for session in resting {
                ended += u64::from(self.end_known(session, cause, doer).await?);
            }
        }
    }

    /// Ends all that a user let programs do, access keys included; an entry tells it where there was anything.
    pub(super) async fn end_programs(&self, tenant: &TenantId, user: UserId) -> Result<(), StoreFault> {
        let end = GrantEnd { at: self.now(), why: GrantEndReason::Account };
        let programs = self.store.end_programs_of(tenant, user, end).await?;
        if programs > 0 {
            let user = self.subject_of(tenant, user).await?;
            self.record(tenant, &Doer::gateway(), Event::ProgramsEnded { user, programs }).await?;
        }
        Ok(())
    }
}
