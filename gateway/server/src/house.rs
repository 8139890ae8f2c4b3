//! The house: every part of one gateway, built once and shared by all handlers.

use std::sync::Arc;

use cardea_core::{Clock, Entropy};

use crate::config::Config;

/// Every part of one gateway. Handlers take it as `State<Arc<House>>`.
pub struct House {
    /// The configuration that the process started with.
    pub config: Config,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}
