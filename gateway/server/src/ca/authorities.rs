//! Root and intermediates: made once, sealed in the store, loaded when first needed.

use std::{future::Future, sync::Arc};

use cardea_audit::{Actor, Entry, Event};
use cardea_certs::{Authority, SpiffeId, TrustDomain};
use cardea_core::{EntryId, TenantId};
use cardea_storage::{SealedRecord, StoreFault};
use rustls::{RootCertStore, crypto::aws_lc_rs, server::WebPkiClientVerifier};

use super::{Ca, CaFault, Loaded, TenantCa, entry, own::Slot};
use crate::House;

const ROOT: &str = "ca-root";
const INTERMEDIATE: &str = "ca-intermediate";
/// Names the first key of a purpose: with one fixed name, of two gateways that make one at once only one keeps its own.
const FIRST: &str = "1";

impl Ca {
    /// The operator's root.
    pub async fn root(&self, house: &House) -> Result<Arc<Authority>, CaFault> {
        let made = async || {
            let make = async || Ok(Authority::root(house.now(), &*house.entropy)?);
            load_or_make(house, None, None, ROOT, make).await.map(Arc::new)
        };
        self.root.get_or_try_init(made).await.cloned()
    }

    /// A tenant's part, loaded or made.
    pub(crate) async fn tenant(&self, house: &House, id: &TenantId) -> Result<Arc<TenantCa>, CaFault> {
        if let Some(found) = self.loaded(id) {
            return Ok(found);
        }
        let _one = self.loading.lock().await;
        if let Some(found) = self.loaded(id) {
            return Ok(found);
        }
        let domain = TrustDomain::of_tenant(id, &house.config.trust_domain)?;
        let make = async || {
            let root = self.root(house).await?;
            Ok(root.intermediate(&domain, house.now(), &*house.entropy)?)
        };
        let authority = load_or_make(house, Some(id), Some(domain.clone()), INTERMEDIATE, make).await?;
        let tenant = Arc::new(TenantCa {
            tenant: id.clone(),
            clients: clients(&authority)?,
            authority,
            gateway: Arc::new(Slot::default()),
            server: Arc::new(Slot::default()),
        });
        self.state.rcu(|now| {
            let mut tenants: std::collections::BTreeMap<_, _> = now.tenants.iter().map(entry).collect();
            tenants.insert(id.clone(), Arc::clone(&tenant));
            Loaded { tenants, hosts: now.hosts.clone() }
        });
        Ok(tenant)
    }

    /// A tenant's part, if it is loaded.
    pub(super) fn loaded(&self, id: &TenantId) -> Option<Arc<TenantCa>> {
        self.state.load().tenants.get(id).cloned()
    }
}

impl TenantCa {
    /// The trust domain of the tenant's workloads.
    pub(super) fn domain(&self) -> Result<&TrustDomain, CaFault> {
        self.authority.domain().ok_or_else(|| CaFault::NoTenant(self.tenant.clone()))
    }

    /// Whether a name is one of this tenant's services, and not the gateway itself.
    pub(super) fn is_service(&self, id: &SpiffeId) -> bool {
        self.authority.domain() == Some(id.trust_domain()) && id.service_name().is_some()
    }
}

async fn load_or_make<F: Future<Output = Result<Authority, CaFault>>>(
    house: &House,
    tenant: Option<&TenantId>,
    domain: Option<TrustDomain>,
    purpose: &'static str,
    make: impl FnOnce() -> F,
) -> Result<Authority, CaFault> {
    if let Some(found) = load(house, tenant, domain.clone(), purpose).await? {
        return Ok(found);
    }
    let made = make().await?;
    let key = made.key_pem().expose().as_bytes();
    let sealed = house
        .store
        .sealer(tenant)
        .await?
        .seal(&place(tenant, purpose), key, &*house.entropy)
        .map_err(|_| CaFault::Sealed(place(tenant, purpose)))?;
    // The entry comes before the key is kept: a key without an entry must not be, an entry without a key may.
    let key = made.facts().serial.clone();
    let what = Event::KeyRotated { purpose: purpose.trim_start_matches("ca-").into(), key };
    house.log.record_durable(own_entry(house, tenant, what)).await?;
    let record = SealedRecord {
        tenant: tenant.cloned(),
        purpose: purpose.to_owned(),
        id: FIRST.to_owned(),
        sealed,
        public: made.to_pem(),
        not_before: made.facts().not_before,
        not_after: made.facts().not_after,
    };
    if house.store.insert_sealed(&record).await? {
        return Ok(made);
    }
    // Another gateway was faster: its key counts, and ours is forgotten unused.
    load(house, tenant, domain, purpose).await?.ok_or_else(|| CaFault::Sealed(place(tenant, purpose)))
}

async fn load(
    house: &House,
    tenant: Option<&TenantId>,
    domain: Option<TrustDomain>,
    purpose: &str,
) -> Result<Option<Authority>, CaFault> {
    let Some(record) = house.store.sealed(tenant, purpose).await?.into_iter().next() else { return Ok(None) };
    let closed = || CaFault::Sealed(place(tenant, purpose));
    let key = house.store.sealer(tenant).await?.open(&place(tenant, purpose), &record.sealed).map_err(|_| closed())?;
    let key = std::str::from_utf8(key.expose()).map_err(|_| closed())?;
    Ok(Some(Authority::from_pem(&record.public, key, domain)?))
}

/// What a sealed key is bound to; see [`cardea_identity::Sealer`].
fn place(tenant: Option<&TenantId>, purpose: &str) -> String {
    cardea_storage::place_of_secret(tenant, purpose, FIRST)
}

fn own_entry(house: &House, tenant: Option<&TenantId>, event: Event) -> Entry {
    let at = house.now();
    Entry {
        id: EntryId::mint(at, &*house.entropy),
        at,
        tenant: tenant.cloned(),
        actor: Actor::GATEWAY,
        session: None,
        client: None,
        event,
    }
}

fn clients(authority: &Authority) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, CaFault> {
    let mut roots = RootCertStore::empty();
    for anchor in authority.bundle().anchors() {
        roots.add(anchor.clone()).map_err(|error| CaFault::Tls("an intermediate", error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map(|verifier| verifier as _)
        .map_err(|error| CaFault::Tls("an intermediate", error.to_string()))
}

impl From<CaFault> for StoreFault {
    fn from(fault: CaFault) -> Self {
        match fault {
            CaFault::Store(fault) => fault,
            other => Self::Corrupt { what: "certificate authority", why: other.to_string() },
        }
    }
}
