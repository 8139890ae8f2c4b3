//! A session raised: another takes its place, which rests on what the person has proven besides.

use std::time::Duration;

use cardea_audit::Event;
use cardea_core::{Caller, SessionId, Timestamp};
use cardea_identity::{HandleRecord, Session, User, assurance::Proof, cookie, session::EndReason};
use cardea_storage::{Grounds, StoreFault};

use super::{Doer, House, subject};
use crate::state::TenantState;

/// Fifteen minutes for a session below the tenant's minimum: long enough to enrol the second factor, which is all that an
/// invitation, or a recovery code, leaves to be done.
pub(crate) const BELOW_MINIMUM: Duration = Duration::from_secs(15 * 60);

/// Who has proven more, and where.
#[derive(Debug)]
pub(crate) struct Raising<'a> {
    /// The tenant.
    pub tenant: &'a TenantState,
    /// Who.
    pub user: &'a User,
    /// The session that the request itself is made in.
    pub session: SessionId,
    /// What was proven just now.
    pub proofs: &'a [Proof],
    /// The present moment.
    pub now: Timestamp,
}

impl House {
    /// Puts another session in the place of that one; its entry is on disk before this returns. `None` where that session
    /// is over by now, or is not this person's.
    pub(crate) async fn raise(&self, raising: &Raising<'_>, doer: Doer) -> Result<Option<Session>, StoreFault> {
        let Raising { tenant, user, session: old, proofs, now } = *raising;
        let before = self.shared.session(tenant.id(), old).await?;
        let Some(before) = before.filter(|before| before.ended.is_none() && before.user == user.id) else {
            return Ok(None);
        };
        let rules = &tenant.bundle.tenant.session;
        let mut session = before.stepped_up(proofs, now, &*self.entropy).risen_from(&before, rules, now);
        // By a recovery code, in place of a remembered device.
        if session.assurance < before.assurance && session.assurance < tenant.bundle.tenant.factors.minimum {
            session.expires = session.expires.min(now.plus(BELOW_MINIMUM));
        }
        if !self.replace(&before, &session, now).await? {
            return Ok(None);
        }
        let risen = self.risen(raising, &session, doer).await;
        if risen.is_err() {
            self.end_unheld(&session).await;
        }
        Ok(risen?.then_some(session))
    }

    /// Whether a session that has risen may stay: then its entry is on disk.
    async fn risen(&self, raising: &Raising<'_>, session: &Session, doer: Doer) -> Result<bool, StoreFault> {
        let Raising { tenant, user, proofs, now, .. } = *raising;
        // What was shown just now may have been taken away meanwhile, by somebody who did not find this session yet.
        if self.store.entered(tenant.id(), user.id, proofs, now).await? != Grounds::Stand {
            self.end_session(tenant.id(), session.id, EndReason::FactorChanged, &doer).await?;
            return Ok(false);
        }
        let factor = proofs.last().map_or("none", |proof| proof.means.name());
        let event = Event::SteppedUp { user: subject(user), factor: factor.into(), assurance: session.assurance };
        let doer = doer.known_as(Caller::User(tenant.facts(user)), Some(session.id));
        self.record(tenant.id(), &doer, event).await?;
        Ok(true)
    }

    /// A first handle that opens `session` at `host`: the cookie that the browser is to keep. Where none comes to be, the session ends.
    pub(crate) async fn hand(&self, session: &Session, host: &str, now: Timestamp) -> Result<String, StoreFault> {
        let (handle, record) = HandleRecord::issue(session, host, now, &*self.entropy);
        if let Err(fault) = self.shared.handle_insert(&record, session).await {
            self.end_unheld(session).await;
            return Err(fault);
        }
        Ok(cookie::set_handle(&handle, self.is_secure()))
    }
}
