//! Carrying an admitted request to its service and the answer back.

use std::{fmt, sync::Arc, time::Duration};

use cardea_core::resources::UpstreamSpec;

pub mod tls;

/// How the connection to a service is protected.
#[derive(Clone)]
pub enum Transport {
    /// Plain HTTP/1.1.
    Plain,
    /// TLS, as [`tls::mutual`] or [`tls::public`] made it.
    Tls(Arc<rustls::ClientConfig>),
}

/// A service and the connections kept to it. Keep it across snapshots where its spec and transport are unchanged:
/// its pool lives in it.
pub struct Upstream {
    spec: UpstreamSpec,
    transport: Transport,
    connect: Duration,
    answer: Duration,
}

/// The service's address cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("upstream `{0}` cannot be used: {1}")]
pub struct BadUpstream(pub String, pub &'static str);

impl Upstream {
    /// A service that is not yet connected to.
    pub fn new(spec: &UpstreamSpec, transport: Transport) -> Result<Self, BadUpstream> {
        Ok(Self {
            connect: Duration::from_secs(spec.connect_seconds.into()),
            answer: Duration::from_secs(spec.answer_seconds.into()),
            spec: spec.clone(),
            transport,
        })
    }

    /// What it was made from.
    pub fn spec(&self) -> &UpstreamSpec {
        &self.spec
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = matches!(self.transport, Transport::Tls(_));
        f.debug_struct("Upstream").field("url", &self.spec.url.as_str()).field("tls", &tls).finish_non_exhaustive()
    }
}
