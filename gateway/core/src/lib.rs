//! The words that every part of Cardea shares: ids, time, randomness, secrets, assurance, callers, languages,
//! reasons, diagnostics and resources. Opens no file, reads no clock, draws no randomness: all three are given.

pub mod assurance;
pub mod attributes;
pub mod caller;
pub mod diagnostic;
pub mod entropy;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod ids;
pub mod language;
pub mod reason;
pub mod resources;
pub mod secret;
pub mod time;

pub use assurance::Assurance;
pub use attributes::{AttributeKind, AttributeKinds, AttributeValue, Attributes};
pub use caller::Caller;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use entropy::Entropy;
pub use ids::{
    AccessKeyId, AppId, ClientId, DeviceId, EntryId, FactorId, GrantId, GroupId, ProviderId, SessionId, TenantId,
    TokenId, UserId,
};
pub use language::{Language, Languages};
pub use reason::Reason;
pub use secret::Secret;
pub use time::{Clock, Timestamp};
