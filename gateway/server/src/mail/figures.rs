//! How many letters there were of each kind, and what became of them.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::Letter;

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
struct Labels {
    letter: &'static str,
    outcome: &'static str,
}

/// The counters.
#[derive(Debug, Clone)]
pub(crate) struct Counts(Family<Labels, Counter>);

impl Default for Counts {
    fn default() -> Self {
        let counts = Self(Family::default());
        // All of them from the start: an alert on an increase needs the zero before it.
        for letter in Letter::KINDS {
            for outcome in [Outcome::Sent, Outcome::Failed, Outcome::Dropped] {
                counts.0.get_or_create_owned(&labels(letter, outcome));
            }
        }
        counts
    }
}

impl Counts {
    /// Counts one.
    pub(super) fn count(&self, letter: &'static str, outcome: Outcome) {
        self.0.get_or_create(&labels(letter, outcome)).inc();
    }

    /// Registers them.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("cardea_mail", "Letters to people, by what became of them", self.0.clone());
    }
}

const fn labels(letter: &'static str, outcome: Outcome) -> Labels {
    let outcome = match outcome {
        Outcome::Sent => "sent",
        Outcome::Failed => "failed",
        Outcome::Dropped => "dropped",
    };
    Labels { letter, outcome }
}
