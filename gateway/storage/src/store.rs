//! The durable store: one writer, several readers.

use std::{path::Path, sync::Arc};

use crate::StoreFault;

/// The durable store. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Store(pub(crate) Arc<Pools>);

/// The connections: SQLite takes one writer at a time, so there is one.
#[derive(Debug)]
pub(crate) struct Pools {
    pub(crate) reader: sqlx::AnyPool,
    pub(crate) writer: sqlx::AnyPool,
}

impl Store {
    /// Opens the SQLite file at `path`, creating it (mode 0600) and bringing its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreFault> {
        let _ = path;
        todo!()
    }

    /// Whether it answers: for readiness.
    pub async fn ping(&self) -> Result<(), StoreFault> {
        todo!()
    }

    /// Ends all connections, having written what is to be written.
    pub async fn close(&self) {}
}
