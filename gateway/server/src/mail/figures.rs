//! What becomes of letters of each kind, as it is counted.

use prometheus_client::encoding::EncodeLabelSet;

use super::Letter;
use crate::figures::Outcomes;

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The mail server has it.
    Sent,
    /// The mail server would not have it, or was not there.
    Failed,
    /// Too many waited.
    Dropped,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    letter: &'static str,
    outcome: &'static str,
}

/// The counters, at zero.
pub(super) fn counts() -> Outcomes<Labels> {
    let of = |letter| [Outcome::Sent, Outcome::Failed, Outcome::Dropped].map(|outcome| (letter, outcome));
    Outcomes::of(Letter::KINDS.into_iter().flat_map(of))
}

impl From<(&'static str, Outcome)> for Labels {
    fn from((letter, outcome): (&'static str, Outcome)) -> Self {
        let outcome = match outcome {
            Outcome::Sent => "sent",
            Outcome::Failed => "failed",
            Outcome::Dropped => "dropped",
        };
        Self { letter, outcome }
    }
}
