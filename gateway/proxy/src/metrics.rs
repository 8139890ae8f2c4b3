//! What the data plane counts.

/// The counters of one app, found once.
#[derive(Debug, Default)]
pub(crate) struct Meters;
