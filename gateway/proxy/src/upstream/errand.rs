//! A request on its unusual ways: on a new connection, at another address, sent again.
//!
//! It is sent again only if nothing of it was sent, or the service says that it did nothing about it, or if it has no body
//! and changes nothing; the last two only within the service's budget. It goes to another address where there is one.

use std::{net::SocketAddr, sync::Arc};

use cardea_core::Reason;
use http::Request;
use tokio::time::Instant;

use super::{
    Answer, Upstream,
    endpoint::{Endpoint, Load},
    exchange::{Failed, Spare, exchange},
    pool::{Link, Wanted},
    upload::Progress,
};
use crate::Body;

/// A request on its way to some address.
pub(super) struct Errand {
    request: Request<Body>,
    wish: Option<Box<str>>,
    grpc: bool,
    /// The address that was chosen already.
    load: Option<Load>,
    /// Times that it was sent, or an address could not be reached for it.
    tries: u32,
    tried: Vec<SocketAddr>,
    /// No kept connection will do.
    fresh: bool,
    /// What to say if no address is left.
    last: Reason,
}

impl Errand {
    /// A request that has not been sent.
    pub(super) fn first(request: Request<Body>, load: Option<Load>, wish: Option<&str>, grpc: bool) -> Self {
        let last = Reason::UpstreamUnreachable;
        Self { request, wish: wish.map(Into::into), grpc, load, tries: 0, tried: Vec::new(), fresh: false, last }
    }

    /// A request that failed at `address`, if it may be sent again: there, where `wish` names it and it is fit.
    pub(super) fn again(
        upstream: &Upstream,
        failed: Failed,
        spare: Option<Spare>,
        address: SocketAddr,
        wish: Option<&str>,
        grpc: bool,
    ) -> Result<Self, Reason> {
        let first = Self::first(Request::default(), None, wish, grpc);
        first.next(upstream, failed, spare, address)
    }

    fn next(
        mut self,
        upstream: &Upstream,
        failed: Failed,
        spare: Option<Spare>,
        address: SocketAddr,
    ) -> Result<Self, Reason> {
        self.last = failed.reason;
        // A connection that ended while it was kept is not the address's fault, and cost nothing.
        let stale = failed.kept && failed.unsent.is_some() && !self.fresh;
        if !stale {
            self.tries += 1;
            if self.tries >= upstream.spec.retries.tries {
                return Err(failed.reason);
            }
        }
        if !failed.kept && !failed.refused {
            self.tried.push(address);
            if !upstream.has_another(&self.tried) {
                return Err(failed.reason);
            }
        }
        self.request = match (failed.unsent, spare) {
            (Some(unsent), _) => *unsent,
            (None, Some(spare)) => {
                let may = failed.refused || spare.harmless && failed.reason == Reason::UpstreamBroken;
                if !may || !upstream.budget.take(upstream.begun(), Instant::now()) {
                    return Err(failed.reason);
                }
                spare.into_request()
            }
            (None, None) => return Err(failed.reason),
        };
        self.fresh = true;
        Ok(self)
    }

    /// Goes on until there is an answer, or nothing left to try.
    pub(super) async fn run(mut self, upstream: &Arc<Upstream>, progress: Option<&Progress>) -> Result<Answer, Reason> {
        upstream.known().await;
        loop {
            let (load, link) = self.linked(upstream).await?;
            let address = load.endpoint().address;
            let spare = Spare::of(&self.request, &link);
            let request = std::mem::take(&mut self.request);
            let failed = match exchange(upstream, load, link, request, progress).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            self = self.next(upstream, failed, spare, address)?;
        }
    }

    /// A connection to some address.
    async fn linked(&mut self, upstream: &Arc<Upstream>) -> Result<(Load, Link), Reason> {
        loop {
            let load = match self.load.take() {
                Some(load) => load,
                None => self.choose(upstream).ok_or(self.last)?,
            };
            if self.fresh || self.tries > 0 {
                upstream.budget.count();
            }
            let wanted = upstream.wanted(load.endpoint(), self.grpc);
            if !self.fresh
                && let Some(link) = load.endpoint().pool.take(wanted)
            {
                return Ok((load, link));
            }
            match upstream.open(load.endpoint(), wanted, self.grpc).await {
                Ok(link) => return Ok((load, link)),
                Err(Reason::Overloaded) => return Err(Reason::Overloaded),
                Err(reason) => {
                    upstream.note_fault(&load, reason.code(), false);
                    self.last = reason;
                    self.tries += 1;
                    self.tried.push(load.endpoint().address);
                    if self.tries >= upstream.spec.retries.tries {
                        return Err(reason);
                    }
                }
            }
        }
    }

    fn choose(&self, upstream: &Upstream) -> Option<Load> {
        let wish = self.wish.as_deref();
        upstream.choose(wish, &self.tried).or_else(|| upstream.choose_for_trial(&self.tried))
    }
}

/// A connection of its own, for a WebSocket: to the first address that can be reached.
pub(super) async fn alone(upstream: &Arc<Upstream>, wish: Option<&str>) -> Result<(Load, Link), Reason> {
    upstream.known().await;
    let mut errand = Errand::first(Request::default(), None, wish, false);
    loop {
        let load = errand.choose(upstream).ok_or(errand.last)?;
        match upstream.open_http1(load.endpoint()).await {
            Ok(link) => return Ok((load, link)),
            Err(Reason::Overloaded) => return Err(Reason::Overloaded),
            Err(reason) => {
                upstream.note_fault(&load, reason.code(), false);
                errand.last = reason;
                errand.tries += 1;
                errand.tried.push(load.endpoint().address);
                if errand.tries >= upstream.spec.retries.tries {
                    return Err(reason);
                }
            }
        }
    }
}

impl Upstream {
    /// Requests so far.
    fn begun(&self) -> u64 {
        self.fleet.load().iter().map(|endpoint: &Arc<Endpoint>| endpoint.begun()).sum()
    }

    /// A new connection; over HTTP/2, a place on one that was opened meanwhile.
    async fn open(&self, endpoint: &Arc<Endpoint>, wanted: Wanted, grpc: bool) -> Result<Link, Reason> {
        if wanted == Wanted::Http1 {
            return self.open_now(endpoint, wanted, grpc).await;
        }
        // One opens, the others share: else a burst of calls would open a connection each.
        let turn = tokio::time::timeout(self.connect_limit(), endpoint.opening.lock()).await;
        let _turn = turn.map_err(|_| Reason::UpstreamUnreachable)?;
        match endpoint.pool.take(wanted) {
            Some(link) => Ok(link),
            None => self.open_now(endpoint, wanted, grpc).await,
        }
    }
}
