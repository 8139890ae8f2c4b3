//! How much, how long and how many: the bounds of the data plane, each with the reason for its default.

use std::time::Duration;

/// Limits of the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests whose answer is not yet decided, at once; beyond it, `503 overloaded`. Four thousand: far above what
    /// two cores can serve.
    pub concurrency: usize,
    /// The share of them, in percent, that is kept for callers with a session or a certificate: where only it is left,
    /// visitors are told to come back. A quarter: strangers in masses do not stop the work of those who are signed in.
    pub reserved_percent: u8,
    /// The share of them that one client may have: an IPv4 address or an IPv6 network of 64 bits of which nobody is known, a
    /// session, a service; beyond it, `429 too-many-requests`. A tenth: four browsers with all their streams full.
    pub client_percent: u8,
    /// The share of them that may be for one app, whose service may hang. 35: two that hang leave room for the others.
    pub app_percent: u8,
    /// The share of them that may be for one tenant, with all its apps and our pages. Half: nothing that goes on at one tenant
    /// takes all from the others.
    pub tenant_percent: u8,
    /// Client connections at once, on all listeners together; the next ones wait to be accepted. 16,384: with some 30
    /// KiB each, half a gigabyte at the very worst.
    pub connections: usize,
    /// Of these, from one client (an IPv4 address, an IPv6 network of 64 bits); the next ones are closed at once. 1,024:
    /// a laboratory behind one address fits, with six connections for each browser. Listed proxies have no such limit.
    pub connections_per_client: usize,
    /// Time for a TLS handshake, and for what a proxy says before it. Ten seconds: three lost packets on a slow line.
    pub handshake: Duration,
    /// Time for a request's head to come whole, from its first byte. Twenty seconds: thirty-two KiB over a bad modem.
    pub head: Duration,
    /// Time for a kept connection to ask for something. A minute and a quarter: what nginx allows, so that proxies
    /// before us, tuned to it, close first.
    pub idle: Duration,
    /// Time for a client that takes nothing of its answer before the connection ends. Two minutes: a paused download
    /// has its client's buffer to live on, and nobody holds a service's connection for longer by not reading.
    pub stalled: Duration,
    /// Time until a decision, and time for an answer of our own. Upstreams have limits of their own. Thirty seconds: a
    /// store that has not answered by then will not, and password hashing queues at most seconds.
    pub decision: Duration,
    /// Time for the body of a request to our own pages, but for one that comes at a good pace. Five seconds: a form comes with
    /// its head, and until the body is there it has a place among the requests in flight.
    pub own_body: Duration,
    /// Bytes of a request's head. 32 KiB: cookies of several apps and a long query fit; what is longer is an attack or a
    /// defect.
    pub header_bytes: usize,
    /// Fields of a request's head. 100: a browser sends twenty, and a proxy adds ten. More than these take room from the heap
    /// for each head.
    pub headers: usize,
    /// Bytes of a request's body, where the app says nothing else. 1 GiB: an instrument's run fits. A body is passed on
    /// as it comes and costs us nothing; this keeps one request from filling a service's disk.
    pub body_bytes: u64,
    /// The slowest that a body may come, in bytes a second, once [`Limits::body_grace`] is over; time in which the service
    /// does not take it is not counted. 256: slower than any line still in use, and it makes holding a service's
    /// connection cost something.
    pub body_rate: u32,
    /// How long a body may be slower, and the stretch over which its rate is taken. Twenty seconds: a phone in a lift.
    pub body_grace: Duration,
    /// HTTP/2 or HTTP/3 streams at once on one connection. 128: browsers stop at a hundred by themselves.
    pub http2_streams: u32,
    /// HTTP/2 or HTTP/3 streams that a client may give up in ten seconds without being thought to do nothing else; beyond it, the
    /// connection ends where it gave up more than half of what it asked for. 200: leaving a page with many pictures.
    pub http2_resets: u32,
    /// HTTP/2 frames that ask for nothing (settings, pings, priorities, window updates, empty data) in ten seconds, beyond
    /// what the bytes we sent account for. 2,000: clients that measure the line do so a few times a second.
    pub http2_idle_frames: u32,
    /// The port that browsers see in URLs; as the client names it where absent.
    pub public_port: Option<u16>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 4_096,
            reserved_percent: 25,
            client_percent: 10,
            app_percent: 35,
            tenant_percent: 50,
            connections: 16_384,
            connections_per_client: 1_024,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            idle: Duration::from_secs(75),
            stalled: Duration::from_secs(120),
            decision: Duration::from_secs(30),
            own_body: Duration::from_secs(5),
            header_bytes: 32 * 1024,
            headers: 100,
            body_bytes: 1024 * 1024 * 1024,
            body_rate: 256,
            body_grace: Duration::from_secs(20),
            http2_streams: 128,
            http2_resets: 200,
            http2_idle_frames: 2_000,
            public_port: None,
        }
    }
}

impl Limits {
    /// Requests in flight that make up so many percent of all; where they are of visitors, without what is kept for others. One
    /// at least, unless there may be none at all.
    pub(crate) fn share(&self, percent: u8, visits: bool) -> usize {
        let of = |all: usize, percent: u8| {
            let part = u128::try_from(all).unwrap_or_default() * u128::from(percent.min(100)) / 100;
            usize::try_from(part).unwrap_or(all)
        };
        let reserved = if visits { self.reserved_percent } else { 0 };
        let all = self.concurrency - of(self.concurrency, reserved);
        of(all, percent).max(self.concurrency.min(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_or_of_what_strangers_may_have() {
        let limits = |concurrency| Limits { concurrency, ..Limits::default() };
        for (concurrency, percent, visits, share) in [
            (4_096, 100, false, 4_096),
            (4_096, 100, true, 3_072),
            (4_096, 50, false, 2_048),
            (4_096, 10, true, 307),
            (4, 100, true, 3),
            (4, 10, false, 1),
            (0, 100, false, 0),
            (usize::MAX, 100, false, usize::MAX),
        ] {
            assert_eq!(limits(concurrency).share(percent, visits), share, "{percent} % of {concurrency}");
        }
    }
}
