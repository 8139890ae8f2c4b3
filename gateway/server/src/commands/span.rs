//! Spans of time as the command line takes them: `45s`, `30m`, `1h`, `2d`.

use std::time::Duration;

/// Reads a span; none where it is not one, or none at all.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let (number, seconds) = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)))?;
    let number: u64 = number.parse().ok()?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}
