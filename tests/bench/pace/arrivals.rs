//! When requests are due.

use anyhow::{Context, Result, bail};

/// Moments in nanoseconds from the beginning: evenly spaced, or those of a Poisson process, in which many come at once now and then.
pub(crate) struct Arrivals {
    left: u64,
    gap: f64,
    at: f64,
    /// Where the Poisson process's own randomness stands: the same seed gives the same moments.
    state: Option<u64>,
}

impl Arrivals {
    /// `count` of them at `rate` a second; `kind` is `even` or a seed.
    pub(crate) fn new(rate: u64, count: u64, kind: &str) -> Result<Self> {
        if rate == 0 {
            bail!("a rate of `0` sends nothing");
        }
        let state = if kind == "even" {
            None
        } else {
            Some(kind.parse().with_context(|| format!("`{kind}` is neither `even` nor a seed"))?)
        };
        #[allow(clippy::cast_precision_loss, reason = "a rate is small")]
        let gap = 1e9 / rate as f64;
        Ok(Self { left: count, gap, at: 0.0, state })
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a run takes minutes, and time goes forward"
        )]
        let due = self.at as u64;
        self.at += self.gap * self.state.as_mut().map_or(1.0, |state| -unit(state).ln());
        Some(due)
    }
}

/// More than 0, at most 1, by SplitMix64.
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    let share = ((mixed >> 11) + 1) as f64 / (1u64 << 53) as f64;
    share
}
