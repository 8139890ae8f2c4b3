//! What the operator's machines ask: is it alive, may it be sent work, how much does it do. On an address of its own,
//! loopback unless told otherwise, since metrics name tenants and apps.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use cardea_proxy::Drain;
use cardea_storage::Log;
use http::{StatusCode, header::CONTENT_TYPE};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::net::TcpListener;

use crate::House;

/// The listener and what it shows.
pub struct Ops {
    socket: TcpListener,
    address: SocketAddr,
}

#[derive(Clone)]
struct Shown {
    house: Arc<House>,
    registry: Arc<Registry>,
    drain: Drain,
}

impl Ops {
    /// Binds the address.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the process ends; while the gateway leaves and drains, it is alive but not ready.
    pub async fn serve(self, house: Arc<House>, registry: Arc<Registry>, drain: Drain) {
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(Shown { house, registry, drain });
        if let Err(error) = axum::serve(self.socket, router).await {
            tracing::error!(%error, "the ops listener ended");
        }
    }
}

async fn ready(State(shown): State<Shown>) -> Response {
    if shown.drain.is_leaving() {
        let stage = if shown.drain.has_begun() { "draining\n" } else { "leaving\n" };
        return (StatusCode::SERVICE_UNAVAILABLE, stage).into_response();
    }
    match shown.house.is_ready().await {
        Ok(()) => {
            let state = shown.house.state.load();
            let behind = state.behind.keys().map(|tenant| format!("tenant `{tenant}` is behind\n"));
            format!("ready\n{}", behind.collect::<String>()).into_response()
        }
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &shown.registry) {
        Ok(()) => {
            ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The log's figures, read when somebody asks.
#[derive(Debug)]
pub(crate) struct LogFigures(pub(crate) Log);

impl Collector for LogFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let now = self.0.metrics();
        for (name, help, value) in [
            ("cardea_log_waiting", "Entries that wait to be written", now.waiting),
            ("cardea_log_commit_micros", "Microseconds that the last group took", now.last_commit_micros),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        for (name, help, value) in [
            ("cardea_log_written", "Entries written since the start", now.written),
            ("cardea_log_groups", "Groups of entries written since the start", now.groups),
            ("cardea_log_failures", "Groups that failed since the start", now.failures),
        ] {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
