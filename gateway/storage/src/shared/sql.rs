//! Shared state in the durable store's own database.

use crate::Store;

/// Shared state in the durable store's own database.
#[derive(Debug, Clone)]
pub struct SqlShared(Store);

impl SqlShared {
    /// Shared state beside everything else in `store`.
    pub const fn new(store: Store) -> Self {
        Self(store)
    }
}
