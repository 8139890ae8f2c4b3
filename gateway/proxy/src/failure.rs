//! The one place where refusals and faults become responses.

use std::{sync::Arc, time::Duration};

use cardea_core::{AppId, EntryId, Reason};

use crate::routing::Tenant;

/// A challenge with the address that meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// What is needed.
    pub need: cardea_policy::Challenge,
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
