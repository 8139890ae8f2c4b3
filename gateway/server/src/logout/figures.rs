//! What becomes of words to apps, as it is counted.

use prometheus_client::encoding::EncodeLabelSet;

use crate::figures::Outcomes;

/// What became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The app has it.
    Told,
    /// The app would not have it.
    Refused,
    /// The app could not be told.
    Failed,
    /// Too many waited, or the gateway ended.
    Dropped,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    outcome: &'static str,
}

/// The counters, at zero.
pub(super) fn counts() -> Outcomes<Labels> {
    Outcomes::of([Outcome::Told, Outcome::Refused, Outcome::Failed, Outcome::Dropped])
}

impl From<Outcome> for Labels {
    fn from(outcome: Outcome) -> Self {
        let outcome = match outcome {
            Outcome::Told => "told",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Dropped => "dropped",
        };
        Self { outcome }
    }
}
