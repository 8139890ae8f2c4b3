//! Connections to one address of a service, kept for the next request.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;

use super::{endpoint::Load, room::Room, wire::Heard};
use crate::Body;

/// Idle connections kept. 128: a busy gateway's parallel requests to one address; more are opened, not kept.
const KEPT: usize = 128;

/// How long a connection is kept idle. Twenty seconds: requests of one person's work follow each other within that. Many
/// services close sooner (Node and Apache after five seconds, gunicorn after two): such an end is mostly seen in time, and
/// one that is not costs a second sending, of requests that may be sent twice. For others see [`LATELY`].
const IDLE: Duration = Duration::from_secs(20);

/// How long a connection may have been idle to be given a request that may be sent only once. Half of what gunicorn
/// allows, the least among services in wide use: what passes on a connection just when the service closes it is lost.
const LATELY: Duration = Duration::from_secs(1);

/// Most requests at once on one HTTP/2 connection, whatever the service allows. A hundred: what RFC 9113 advises as the
/// least; and whoever shares a lost connection shares its loss.
const STREAMS: usize = 100;

/// What a connection is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Http1,
    /// For a request that may be sent only once.
    Http1Once,
    /// A service that closes one says which requests it has not begun.
    Http2,
}

/// What a request needs of the connection that carries it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// HTTP/2, where the service speaks it.
    pub(super) grpc: bool,
    /// To be sent only once.
    pub(super) once: bool,
}

/// The half of a connection that takes requests.
pub(crate) enum Sender {
    Http1(http1::SendRequest<Body>, Heard),
    Http2(Stream),
}

/// A connection and how long it takes new requests; what is under way then may end.
pub(crate) struct Link {
    pub(crate) sender: Sender,
    pub(crate) until: Instant,
    /// It has waited, or is shared: it may have ended meanwhile.
    pub(crate) kept: bool,
}

/// An HTTP/2 connection that requests share.
pub(crate) struct Shared {
    sender: http2::SendRequest<Body>,
    until: Instant,
    since: Mutex<Instant>,
    streams: AtomicUsize,
    most: Arc<AtomicUsize>,
    room: Arc<Room>,
}

/// A place among a connection's streams, given up on drop.
pub(crate) struct Stream {
    pub(crate) sender: http2::SendRequest<Body>,
    shared: Arc<Shared>,
}

impl Shared {
    fn is_over(&self, now: Instant) -> bool {
        self.sender.is_closed() || now >= self.until
    }

    fn is_unused(&self) -> bool {
        self.streams.load(Ordering::Relaxed) == 0
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.is_unused() && now - *self.since.lock().unwrap_or_else(PoisonError::into_inner) > IDLE
    }

