//! Short-lived state that all gateways of a house share: sessions, handles, one-time values, tries.

mod cluster;
mod connection;
mod ended;
mod kept;
mod keys;
mod memory;
mod memory_handles;
mod memory_sessions;
mod memory_timed;
mod memory_tries;
mod memory_values;
mod rates;
mod redis;
mod redis_handles;
mod redis_push;
mod redis_rates;
mod redis_sessions;
mod redis_tries;
mod scripts;
mod sql;
mod sql_handles;
mod sql_once;
mod sql_rates;
#[cfg(test)]
mod suite;
mod taken_over;

use std::time::Duration;

use async_trait::async_trait;
use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    HandleHash, HandleRecord, Sealer, Session, TicketHash,
    guard::Limit,
    one_time::{OneTime, Purpose},
    session::{End, EndReason},
};

pub use self::{
    connection::RedisAt,
    memory::MemoryShared,
    rates::{RateLevel, RateUse},
    redis::RedisShared,
    sql::SqlShared,
    taken_over::TakenOver,
};
use crate::{Grounds, StoreFault};
#[cfg(test)]
pub(crate) use suite::{RedisServer, limit as limit_of_tests};

/// The contract of every shared store.
///
/// - **Atomic**: each method is one step; of racing callers the outcome is as if one came after the other.
/// - **Durable** as far as the store is: SQL's survive a crash of the machine, Redis's what it is configured for, memory's nothing. But
///   what is over stays over, whatever is forgotten: ended sessions, superseded handles, values that were taken. Tries that are
///   forgotten were not made.
/// - **Time** is the caller's: what is past its time is as if it were not there. Redis's own expiry is only a bound
///   beside it.
/// - **Faults**: `Err` says nothing about whether the step was made. Every method may be called again: an offer, a
///   take or a try that was made but not confirmed is then lost to its caller, who is refused, never let in twice.
#[async_trait]
pub trait SharedState: Send + Sync {
    /// Makes it that of a gateway which is about to answer: called once, before it answers anybody, and by no command beside it. A store
    /// that lives with its process drops what others kept in the durable store's tables.
    async fn take_up(&self, _now: Timestamp) -> Result<(), StoreFault> {
        Ok(())
    }

    /// Keeps a new session.
    async fn session_insert(&self, session: &Session) -> Result<(), StoreFault>;

    /// Keeps a new handle to a kept session; successors are kept by [`SharedState::handle_offer`].
    async fn handle_insert(&self, handle: &HandleRecord, session: &Session) -> Result<(), StoreFault>;

    /// The handle of that hash, and the session that it opens, ended or not.
    async fn session_by_handle(
        &self,
        tenant: &TenantId,
        hash: &HandleHash,
    ) -> Result<Option<(HandleRecord, Session)>, StoreFault>;

