//! Who makes a change, as its entry will name them.

use cardea_audit::{Actor, Client};
use cardea_core::{Caller, SessionId};
use cardea_proxy::Admitted;
use http::{HeaderMap, header::USER_AGENT};

/// Who makes a change, and by what right: a person by a permit, which is spent on it, or the operator at the machine.
#[derive(Debug)]
pub struct Doer {
    pub(super) actor: Actor,
    pub(super) session: Option<SessionId>,
    pub(super) client: Option<Client>,
}

/// The request's permit was spent already: one permit serves one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the permit of this request was spent already")]
pub struct NoPermit;

impl Doer {
    /// Whoever made the request. INVARIANT: spends its permit, so that one answer of the policies allows one change.
    pub fn admitted(admitted: &Admitted) -> Result<Self, NoPermit> {
        let _permit = admitted.take_permit().ok_or(NoPermit)?;
        Ok(Self::noting(admitted))
    }

    /// Whoever made the request, to note something that changes nothing.
    pub fn noting(admitted: &Admitted) -> Self {
        Self {
            actor: Actor::Caller(admitted.caller().clone()),
            session: admitted.session().map(|session| session.id),
            client: Some(Client::new(admitted.client(), None)),
        }
    }

    /// The operator at the command line.
    pub const fn operator() -> Self {
        Self { actor: Actor::OPERATOR, session: None, client: None }
    }

    /// The gateway by itself: rotation, expiry, reuse found out.
    pub const fn gateway() -> Self {
        Self { actor: Actor::GATEWAY, session: None, client: None }
    }

    /// The same request, but now it is known who makes it: after a sign-in.
    #[must_use]
    pub fn known_as(mut self, caller: Caller, session: Option<SessionId>) -> Self {
        self.actor = Actor::Caller(caller);
        self.session = session.or(self.session);
        self
    }

    /// The same, with what the browser says it is.
    #[must_use]
    pub fn with_agent(mut self, headers: &HeaderMap) -> Self {
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        self.client = self.client.map(|client| Client::new(client.address, agent));
        self
    }

    /// A short name of whoever it is, for authorship: an e-mail address or `operator`.
    pub fn name(&self) -> String {
        match &self.actor {
            Actor::Caller(Caller::User(user)) => user.email.clone(),
            other => other.label().into_owned(),
        }
    }
}
