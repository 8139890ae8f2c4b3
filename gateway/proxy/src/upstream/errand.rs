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
    pool::{Link, Needs},
    upload::Progress,
};
use crate::Body;

/// A request on its way to some address.
pub(super) struct Errand {
    request: Request<Body>,
    wish: Option<Box<str>>,
    needs: Needs,
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
    pub(super) fn first(request: Request<Body>, load: Option<Load>, wish: Option<&str>, needs: Needs) -> Self {
        let last = Reason::UpstreamUnreachable;
        Self { request, wish: wish.map(Into::into), needs, load, tries: 0, tried: Vec::new(), fresh: false, last }
    }

    /// A request that failed at `address`, if it may be sent again: there, where `wish` names it and it is fit.
    pub(super) fn again(
        upstream: &Upstream,
        failed: Failed,
        spare: Option<Spare>,
        address: SocketAddr,
        wish: Option<&str>,
        needs: Needs,
    ) -> Result<Self, Reason> {
        let first = Self::first(Request::default(), None, wish, needs);
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
    pub(super) async fn linked(&mut self, upstream: &Arc<Upstream>) -> Result<(Load, Link), Reason> {
        loop {
            let load = match self.load.take() {
                Some(load) => load,
                None => self.choose(upstream).ok_or(self.last)?,
            };
            if self.fresh || self.tries > 0 {
                upstream.budget.count();
            }
            let wanted = upstream.wanted(load.endpoint(), self.needs);
            if !self.fresh
                && let Some(link) = load.endpoint().pool.take(wanted)
            {
                return Ok((load, link));
            }
            let mut opened = upstream.open(load.endpoint(), wanted, self.needs.grpc, false).await;
            if let Err(Reason::Overloaded) = opened {
                // To share another's connection is better than to wait.
                if let Some(shared) = upstream.kept_elsewhere(&self.tried, self.needs) {
                    return Ok(shared);
                }
                opened = upstream.open(load.endpoint(), wanted, self.needs.grpc, true).await;
            }
            match opened {
                Ok(link) => return Ok((load, link)),
                Err(reason) => self.miss(upstream, &load, reason)?,
            }
        }
    }

    /// Notes that no connection came to be; says whether that is the end.
    fn miss(&mut self, upstream: &Upstream, load: &Load, reason: Reason) -> Result<(), Reason> {
        if reason == Reason::Overloaded {
            return Err(reason);
        }
        upstream.note_fault(load, reason.code(), false);
        self.last = reason;
        self.tries += 1;
        self.tried.push(load.endpoint().address);
        if self.tries >= upstream.spec.retries.tries { Err(reason) } else { Ok(()) }
    }

    fn choose(&self, upstream: &Upstream) -> Option<Load> {
        let wish = self.wish.as_deref();
        upstream.choose(wish, &self.tried).or_else(|| upstream.choose_for_trial(&self.tried))
    }
}

/// A connection of its own, for a WebSocket: to the first address that can be reached.
pub(super) async fn alone(upstream: &Arc<Upstream>, wish: Option<&str>) -> Result<(Load, Link), Reason> {
    upstream.known().await;
    let mut errand = Errand::first(Request::default(), None, wish, Needs::default());
    loop {
        let load = errand.choose(upstream).ok_or(errand.last)?;
        match upstream.open_http1(load.endpoint()).await {
            Ok(link) => return Ok((load, link)),
            Err(reason) => errand.miss(upstream, &load, reason)?,
        }
    }
}

impl Upstream {
    /// Requests so far.
    fn begun(&self) -> u64 {
        self.fleet.load().iter().map(|endpoint: &Arc<Endpoint>| endpoint.begun()).sum()
    }

    /// A connection that is kept to some fit address, the one with the least to do first.
    fn kept_elsewhere(&self, tried: &[SocketAddr], needs: Needs) -> Option<(Load, Link)> {
        let fleet = self.fleet.load();
        let untried = fleet.iter().filter(|one| !tried.contains(&one.address));
        let mut fit: Vec<_> = untried.filter_map(|one| Some((one.load(self.slow_start)?, one))).collect();
        fit.sort_by_key(|(load, _)| *load);
        let mut links = fit.into_iter().filter_map(|(_, one)| Some((one, one.pool.take(self.wanted(one, needs))?)));
        links.next().map(|(one, link)| (one.begin(), link))
    }
}
