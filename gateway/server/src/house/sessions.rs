//! Sessions as the data plane asks for them: by handle, from memory or the store, with rotation and the discovery of
//! reuse. Whatever cannot be read is a fault, never "not signed in".

use std::sync::Arc;

use cardea_core::{Assurance, Reason, SessionId, TenantId, Timestamp, UserId, resources::FactorRules};
use cardea_identity::{
    HandleHash, HandleRecord, Session, Status, User, assurance, enrolment,
    session::{EndReason, Standing, judge},
    sign_in,
};
use cardea_proxy::{Found, LiveSession, Sessions, StoreFault, access::OpenedBy};
use futures_util::future::BoxFuture;

use super::{Doer, House};
use crate::state::TenantState;

impl Sessions for House {
    fn cached(&self, tenant: &TenantId, handle: &HandleHash, now: Timestamp) -> Option<Arc<LiveSession>> {
        self.cache.get(tenant, handle, now)
    }

    fn find<'a>(
        &'a self,
        tenant: &'a TenantId,
        handle: &'a HandleHash,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Found, StoreFault>> {
        Box::pin(async move {
            match self.find_session(tenant, handle, now).await.map_err(fault)? {
                Some(live) => Ok(Found::Live(live)),
                None => self.why_over(tenant, handle).await.map(Found::Over).map_err(fault),
            }
        })
    }

    fn current<'a>(
        &'a self,
        tenant: &'a TenantId,
        session: SessionId,
        host: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Arc<LiveSession>>, StoreFault>> {
        Box::pin(async move { self.current_session(tenant, session, host, now).await.map_err(fault) })
    }

    fn rotate<'a>(
        &'a self,
        session: &'a Arc<LiveSession>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<String>, StoreFault>> {
        Box::pin(async move { self.rotate_handle(session, now).await.map_err(fault) })
    }
}

