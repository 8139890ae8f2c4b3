//! The house: every part of one gateway, built once and shared by all handlers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use cardea_core::{Clock, Entropy, TenantId, Timestamp};
use cardea_identity::Sealer;

use crate::{
    config::Config,
    outgoing::OutgoingClient,
    state::{State, TenantState},
};

/// Every part of one gateway. Handlers take it as `State<Arc<House>>`.
pub struct House {
    /// The configuration that the process started with.
    pub config: Config,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
    /// All tenants, prepared; swapped whole.
    pub state: ArcSwap<State>,
    /// Seals and opens secrets at rest under the operator's key.
    pub sealer: Sealer,
    /// Calls to others: providers' discovery, keys and tokens.
    pub http: OutgoingClient,
}

impl House {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A tenant as it stands now.
    pub fn tenant(&self, id: &TenantId) -> Option<Arc<TenantState>> {
        self.state.load().tenants.get(id).cloned()
    }
}
