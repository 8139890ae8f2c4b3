//! Time as a value. Pure code is given a [`Timestamp`]; only a [`Clock`] at the edge reads one.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A moment: microseconds since 1970-01-01T00:00:00Z. Written to people and in entries as RFC 3339, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The moment `secs` seconds after the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the epoch, as JWTs count them (RFC 7519 section 2).
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment moved forward; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This moment moved back; stops at the beginning of time instead of wrapping.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    /// Reads RFC 3339, or a day (`2026-11-27`), which begins at midnight UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == "2026-11-27".len());
        let moment = match day {
            Some(day) => day.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp(),
            None => text.parse::<jiff::Timestamp>()?,
        };
        Ok(Self(moment.as_microsecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// Tells the time. The gateway has one that reads the system's; tests have one that they move.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_utc() {
        assert_eq!(Timestamp::from_secs(1_763_800_000).to_string(), "2025-11-22T08:26:40.000000Z");
    }

    #[test]
    fn a_moment_or_a_day_is_read_as_utc() {
        let moment = Timestamp::from_secs(1_763_800_000);
        assert_eq!("2025-11-22T08:26:40Z".parse::<Timestamp>().unwrap(), moment);
        assert_eq!("2025-11-22T09:26:40+01:00".parse::<Timestamp>().unwrap(), moment);
        assert_eq!("2025-11-22".parse::<Timestamp>().unwrap(), Timestamp::from_secs(1_763_769_600));
        for bad in ["", "yesterday", "2025-11-22T08:26:40", "2025-13-01"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_future_is_no_time_ago() {
        let now = Timestamp::from_secs(10);
        assert_eq!(now.since(Timestamp::from_secs(11)), Duration::ZERO);
        assert_eq!(now.since(Timestamp::from_secs(9)), Duration::from_secs(1));
    }
}
