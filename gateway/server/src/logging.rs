//! Log lines on standard error: one reader for people, one for collectors, and a level that a reload may change.

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt,
    layer::SubscriberExt,
    reload::{self, Handle},
    util::SubscriberInitExt,
};

use crate::config::{LogConfig, LogFormat};

/// Changes the level of a running process.
#[derive(Debug, Clone)]
pub struct LogLevel(Handle<EnvFilter, Registry>);

/// Starts logging; a second start in one process (as tests do) keeps the first.
pub fn start(config: &LogConfig) -> LogLevel {
    let (filter, handle) = reload::Layer::new(filter(config));
    let lines = match config.format {
        LogFormat::Text => {
            // Colours are for eyes: a file or a supervisor gets plain text.
            let eyes = std::io::stderr().is_terminal();
            fmt::layer().with_writer(std::io::stderr).with_ansi(eyes).with_target(false).boxed()
        }
        LogFormat::Json => fmt::layer().with_writer(std::io::stderr).json().flatten_event(true).boxed(),
    };
    #[cfg(not(feature = "tokio-console"))]
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    // The level is that of the lines alone: tokio tells of its tasks at `trace`.
    #[cfg(feature = "tokio-console")]
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(console_subscriber::spawn()).try_init();
    LogLevel(handle)
}

impl LogLevel {
    /// Takes over the level of a new configuration.
    pub fn change(&self, config: &LogConfig) {
        if self.0.reload(filter(config)).is_err() {
            tracing::warn!("the log level cannot be changed");
        }
    }
}

/// The configuration has checked the text; `info` stands in if it was made otherwise.
fn filter(config: &LogConfig) -> EnvFilter {
    EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"))
}
