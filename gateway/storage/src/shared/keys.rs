//! Every key that Redis holds for us, in one place.
//!
//! The tenant stands in braces: in a cluster all of a tenant's keys share a slot (the cluster specification's hash
//! tags), so that one script may touch several.

use cardea_core::{SessionId, TenantId, UserId};
use cardea_identity::{HandleHash, TicketHash, one_time::Purpose};

/// Makes keys under a prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys(String);

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self(prefix.to_owned())
    }

    fn key(&self, tenant: &TenantId, rest: std::fmt::Arguments<'_>) -> String {
        format!("{}:{{{tenant}}}:{rest}", self.0)
    }

    /// Where word of changes is published: it is of no tenant.
    pub(super) fn channel(&self) -> String {
        format!("{}:changes", self.0)
    }

    /// A hash: body, version, last_seen, expires, ended_at, ended_why.
    pub(super) fn session(&self, tenant: &TenantId, id: SessionId) -> String {
        self.key(tenant, format_args!("session:{id}"))
    }

    /// What [`Keys::session`] puts before an id, for scripts that walk an index.
    pub(super) fn session_stem(&self, tenant: &TenantId) -> String {
        self.key(tenant, format_args!("session:"))
    }

    /// A hash: body, superseded_at; replaces, until it is shown; owes, until what it superseded is written in SQL; offered_at and successor, once it was given one.
    pub(super) fn handle(&self, tenant: &TenantId, hash: &HandleHash) -> String {
        self.key(tenant, format_args!("handle:{hash}"))
    }

    /// What [`Keys::handle`] puts before a hash.
    pub(super) fn handle_stem(&self, tenant: &TenantId) -> String {
        self.key(tenant, format_args!("handle:"))
    }

    /// A sorted set of a user's sessions by the time they end.
    pub(super) fn sessions_of(&self, tenant: &TenantId, user: UserId) -> String {
        self.key(tenant, format_args!("sessions-of:{user}"))
    }

    /// A sorted set of a tenant's sessions by the time they end.
    pub(super) fn sessions(&self, tenant: &TenantId) -> String {
        self.key(tenant, format_args!("sessions"))
    }

    /// A text: the time it ends, a space, the sealed value.
    pub(super) fn one_time(&self, tenant: &TenantId, purpose: Purpose, hash: &TicketHash) -> String {
        self.key(tenant, format_args!("once:{}:{hash}", purpose.as_str()))
    }

    /// A text: the level of a rate, as of when, and what was ever used, with spaces between. The name is a mark.
    pub(super) fn rate(&self, tenant: &TenantId, name: &str) -> String {
        self.key(tenant, format_args!("rate:{name}"))
    }

    /// A text: the count, a space, the last time. The name is a mark.
    pub(super) fn tries(&self, tenant: &TenantId, name: &str) -> String {
        self.key(tenant, format_args!("tries:{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tenant;

    #[test]
    fn all_of_a_tenants_keys_share_a_slot_and_no_name_reaches_another_tenants() {
        let keys = Keys::new("cardea");
        assert_eq!(keys.tries(&tenant("acme"), "x}:{beta"), "cardea:{acme}:tries:x}:{beta");
        assert_eq!(keys.sessions(&tenant("acme")), "cardea:{acme}:sessions");
    }
}
