//! One audit entry: who, when, from where, what; and the exact bytes that are hashed.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use cardea_core::{AppId, Caller, EntryId, SessionId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::Event;

/// One record of the log. Its place (`seq`, link) is not part of it: the log assigns that when it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Names the entry; for a request also its `X-Request-Id`.
    pub id: EntryId,
    /// When it happened, in microseconds since 1970.
    pub at: Timestamp,
    /// Whose log it belongs to; the operator's own log where absent (a request to an unknown host, a start).
    pub tenant: Option<TenantId>,
    /// Who did it.
    pub actor: Actor,
    /// The session in which it was done.
    pub session: Option<SessionId>,
    /// Where it came from, where that is known.
    pub client: Option<Client>,
    /// What happened.
    pub event: Event,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Actor {
    /// A caller, as the decision saw it.
    Caller(Caller),
    /// Nobody who made a request.
    Ours(Ourselves),
}

/// Acts that no request caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Ourselves {
    /// The operator, at the command line.
    Operator,
    /// The gateway by itself: rotation, renewal, expiry.
    Gateway,
}

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The trusted client address.
    pub address: IpAddr,
    /// What the client says it is, shortened; see [`Client::agent`].
    pub agent: Option<Arc<str>>,
}

/// What a log can be filtered by, drawn from an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facets<'a> {
    /// The event's code.
    pub event: &'static str,
    /// The app that it concerns.
    pub app: Option<&'a AppId>,
    /// A short label of who did it: `user:<id>`, `visitor`, `operator`, ….
    pub caller: Cow<'static, str>,
    /// Whose account it tells of; see [`Event::person`].
    pub person: Option<UserId>,
    /// The reason of a refusal or fault.
    pub reason: Option<&'static str>,
    /// The verdict's code, where a question was put.
    pub verdict: Option<&'static str>,
}

/// Longest user agent kept. 160: the platform and browser stand in front, what follows only tracks.
const AGENT_MAX: usize = 160;

impl Entry {
    /// The canonical bytes: JSON in the order of the fields, without spaces. This is the leaf's data, and what is
    /// stored; the same entry gives the same bytes always.
    pub fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        // INVARIANT: no map without an order may stand in an entry, else two runs would give two bodies.
        let mut body = Vec::with_capacity(1024);
        serde_json::to_writer(&mut body, self)?;
        Ok(body)
    }

    /// Reads an entry from its canonical bytes.
    pub fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Whose log the entry of these bytes belongs to, without reading the rest.
    pub fn tenant_of(body: &[u8]) -> Result<Option<TenantId>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Owner {
            tenant: Option<TenantId>,
        }
        serde_json::from_slice::<Owner>(body).map(|owner| owner.tenant)
    }

    /// What the log can be filtered by.
    pub fn facets(&self) -> Facets<'_> {
        Facets {
            event: self.event.code(),
            app: self.event.app(),
            caller: self.actor.label(),
            person: self.event.person(),
            reason: self.event.reason().map(|reason| reason.code()),
            verdict: self.event.verdict().map(|verdict| verdict.code()),
        }
    }
}

impl Actor {
    /// The operator at the command line.
    pub const OPERATOR: Self = Self::Ours(Ourselves::Operator);
    /// The gateway by itself.
    pub const GATEWAY: Self = Self::Ours(Ourselves::Gateway);

    /// A short, stable text that names the actor; a caller's own label.
    pub fn label(&self) -> Cow<'static, str> {
        match self {
            Self::Caller(Caller::Visitor) => Cow::Borrowed("visitor"),
            Self::Caller(caller) => Cow::Owned(caller.label()),
            Self::Ours(Ourselves::Operator) => Cow::Borrowed("operator"),
            Self::Ours(Ourselves::Gateway) => Cow::Borrowed("gateway"),
        }
    }
}

impl From<Caller> for Actor {
    fn from(caller: Caller) -> Self {
        Self::Caller(caller)
    }
}

impl Client {
    /// A client with its `User-Agent`, from which control characters and all beyond 160 bytes are dropped.
    pub fn new(address: IpAddr, agent: Option<&str>) -> Self {
        Self { address, agent: agent.map(shortened) }
    }
}

fn shortened(agent: &str) -> Arc<str> {
    let end = (0..=agent.len().min(AGENT_MAX)).rev().find(|&at| agent.is_char_boundary(at)).unwrap_or_default();
    let kept = &agent[..end];
    if kept.chars().any(char::is_control) {
        return kept.chars().filter(|c| !c.is_control()).collect::<String>().into();
    }
    kept.into()
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
