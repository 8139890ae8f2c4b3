//! The only crate that speaks SQL and Redis. Every function takes the tenant and the time; whatever cannot be reached
//! is a [`StoreFault`], never "not found".
//!
//! - [`Store`]: durable state (SQLite by default): resources, policies, users, factors, tickets, keys, entries.
//! - [`Log`]: the tenants' logs, group-committed.
//! - [`SharedState`]: sessions, one-time values and tries; in the same SQLite file ([`SqlShared`]), in Redis
//!   ([`RedisShared`]) or in this process ([`MemoryShared`]).

mod access_keys;
mod certificates;
mod changes;
mod clients;
mod copying;
mod counts;
mod devices;
mod engine;
mod factors;
mod fault;
mod grants;
mod grounds;
mod halves;
mod identities;
mod invitations;
mod keys;
mod limited;
mod log;
mod owed;
mod policies;
#[cfg(test)]
mod pool_cost;
mod push;
mod reader;
mod reading;
mod recovery;
mod resets;
mod resources;
mod rotation;
mod row;
mod seal_up;
mod sealed;
mod shared;
mod store;
mod tenants;
#[cfg(test)]
mod testing;
mod tickets;
mod unlinked;
mod user_lists;
mod users;
mod vault;
mod versions;
mod writing;

pub use certificates::CertificateRecord;
pub use changes::{Announced, Change};
pub use copying::{Copied, copy};
pub use counts::VerdictCounts;
pub use devices::DEVICES;
pub use factors::FactorInserted;
pub use fault::StoreFault;
pub use grounds::Grounds;
pub use identities::{Linked, Unlinked, Unlinking};
pub use invitations::{Accepted, Accepting};
pub use keys::SealedRecord;
pub use log::{FaultHook, Log, LogLimits, LogMetrics, LogPage, LogQuery, Logged, Moment};
pub use policies::{Activation, Ground, NewVersion, Version};
pub use push::Word;
pub use recovery::CodeSpent;
pub use resets::StartedOver;
pub use resources::{Applied, Applying, Illegible, Legible, Plan, ResourceChange, Succeeded};
pub use rotation::{LINGER, LINGER_IN_REDIS, Resealed};
pub use sealed::secret as place_of_secret;
pub use shared::{Forgiven, MemoryShared, RateLevel, RateUse, RedisAt, RedisShared, SharedState, SqlShared, TakenOver};
pub use store::Store;
pub use tickets::{TicketKind, TicketRecord};
pub use user_lists::{AccountSummary, UserPage, UserQuery, UserSummary};
pub use users::Inserted;
