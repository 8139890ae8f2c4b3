//! How much of a rate is used: the arithmetic alone, of a moment that is given (the generic cell rate algorithm, as a bucket that
//! leaks). Requests are counted in millionths, so that at one a second one millionth comes back each microsecond.

use std::time::Duration;

use cardea_core::resources::Rate;

/// A request.
pub(super) const WHOLE: i64 = 1_000_000;

/// How much was used at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Millionths of a request.
    pub used: i64,
    /// The moment, in microseconds since 1970.
    pub at: i64,
}

impl Level {
    /// The same at a later moment, when some of it has come back. Clocks of several gateways differ: to one that is behind, nothing
    /// has come back yet.
    pub(super) fn as_of(self, now: i64, rate: Rate) -> Self {
        let passed = i128::from(now.saturating_sub(self.at).max(0));
        let back = passed * i128::from(rate.requests) / i128::from(rate.seconds.max(1));
        let back = i64::try_from(back).unwrap_or(i64::MAX);
        Self { used: self.used.saturating_sub(back).max(0), at: self.at.max(now) }
    }

    /// One request more, or how long until there is room for it. INVARIANT: whoever is refused leaves it as it stands, so that what
    /// comes back is never rounded away by asking often.
    pub(super) fn one_more(self, now: i64, rate: Rate) -> Result<Self, Duration> {
        let stood = self.as_of(now, rate);
        let (next, room) = (stood.used.saturating_add(WHOLE), i64::from(rate.at_once()) * WHOLE);
        if next <= room { Ok(Self { used: next, ..stood }) } else { Err(back_in(next - room, rate)) }
    }

    /// How many more may come at once.
    pub(super) fn left(self, rate: Rate) -> u32 {
        let room = i64::from(rate.at_once()) * WHOLE;
        u32::try_from((room - self.used).max(0) / WHOLE).unwrap_or(u32::MAX)
    }

    /// When all of it has come back.
    pub(super) fn all_back_in(self, rate: Rate) -> Duration {
        back_in(self.used, rate)
    }
}

/// How long it takes until so many millionths have come back.
fn back_in(used: i64, rate: Rate) -> Duration {
    let micros = u128::from(used.max(0).unsigned_abs()) * u128::from(rate.seconds);
    Duration::from_micros(u64::try_from(micros.div_ceil(u128::from(rate.requests.max(1)))).unwrap_or(u64::MAX))
}

/// So many 255ths of a rate: one at least can still come at once, however seldom.
pub(super) fn part(rate: Rate, share: u8) -> Rate {
    let share = u32::from(share.max(1));
    let burst = (u64::from(rate.at_once()) * u64::from(share) / 255).max(1);
    Rate {
        requests: rate.requests.saturating_mul(share),
        seconds: rate.seconds.saturating_mul(255),
        burst: Some(u32::try_from(burst).unwrap_or(u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// Which of the requests that come at these moments, in milliseconds, may come.
    fn admitted(rate: Rate, at: &[i64]) -> Vec<bool> {
        let mut level = Level::default();
        let one = |at: &i64| match level.one_more(SECOND + at * 1_000, rate) {
            Ok(next) => {
                level = next;
                true
            }
            Err(_) => false,
        };
        at.iter().map(one).collect()
    }

    #[test]
    fn so_many_come_at_once_and_then_as_they_come_back() {
        let rate = |requests, seconds, burst| Rate { requests, seconds, burst };
        for (rate, at, expected) in [
            (rate(3, 3, None), &[0, 0, 0, 0, 999, 1_000, 1_000, 2_000][..], "yyynnyny"),
            (rate(3, 3, Some(1)), &[0, 0, 999, 1_000, 1_000], "ynnyn"),
            (rate(10, 1, Some(2)), &[0, 0, 0, 99, 100, 199, 200, 200], "yynnynyn"),
            // After a silence all may come at once again, and never more than all.
            (rate(2, 1, None), &[0, 0, 0, 60_000, 60_000, 60_000], "yynyyn"),
            (rate(1, 86_400, None), &[0, 1, 86_399_999, 86_400_000], "ynny"),
            // A clock that goes back gives nothing.
            (rate(1, 1, None), &[5_000, 0, 5_999, 6_000], "ynny"),
            (rate(7, 1, Some(1)), &[0, 142, 143], "yny"),
        ] {
            let told: String = admitted(rate, at).iter().map(|yes| if *yes { 'y' } else { 'n' }).collect();
            assert_eq!(told, expected, "{rate:?} at {at:?}");
        }
    }

    /// Nothing is lost to rounding, however often somebody asks in vain, and nothing is gained.
    #[test]
    fn over_a_long_time_as_many_come_as_the_rate_says() {
        for (requests, seconds) in [(7, 3), (1, 5), (1_000, 7), (3, 86_400)] {
            let rate = Rate { requests, seconds, burst: Some(1) };
            let (mut level, mut came) = (Level::default(), 0);
            let span = i64::from(seconds) * SECOND;
            let step = span / 9_973;
            for nth in 0..=9_973 * 3 {
                if let Ok(next) = level.one_more(nth * step, rate) {
                    (level, came) = (next, came + 1);
                }
            }
            let most = 3 * requests + 1;
            assert!((most - requests / 4 - 1..=most).contains(&came), "{came} of {rate:?}");
        }
    }

    #[test]
    fn what_is_told_is_what_will_be() {
        let rate = Rate { requests: 60, seconds: 60, burst: Some(5) };
        let mut level = Level::default();
        for left in [4, 3, 2, 1, 0] {
            level = level.one_more(SECOND, rate).unwrap();
            assert_eq!(level.left(rate), left);
        }
        assert_eq!(level.all_back_in(rate), Duration::from_secs(5));
        let wait = level.one_more(SECOND + 250_000, rate).unwrap_err();
        assert_eq!(wait, Duration::from_millis(750));
        level.one_more(2 * SECOND - 1, rate).unwrap_err();
        level.one_more(2 * SECOND, rate).unwrap();
    }

    #[test]
    fn a_part_of_a_rate_is_so_much_slower_and_never_nothing() {
        let rate = Rate { requests: 1_000_000, seconds: 86_400, burst: Some(100) };
        assert_eq!(part(rate, 255), Rate { requests: 255_000_000, seconds: 22_032_000, burst: Some(100) });
        assert_eq!(part(rate, 51).burst, Some(20));
        let least = part(Rate { requests: 1, seconds: 1, burst: None }, 0);
        assert_eq!((least.requests, least.seconds, least.at_once()), (1, 255, 1));
    }
}
