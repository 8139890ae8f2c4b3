//! The system's clock and the system's randomness: the only place that reads either. All else is given them.

use cardea_core::{Clock, Entropy, Timestamp};

/// Tells the time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the edge that the ban list points to")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }
}

/// Draws randomness from the operating system through aws-lc.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        // Keys from a source that failed would be worse than no gateway.
        if aws_lc_rs::rand::fill(out).is_err() {
            tracing::error!("the system gives no randomness; ending");
            std::process::abort();
        }
    }
}
