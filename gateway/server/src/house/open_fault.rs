//! Why a house cannot be opened.

use cardea_core::Diagnostics;
use cardea_storage::StoreFault;

use super::{KeysFault, operator_key::KeyFault};
use crate::ca::CaFault;

/// Why the house cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The store.
    #[error("the store in `{dir}` cannot be opened: {source}")]
    Store {
        /// The state folder.
        dir: String,
        /// Why.
        source: StoreFault,
    },
    /// What is to be changed lies elsewhere for the gateway that runs.
    #[error(
        "the gateway that runs here started with another `[{table}]`: nothing was changed, since it would not see it. Restart it first; if none runs, delete \
         `{dir}/in-force.json`"
    )]
    Elsewhere {
        /// The table of the configuration.
        table: &'static str,
        /// The state folder.
        dir: String,
    },
    /// The operator's key.
    #[error("{0}")]
    Key(String),
    /// What the store holds does not fit together.
    #[error("{0}")]
    Resources(#[from] Diagnostics),
    /// Keys of assertions.
    #[error(transparent)]
    Keys(#[from] KeysFault),
    /// The internal CA.
    #[error(transparent)]
    Ca(#[from] CaFault),
    /// Calls to others.
    #[error(transparent)]
    Outgoing(#[from] crate::outgoing::CallFault),
    /// Letters.
    #[error("{0}")]
    Mail(String),
}

impl From<KeyFault> for OpenFault {
    fn from(fault: KeyFault) -> Self {
        Self::Key(fault.to_string())
    }
}