impl House {
    async fn find_session(
        &self,
        tenant: &TenantId,
        handle: &HandleHash,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, cardea_storage::StoreFault> {
        let Some(state) = self.tenant(tenant) else { return Ok(None) };
        let asked_at = self.cache.generation();
        let Some((record, session)) = self.shared.session_by_handle(tenant, handle).await? else { return Ok(None) };
        if !record.fits(tenant, &record.host, &session) {
            return Ok(None);
        }
        let rules = &state.bundle.tenant.session;
        match judge(&record, &session, rules, now) {
            Standing::Live | Standing::Rotate => {}
            // Another was given out instead meanwhile: whoever holds this one signs in again.
            Standing::Arrived if !self.shared.handle_shown(&record, now).await? => return Ok(None),
            Standing::Arrived => {
                if let Some(before) = &record.replaces {
                    self.cache.forget_handle(before);
                }
            }
            Standing::Ended(why) => {
                // The first who finds a session past its limits writes that it ended.
                if session.ended.is_none() {
                    self.end_found(tenant, session.id, why).await?;
                }
                return Ok(None);
            }
            Standing::Reused => {
                tracing::warn!(tenant = %tenant, session = %session.id, "a replaced handle was used again");
                self.end_found(tenant, session.id, EndReason::Reuse).await?;
                return Ok(None);
            }
        }
        let Some(user) = self.user_who_may_enter(&session).await? else { return Ok(None) };
        let live = self.live(&state, &record, &session, &user).await?;
        if session.needs_touch(rules, now) {
            self.shared.session_touch(tenant, session.id, now).await?;
            self.store.user_seen(tenant, user.id, now).await?;
        }
        self.cache.put(&live, now, asked_at);
        Ok(Some(live))
    }

    /// Ends a session that a request found to be over; the request may go away meanwhile.
    async fn end_found(
        &self,
        tenant: &TenantId,
        id: SessionId,
        why: EndReason,
    ) -> Result<(), cardea_storage::StoreFault> {
        let Some(me) = self.me.upgrade() else { return Ok(()) };
        let tenant = tenant.clone();
        // It is seldom needed, and large: each search would have to hold it.
        let work = Box::pin(async move { me.end_session(&tenant, id, why, &Doer::gateway()).await });
        // What broke off by a defect is found over again by the next request.
        self.to_the_end(work).await.unwrap_or(Ok(false)).map(|_| ())
    }

    /// What the holder of a handle that opens nothing may be told. Of their own suspension they may know: only who was
    /// signed in as that person ever held it.
    async fn why_over(&self, tenant: &TenantId, handle: &HandleHash) -> Result<Reason, cardea_storage::StoreFault> {
        let Some((_, session)) = self.shared.session_by_handle(tenant, handle).await? else {
            return Ok(Reason::SessionEnded);
        };
        let user = self.store.user(tenant, session.user).await?;
        let suspended = user.is_some_and(|user| user.status == Status::Suspended);
        Ok(if suspended { Reason::UserSuspended } else { Reason::SessionEnded })
    }

    async fn current_session(
        &self,
        tenant: &TenantId,
        id: SessionId,
        host: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, cardea_storage::StoreFault> {
        let Some(state) = self.tenant(tenant) else { return Ok(None) };
        let Some(session) = self.shared.session(tenant, id).await? else { return Ok(None) };
        let Some(user) = self.user_who_may_enter(&session).await? else { return Ok(None) };
        // An open stream has no handle of its own any more; this one opens nothing.
        let record = HandleRecord {
            hash: HandleHash::from_bytes([0; 32]),
            tenant: tenant.clone(),
            session: id,
            host: host.to_owned(),
            issued_at: now,
            replaces: None,
            offered_at: None,
            superseded_at: None,
        };
        // A stream is no use of its session: it ends by the same limits as if nothing were open.
        if let Standing::Ended(_) | Standing::Reused = judge(&record, &session, &state.bundle.tenant.session, now) {
            return Ok(None);
        }
        Ok(Some(self.live(&state, &record, &session, &user).await?))
    }

    async fn user_who_may_enter(&self, session: &Session) -> Result<Option<User>, cardea_storage::StoreFault> {
        let user = self.store.user(&session.tenant, session.user).await?;
        Ok(user.filter(User::may_enter))
    }

    async fn live(
        &self,
        state: &TenantState,
        record: &HandleRecord,
        session: &Session,
        user: &User,
    ) -> Result<Arc<LiveSession>, cardea_storage::StoreFault> {
        let rules = &state.bundle.tenant.session;
        // What the tenant has switched off since cannot be asked for: the challenge would be a dead end.
        let factors = &state.bundle.tenant.factors;
        let enrolled = sign_in::usable(factors, &self.store.factors(&session.tenant, user.id).await?);
        let vouched = self.vouched_by(state, user.id).await?;
        let reaches = |word| {
            let shown = session.shown_assurance();
            assurance::reachable(&session.proofs, &enrolled, word).map_or(shown, |most| most.max(shown))
        };
        let reachable = reaches(vouched.any);
        // A handle that has been replaced is never replaced again.
        let rotate_at = record.superseded_at.is_none().then(|| record.rotates_at(rules));
        let opened = OpenedBy { handle: record.hash, host: record.host.as_str().into(), rotate_at };
        let mut live = LiveSession::new(session, opened, state.facts(user), reachable);
        live.lacks_second_factor = may_reach_more(reachable, factors);
        live.owes_second_factor =
            enrolment::is_owed(session, &enrolled, vouched.any.is_some(), reaches(vouched.brought), factors);
        Ok(Arc::new(live))
    }

    /// Whether somebody's next sign-in is held until they add a second factor, as far as that can be said of whoever is not
    /// signed in: whom a provider brought may come by its word, which is not asked for more.
    pub(crate) async fn would_owe(
        &self,
        state: &TenantState,
        user: UserId,
    ) -> Result<bool, cardea_storage::StoreFault> {
        let rules = &state.bundle.tenant.factors;
        if !rules.must_enrol {
            return Ok(false);
        }
        let accounts = self.accounts(state, user).await?;
        if accounts.iter().any(|account| account.is_brought()) {
            return Ok(false);
        }
        let usable = sign_in::usable(rules, &self.store.factors(state.id(), user).await?);
        let reachable = assurance::reachable(&[], &usable, None).unwrap_or(Assurance::One);
        Ok(enrolment::would_be_owed(&usable, !accounts.is_empty(), reachable, rules))
    }

    async fn rotate_handle(
        &self,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<Option<String>, cardea_storage::StoreFault> {
        let Some(state) = self.tenant(&live.tenant) else { return Ok(None) };
        let asked = self.shared.session_by_handle(&live.tenant, &live.handle).await?;
        let Some((record, session)) = asked else { return Ok(None) };
        if judge(&record, &session, &state.bundle.tenant.session, now) != Standing::Rotate {
            return Ok(None);
        }
        let (handle, next) = record.successor(&session, now, &*self.entropy);
        let given = self.shared.handle_offer(&record, &next, &session).await?;
        self.cache.forget_handle(&live.handle);
        if !given {
            return Ok(None);
        }
        // If the answer is lost, the old handle opens the session still, and the next is given out after a while.
        Ok(Some(handle.expose_text()))
    }
}

/// Whether there is no second factor, and one could be added.
fn may_reach_more(reachable: Assurance, rules: &FactorRules) -> bool {
    reachable < Assurance::Two && (rules.passkey || rules.totp)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn fault(error: cardea_storage::StoreFault) -> StoreFault {
    tracing::error!(error = %crate::house::with_causes(&error), "a store failed");
    StoreFault(error.to_string())
}
