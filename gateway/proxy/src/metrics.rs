//! What the data plane counts. Labels are names from configuration and closed lists, so their number is bounded.

use std::{sync::OnceLock, time::Duration};

use cardea_core::Reason;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{App, Tenant};

mod upstreams;

pub(crate) use upstreams::Upstreams;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    tenant: String,
    app: String,
    class: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

/// Counters and histograms of all listeners together.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    pub(crate) edge: Histogram,
    pub(crate) access: Histogram,
    pub(crate) upstream: Histogram,
    pub(crate) in_flight: Gauge,
    pub(crate) open_streams: Gauge,
    pub(crate) connections: Gauge,
}

/// The counters of one app without a reason, found once each: the usual way touches no map.
#[derive(Debug, Default)]
pub(crate) struct Meters([OnceLock<Counter>; 5]);

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// From 20 µs to some 40 s, each bound four times the last: enough to tell a cache from a store from a slow service.
fn durations() -> Histogram {
    Histogram::new((0..11).map(|nth| 20e-6 * 4f64.powi(nth)))
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let stages = Family::<StageLabels, Histogram>::new_with_constructor(durations);
        let stage = |stage| stages.get_or_create_owned(&StageLabels { stage });
        let metrics = Self {
            requests: Family::default(),
            edge: stage("edge"),
            access: stage("access"),
            upstream: stage("upstream"),
            in_flight: Gauge::default(),
            open_streams: Gauge::default(),
            connections: Gauge::default(),
        };
        registry.register("cardea_requests", "Requests by app, status class and reason", metrics.requests.clone());
        registry.register("cardea_stage_seconds", "Time spent in each stage of a request", stages);
        registry.register("cardea_in_flight", "Requests whose answer is not yet decided", metrics.in_flight.clone());
        registry.register("cardea_open_streams", "Streams tied to their permit", metrics.open_streams.clone());
        registry.register("cardea_connections", "Open client connections", metrics.connections.clone());
        metrics
    }

    /// Counts the end of a request.
    pub(crate) fn count(&self, asked: Option<(&Tenant, &App)>, status: u16, reason: Option<Reason>) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        let labels = |reason: &'static str| RequestLabels {
            tenant: asked.map_or_else(String::new, |(tenant, _)| tenant.id.to_string()),
            app: asked.map_or_else(String::new, |(_, app)| app.spec.id.to_string()),
            class: CLASSES[class],
            reason,
        };
        match (asked, reason) {
            (Some((_, app)), None) => {
                let meters = app.meters.get_or_init(Meters::default);
                meters.0[class].get_or_init(|| self.requests.get_or_create_owned(&labels(""))).inc();
            }
            (_, reason) => {
                self.requests.get_or_create(&labels(reason.map_or("", Reason::code))).inc();
            }
        }
    }
}

pub(crate) fn observe(histogram: &Histogram, took: Duration) {
    histogram.observe(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_class_and_reason() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        metrics.count(None, 404, Some(Reason::UnknownHost));
        metrics.count(None, 0, None);
        observe(&metrics.edge, Duration::from_micros(30));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains(r#"class="4xx",reason="unknown-host"} 1"#), "{text}");
        assert!(text.contains(r#"cardea_stage_seconds_count{stage="edge"} 1"#), "{text}");
    }
}
