//! The session: one browser's signed-in state at one tenant, and the rule that says whether a handle still opens it.

use std::{net::IpAddr, time::Duration};

use cardea_core::{Assurance, Entropy, SessionId, TenantId, Timestamp, UserId, resources::SessionRules};
use serde::{Deserialize, Serialize};

use crate::assurance::{self, Means, Proof};
pub use crate::token::{Handle, HandleHash};

/// One browser's signed-in state at one tenant. Each host has its own [`HandleRecord`] to it.
///
/// A store keeps it whole and changes it only where `version` is still the one read. Once `ended` is set it never
/// becomes live again; a store may forget it after `expires`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Public name of the session, in entries, assertions and the portal.
    pub id: SessionId,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// Whose it is.
    pub user: UserId,
    /// What the proofs amount to.
    pub assurance: Assurance,
    /// What was proven, and when.
    pub proofs: Vec<Proof>,
    /// When the person last proved who they are: `auth_time` of the assertion. Where a remembered device stands in for a factor,
    /// when that was really shown.
    pub signed_in_at: Timestamp,
    /// When it was begun; absolute limits count from here, but for [`risen_at`](Self::risen_at).
    pub created: Timestamp,
    /// When it was last used, to the minute: a store need not write it on each request.
    pub last_seen: Timestamp,
    /// When it ends, used or not.
    pub expires: Timestamp,
    /// The browser, shortened to what a person recognises: `Firefox on Linux`.
    pub agent: String,
    /// Where it was begun, so that a person knows their own sessions from a stranger's. Gone with the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Whether an administrator's link stands behind it: it began with an invitation, or a link for another factor was shown
    /// in it. So it may give its account a first factor beyond the only one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_link: bool,
    /// Whether its person joined in it, by an invitation: what the tenant asks of them at the next sign-in is not asked in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// Since when it has its assurance, where that is not how it began: the absolute limit of that assurance counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risen_at: Option<Timestamp>,
    /// The names of the sessions whose place it took as its person proved more, the newest last: apps may still know it by one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<SessionId>,
    /// When and why it ended, if it has.
    pub ended: Option<End>,
    /// Grows by one with each change.
    pub version: u64,
}

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: EndReason,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// Nobody used it for longer than the tenant allows.
    Idle,
    /// It reached its greatest age.
    Absolute,
    /// The person signed out.
    SignedOut,
    /// The account was suspended or deleted.
    Suspended,
    /// An administrator ended it.
    Administrator,
    /// A handle that had been replaced was used again: two parties hold the cookie.
    Reuse,
    /// A factor, or a remembered device, that it rests on was removed or replaced.
    FactorChanged,
    /// Another session took its place: the person stepped up, or signed in again in the same browser.
    Replaced,
}

impl EndReason {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Absolute => "absolute",
            Self::SignedOut => "signed-out",
            Self::Suspended => "suspended",
            Self::Administrator => "administrator",
            Self::Reuse => "reuse",
            Self::FactorChanged => "factor-changed",
            Self::Replaced => "replaced",
        }
    }
}

/// What a store keeps of a handle: one per host that the session has been opened on, and its forerunners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleRecord {
    /// What it is found by.
    pub hash: HandleHash,
    /// The tenant of its session.
    pub tenant: TenantId,
    /// The session that it opens.
    pub session: SessionId,
    /// The only host at which it opens it.
    pub host: String,
    /// When it was given out.
    pub issued_at: Timestamp,
    /// The handle whose place it takes, until it is first shown: only then has it reached the browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<HandleHash>,
    /// When a successor was last given out. A store sets this by compare-and-set: of racing requests exactly one is
    /// given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_at: Option<Timestamp>,
    /// When its successor was first shown.
    pub superseded_at: Option<Timestamp>,
}

/// How a handle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It opens its session.
    Live,
    /// It opens its session, and is old enough that this answer should carry a new one.
    Rotate,
    /// It opens its session and is shown for the first time: from now on the one that it replaces is superseded.
    Arrived,
    /// The session is over.
    Ended(EndReason),
    /// Its successor has been in use too long for it to be an honest latecomer: end the session, and write that down.
    Reused,
}

