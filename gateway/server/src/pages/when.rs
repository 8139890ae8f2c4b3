//! A moment as people read it: how long ago, with the exact time behind it.

use std::time::Duration;

use cardea_core::Timestamp;

/// A moment, seen from the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    at: Timestamp,
    ago: Duration,
}

impl When {
    /// The moment `at`, seen at `now`.
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, ago: now.since(at) }
    }

    /// How long ago.
    pub fn ago(&self) -> Duration {
        self.ago
    }

    /// RFC 3339 to the second, for `datetime`.
    pub fn machine(&self) -> String {
        self.written("%Y-%m-%dT%H:%M:%SZ")
    }

    /// `2026-11-22 12:30 UTC`.
    pub fn exact(&self) -> String {
        self.written("%Y-%m-%d %H:%M UTC")
    }

    fn written(&self, format: &str) -> String {
        jiff::Timestamp::from_microsecond(self.at.as_micros())
            .map_or_else(|_| self.at.to_string(), |moment| moment.strftime(format).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_exact_time_behind_it() {
        let at = Timestamp::from_secs(1_763_800_000);
        let when = When::new(at, at.plus(Duration::from_secs(90)));
        assert_eq!(when.machine(), "2025-11-22T08:26:40Z");
        assert_eq!(when.exact(), "2025-11-22 08:26 UTC");
        assert_eq!(when.ago(), Duration::from_secs(90));
    }
}
