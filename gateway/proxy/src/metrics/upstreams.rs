//! How the addresses of services are, told when somebody asks: two names from configuration and three states bound what
//! there is to tell.

use std::{collections::BTreeMap, fmt, sync::Weak};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};

use crate::{Proxy, Snapshot, upstream::States};

/// Reads the snapshot in force at each scrape.
#[derive(Debug)]
pub(crate) struct Upstreams(pub(crate) Weak<Proxy>);

impl Collector for Upstreams {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(proxy) = self.0.upgrade() else { return Ok(()) };
        let snapshot = proxy.snapshot();
        let used = used(&snapshot);
        let (name, help) = ("cardea_upstream_endpoints", "Addresses of services by state");
        let mut endpoints = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (&(tenant, app), (states, _)) in &used {
            for (state, count) in [("up", states.up), ("down", states.down), ("ejected", states.ejected)] {
                let labels = [("tenant", tenant), ("app", app), ("state", state)];
                endpoints.encode_family(&labels)?.encode_gauge(&count)?;
            }
        }
        let (name, help) = ("cardea_upstream_retries", "Requests sent again, or to another address");
        let mut retries = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (&(tenant, app), (_, count)) in &used {
            let labels = [("tenant", tenant), ("app", app)];
            retries.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        Ok(())
    }
}

/// The services that have been used, by tenant and app.
fn used(snapshot: &Snapshot) -> BTreeMap<(&str, &str), (States, u64)> {
    let known = snapshot.apps().filter_map(|(tenant, app)| {
        let states = app.upstream.as_ref()?.states()?;
        Some(((tenant.id.as_str(), app.spec.id.as_str()), states))
    });
    known.collect()
}
