//! Limits of the data plane.

use std::time::Duration;

/// Limits of the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests whose answer is not yet decided, at once; beyond it, `503 overloaded`.
    pub concurrency: usize,
    /// Client connections at once, on all listeners together; the next ones wait to be accepted.
    pub connections: usize,
    /// Time until a decision, and time for an answer of our own. Upstreams have limits of their own.
    pub head: Duration,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// The port that browsers see in URLs; as the client names it where absent.
    pub public_port: Option<u16>,
}

impl Default for Limits {
    fn default() -> Self {
        // Thirty seconds: a store that has not answered by then will not, and password hashing queues at most seconds.
        // 16,384: with some 30 KiB each, half a gigabyte at the very worst.
        // 32 KiB: cookies of several apps and a long query fit; what is longer is an attack or a defect.
        Self {
            concurrency: 10_000,
            connections: 16_384,
            head: Duration::from_secs(30),
            header_bytes: 32 * 1024,
            public_port: None,
        }
    }
}
