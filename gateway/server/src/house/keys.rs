//! The keys that assertions are signed with: made ahead by their schedule, kept sealed, opened once per process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use cardea_audit::Event;
use cardea_core::{Diagnostic, Diagnostics, TenantId};
use cardea_identity::keys::{self, KeyFault, KeyRecord, SigningKey};
use cardea_storage::StoreFault;

use super::{Doer, House};

/// Every tenant's keys, opened.
#[derive(Default)]
pub(crate) struct KeyRing(ArcSwap<HashMap<TenantId, Arc<Keys>>>);

/// One tenant's keys.
pub(crate) struct Keys {
    /// Those that are published.
    pub(crate) records: Vec<KeyRecord>,
    /// Those of them that sign now or soon.
    pub(crate) signing: HashMap<String, SigningKey>,
}

/// Why a tenant's keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysFault {
    /// The store.
    #[error("the assertion keys cannot be read: {0}")]
    Store(#[from] StoreFault),
    /// A key does not open.
    #[error("an assertion key of tenant `{tenant}` does not open: is `operator.key` the one that it was sealed under?")]
    Sealed {
        /// Whose.
        tenant: TenantId,
        /// What went wrong.
        source: KeyFault,
    },
}

impl KeyRing {
    pub(crate) fn of(&self, tenant: &TenantId) -> Option<Arc<Keys>> {
        self.0.load().get(tenant).cloned()
    }
}

impl House {
    /// Reads every tenant's keys, and makes those that are due. To be called when tenants change, and every hour. Gives
    /// the tenants whose keys do not open; `Err` if the store does not answer.
    pub async fn prepare_keys(
        &self,
        tenants: impl Iterator<Item = &TenantId>,
    ) -> Result<BTreeMap<TenantId, Diagnostics>, KeysFault> {
        let (mut ring, mut amiss) = (HashMap::new(), BTreeMap::new());
        for tenant in tenants {
            match self.keys_of(tenant).await {
                Ok(keys) => {
                    ring.insert(tenant.clone(), Arc::new(keys));
                }
                Err(fault @ KeysFault::Sealed { .. }) => {
                    ring.extend(self.keys.of(tenant).map(|before| (tenant.clone(), before)));
                    amiss.insert(tenant.clone(), Diagnostic::new("keys", fault.to_string()).into());
                }
                Err(fault) => return Err(fault),
            }
        }
        self.keys.0.store(Arc::new(ring));
        Ok(amiss)
    }

    async fn keys_of(&self, tenant: &TenantId) -> Result<Keys, KeysFault> {
        let sealed = |source| KeysFault::Sealed { tenant: tenant.clone(), source };
        let now = self.now();
        // After each reading of records: it knows the keys that they are sealed under.
        let sealer = async || match self.sealer(tenant).await {
            Err(StoreFault::OtherKey) => Err(sealed(KeyFault)),
            other => Ok(other?),
        };
        let mut records = match self.store.keys(tenant, now).await {
            Err(StoreFault::OtherKey) => return Err(sealed(KeyFault)),
            other => other?,
        };
        if let Some(from) = keys::due(&records, now) {
            let made = keys::make(tenant, from, &sealer().await?, now, &*self.entropy).map_err(sealed)?;
            // Another gateway may have been faster: then its key is the one.
            if self.store.insert_key(&made, from).await? {
                let event = Event::KeyRotated { purpose: "assertion".into(), key: made.id };
                self.record(tenant, &Doer::gateway(), event).await?;
            }
            records = self.store.keys(tenant, now).await?;
        }
        let (sealer, mut signing) = (sealer().await?, HashMap::new());
        for record in records.iter().filter(|record| now < record.signs_until) {
            signing.insert(record.id.clone(), record.open(&sealer).map_err(sealed)?);
        }
        Ok(Keys { records, signing })
    }

    /// The key set that services verify a tenant's assertions with (RFC 7517).
    pub fn jwks(&self, tenant: &TenantId) -> serde_json::Value {
        let keys = self.keys.of(tenant);
        keys::jwks(keys.as_ref().map_or(&[][..], |keys| &keys.records), self.now())
    }
}
