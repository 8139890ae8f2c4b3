//! The access log and the traces that the configuration asks for. Both are told of requests over bounded queues and work
//! beside them: who writes slowly, or does not answer, loses lines, and they are counted; no request waits.

mod access_log;
mod traces;

use std::sync::{Arc, Mutex, PoisonError};

use cardea_core::{Diagnostic, Diagnostics};
use cardea_proxy::observe::Observers;
use prometheus_client::{metrics::counter::Counter, registry::Registry};

use crate::config::{AccessLogConfig, Config, Stamp, TracesConfig};

use access_log::AccessLog;
use traces::Collector;

/// What was told, and what was lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    lines: Counter,
    lines_lost: Counter,
    spans: Counter,
    spans_lost: Counter,
}

impl Counts {
    /// Registers them.
    pub(crate) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("cardea_access_log_lines", "Lines written to the access log", &self.lines),
            (
                "cardea_access_log_lost",
                "Lines that the access log had no room for, or could not write",
                &self.lines_lost,
            ),
            ("cardea_trace_spans", "Spans that the collector took", &self.spans),
            (
                "cardea_trace_lost",
                "Spans that there was no room for, or that the collector did not take",
                &self.spans_lost,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}

/// What is open, with what it was opened by.
#[derive(Default)]
pub(crate) struct Observing {
    counts: Counts,
    open: Mutex<Open>,
}

#[derive(Clone, Default)]
struct Open {
    lines: Option<(AccessLogConfig, Arc<AccessLog>)>,
    traces: Option<(Traced, Arc<Collector>)>,
}

/// Where spans go, and what the roots looked like just before they were read.
type Traced = (TracesConfig, Option<Stamp>);

impl Observing {
    /// The counts.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Opens what `config` asks for, and keeps what is open already. Nothing that is in use is closed; see
    /// [`Observing::settle`].
    pub(crate) fn open(&self, config: &Config) -> Result<Prepared, Diagnostics> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wrong = |message: String, help: &str| Diagnostic::new(&config.source, message).help(help);
        let lines = match (&config.access_log, open.lines) {
            (None, _) => None,
            (Some(wanted), Some(kept)) if kept.0 == *wanted => Some(kept),
            (Some(wanted), _) => {
                let log = AccessLog::open(wanted, &self.counts).map_err(|error| {
                    wrong(error.to_string(), "name a file in a folder that the gateway may write to")
                })?;
                Some((wanted.clone(), Arc::new(log)))
            }
        };
        let stamped = |wanted: &TracesConfig| -> Traced { (wanted.clone(), wanted.ca_file.as_deref().map(Stamp::of)) };
        let traces = match (config.traces.as_ref().map(stamped), open.traces) {
            (None, _) => None,
            (Some(wanted), Some(kept)) if kept.0 == wanted => Some(kept),
            (Some(wanted), _) => {
                let collector = Collector::open(&wanted.0, &self.counts)
                    .map_err(|error| wrong(error, "write `http://127.0.0.1:4318` or `https://…`"))?;
                Some((wanted, Arc::new(collector)))
            }
        };
        Ok(Prepared(Open { lines, traces }))
    }

    /// Opens the access log's file anew by its name, in case the old one was moved away.
    pub(crate) fn reopen(&self) {
        if let Some((_, log)) = &self.open.lock().unwrap_or_else(PoisonError::into_inner).lines {
            log.reopen();
        }
    }

    /// What was opened is in use: what is not used any more writes what it still holds, and ends.
    pub(crate) fn settle(&self, prepared: Prepared) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = prepared.0;
    }

    /// Writes and sends what is still held, and ends.
    pub(crate) async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some((_, log)) = open.lines {
            log.close().await;
        }
        if let Some((_, collector)) = open.traces {
            collector.close().await;
        }
    }
}

/// What was opened, and is not in use yet.
pub(crate) struct Prepared(Open);

impl Prepared {
    /// As the data plane tells them.
    pub(crate) fn observers(&self) -> Observers {
        Observers {
            lines: self.0.lines.as_ref().map(|(_, log)| Arc::clone(log) as _),
            traces: self.0.traces.as_ref().map(|(_, collector)| Arc::clone(collector) as _),
        }
    }
}
