//! Traces: one span for a request and one for each of its stages, sent to a collector as OTLP over HTTP.
//!
//! Over HTTP and not gRPC: our own client for calls to others carries it, with its roots, limits and no redirects, and no
//! second HTTP/2 client with TLS of its own has to be built. Tokens for the collector stand in the environment, where
//! OpenTelemetry looks for them: `OTEL_EXPORTER_OTLP_HEADERS`.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use cardea_core::Timestamp;
use cardea_proxy::observe::{Trace, Traces};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::Counts;
use crate::{config::TracesConfig, outgoing::OutgoingClient};

/// Traces that may wait. Four thousand: some seconds of a busy gateway at the usual share, 2 MiB.
const WAITING: usize = 4_096;
/// Traces sent together at most: what collectors take without a thought.
const TOGETHER: usize = 512;
/// How long the first of them waits for others. Two seconds: who looks for a trace just made hardly notices.
const PATIENCE: Duration = Duration::from_secs(2);

/// A collector that traces are sent to.
pub(super) struct Collector {
    to: mpsc::Sender<Said>,
    /// Of 2^56: a trace whose randomness is below is told.
    below: u64,
    counts: Counts,
}

enum Said {
    Trace(Box<Trace>),
    Flush(oneshot::Sender<()>),
}

impl Collector {
    /// Prepares to send; whether the collector is there is found out with the first trace.
    pub(super) fn open(config: &TracesConfig, counts: &Counts) -> Result<Self, String> {
        let client = match &config.ca_file {
            Some(file) => OutgoingClient::with_roots(file),
            None => OutgoingClient::new(),
        };
        let client = Client(client.map_err(|error| error.to_string())?);
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", config.endpoint.as_str().trim_end_matches('/')))
            .build()
            .map_err(|error| format!("traces cannot be sent to `{}`: {error}", config.endpoint))?;
        exporter.set_resource(&Resource::builder_empty().with_service_name("cardea").build());
        let (to, from) = mpsc::channel(WAITING);
        let sender = Sender { exporter, scope: scope(), counts: counts.clone(), failing: false };
        tokio::spawn(sender.run(from));
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the share is between nothing and all"
        )]
        let below = (config.sample * (1_u64 << 56) as f64) as u64;
        Ok(Self { to, below, counts: counts.clone() })
    }

    /// Sends what is still held, but waits no longer than one call may take.
    pub(super) async fn close(&self) {
        let (done, told) = oneshot::channel();
        if self.to.try_send(Said::Flush(done)).is_ok() {
            let _ = tokio::time::timeout(PATIENCE, told).await;
        }
    }
}

impl Traces for Collector {
    fn samples(&self, random: u64) -> bool {
        random < self.below
    }

    fn send(&self, trace: Trace) {
        let spans = 1 + trace.stages.len() as u64;
        if self.to.try_send(Said::Trace(Box::new(trace))).is_err() {
            self.counts.spans_lost.inc_by(spans);
        }
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("cardea").with_version(env!("CARGO_PKG_VERSION")).build()
}

struct Sender {
    exporter: SpanExporter,
    scope: InstrumentationScope,
    counts: Counts,
    /// Whether the last call failed: told once.
    failing: bool,
}

impl Sender {
    /// Until nobody is left who could say anything.
    async fn run(mut self, mut from: mpsc::Receiver<Said>) {
        while let Some(first) = from.recv().await {
            let (mut spans, mut traces, mut flushed) = (Vec::new(), 0, None);
            let until = Instant::now() + PATIENCE;
            let mut next = Some(first);
            while let Some(said) = next {
                match said {
                    Said::Trace(trace) => spans_of(&trace, &self.scope, &mut spans),
                    Said::Flush(done) => {
                        flushed = Some(done);
                        break;
                    }
                }
                traces += 1;
                if traces == TOGETHER {
                    break;
                }
                next = tokio::time::timeout_at(until, from.recv()).await.ok().flatten();
            }
            self.export(spans).await;
            if let Some(done) = flushed {
                let _ = done.send(());
            }
        }
    }

    async fn export(&mut self, spans: Vec<SpanData>) {
        let count = spans.len() as u64;
        if count == 0 {
            return;
        }
        match self.exporter.export(spans).await {
            Ok(()) => {
                self.counts.spans.inc_by(count);
                self.failing = false;
            }
            Err(error) => {
                self.counts.spans_lost.inc_by(count);
                if !self.failing {
                    tracing::warn!(%error, "the collector does not take traces");
                }
                self.failing = true;
            }
        }
    }
}

/// The request's span and one for each stage.
fn spans_of(trace: &Trace, scope: &InstrumentationScope, out: &mut Vec<SpanData>) {
    let span = |id: u64, parent: Option<u64>, name: &'static str, (begins, took): (Duration, Duration)| SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace.id),
            SpanId::from(id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: id == trace.span && parent.is_some(),
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: moment(trace.at, begins),
        end_time: moment(trace.at, begins + took),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.clone(),
    };
    let mut request = span(trace.span, trace.parent, "request", (Duration::ZERO, trace.took));
    request.span_kind = SpanKind::Server;
    request.attributes = attributes(trace);
    if trace.status >= 500 {
        request.status = Status::error(trace.reason.map_or("", cardea_core::Reason::code));
    }
    out.push(request);
    for stage in &trace.stages {
        let mut one = span(stage.id, Some(trace.span), stage.stage, (stage.begins, stage.took));
        if stage.stage == "upstream" {
            one.span_kind = SpanKind::Client;
        }
        out.push(one);
    }
}

/// Names of OpenTelemetry's conventions where there are some. INVARIANT: nothing that names a person or a record.
fn attributes(trace: &Trace) -> Vec<KeyValue> {
    let mut all = vec![
        KeyValue::new("http.request.method", trace.method.to_string()),
        KeyValue::new("http.response.status_code", i64::from(trace.status)),
        KeyValue::new("server.address", trace.host.to_string()),
        KeyValue::new("cardea.request_id", trace.entry.to_string()),
    ];
    let mut add = |key: &'static str, value: Option<String>| all.extend(value.map(|value| KeyValue::new(key, value)));
    add("cardea.tenant", trace.tenant.as_ref().map(ToString::to_string));
    add("cardea.app", trace.app.as_ref().map(ToString::to_string));
    add("cardea.reason", trace.reason.map(|reason| reason.code().to_owned()));
    if let Some((action, kind)) = &trace.question {
        add("cardea.action", Some(action.to_string()));
        add("cardea.resource_type", Some(kind.to_string()));
    }
    all
}

fn moment(at: Timestamp, later: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.as_micros()).unwrap_or_default()) + later
}

/// Our client, as the exporter calls it.
struct Client(OutgoingClient);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        Ok(self.0.call(request.map(|body| body.to_vec())).await?)
    }
}
