//! Every key that Redis holds for us, in one place.
//!
//! The tenant stands in braces: in a cluster all of a tenant's keys share a slot (the cluster specification's hash
//! tags), so that one script may touch several. Ids and hashes stand in keys, fields and members as their bytes: there are as many as
//! there are sessions, and a key is most of what one costs.

use cardea_core::{SessionId, TenantId, UserId};
use cardea_identity::{HandleHash, TicketHash, one_time::Purpose};

/// A key; not text, where an id stands in it.
pub(super) type Key = Vec<u8>;

/// Makes keys under a prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys(String);

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self(prefix.to_owned())
    }

    fn key(&self, tenant: &TenantId, kind: &str, name: &[u8]) -> Key {
        [format!("{}:{{{tenant}}}:{kind}", self.0).as_bytes(), name].concat()
    }

    /// Where word of changes is published: it is of no tenant.
    pub(super) fn channel(&self) -> String {
        format!("{}:changes", self.0)
    }

    /// A hash: `v`ersion; `s`een; `e`xpires; once it has ended `at` and `why`; and what is sealed, in pieces `1`, `2`, …: no value is
    /// longer than what Redis keeps in a list (`hash-max-listpack-value`), which takes a third of the room.
    pub(super) fn session(&self, tenant: &TenantId, id: SessionId) -> Key {
        self.key(tenant, "s:", id.as_bytes())
    }

    /// What [`Keys::session`] puts before an id, for scripts that walk an index.
    pub(super) fn session_stem(&self, tenant: &TenantId) -> Key {
        self.key(tenant, "s:", &[])
    }

    /// A hash: the sessio`n`; its `h`ost, beyond 64 letters of which it takes twice the room; when it was `i`ssued; what it `r`eplaces,
    /// until it is shown; when it was `s`uperseded; what it o`w`es, until that is written in SQL; when it was `o`ffered a successor, and which (`x`), until that is shown.
    pub(super) fn handle(&self, tenant: &TenantId, hash: &HandleHash) -> Key {
        self.key(tenant, "h:", hash.as_bytes())
    }

    /// What [`Keys::handle`] puts before a hash.
    pub(super) fn handle_stem(&self, tenant: &TenantId) -> Key {
        self.key(tenant, "h:", &[])
    }

    /// A sorted set of sessions by the time they end: users whose ids end alike share it, since a set of its own for each would cost as
    /// much as a session. A member is the user's id and the session's.
    pub(super) fn sessions_of(&self, tenant: &TenantId, user: UserId) -> Key {
        let [.., one, two] = user.as_bytes();
        self.key(tenant, "u:", &[*one, *two])
    }

    /// A hash: how many sessions live that end in a minute, by the minute.
    pub(super) fn live(&self, tenant: &TenantId) -> Key {
        self.key(tenant, "live", &[])
    }

    /// A text: the time it ends, a space, the sealed value.
    pub(super) fn one_time(&self, tenant: &TenantId, purpose: Purpose, hash: &TicketHash) -> Key {
        self.key(tenant, "once:", format!("{}:{hash}", purpose.as_str()).as_bytes())
    }

    /// A text: the level of a rate, as of when, and what was ever used, with spaces between. The name is a mark.
    pub(super) fn rate(&self, tenant: &TenantId, name: &str) -> Key {
        self.key(tenant, "rate:", name.as_bytes())
    }

    /// A text: the count, a space, the last time. The name is a mark.
    pub(super) fn tries(&self, tenant: &TenantId, name: &str) -> Key {
        self.key(tenant, "tries:", name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tenant;

    #[test]
    fn all_of_a_tenants_keys_share_a_slot_and_no_name_reaches_another_tenants() {
        let keys = Keys::new("cardea");
        assert_eq!(keys.tries(&tenant("acme"), "x}:{beta"), b"cardea:{acme}:tries:x}:{beta");
        assert_eq!(keys.live(&tenant("acme")), b"cardea:{acme}:live");
        let braces = SessionId::from_bytes(*b"}:{beta}:{acme}:");
        assert_eq!(keys.session(&tenant("acme"), braces), b"cardea:{acme}:s:}:{beta}:{acme}:");
    }
}
