//! Counts by a closed list of kinds.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::{
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};

use crate::{framing::Flood, listener::Turned};

/// One count for each of `N` kinds.
#[derive(Debug)]
pub(crate) struct Kinds<const N: usize>([AtomicU64; N]);

/// Connections that ended because of a flood.
pub(crate) type Floods = Kinds<{ Flood::ALL.len() }>;

/// Connections that ended before TLS or a request.
pub(crate) type TurnedAway = Kinds<{ Turned::ALL.len() }>;

impl<const N: usize> Default for Kinds<N> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Kinds<N> {
    /// Counts one more of the kind that stands at `nth` in its list.
    pub(crate) fn count(&self, nth: usize) {
        if let Some(count) = self.0.get(nth) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes all of them, also those of which there was none, so that an alert sees the first.
    pub(super) fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        kinds: [&str; N],
    ) -> std::fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (kind, count) in kinds.into_iter().zip(&self.0) {
            family
                .encode_family(&[("kind", kind)])?
                .encode_counter::<NoLabelSet, _, u64>(&count.load(Ordering::Relaxed), None)?;
        }
        Ok(())
    }
}