    /// A session, ended or not.
    async fn session(&self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreFault>;

    /// Keeps `next` as the successor of `before`, in the place of one that was given out earlier and never shown, if
    /// `before` still stands as it was read: not superseded, and given a successor when it says. True for exactly one
    /// caller.
    async fn handle_offer(
        &self,
        before: &HandleRecord,
        next: &HandleRecord,
        session: &Session,
    ) -> Result<bool, StoreFault>;

    /// Notes that a successor was shown: it replaces nothing any more, and the handle that it replaced is superseded from
    /// `at` on. Further callers change nothing. False: it is not kept any more, since another was given out instead.
    async fn handle_shown(&self, handle: &HandleRecord, at: Timestamp) -> Result<bool, StoreFault>;

    /// Notes that a session was used. No change of version; never moves back.
    async fn session_touch(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<(), StoreFault>;

    /// Ends a session; true for exactly one caller. The first end stands. It is announced, and on disk, before anybody is told that
    /// it has ended: where that fails, the next call makes up for it. So do the others that end sessions.
    async fn session_end(&self, tenant: &TenantId, id: SessionId, end: End) -> Result<bool, StoreFault>;

    /// Ends a session and keeps `next` in its place, if it has not ended; tells whether it was so.
    async fn session_replace(&self, old: SessionId, end: End, next: &Session) -> Result<bool, StoreFault>;

    /// A user's sessions that have neither ended nor reached their greatest age, newest first.
    async fn sessions_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreFault>;

    /// Ends all of a user's sessions, but one if given; tells which ended: each is told to one caller.
    async fn end_all_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        except: Option<SessionId>,
        end: End,
    ) -> Result<Vec<SessionId>, StoreFault>;

    /// How many sessions of a tenant have neither ended nor reached their greatest age; a store may count one until the minute is over in
    /// which it does.
    async fn session_count(&self, tenant: &TenantId, now: Timestamp) -> Result<u64, StoreFault>;

    /// Keeps a one-time value in the place of one of the same tenant, purpose and hash.
    async fn put(&self, value: &OneTime, now: Timestamp) -> Result<(), StoreFault>;

    /// A one-time value, left where it is.
    async fn peek(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<OneTime>, StoreFault>;

    /// Takes a one-time value: given to exactly one taker.
    async fn take(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<OneTime>, StoreFault>;

    /// Counts a try before anything is verified. `Ok(Some(wait))` refuses it, and does not count it.
    async fn attempt(&self, tenant: &TenantId, limit: &Limit, now: Timestamp) -> Result<Option<Duration>, StoreFault>;

    /// Counts a try under each of `limits`, in this order, or under none: the first that refuses it tells the wait. A store that
    /// cannot do so in one step gives back what it has counted; where it fails between, tries are counted that were not made.
    async fn attempt_each(
        &self,
        tenant: &TenantId,
        limits: &[&Limit],
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreFault> {
        for (passed, limit) in limits.iter().enumerate() {
            if let Some(wait) = self.attempt(tenant, limit, now).await? {
                for limit in &limits[..passed] {
                    self.give_back(tenant, limit, now).await?;
                }
                return Ok(Some(wait));
            }
        }
        Ok(None)
    }

    /// Gives back a try that was admitted, after a success or where it went no further; nothing below none.
    async fn give_back(&self, tenant: &TenantId, limit: &Limit, now: Timestamp) -> Result<(), StoreFault>;

    /// Forgets the tries under a key, after a success.
    async fn forgive(&self, tenant: &TenantId, key: &str) -> Result<(), StoreFault>;

    /// Makes tries undone after a success.
    async fn forgive_each(&self, tenant: &TenantId, forgiven: &Forgiven, now: Timestamp) -> Result<(), StoreFault> {
        for key in &forgiven.keys {
            self.forgive(tenant, key).await?;
        }
        for limit in &forgiven.back {
            self.give_back(tenant, limit, now).await?;
        }
        Ok(())
    }

    /// Keeps a new session with its first handle, makes the tries undone that led to it, and then notes in the durable store who
    /// entered and looks once more at what the session rests on ([`Store::entered`](crate::Store::entered)): whoever takes that away may have found no
    /// session yet. A store that cannot do so in one step begins with the tries: where it fails between, what was proven is counted no
    /// more, and nobody holds what would open a session.
    async fn session_open(
        &self,
        (session, handle): (&Session, &HandleRecord),
        forgiven: &Forgiven,
        now: Timestamp,
    ) -> Result<Grounds, StoreFault>;

    /// Adds what was used of rates, each name once, and tells in the same order how much of each all gateways have used together.
    /// `Err` may have added some: it is then counted twice where it is added again, and never not at all.
    async fn rates_used(&self, uses: &[RateUse], now: Timestamp) -> Result<Vec<RateLevel>, StoreFault>;

    /// Drops what is past its time; to be called now and then.
    async fn sweep(&self, now: Timestamp) -> Result<(), StoreFault>;

    /// Passes word of changes on to the durable store, as others tell it; to be run beside everything else. It never returns.
    async fn hear(&self);

    /// Whether it answers: for readiness.
    async fn ping(&self) -> Result<(), StoreFault>;
}

/// Tries that a success makes undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgiven {
    /// Under these keys all are forgotten.
    pub keys: Vec<String>,
    /// Under each of these one is given back, and no more.
    pub back: Vec<Limit>,
}

impl Forgiven {
    /// Whether nothing was tried.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.back.is_empty()
    }
}

/// Under which names tries of a limit's key are looked for, the one under which they are kept first. INVARIANT: no store is
/// given the key itself: it tells an address, and of an account what a guess at it can be compared with. A mark tells
/// nothing to who has not the tenant's key.
///
/// Tries that were counted before that key was replaced are found, and count on, while the old one opens. Only what was
/// not tried in that time is forgotten with it: it begins with one more round of free tries.
fn names_of_tries(sealer: &Sealer, key: &str) -> Vec<String> {
    sealer.marks("tries", key)
}

/// Reads an end's reason as it was kept.
fn end_reason(text: &str) -> Result<EndReason, String> {
    // By serde, so that a reason added there is known here.
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| format!("unknown reason `{text}`"))
}