/// How long a handle still works after its successor was first shown, and how long a successor that was given out is
/// waited for before the next is. A minute: a page's parallel requests and one slow answer.
pub const GRACE: Duration = Duration::from_secs(60);

/// Names of before that a session keeps. Sixteen: who steps up more often in one session shows the newest to every app that they use.
const NAMES: usize = 16;

/// Says how a handle stands. The host must already have been compared (see [`HandleRecord::fits`]); the last line is
/// the only yes without a reservation.
///
/// An answer may never reach the browser, so a handle stays good until its successor comes back. A thief gains nothing
/// by it: whoever keeps using the old one is found out as soon as the other party shows the new one.
pub fn judge(handle: &HandleRecord, session: &Session, rules: &SessionRules, now: Timestamp) -> Standing {
    if let Some(why) = session.ended.map(|end| end.why).or_else(|| session.past(rules, now)) {
        return Standing::Ended(why);
    }
    match handle.superseded_at {
        Some(at) if now.since(at) > GRACE => Standing::Reused,
        Some(_) => Standing::Live,
        None if handle.replaces.is_some() => Standing::Arrived,
        None if now >= handle.rotates_at(rules) => Standing::Rotate,
        None => Standing::Live,
    }
}

impl Session {
    /// Begins a session on the strength of `proofs`; there must be at least one.
    pub fn begin(start: Start, entropy: &dyn Entropy) -> Option<Self> {
        let Start { tenant, user, proofs, agent, client, rules, now } = start;
        let assurance = assurance::of(&proofs)?;
        Some(Self {
            id: SessionId::mint(now, entropy),
            tenant,
            user,
            assurance,
            signed_in_at: assurance::since(&proofs, now),
            proofs,
            created: now,
            last_seen: now,
            expires: now.plus(rules.absolute(assurance)),
            agent,
            client,
            by_link: false,
            joined: false,
            risen_at: None,
            before: Vec::new(),
            ended: None,
            version: 0,
        })
    }

    /// The limit that it is past, if any, whether or not somebody has found that out and ended it.
    pub fn past(&self, rules: &SessionRules, now: Timestamp) -> Option<EndReason> {
        let since = self.risen_at.unwrap_or(self.created);
        if now >= self.expires || now >= since.plus(rules.absolute(self.assurance)) {
            return Some(EndReason::Absolute);
        }
        (now.since(self.last_seen) >= rules.idle(self.assurance)).then_some(EndReason::Idle)
    }

    /// The names that an app may know it by: its own, then those that it had before.
    pub fn names(&self) -> impl Iterator<Item = SessionId> {
        std::iter::once(self.id).chain(self.before.iter().rev().copied())
    }

    /// The session that takes this one's place once the person has proven more. A new id, and so new handles on every
    /// host: whatever was known before the step is worth nothing after it. When it ends is for
    /// [`risen_from`](Self::risen_from) to say; the time of the sign-in stays where nothing but a recovery code was shown: that is
    /// no sign-in. Where the code ends what a remembered device stood in for, it is when the rest was shown.
    #[must_use]
    pub fn stepped_up(&self, proofs: &[Proof], now: Timestamp, entropy: &dyn Entropy) -> Self {
        let signs_in = proofs.iter().any(|proof| !matches!(proof.means, Means::Recovery { .. }));
        let before = if self.rests_on_a_device() { self.shown_at() } else { self.signed_in_at };
        let proofs = assurance::settled(assurance::joined(&self.proofs, proofs));
        let assurance = assurance::of(&proofs).unwrap_or(self.assurance);
        let older = self.before.len().saturating_sub(NAMES - 1);
        Self {
            id: SessionId::mint(now, entropy),
            before: self.before[older..].iter().copied().chain([self.id]).collect(),
            assurance,
            // Whoever shows two needs no link from then on: should they take both away, it lifts nothing again.
            by_link: self.by_link && assurance < Assurance::Two,
            signed_in_at: assurance::since(&proofs, if signs_in { now } else { before }),
            proofs,
            last_seen: now,
            ended: None,
            version: 0,
            ..self.clone()
        }
    }

