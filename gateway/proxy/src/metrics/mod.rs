//! What the data plane counts. Every label is a name from the configuration or from a closed list, and of names there are
//! at most two thousand: all further apps are counted together as `other`. Nothing here takes a lock while a request waits.
//! There are no exemplars: each would have to be kept whole, and so behind a lock.

mod app;
mod handshakes;
mod histogram;
mod kinds;
mod upstreams;

use std::sync::{Arc, atomic::Ordering};

use cardea_core::Reason;
use http::Method;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::{MetricType, gauge::Gauge},
    registry::{Registry, Unit},
};

pub(crate) use app::Meters;
pub(crate) use histogram::Histogram;
pub(crate) use upstreams::Upstreams;

use crate::{App, Snapshot, Tenant, framing::Flood, listener::Turned};

/// Counters and histograms of all listeners together.
#[derive(Debug)]
pub(crate) struct Metrics {
    counts: Arc<Counts>,
    pub(crate) in_flight: Gauge,
    pub(crate) open_streams: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) resting: Gauge,
}

/// One more in a gauge, until it is dropped.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn one_more(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What is encoded when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    apps: app::Apps,
    stages: [Histogram; Stage::ALL.len()],
    pub(crate) handshakes: handshakes::Handshakes,
    floods: kinds::Floods,
    turned_away: kinds::TurnedAway,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            counts: Arc::default(),
            in_flight: Gauge::default(),
            open_streams: Gauge::default(),
            connections: Gauge::default(),
            resting: Gauge::default(),
        };
        registry.register_collector(Box::new(Told(Arc::clone(&metrics.counts))));
        registry.register("cardea_in_flight", "Requests whose answer is not yet decided", metrics.in_flight.clone());
        registry.register("cardea_open_streams", "Streams tied to their permit", metrics.open_streams.clone());
        registry.register("cardea_connections", "Open client connections", metrics.connections.clone());
        registry.register(
            "cardea_connections_resting",
            "Open client connections that hold nothing of what requests need",
            metrics.resting.clone(),
        );
        metrics
    }

    /// Counts the end of a request that began so long ago.
    pub(crate) fn count(
        &self,
        asked: Option<(&Tenant, &App)>,
        method: &Method,
        (status, reason): (u16, Option<Reason>),
        took: std::time::Duration,
    ) {
        let meters = match asked {
            Some((tenant, app)) => self.meters(tenant, app),
            None => &self.apps.nobody,
        };
        meters.count(method, status, reason);
        meters.seconds.observe(took);
    }

    /// The counters of an app.
    pub(crate) fn meters<'a>(&self, tenant: &Tenant, app: &'a App) -> &'a Arc<Meters> {
        app.meters.get_or_init(|| self.apps.of(&tenant.id, &app.spec.id))
    }

    /// Another generation is in force: what is gone is no longer told of.
    pub(crate) fn retain(&self, snapshot: &Snapshot) {
        self.apps.retain(snapshot);
    }
}

impl std::ops::Deref for Metrics {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

/// Writes the counts, family by family.
#[derive(Debug)]
struct Told(Arc<Counts>);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counts = &*self.0;
        let apps = counts.apps.all();
        requests(&mut encoder, counts, &apps)?;
        let help = "Time until the answer's head, by app";
        let mut family =
            encoder.encode_descriptor("cardea_request", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for one in apps.iter().filter(|one| !one.seconds.is_empty()) {
            one.seconds.encode(family.encode_family(&[("tenant", &*one.tenant), ("app", &*one.app)])?)?;
        }
        let help = "Time spent in each stage of a request";
        let mut family =
            encoder.encode_descriptor("cardea_stage", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for stage in Stage::ALL {
            counts.stage(stage).encode(family.encode_family(&[("stage", stage.name())])?)?;
        }
        let help = "Bytes of bodies that passed between clients and services";
        let mut family = encoder.encode_descriptor("cardea_body", help, Some(&Unit::Bytes), MetricType::Counter)?;
        for one in &apps {
            for (direction, bytes) in [("in", &one.bytes_in), ("out", &one.bytes_out)] {
                let labels = [("tenant", &*one.tenant), ("app", &*one.app), ("direction", direction)];
                count(&mut family, &labels, bytes.load(Ordering::Relaxed))?;
            }
        }
        let help = "Handshakes with clients, by how they ended";
        let mut family = encoder.encode_descriptor("cardea_tls_handshakes", help, None, MetricType::Counter)?;
        for (end, number) in handshakes::ENDS.into_iter().zip(&counts.handshakes.0) {
            family
                .encode_family(&[("end", end)])?
                .encode_counter::<NoLabelSet, _, u64>(&number.load(Ordering::Relaxed), None)?;
        }
        let floods = ("cardea_floods", "Connections that ended because of a flood");
        counts.floods.encode(&mut encoder, floods, Flood::ALL.map(Flood::code))?;
        let turned_away = (
            "cardea_connections_turned_away",
            "Connections that ended before TLS or a request, or idle for others to have room",
        );
        counts.turned_away.encode(&mut encoder, turned_away, Turned::ALL.map(Turned::code))
    }
}

fn requests(encoder: &mut DescriptorEncoder<'_>, counts: &Counts, apps: &[Arc<Meters>]) -> std::fmt::Result {
    let help = "Requests by app, kind of method, status class and reason";
    let mut family = encoder.encode_descriptor("cardea_requests", help, None, MetricType::Counter)?;
    for one in apps.iter().map(|one| &**one).chain([&counts.apps.nobody]) {
        for (method, class, reason, number) in one.requests() {
            let labels = [
                ("tenant", &*one.tenant),
                ("app", &*one.app),
                ("method", method),
                ("class", class),
                ("reason", reason),
            ];
            count(&mut family, &labels, number)?;
        }
    }
    Ok(())
}

/// Writes what was counted at least once: most of what could be counted never is.
fn count(family: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, number: u64) -> std::fmt::Result {
    if number == 0 {
        return Ok(());
    }
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&number, None)
}

/// A stage of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Reading it.
    Edge,
    /// Who asks, and the decision.
    Access,
    /// The service.
    Upstream,
    /// Our own pages and API.
    Own,
}

impl Stage {
    pub(crate) const ALL: [Self; 4] = [Self::Edge, Self::Access, Self::Upstream, Self::Own];

    /// As metrics and traces name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Access => "access",
            Self::Upstream => "upstream",
            Self::Own => "own",
        }
    }
}

impl Counts {
    /// Counts a connection that ended because of a flood.
    pub(crate) fn flooded(&self, flood: Flood) {
        self.floods.count(flood as usize);
    }

    /// Counts a connection that ended before TLS or a request.
    pub(crate) fn turned_away(&self, why: Turned) {
        self.turned_away.count(why as usize);
    }

    /// The durations of a stage.
    pub(crate) fn stage(&self, stage: Stage) -> &Histogram {
        &self.stages[stage as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_counted_is_told_by_its_labels() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        metrics.count(None, &Method::GET, (404, Some(Reason::UnknownHost)), Duration::from_micros(30));
        metrics.stage(Stage::Edge).observe(Duration::from_micros(30));
        metrics.handshakes.timed_out();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"cardea_requests_total{tenant="",app="",method="read",class="4xx",reason="unknown-host"} 1"#,
            r#"cardea_stage_seconds_count{stage="edge"} 1"#,
            r#"cardea_tls_handshakes_total{end="timed-out"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
