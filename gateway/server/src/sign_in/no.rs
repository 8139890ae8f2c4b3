//! Why a step of a sign-in is not taken.

use std::time::Duration;

use cardea_core::{Assurance, Reason};
use cardea_storage::StoreFault;

use crate::{house::NoPermit, pages::Problem};

/// Why a handler does not do what was asked.
#[derive(Debug)]
pub(super) enum No {
    /// An expected no, shown on a page of its own.
    Refused(Reason),
    /// The same of an account at a provider that opens nobody's, and may perhaps be linked to one's own.
    Stranger {
        /// Why.
        reason: Reason,
        /// Whether it may.
        may_link: bool,
    },
    /// The same on the way to link one.
    NotLinked(Reason),
    /// A provider's word is worth less than is asked for.
    TooWeak {
        /// What is.
        asked: Assurance,
        /// What it is worth.
        said: Assurance,
        /// Whether the person is signed in, and so could add something.
        signed_in: bool,
    },
    /// Too many tries.
    Wait(Duration),
    /// Something of ours does not work.
    Faulted(Reason, String),
}

impl From<Reason> for No {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl From<StoreFault> for No {
    fn from(fault: StoreFault) -> Self {
        Self::Faulted(Reason::StoreUnavailable, crate::house::with_causes(&fault))
    }
}

impl From<NoPermit> for No {
    fn from(fault: NoPermit) -> Self {
        Self::Faulted(Reason::Internal, fault.to_string())
    }
}

impl From<cardea_identity::sealing::CannotOpen> for No {
    fn from(_: cardea_identity::sealing::CannotOpen) -> Self {
        // What does not open was not put there by us, or the operator's key has changed: begin again.
        Self::Refused(Reason::SignInExpired)
    }
}

impl No {
    /// What a form or a script is told.
    pub(super) fn problem(&self) -> Problem {
        match self {
            Self::Wait(wait) => Problem::TooMany(*wait),
            _ => Problem::of(self.reason()),
        }
    }

    /// When it is worth trying again, where that is known.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Wait(wait) => Some(*wait),
            Self::Faulted(reason, _) => cardea_proxy::failure::retry_after(*reason),
            _ => None,
        }
    }

    /// Why.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Wait(_) => Reason::TooManyAttempts,
            Self::TooWeak { .. } => Reason::WordTooWeak,
            Self::Refused(reason)
            | Self::Stranger { reason, .. }
            | Self::NotLinked(reason)
            | Self::Faulted(reason, _) => *reason,
        }
    }
}
