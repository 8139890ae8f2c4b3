//! How many words there were to apps, and what became of them.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

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
struct Labels {
    outcome: &'static str,
}

/// The counters.
#[derive(Debug, Clone)]
pub(crate) struct Counts(Family<Labels, Counter>);

impl Default for Counts {
    fn default() -> Self {
        let counts = Self(Family::default());
        // All of them from the start: an alert on an increase needs the zero before it.
        for outcome in [Outcome::Told, Outcome::Refused, Outcome::Failed, Outcome::Dropped] {
            counts.0.get_or_create_owned(&labels(outcome));
        }
        counts
    }
}

impl Counts {
    /// Counts one.
    pub(super) fn count(&self, outcome: Outcome) {
        self.0.get_or_create(&labels(outcome)).inc();
    }

    /// Registers them.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Apps told that a session is over, by what became of it";
        registry.register("cardea_logout_tokens", help, self.0.clone());
    }
}

const fn labels(outcome: Outcome) -> Labels {
    let outcome = match outcome {
        Outcome::Told => "told",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Dropped => "dropped",
    };
    Labels { outcome }
}
