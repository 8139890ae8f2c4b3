//! Requests that gateways admitted under a rate, added up for all of them.
//!
//! What is used comes back evenly: of a rate of so many requests in so many seconds, in a time, so many. All stores do the same
//! arithmetic; nothing is decided by it here.

use std::time::Duration;

use cardea_core::{TenantId, Timestamp};

/// What a gateway admitted under one name since it last said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateUse {
    /// Whose rate it is.
    pub tenant: TenantId,
    /// A mark of what the rate is of: no store is told an address.
    pub name: u128,
    /// So many requests come back
    pub requests: u32,
    /// in so many seconds.
    pub seconds: u32,
    /// Millionths of a request.
    pub used: i64,
}

/// How much is used, by all gateways together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLevel {
    /// Millionths of a request.
    pub used: i64,
    /// As of when.
    pub at: Timestamp,
    /// Millionths that were ever used, as long as it is kept.
    pub ever: i64,
}

impl RateUse {
    /// The name as keys and rows have it.
    pub(super) fn mark(&self) -> String {
        format!("{:032x}", self.name)
    }

    /// How long it is kept when nobody adds to it: twice as long as all takes to come back.
    pub(super) fn kept(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds) * 2)
    }

    /// How much is used once this is added at `now` to what stood. Nobody owes more than ten times their rate for what is added again
    /// and again.
    pub(super) fn added_to(&self, stood: Option<RateLevel>, now: Timestamp) -> RateLevel {
        let stood = stood.unwrap_or(RateLevel { used: 0, at: now, ever: 0 });
        let since = i128::from(now.as_micros() - stood.at.as_micros()).max(0);
        let back = since * i128::from(self.requests) / i128::from(self.seconds.max(1));
        let left = i64::try_from((i128::from(stood.used) - back).max(0)).unwrap_or(i64::MAX);
        let most = self.used.max(10 * i64::from(self.requests) * 1_000_000);
        RateLevel {
            used: left.saturating_add(self.used).min(most),
            at: stood.at.max(now),
            ever: stood.ever.saturating_add(self.used),
        }
    }
}
