//! Connections to one service, kept for the next request.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;

use crate::Body;

/// Idle connections kept. 128: a busy gateway's parallel requests to one service; more are opened, not kept.
const KEPT: usize = 128;

/// How long a connection is kept idle. Shorter than what most services allow theirs, so that we close first.
const IDLE: Duration = Duration::from_secs(20);

/// The half of a connection that takes requests.
pub(crate) enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// A connection and how long it takes new requests; what is under way then may end.
pub(crate) struct Link {
    pub(crate) sender: Sender,
    pub(crate) until: Instant,
}

/// Connections that wait. The lock is held for a push or a pop, never across an await.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Idle>>,
    shared: Mutex<Option<(http2::SendRequest<Body>, Instant)>>,
}

struct Idle {
    sender: http1::SendRequest<Body>,
    since: Instant,
    until: Instant,
}

impl Idle {
    fn is_over(&self, now: Instant) -> bool {
        self.sender.is_closed() || now >= self.until || now - self.since > IDLE
    }
}

impl Pool {
    /// A connection that can take a request now; the one used last, since it is the least likely to be stale.
    pub(crate) fn take(&self) -> Option<Link> {
        let now = Instant::now();
        {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            match &*shared {
                Some((sender, until)) if now < *until && sender.is_ready() => {
                    return Some(Link { sender: Sender::Http2(sender.clone()), until: *until });
                }
                Some(_) => *shared = None,
                None => {}
            }
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            if idle[at].is_over(now) {
                idle.swap_remove(at);
            } else if idle[at].sender.is_ready() {
                let Idle { sender, until, .. } = idle.swap_remove(at);
                return Some(Link { sender: Sender::Http1(sender), until });
            }
        }
        None
    }

    fn keep(&self, Link { sender, until }: Link) {
        let now = Instant::now();
        if now >= until {
            return;
        }
        match sender {
            Sender::Http1(sender) if !sender.is_closed() => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() >= KEPT {
                    idle.retain(|one| !one.is_over(now));
                }
                if idle.len() < KEPT {
                    idle.push(Idle { sender, since: now, until });
                }
            }
            Sender::Http1(_) => {}
            Sender::Http2(sender) => {
                let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
                if !sender.is_closed() && shared.is_none() {
                    *shared = Some((sender, until));
                }
            }
        }
    }

    /// Lets other requests share a new HTTP/2 connection at once.
    pub(super) fn share(&self, sender: &http2::SendRequest<Body>, until: Instant) {
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = Some((sender.clone(), until));
    }
}

/// A connection in use. Given back when the answer's body has passed whole; dropped, and so closed, otherwise.
pub(crate) struct Lease(Option<(Arc<Pool>, Link)>);

impl Lease {
    pub(crate) fn new(pool: Arc<Pool>, link: Link) -> Self {
        Self(Some((pool, link)))
    }

    /// The body has passed.
    pub(crate) fn give_back(&mut self) {
        if let Some((pool, link)) = self.0.take() {
            pool.keep(link);
        }
    }
}