    /// The same, under the limits of the assurance that it has risen to from `before`.
    ///
    /// What is longer for the higher assurance counts from the beginning, as if it had begun there. What is shorter counts from
    /// now, since it might be over already, and ends no later than the session would have.
    #[must_use]
    pub fn risen_from(mut self, before: &Self, rules: &SessionRules, now: Timestamp) -> Self {
        if self.assurance > before.assurance {
            let most = rules.absolute(self.assurance);
            self.expires = self.created.plus(most).max(before.expires.min(now.plus(most)));
            self.risen_at = Some(now);
        }
        self
    }

    /// The session that takes this one's place once an administrator's link was shown in it; a new id, as after a step-up.
    #[must_use]
    pub fn linked(&self, now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self { by_link: true, ..self.stepped_up(&[], now, entropy) }
    }

    /// The same session, ended; the first end stands.
    #[must_use]
    pub fn ended(mut self, why: EndReason, at: Timestamp) -> Self {
        if self.ended.is_none() {
            self.ended = Some(End { at, why });
            self.version += 1;
        }
        self
    }

    /// Whether `last_seen` is old enough to be worth a write: a sixtieth of the idle limit, at least a second.
    pub fn needs_touch(&self, rules: &SessionRules, now: Timestamp) -> bool {
        now.since(self.last_seen) >= (rules.idle(self.assurance) / 60).max(Duration::from_secs(1))
    }

    /// What was really shown in it amounts to: less than its assurance, where a remembered device stands in for a factor.
    pub fn shown_assurance(&self) -> Assurance {
        assurance::of(&assurance::shown(&self.proofs)).unwrap_or(Assurance::One)
    }

    /// Whether a remembered device stands in for a factor in it.
    fn rests_on_a_device(&self) -> bool {
        self.proofs.iter().any(|proof| matches!(proof.means, Means::Remembered { .. }))
    }

    /// When somebody last showed something in it, as people are told.
    pub fn shown_at(&self) -> Timestamp {
        let signs_in = |proof: &&Proof| !matches!(proof.means, Means::Recovery { .. } | Means::Remembered { .. });
        self.proofs.iter().filter(signs_in).map(|proof| proof.at).max().unwrap_or(self.signed_in_at)
    }

    /// The factors' names as policies see them: `password`, `totp`, `passkey`, `recovery`, `remembered`, `email`, `oidc`,
    /// `linked`; sorted, each once.
    pub fn factor_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.proofs.iter().map(|proof| proof.means.name()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What a new session starts from.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Who signed in.
    pub user: UserId,
    /// What they proved.
    pub proofs: Vec<Proof>,
    /// The browser, shortened (`Firefox on Linux`).
    pub agent: String,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The tenant's limits.
    pub rules: &'a SessionRules,
    /// The present moment.
    pub now: Timestamp,
}

impl HandleRecord {
    /// A new handle to `session` on `host`: the secret for the cookie, the record for the store.
    pub fn issue(session: &Session, host: &str, now: Timestamp, entropy: &dyn Entropy) -> (Handle, Self) {
        let handle = Handle::draw(entropy);
        let record = Self {
            hash: handle.hash(),
            tenant: session.tenant.clone(),
            session: session.id,
            host: host.to_owned(),
            issued_at: now,
            replaces: None,
            offered_at: None,
            superseded_at: None,
        };
        (handle, record)
    }

    /// A handle that takes this one's place once it is shown.
    pub fn successor(&self, session: &Session, now: Timestamp, entropy: &dyn Entropy) -> (Handle, Self) {
        let (handle, record) = Self::issue(session, &self.host, now, entropy);
        (handle, Self { replaces: Some(self.hash), ..record })
    }

    /// From when on answers carry a successor; while one that was given out may still arrive, no other is.
    pub fn rotates_at(&self, rules: &SessionRules) -> Timestamp {
        let due = self.issued_at.plus(rules.rotate());
        self.offered_at.map_or(due, |at| due.max(at.plus(GRACE)))
    }

    /// Whether this record is for that host of that tenant and names that session. A handle carried to another host
    /// opens nothing.
    pub fn fits(&self, tenant: &TenantId, host: &str, session: &Session) -> bool {
        self.tenant == *tenant && session.tenant == *tenant && self.session == session.id && self.host == host
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
