//! How many there were of something, by what became of each.

use std::{fmt::Debug, hash::Hash};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The counters, told apart by `L`.
#[derive(Debug, Clone)]
pub(crate) struct Outcomes<L: Clone + Eq + Hash>(Family<L, Counter>);

impl<L: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static> Outcomes<L> {
    /// One for each of `all`, at zero: an alert on an increase needs the zero before it.
    pub(crate) fn of(all: impl IntoIterator<Item: Into<L>>) -> Self {
        let counts = Self(Family::default());
        for labels in all {
            counts.0.get_or_create_owned(&labels.into());
        }
        counts
    }

    /// Counts one.
    pub(crate) fn count(&self, labels: impl Into<L>) {
        self.0.get_or_create(&labels.into()).inc();
    }

    /// Registers them.
    pub(crate) fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.clone());
    }
}
