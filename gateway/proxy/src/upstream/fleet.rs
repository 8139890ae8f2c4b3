//! All addresses of a service: found by name in the background, chosen by load, lost and regained.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use cardea_core::resources::Protocol;
use http::StatusCode;
use tokio::time::Instant;

use super::{
    Upstream,
    endpoint::{Endpoint, Load},
    pool::{Needs, Wanted},
    sticky,
};

/// Most addresses kept of one service. 256: names with more are of another kind of service.
const ADDRESSES_MAX: usize = 256;

/// Faults in a row after which the only address of a service counts as out of reach. Five: until then each request may
/// find it back; from then on one at a time does.
const DOWN_AFTER: u32 = 5;

/// First pause before an address that could not be reached is tried again.
const DOWN_FOR: Duration = Duration::from_secs(1);

/// How soon a name that could not be resolved is looked up for the next request.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A service's addresses, which change as its names do.
pub(super) type Fleet = ArcSwap<Vec<Arc<Endpoint>>>;

impl Upstream {
    /// The fit address with the least to do, or the one that the browser's cookie names. `tried` are left out.
    pub(super) fn choose(&self, wish: Option<&str>, tried: &[SocketAddr]) -> Option<Load> {
        let fleet = self.fleet.load();
        if let ([only], []) = (fleet.as_slice(), tried) {
            return only.load(self.slow_start).map(|_| only.begin());
        }
        let untried = |endpoint: &&Arc<Endpoint>| !tried.contains(&endpoint.address);
        if let Some(wish) = wish
            && let Some(wished) = fleet.iter().filter(untried).find(|one| *one.label == *wish && one.is_fit())
        {
            return Some(wished.begin());
        }
        // Turns make equals share.
        let from = self.turn.fetch_add(1, Ordering::Relaxed) % fleet.len().max(1);
        let (before, after) = fleet.split_at(from.min(fleet.len()));
        let loads =
            after.iter().chain(before).filter(untried).filter_map(|one| Some((one.load(self.slow_start)?, one)));
        loads.min_by_key(|(load, _)| *load).map(|(_, least)| least.begin())
    }

    /// Where none is fit: one that no other request is trying just now.
    pub(super) fn choose_for_trial(&self, tried: &[SocketAddr]) -> Option<Load> {
        let fleet = self.fleet.load();
        if fleet.iter().any(|one| one.is_fit()) {
            return None;
        }
        fleet.iter().filter(|one| !tried.contains(&one.address)).find_map(Endpoint::begin_trial)
    }

    /// Whether there is a fit address that was not tried.
    pub(super) fn has_another(&self, tried: &[SocketAddr]) -> bool {
        self.fleet.load().iter().any(|one| !tried.contains(&one.address) && one.is_fit())
    }

    /// The connection for a request on this address.
    pub(super) fn wanted(&self, endpoint: &Endpoint, Needs { grpc, once }: Needs) -> Wanted {
        let lacks = |what: &AtomicBool| what.load(Ordering::Relaxed);
        let http1 = if once { Wanted::Http1Once } else { Wanted::Http1 };
        match self.spec.protocol {
            Protocol::Http2 => Wanted::Http2,
            Protocol::Auto if self.tls.is_some() => {
                let http2 = if grpc { !lacks(&endpoint.lacks_http2) } else { lacks(&endpoint.lacks_http1) };
                if http2 { Wanted::Http2 } else { http1 }
            }
            Protocol::Auto | Protocol::Http1 => http1,
        }
    }

    /// A request has been answered. What a proxy says for a service that it cannot reach is a fault of the address; any
    /// other answer is its own word.
    pub(super) fn note_answer(&self, load: &mut Load, status: StatusCode) {
        if matches!(status.as_u16(), 502..=504) {
            self.note_fault(load, status.as_str(), true);
            load.tried();
        } else {
            self.note_good(load);
        }
    }

    fn note_good(&self, load: &mut Load) {
        let endpoint = load.endpoint();
        if endpoint.faults.load(Ordering::Relaxed) != 0 {
            endpoint.faults.store(0, Ordering::Relaxed);
        }
        if load.is_trial() {
            self.regained(load.endpoint(), "a request was answered");
            load.tried();
        }
    }

    /// It has been reached.
    pub(super) fn regained(&self, endpoint: &Endpoint, why: &str) {
        let back = endpoint.regain(|condition| {
            condition.down = false;
            condition.until = None;
        });
        if back {
            tracing::info!(service = %endpoint.target.host, address = %endpoint.address, why, "an address of a service is back");
        }
    }

    /// A request has failed; `reached` says whether the address could be spoken to at all.
    pub(super) fn note_fault(&self, load: &Load, why: &str, reached: bool) {
        let endpoint = load.endpoint();
        let faults = endpoint.faults.fetch_add(1, Ordering::Relaxed) + 1;
        let rules = &self.spec.outliers;
        let fleet = self.fleet.load();
        let (all, fit) = (fleet.len(), fleet.iter().filter(|one| one.is_fit()).count());
        let others = fit > usize::from(endpoint.is_fit());
        let lost = if reached {
            let share = usize::try_from(rules.share_percent).unwrap_or(100);
            let may = (all * share / 100).max(1);
            rules.after > 0 && faults >= rules.after && others && all - fit < may
        } else {
            others || faults >= DOWN_AFTER
        };
        if !lost {
            return;
        }
        let base = if reached { Duration::from_secs(rules.for_seconds.into()) } else { DOWN_FOR };
        if endpoint.lose(base, load.is_trial(), |condition| condition.down |= !reached) {
            let (tenant, app) = self.owner();
            tracing::warn!(
                tenant, app, service = %endpoint.target.host, address = %endpoint.address, why, faults,
                "an address of a service is lost"
            );
            endpoint.pool.prune(true);
            self.wake.notify_one();
        }
    }

