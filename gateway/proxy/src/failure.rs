//! The one place where refusals and faults become responses.

use std::{sync::Arc, time::Duration};

use cardea_core::{AppId, EntryId, Reason};

use crate::routing::Tenant;

/// What would turn a no into a yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Signing in at all.
    SignIn,
    /// Signing in again: what was proved is too old.
    Fresh,
    /// Assurance 2.
    Two,
    /// Assurance 3.
    Three,
}

impl Need {
    /// As it stands in URLs and problem details: `sign-in`, `fresh`, `2`, `3`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Fresh => "fresh",
            Self::Two => "2",
            Self::Three => "3",
        }
    }
}

/// A challenge with the address that meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// What is needed.
    pub need: Need,
    /// Where a browser gets it.
    pub url: String,
}

/// A request that ended otherwise than it asked, with all that its answer may tell.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// The id of its entry, as shown to the person.
    pub entry: EntryId,
    /// The tenant, where the host is somebody's: for the page's look.
    pub tenant: Option<Arc<Tenant>>,
    /// The app that was asked.
    pub app: Option<AppId>,
    /// The app's name as people read it.
    pub app_name: Option<String>,
    /// Who is signed in, as shown on the page (e-mail).
    pub signed_in_as: Option<String>,
    /// What would help.
    pub challenge: Option<Challenge>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of which only the reason is known.
    pub fn new(reason: Reason, entry: EntryId) -> Self {
        Self {
            reason,
            entry,
            tenant: None,
            app: None,
            app_name: None,
            signed_in_as: None,
            challenge: None,
            retry_after: None,
        }
    }
}
