//! Who asks, and may they? The only place where a [`Permit`](crate::Permit) is made.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cardea_core::{Assurance, SessionId, TenantId, Timestamp, caller::UserFacts};

use cardea_identity::HandleHash;

/// A live session with all that a decision needs, prebuilt. Kept in memory by the server, shared by requests.
#[derive(Debug)]
pub struct LiveSession {
    /// The session.
    pub id: SessionId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The host whose handle opened it: a handle works on its own host only.
    pub host: Arc<str>,
    /// The handle's hash.
    pub handle: HandleHash,
    /// The user.
    pub user: Arc<UserFacts>,
    /// How sure we are.
    pub assurance: Assurance,
    /// The factors used: `password`, `totp`, `passkey`, `oidc`.
    pub factors: Vec<Arc<str>>,
    /// When the user last proved a factor.
    pub signed_in_at: Timestamp,
    /// When it ends, used or not.
    pub ends_at: Timestamp,
    /// When its handle is due to be replaced.
    pub rotate_at: Timestamp,
    /// The strongest assurance that the user's enrolled factors can reach: what a challenge may ask for.
    pub reachable: Assurance,
    /// Set when the session has ended while requests still hold it.
    pub ended: AtomicBool,
}

impl LiveSession {
    /// Marks the session as ended for everybody who still holds it.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether it may still be used at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.ended.load(Ordering::Acquire) && now < self.ends_at
    }
}
