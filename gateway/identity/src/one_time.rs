//! What may be used once: sign-in flows, hand-over codes, invitations. The rule is the store's contract; the value
//! is opaque to it.

use std::time::Duration;

use cardea_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{sealing::Sealed, token::TicketHash};

/// A value that is kept until it is taken, once.
///
/// Contract of a store: `put` keeps it until `expires` at the longest; `take(purpose, hash, now)` removes and returns
/// it in one atomic step, so that of any number of racing takers exactly one gets it; `peek` returns it and leaves it.
/// Whatever is past `expires`, or of another purpose, is as if it were not there. `put` with a known hash replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTime {
    /// What it is for: a value put for one purpose is never found for another.
    pub purpose: Purpose,
    /// What it is found by.
    pub hash: TicketHash,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The value, sealed: nobody who reads the store learns a nonce or a verifier.
    pub body: Sealed,
    /// From when it is as good as gone.
    pub expires: Timestamp,
}

/// What a one-time value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A sign-in under way (see `sign_in`).
    Flow,
    /// A session on its way from the sign-in host to an app host.
    HandOver,
    /// An invitation that has not been accepted.
    Invitation,
    /// A factor being enrolled from the portal: a challenge or an unconfirmed secret.
    Enrolment,
}

impl Purpose {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::HandOver => "hand-over",
            Self::Invitation => "invitation",
            Self::Enrolment => "enrolment",
        }
    }

    /// How long a value of this purpose is good for.
    pub const fn life(self) -> Duration {
        match self {
            // Ten minutes: shorter than a lunch break, longer than a search for the phone.
            Self::Flow | Self::Enrolment => Duration::from_secs(600),
            // One redirect: RFC 9700 recommends at most a minute for codes.
            Self::HandOver => Duration::from_secs(60),
            // Three days: over a weekend, not over a holiday.
            Self::Invitation => Duration::from_secs(3 * 24 * 3600),
        }
    }
}
