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

/// Connections that wait. The lock is held for a push or a pop, never across an await.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<(http1::SendRequest<Body>, Instant)>>,
    shared: Mutex<Option<http2::SendRequest<Body>>>,
}

impl Pool {
    /// A connection that can take a request now; the one used last, since it is the least likely to be stale.
    pub(crate) fn take(&self) -> Option<Sender> {
        {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            match &*shared {
                Some(sender) if sender.is_ready() => return Some(Sender::Http2(sender.clone())),
                Some(_) => *shared = None,
                None => {}
            }
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            let (sender, since) = &idle[at];
            if sender.is_closed() || since.elapsed() > IDLE {
                idle.swap_remove(at);
            } else if sender.is_ready() {
                return Some(Sender::Http1(idle.swap_remove(at).0));
            }
        }
        None
    }

    fn keep(&self, sender: Sender) {
        match sender {
            Sender::Http1(sender) if !sender.is_closed() => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() >= KEPT {
                    idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() <= IDLE);
                }
                if idle.len() < KEPT {
                    idle.push((sender, Instant::now()));
                }
            }
            Sender::Http1(_) => {}
            Sender::Http2(sender) => {
                let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
                if !sender.is_closed() && shared.is_none() {
                    *shared = Some(sender);
                }
            }
        }
    }

    /// Lets other requests share a new HTTP/2 connection at once.
    pub(super) fn share(&self, sender: &http2::SendRequest<Body>) {
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
    }
}

/// A connection in use. Given back when the answer's body has passed whole; dropped, and so closed, otherwise.
pub(crate) struct Lease(Option<(Arc<Pool>, Sender)>);

impl Lease {
    pub(crate) fn new(pool: Arc<Pool>, sender: Sender) -> Self {
        Self(Some((pool, sender)))
    }

    /// The body has passed.
    pub(crate) fn give_back(&mut self) {
        if let Some((pool, sender)) = self.0.take() {
            pool.keep(sender);
        }
    }
}
