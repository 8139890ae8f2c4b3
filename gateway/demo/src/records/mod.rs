//! A small records service, as one that Cardea protects would be: studies and their records, pages for people and JSON
//! for programs. It speaks mTLS only, answers nobody but the gateway acting for its tenant, and believes nothing of the
//! caller but the signed assertion.

mod assertion;
mod data;
mod pages;
mod routes;
mod serve;
mod socket;
mod tls;

use std::{path::PathBuf, sync::Arc};

use cardea_certs::SpiffeId;
use cardea_core::Clock;

pub use assertion::{Assertions, Caller, Fetch, Refusal, fetch_over_http};
pub use data::{Record, State, Store, Study};
pub(crate) use pages::{STYLE, hash};
pub use serve::serve;
pub use tls::Identity;

/// What one records service needs to know.
pub struct Options {
    /// The tenant's name as people read it.
    pub tenant: String,
    /// The file that keeps studies and records; made with a few on first start.
    pub data: PathBuf,
    /// Our certificate and key, and whom we trust; see [`Identity::from_folder`].
    pub identity: Arc<Identity>,
    /// The one client that is answered: the gateway acting for this tenant.
    pub gateway: SpiffeId,
    /// Checks assertions.
    pub assertions: Arc<Assertions>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}
