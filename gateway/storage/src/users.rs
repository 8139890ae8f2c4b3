//! The pool: people and the groups that they are put in. Deleted people are never found again, and their ids never
//! given to another.

use std::collections::BTreeMap;

use cardea_core::{GroupId, TenantId, Timestamp, UserId};
use cardea_identity::{Email, FactorKind, Status, User};

use crate::{Store, StoreFault};

/// What came of adding a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The user is in the pool.
    Done,
    /// Another user of the pool has the address.
    EmailTaken,
    /// The id was used before.
    IdUsed,
}

/// Which users to list.
#[derive(Debug, Clone, Default)]
pub struct UserQuery {
    /// Part of the name or address.
    pub query: Option<String>,
    /// Only those of that status.
    pub status: Option<Status>,
    /// Only those put directly into that group.
    pub group: Option<GroupId>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// At most so many; between 1 and 200.
    pub limit: u32,
}

/// A user in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSummary {
    /// The user.
    pub user: User,
    /// The kinds of factors enrolled, each once.
    pub factors: Vec<FactorKind>,
}

/// A page of users, by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPage {
    /// The users.
    pub items: Vec<UserSummary>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

impl Store {
    /// Adds a user with their groups.
    pub async fn insert_user(&self, user: &User) -> Result<Inserted, StoreFault> {
        let _ = user;
        todo!()
    }

    /// A user, unless deleted.
    pub async fn user(&self, tenant: &TenantId, id: UserId) -> Result<Option<User>, StoreFault> {
        let _ = (tenant, id);
        todo!()
    }

    /// The user of that address, unless deleted.
    pub async fn user_by_email(&self, tenant: &TenantId, email: &Email) -> Result<Option<User>, StoreFault> {
        let _ = (tenant, email);
        todo!()
    }

    /// A page of users, by address.
    pub async fn users(&self, tenant: &TenantId, query: &UserQuery) -> Result<UserPage, StoreFault> {
        let _ = (tenant, query);
        todo!()
    }

    /// How many users there are of each status.
    pub async fn user_counts(&self, tenant: &TenantId) -> Result<BTreeMap<&'static str, u64>, StoreFault> {
        let _ = tenant;
        todo!()
    }

    /// How many users are put directly into each group.
    pub async fn group_sizes(&self, tenant: &TenantId) -> Result<BTreeMap<GroupId, u64>, StoreFault> {
        let _ = tenant;
        todo!()
    }

    /// Sets a user's status, if it is `from`; tells whether it was. Deleting is [`Store::delete_user`].
    pub async fn set_status(
        &self,
        tenant: &TenantId,
        id: UserId,
        from: Status,
        to: Status,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let _ = (tenant, id, from, to, now);
        todo!()
    }

    /// Sets a user's name; tells whether there is such a user.
    pub async fn set_name(
        &self,
        tenant: &TenantId,
        id: UserId,
        name: &str,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let _ = (tenant, id, name, now);
        todo!()
    }

    /// Puts a user into exactly these groups; gives those before, or nothing if there is no such user.
    pub async fn set_groups(
        &self,
        tenant: &TenantId,
        id: UserId,
        groups: &[GroupId],
        now: Timestamp,
    ) -> Result<Option<Vec<GroupId>>, StoreFault> {
        let _ = (tenant, id, groups, now);
        todo!()
    }

    /// Notes that a user was seen; never moves back.
    pub async fn user_seen(&self, tenant: &TenantId, id: UserId, at: Timestamp) -> Result<(), StoreFault> {
        let _ = (tenant, id, at);
        todo!()
    }

    /// Deletes a user with factors, identities and groups; the id stays taken. Tells whether there was one.
    pub async fn delete_user(&self, tenant: &TenantId, id: UserId, now: Timestamp) -> Result<bool, StoreFault> {
        let _ = (tenant, id, now);
        todo!()
    }
}
