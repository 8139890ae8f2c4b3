//! The internal CA at work: keeps its keys sealed in the store, certifies the gateway itself and the services that
//! enrol, and renews what is ours half-way through its life. The rules are in `cardea-certs`; nothing is answered before
//! its entry is on disk.

mod authorities;
mod issue;
mod listener;
mod own;
mod routes;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use cardea_certs::Authority;
use cardea_core::{
    Diagnostic, Diagnostics, TenantId,
    resources::{Bundle, TenantBundle},
};
use cardea_proxy::upstream::{Transport, tls};
use cardea_storage::{Legible, StoreFault};
use rustls::server::danger::ClientCertVerifier;
use tokio::sync::Mutex;

use crate::{House, house::with_causes};

pub use issue::EnrolmentMade;
pub use own::keep;
pub(crate) use routes::Given;
pub use routes::routes;

/// Why the CA cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum CaFault {
    /// The store or the log.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A rule of the CA.
    #[error(transparent)]
    Certs(#[from] cardea_certs::Error),
    /// A name that cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] cardea_certs::InvalidSpiffeId),
    /// A sealed key does not open: the operator's key is another than the one that sealed it.
    #[error("the key of {0} does not open under this operator's key")]
    Sealed(String),
    /// TLS refuses what we made.
    #[error("tls cannot use {0}: {1}")]
    Tls(&'static str, String),
    /// There is no such tenant.
    #[error("there is no tenant `{0}`")]
    NoTenant(TenantId),
}

/// The CA of one gateway process: what it has loaded of root and intermediates, and its own certificates.
pub struct Ca {
    ttl: Duration,
    root: tokio::sync::OnceCell<Arc<Authority>>,
    state: ArcSwap<Loaded>,
    /// Held while something is loaded or made, so that one tenant gets one intermediate.
    loading: Mutex<()>,
}

#[derive(Default)]
struct Loaded {
    tenants: BTreeMap<TenantId, Arc<TenantCa>>,
    /// By sign-in host, for the machines listener.
    hosts: HashMap<String, Arc<TenantCa>>,
}

/// One tenant's part of the CA.
pub(crate) struct TenantCa {
    tenant: TenantId,
    authority: Authority,
    /// Verifies that a client's certificate ends in this tenant's intermediate.
    clients: Arc<dyn ClientCertVerifier>,
    /// What we show to the tenant's services.
    gateway: Arc<own::Slot>,
    /// What the machines listener shows at the tenant's sign-in host.
    server: Arc<own::Slot>,
}

impl Ca {
    /// A CA that has loaded nothing yet and issues leaves of this life.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, root: tokio::sync::OnceCell::new(), state: ArcSwap::default(), loading: Mutex::default() }
    }

    /// Loads, or makes, what the tenants need before their first request: an intermediate where services enrol or mTLS
    /// leads upstream, and then the gateway's own certificates. Called whenever resources have changed, before
    /// [`Ca::transport`]. Gives the tenants for which that failed; `Err` if the store or the log does not answer.
    pub async fn prepare(
        &self,
        house: &House,
        Legible { bundle: Bundle { tenants, .. }, illegible }: &Legible,
    ) -> Result<BTreeMap<TenantId, Diagnostics>, CaFault> {
        let (mut hosts, mut amiss) = (HashMap::new(), BTreeMap::new());
        for (id, bundle) in tenants {
            match self.prepare_tenant(house, id, bundle).await {
                Ok(host) => hosts.extend(host),
                Err(CaFault::Store(fault)) => return Err(fault.into()),
                Err(fault) => {
                    amiss.insert(id.clone(), Diagnostic::new("authority", with_causes(&fault)).into());
                }
            }
        }
        // Tenants that are gone lose their place: their workloads are strangers from now on.
        self.state.rcu(|now| {
            let is_behind = |id: &TenantId| amiss.contains_key(id) || illegible.contains_key(id);
            let kept = now.hosts.iter().filter(|(_, tenant)| is_behind(&tenant.tenant));
            let kept = kept.map(|(host, tenant)| (host.clone(), Arc::clone(tenant)));
            Loaded {
                tenants: now
                    .tenants
                    .iter()
                    .filter(|(id, _)| tenants.contains_key(*id) || is_behind(id))
                    .map(entry)
                    .collect(),
                hosts: kept.chain(hosts.clone()).collect(),
            }
        });
        Ok(amiss)
    }

    /// One tenant's part; gives its place at the machines listener.
    async fn prepare_tenant(
        &self,
        house: &House,
        id: &TenantId,
        bundle: &TenantBundle,
    ) -> Result<Option<(String, Arc<TenantCa>)>, CaFault> {
        let machines = house.config.machines.is_some();
        let mutual = bundle.apps.values().filter_map(|app| app.upstream.as_ref()).any(|one| one.spiffe_id.is_some());
        if !mutual && !machines {
            return Ok(None);
        }
        let tenant = self.tenant(house, id).await?;
        if mutual {
            self.renew_gateway(house, &tenant).await?;
        }
        if !machines {
            return Ok(None);
        }
        let host = &bundle.tenant.sign_in_host;
        self.renew_server(house, &tenant, host).await?;
        Ok(Some((host.clone(), tenant)))
    }

    /// How the gateway reaches a service of the tenant that proves `spiffe_id`: trusting the tenant's intermediate only,
    /// and showing the gateway's certificate of the moment.
    pub fn transport(&self, tenant: &TenantId, spiffe_id: &str) -> Result<Transport, String> {
        let loaded = self.state.load();
        let found = loaded.tenants.get(tenant).ok_or_else(|| format!("tenant `{tenant}` has no authority"))?;
        let anchors = found.authority.bundle();
        let shown = Arc::clone(&found.gateway) as Arc<dyn rustls::client::ResolvesClientCert>;
        tls::mutual(anchors.anchors(), spiffe_id, shown).map(Transport::Tls).map_err(|error| error.to_string())
    }

    /// TLS settings of the machines listener.
    pub fn machines(house: &Arc<House>) -> Result<Arc<rustls::ServerConfig>, CaFault> {
        listener::server_config(house)
    }

    /// TLS of a listener that asks clients for a certificate of ours: programs whose tokens are bound to it show one (RFC 8705), and
    /// browsers, which have none, none.
    pub fn asking(
        house: &Arc<House>,
        shown: Arc<dyn rustls::server::ResolvesServerCert>,
    ) -> Result<Arc<rustls::ServerConfig>, CaFault> {
        listener::asking(house, shown)
    }
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("tenants", &self.state.load().tenants.len()).finish_non_exhaustive()
    }
}

fn entry((id, tenant): (&TenantId, &Arc<TenantCa>)) -> (TenantId, Arc<TenantCa>) {
    (id.clone(), Arc::clone(tenant))
}
