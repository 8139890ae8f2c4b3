//! The way of a request, from top to bottom.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use cardea_core::{Clock, Entropy, SessionId};
use http::{Request, Response};

use crate::{Assertions, Body, Connection, Faces, OwnPages, Recorder, Sessions, Snapshot};

/// What the rest of the gateway lends to the data plane.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "trait objects")]
pub struct Parts {
    /// Sessions by handle.
    pub sessions: Arc<dyn Sessions>,
    /// Signed identity for upstreams.
    pub assertions: Arc<dyn Assertions>,
    /// The log.
    pub recorder: Arc<dyn Recorder>,
    /// Our own pages and APIs.
    pub own: Arc<dyn OwnPages>,
    /// Pages of failures.
    pub faces: Arc<dyn Faces>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Limits of the data plane.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests worked on at once; beyond it, `503 overloaded`.
    pub concurrency: usize,
    /// Time until the answer's head is decided; upstreams have limits of their own below it.
    pub head: Duration,
    /// The port that browsers see in URLs; none for the scheme's own.
    pub public_port: Option<u16>,
}

impl Default for Limits {
    fn default() -> Self {
        // Ninety seconds: longer than the longest usual upstream limit, shorter than what browsers wait.
        Self { concurrency: 10_000, head: Duration::from_secs(90), public_port: None }
    }
}

/// The data plane. One per process, shared by all listeners.
#[allow(missing_debug_implementations, reason = "trait objects")]
pub struct Proxy {
    parts: Parts,
    limits: Limits,
    snapshot: ArcSwap<Snapshot>,
}

impl Proxy {
    /// Opens the house; metrics are registered in `registry`.
    pub fn new(
        parts: Parts,
        limits: Limits,
        snapshot: Snapshot,
        registry: &mut prometheus_client::registry::Registry,
    ) -> Arc<Self> {
        let _ = registry;
        Arc::new(Self { parts, limits, snapshot: ArcSwap::from_pointee(snapshot) })
    }

    /// Swaps in a new snapshot; open streams are asked again.
    pub fn swap(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.changed();
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Something that decisions rest on has changed (a session, user or group): open streams are asked again.
    pub fn changed(&self) {}

    /// Cuts every open stream of a session, without asking.
    pub fn cut(&self, session: SessionId) {
        let _ = session;
    }

    /// Answers one request of a connection. Never fails: every failure is an answer.
    pub async fn handle(self: &Arc<Self>, connection: Arc<Connection>, request: Request<Body>) -> Response<Body> {
        let _ = (connection, request, &self.parts, &self.limits);
        Response::new(Body::empty())
    }
}
