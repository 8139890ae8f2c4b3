//! What a tenant's provider says of its people when none of them is there: that somebody signed out over there (OpenID Connect
//! Back-Channel Logout 1.0), or that an account there is no longer what it was (OpenID Shared Signals Framework 1.0). Pure: keys and the time are given, and whoever believes a signal sees to it that it is believed once.

mod logout;
mod security;
mod signed;

use cardea_core::Timestamp;

use crate::{TicketHash, oidc::Provider, token::sha256};

pub use logout::{Logout, logout};
pub use security::{About, Effect, Said, SecurityEvent, Transmitter, security_event};
pub use signed::Keys;

/// Why a signal is not believed. The text is for the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its key is not among those known. Fetching the keys anew may help, once.
    #[error("it is signed with a key that is not published")]
    UnknownKey,
    /// Its signature does not verify.
    #[error("its signature does not verify")]
    Signature,
    /// Somebody else issued it.
    #[error("another issued it")]
    Issuer,
    /// It is for somebody else.
    #[error("it is for another audience")]
    Audience,
    /// It is no signal of the kind meant, or none of now.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Under what is noted that a signal was taken, for the life of [`crate::one_time::Purpose::Signal`]. What tells it from every other is its
/// issuer and its name, at the provider to whose address it came.
fn once(provider: &Provider, issuer: &str, jti: &str) -> Result<TicketHash, Refused> {
    if jti.is_empty() || jti.len() > 256 {
        return Err(Refused::Malformed("it has no name to be known by"));
    }
    Ok(TicketHash::from_bytes(sha256(format!("{} {issuer} {jti}", provider.spec().id).as_bytes())))
}

/// Under what is kept whose a provider's session of that name is.
pub fn session_name(issuer: &str, sid: &str) -> TicketHash {
    TicketHash::from_bytes(sha256(format!("{issuer} {sid}").as_bytes()))
}

/// Seconds of a claim as a time; what no clock shows is none.
fn time(seconds: i64) -> Result<Timestamp, Refused> {
    const LAST: i64 = 253_402_300_799;
    let known = (0..=LAST).contains(&seconds);
    if known { Ok(Timestamp::from_secs(seconds)) } else { Err(Refused::Malformed("it names no time")) }
}
