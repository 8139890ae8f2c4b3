//! Tenants: which there are, and what deleting one takes with it.

use cardea_core::{TenantId, resources::TenantSpec};

use crate::{Store, StoreFault};

impl Store {
    /// All tenants, by id.
    pub async fn tenants(&self) -> Result<Vec<TenantSpec>, StoreFault> {
        todo!()
    }

    /// One tenant.
    pub async fn tenant(&self, id: &TenantId) -> Result<Option<TenantSpec>, StoreFault> {
        let _ = id;
        todo!()
    }
}