    /// A place for one request more. Called with the pool's lock, so that the count cannot pass the limit.
    fn enter(self: &Arc<Self>) -> Option<Stream> {
        let most = self.most.load(Ordering::Relaxed).min(STREAMS);
        if !self.sender.is_ready() || self.streams.load(Ordering::Acquire) >= most {
            return None;
        }
        self.streams.fetch_add(1, Ordering::AcqRel);
        Some(Stream { sender: self.sender.clone(), shared: Arc::clone(self) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.shared.streams.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.shared.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        self.shared.room.give_back();
    }
}

struct Idle {
    sender: http1::SendRequest<Body>,
    heard: Heard,
    since: Instant,
    until: Instant,
}

impl Idle {
    fn is_over(&self, now: Instant) -> bool {
        self.sender.is_closed() || now >= self.until || now - self.since > IDLE
    }
}

/// Connections that wait, or are shared. The lock is held for a push or a pop, never across an await.
#[derive(Default)]
struct Kept {
    idle: Vec<Idle>,
    shared: Vec<Arc<Shared>>,
}

/// The connections to one address.
pub(crate) struct Pool {
    kept: Mutex<Kept>,
    room: Arc<Room>,
}

impl Pool {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { kept: Mutex::default(), room }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that can take a request now.
    pub(crate) fn take(&self, wanted: Wanted) -> Option<Link> {
        let now = Instant::now();
        let mut kept = self.kept();
        match wanted {
            Wanted::Http1 => kept.pop(now, IDLE),
            Wanted::Http1Once => kept.pop(now, LATELY),
            Wanted::Http2 => kept.enter(now),
        }
    }

    pub(super) fn keep(&self, Link { sender, until, .. }: Link) {
        let now = Instant::now();
        let Sender::Http1(sender, heard) = sender else { return };
        if now >= until || sender.is_closed() || self.room.is_wanted_elsewhere() {
            return;
        }
        let mut kept = self.kept();
        if kept.idle.len() >= KEPT {
            kept.idle.retain(|one| !one.is_over(now));
        }
        if kept.idle.len() < KEPT {
            kept.idle.push(Idle { sender, heard, since: now, until });
        }
        drop(kept);
        self.room.give_back();
    }

    /// Lets other requests share a new HTTP/2 connection at once; gives the first place on it.
    pub(super) fn share(
        &self,
        sender: http2::SendRequest<Body>,
        until: Instant,
        most: Arc<AtomicUsize>,
    ) -> Option<Link> {
        let since = Mutex::new(Instant::now());
        let room = Arc::clone(&self.room);
        let shared = Arc::new(Shared { sender, until, since, streams: AtomicUsize::new(0), most, room });
        let mut kept = self.kept();
        let stream = shared.enter()?;
        kept.shared.push(shared);
        drop(kept);
        self.room.tell_all();
        Some(Link { sender: Sender::Http2(stream), until, kept: false })
    }

    /// Closes what waits and is over; all that waits, where the address is lost.
    pub(super) fn prune(&self, all: bool) {
        let now = Instant::now();
        let mut kept = self.kept();
        kept.idle.retain(|one| !all && !one.is_over(now));
        let is_over = |one: &Shared| one.is_over(now) || one.is_idle(now) || all && one.is_unused();
        kept.shared.retain(|one| !is_over(one));
    }

    /// Closes a connection that nobody uses, so that there is room for another: the one that has waited the longest.
    pub(super) fn shed(&self) -> bool {
        let mut kept = self.kept();
        if !kept.idle.is_empty() {
            kept.idle.remove(0);
            return true;
        }
        let unused = kept.shared.iter().position(|one| one.is_unused());
        if let Some(at) = unused {
            kept.shared.remove(at);
        }
        unused.is_some()
    }
}

impl Kept {
    /// The connection used last, since it is the least likely to be stale; none that was idle for longer than `most`.
    fn pop(&mut self, now: Instant, most: Duration) -> Option<Link> {
        let mut at = self.idle.len();
        while at > 0 {
            at -= 1;
            if self.idle[at].is_over(now) {
                self.idle.swap_remove(at);
            } else if now - self.idle[at].since <= most && self.idle[at].sender.is_ready() {
                let Idle { sender, heard, until, .. } = self.idle.swap_remove(at);
                return Some(Link { sender: Sender::Http1(sender, heard), until, kept: true });
            }
        }
        None
    }

    /// A place on the first connection that has one: so the others become idle and end.
    fn enter(&mut self, now: Instant) -> Option<Link> {
        let mut at = 0;
        while at < self.shared.len() {
            let shared = &self.shared[at];
            if shared.is_over(now) {
                // What is under way on it may end.
                self.shared.remove(at);
                continue;
            }
            if let Some(stream) = shared.enter() {
                return Some(Link { sender: Sender::Http2(stream), until: shared.until, kept: true });
            }
            at += 1;
        }
        None
    }
}

/// A connection in use, and the work it stands for. Given back when the answer's body has passed whole; dropped, and so
/// closed, otherwise.
pub(crate) struct Lease(Option<(Load, Link)>);

impl Lease {
    pub(crate) fn new(load: Load, link: Link) -> Self {
        Self(Some((load, link)))
    }

    /// What a sticky cookie calls the address.
    pub(super) fn label(&self) -> Option<&str> {
        self.0.as_ref().map(|(load, _)| &*load.endpoint().label)
    }

    /// The body has passed.
    pub(crate) fn give_back(&mut self) {
        if let Some((load, link)) = self.0.take() {
            load.endpoint().pool.keep(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;

    use super::*;
    use crate::upstream::{TenantRoom, wire::Wire};

    #[tokio::test]
    async fn a_request_that_may_be_sent_once_gets_a_connection_that_was_used_lately() {
        let room = Arc::new(Room::new(1, TenantRoom::new(1)));
        let (io, _service) = tokio::io::duplex(64);
        let (wire, heard) = Wire::new(io, room.try_enter().unwrap());
        let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await.unwrap();
        tokio::spawn(connection);
        sender.ready().await.unwrap();
        let until = Instant::now() + IDLE * 2;
        let pool = Pool::new(room);
        pool.keep(Link { sender: Sender::Http1(sender, heard), until, kept: false });
        for (waited, wanted, given) in [
            (LATELY / 2, Wanted::Http1Once, true),
            (LATELY * 2, Wanted::Http1Once, false),
            (LATELY * 2, Wanted::Http1, true),
            (IDLE * 2, Wanted::Http1, false),
        ] {
            pool.kept().idle[0].since = Instant::now() - waited;
            let link = pool.take(wanted);
            assert_eq!(link.is_some(), given, "{waited:?} {wanted:?}");
            link.into_iter().for_each(|link| pool.keep(link));
        }
    }
}