    /// Makes sure that the service's names were looked up once, and that it is looked after.
    pub(super) async fn known(self: &Arc<Self>) {
        self.mind();
        if !self.fleet.load().is_empty() {
            return;
        }
        let mut looked = self.looking.lock().await;
        let lately = looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN);
        if self.fleet.load().is_empty() && !lately {
            self.look_up().await;
            *looked = Some(Instant::now());
        }
    }

    /// Looks up every name anew. One that cannot be looked up keeps the addresses that it had.
    pub(super) async fn look_up(&self) {
        let old = self.fleet.load_full();
        let mut next: Vec<Arc<Endpoint>> = Vec::with_capacity(old.len());
        for target in &self.targets {
            let had = old.iter().filter(|one| Arc::ptr_eq(&one.target, target));
            let found = match target.literal() {
                Some(address) => Ok(vec![address]),
                None => self.addresses_of(&target.host, target.port).await,
            };
            let Ok(found) = found.inspect_err(|error| {
                let Some(times) = target.nameless.due() else { return };
                let (tenant, app) = self.owner();
                tracing::warn!(
                    tenant, app, service = %target.host, %error, times,
                    "a service's name cannot be looked up; its addresses stay"
                );
            }) else {
                next.extend(had.cloned());
                continue;
            };
            for address in found {
                let kept = had.clone().find(|one| one.address == address);
                next.push(kept.cloned().unwrap_or_else(|| {
                    let label = sticky::label(&self.standing.key, target, address);
                    let room = Arc::clone(&self.room);
                    Arc::new(Endpoint::new(Arc::clone(target), address, room, label, !old.is_empty()))
                }));
            }
        }
        next.truncate(ADDRESSES_MAX);
        if next.len() != old.len() || next.iter().zip(old.iter()).any(|(one, other)| !Arc::ptr_eq(one, other)) {
            if !old.is_empty() {
                let addresses: Vec<_> = next.iter().map(|one| one.address).collect();
                tracing::info!(service = %self.name(), ?addresses, "a service has other addresses");
            }
            self.fleet.store(Arc::new(next));
        }
    }

    async fn addresses_of(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        let limit = self.connect_limit();
        let late = |_| Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the resolver does not answer"));
        let found = tokio::time::timeout(limit, tokio::net::lookup_host((host, port))).await.unwrap_or_else(late)?;
        let mut found: Vec<_> = found.collect();
        if found.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "it has no address"));
        }
        // In one order always: resolvers turn theirs.
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Transport;

    fn upstream(url: &str) -> Upstream {
        let spec = toml::from_str(&format!("url = '{url}'\nconnect_seconds = 1")).unwrap();
        Upstream::new(&spec, Transport::Plain).unwrap()
    }

    #[tokio::test]
    async fn an_address_that_is_found_again_stays_what_it_was() {
        let upstream = upstream("http://localhost:9");
        upstream.look_up().await;
        let first = upstream.fleet.load_full();
        first[0].lose(DOWN_FOR, false, |condition| condition.down = true);
        upstream.look_up().await;
        assert!(!first.is_empty() && Arc::ptr_eq(&first[0], &upstream.fleet.load()[0]));
        assert!(!upstream.fleet.load()[0].is_fit());
    }

    #[tokio::test]
    async fn requests_that_fail_together_lose_an_address_once() {
        let spec = toml::from_str("urls = ['http://127.0.0.1:9', 'http://127.0.0.2:9']").unwrap();
        let upstream = Upstream::new(&spec, Transport::Plain).unwrap();
        let lost = Arc::clone(&upstream.fleet.load()[0]);
        let pause = || lost.condition().until.unwrap() - Instant::now();
        let together: Vec<_> = (0..10).map(|_| lost.begin()).collect();
        together.iter().for_each(|load| upstream.note_fault(load, "refused", false));
        assert!(!lost.is_fit() && pause() <= DOWN_FOR, "{:?}", pause());
        lost.condition().until = Some(Instant::now());
        upstream.note_fault(&lost.begin(), "refused", false);
        assert_eq!(pause(), Duration::ZERO, "it was under way before");
        upstream.note_fault(&lost.begin_trial().unwrap(), "refused", false);
        assert!(pause() > DOWN_FOR && pause() <= DOWN_FOR * 2, "{:?}", pause());
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_looked_up_keeps_its_addresses() {
        let upstream = upstream("http://nobody.invalid:9");
        let (target, room) = (Arc::clone(&upstream.targets[0]), Arc::clone(&upstream.room));
        let known = Arc::new(Endpoint::new(target, "127.0.0.1:9".parse().unwrap(), room, "".into(), false));
        upstream.fleet.store(Arc::new(vec![Arc::clone(&known)]));
        upstream.look_up().await;
        assert!(Arc::ptr_eq(&known, &upstream.fleet.load()[0]));
    }
}
