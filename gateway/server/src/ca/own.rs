//! The gateway's own certificates: one per tenant to show to its services, one per sign-in host for the machines
//! listener. They live in memory only, and are replaced half-way through their life, with a new key each time.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use cardea_certs::{PrivateKey, Profile, Request, SpiffeId};
use cardea_core::Timestamp;
use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};

use super::{Ca, CaFault, TenantCa, issue::Issuance};
use crate::{House, house::Doer};

/// A certificate that is replaced while connections go on; new handshakes see the newest.
#[derive(Debug, Default)]
pub(super) struct Slot(ArcSwapOption<Current>);

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    serial: String,
    due: Timestamp,
}

impl Slot {
    /// What is shown now.
    pub(super) fn key(&self) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|current| Arc::clone(&current.key))
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.0.load().as_ref().is_none_or(|current| now >= current.due)
    }
}

impl ResolvesClientCert for Slot {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.key()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Ca {
    /// Certifies the gateway towards a tenant's services, if that is due.
    pub(super) async fn renew_gateway(&self, house: &House, tenant: &TenantCa) -> Result<(), CaFault> {
        let profile = Profile::Workload(SpiffeId::gateway(tenant.domain()?));
        self.renew_own(house, tenant, &tenant.gateway, profile).await
    }

    /// Certifies the machines listener at a tenant's sign-in host, if that is due.
    pub(super) async fn renew_server(&self, house: &House, tenant: &TenantCa, host: &str) -> Result<(), CaFault> {
        self.renew_own(house, tenant, &tenant.server, Profile::Server(vec![host.to_owned()])).await
    }

    async fn renew_own(&self, house: &House, tenant: &TenantCa, slot: &Slot, profile: Profile) -> Result<(), CaFault> {
        if !slot.is_due(house.now()) {
            return Ok(());
        }
        let key = PrivateKey::generate(&*house.entropy)?;
        let request = Request::parse(&key.request()?).map_err(cardea_certs::Error::from)?;
        let before = slot.0.load().as_ref().map(|current| current.serial.clone());
        let issuance = Issuance { profile, by: "gateway".into(), before };
        let issued = self.issue(house, tenant, issuance, &request, &Doer::gateway()).await?;
        let certified = certified(issued.chain.clone(), &key)?;
        let due = issued.facts.renewal_due();
        slot.0.store(Some(Arc::new(Current { key: certified, serial: issued.facts.serial, due })));
        Ok(())
    }

    /// Replaces whatever of ours is due; a tenant that fails is named, and tried again at the next round.
    pub async fn renew_due(&self, house: &House) {
        let loaded = self.state.load_full();
        for tenant in loaded.tenants.values() {
            if tenant.gateway.key().is_some()
                && let Err(error) = self.renew_gateway(house, tenant).await
            {
                tracing::error!(tenant = %tenant.tenant, error = %crate::house::with_causes(&error), "the gateway's certificate was not renewed");
            }
        }
        for (host, tenant) in &loaded.hosts {
            if let Err(error) = self.renew_server(house, tenant, host).await {
                tracing::error!(%host, error = %crate::house::with_causes(&error), "the machines listener's certificate was not renewed");
            }
        }
    }
}

/// Longest time between two looks. Half a certificate's life is left when it is due, so there are many tries.
const LOOK: Duration = Duration::from_secs(30);

/// Keeps the gateway's own certificates young. Never ends by itself.
pub async fn keep(house: Arc<House>) {
    let look = (house.ca.ttl / 8).clamp(Duration::from_secs(1), LOOK);
    loop {
        tokio::time::sleep(look).await;
        house.ca.renew_due(&house).await;
    }
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &PrivateKey) -> Result<Arc<CertifiedKey>, CaFault> {
    CertifiedKey::from_der(chain, PrivateKeyDer::Pkcs8(key.to_pkcs8()), &aws_lc_rs::default_provider())
        .map(Arc::new)
        .map_err(|error| CaFault::Tls("a certificate of ours", error.to_string()))
}
