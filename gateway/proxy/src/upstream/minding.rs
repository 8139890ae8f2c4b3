//! Looking after a service in the background: its names are looked up anew, addresses that were lost are tried, each is
//! asked for its health where the app says so, and connections that wait too long are closed. Begins with the first
//! request, or with the app where that has health checks; ends with the service's place in the snapshot.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use cardea_core::{Reason, resources::HealthRules};
use futures_util::future::join_all;
use http::{HeaderValue, Method, Request, header};
use tokio::time::Instant;

use super::{
    Upstream,
    endpoint::Endpoint,
    exchange,
    pool::{Link, Needs},
};
use crate::Body;

/// How often it looks while all is well. Five seconds: connections wait for twenty.
const BEAT: Duration = Duration::from_secs(5);

/// How often it looks while an address is lost.
const QUICK: Duration = Duration::from_secs(1);

/// How often names are looked up. Thirty seconds: what most services promise of their names, and a lost address meanwhile
/// gets no requests anyway.
const NAMES: Duration = Duration::from_secs(30);

/// How often while an address is lost: it may be that it has moved.
const NAMES_QUICK: Duration = Duration::from_secs(5);

/// First pause before an address that could not be reached is tried again.
const PAUSE: Duration = Duration::from_secs(1);

impl Upstream {
    /// Has it looked after from now on. Without a runtime, where resources are only checked, nothing is done.
    pub(super) fn mind(self: &Arc<Self>) {
        if self.minded.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !self.minded.swap(true, Ordering::AcqRel)
        {
            runtime.spawn(mind(Arc::downgrade(self)));
        }
    }

    /// Has its health asked for, if the app wants that: it goes into service.
    pub(crate) fn begin(self: &Arc<Self>) {
        if self.spec.health.is_some() {
            self.mind();
        }
    }
}

/// What came of a question about an address's health.
enum Asked {
    Well,
    Unwell(String),
    /// There was no place for a connection to ask it on, which tells nothing of the address.
    NoPlace,
}

/// When each thing was last done.
struct Done {
    names: Instant,
    health: Option<Instant>,
}

async fn mind(upstream: Weak<Upstream>) {
    let mut done = Done { names: Instant::now(), health: None };
    loop {
        let Some(held) = upstream.upgrade() else { return };
        held.round(&mut done).await;
        let (wake, pause) = (Arc::clone(&held.wake), held.pause());
        drop(held);
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Upstream {
    fn pause(&self) -> Duration {
        let all_fit = self.fleet.load().iter().all(|one| one.is_fit());
        let health = self.spec.health.as_ref().map_or(BEAT, |rules| Duration::from_secs(rules.every_seconds.into()));
        if all_fit { BEAT.min(health) } else { QUICK }
    }

    async fn round(&self, done: &mut Done) {
        let fleet = self.fleet.load_full();
        let unfit = fleet.is_empty() || fleet.iter().any(|one| !one.is_fit());
        let named = self.targets.iter().any(|target| target.literal().is_none());
        let due = done.names.elapsed() >= if unfit { NAMES_QUICK } else { NAMES };
        if due {
            // What spoke no HTTP/2 may have learnt it.
            fleet.iter().for_each(|one| one.lacks_http2.store(false, Ordering::Relaxed));
        }
        if fleet.is_empty() || named && due {
            let _alone = self.looking.lock().await;
            self.look_up().await;
        }
        if due {
            done.names = Instant::now();
        }
        let rules = self.spec.health.as_ref().filter(|rules| {
            let every = Duration::from_secs(rules.every_seconds.into());
            done.health.is_none_or(|last| last.elapsed() >= every)
        });
        if rules.is_some() {
            done.health = Some(Instant::now());
        }
        join_all(self.fleet.load_full().iter().map(|endpoint| self.look_after(endpoint, rules))).await;
    }

    async fn look_after(&self, endpoint: &Endpoint, rules: Option<&HealthRules>) {
        endpoint.pool.prune(false);
        // Who was left out comes back by being looked at.
        let _ = endpoint.load(self.slow_start);
        match rules {
            Some(rules) => self.ask_health(endpoint, rules).await,
            None if endpoint.is_due() => self.try_to_reach(endpoint).await,
            None => {}
        }
    }

    /// Opens a connection to an address that could not be reached; what comes of it is kept for requests.
    async fn try_to_reach(&self, endpoint: &Endpoint) {
        match self.open_aside(endpoint).await {
            Ok(link) => {
                endpoint.pool.keep(link);
                self.regained(endpoint, "it can be reached");
            }
            Err(_) => {
                endpoint.lose(PAUSE, true, |_| ());
            }
        }
    }

    async fn ask_health(&self, endpoint: &Endpoint, rules: &HealthRules) {
        let limit = Duration::from_secs(rules.within_seconds.into());
        let said = tokio::time::timeout(limit, self.health(endpoint, rules, limit)).await;
        let why = match said {
            Ok(Asked::NoPlace) => return,
            Ok(Asked::Well) => {
                if endpoint.note_health(true, rules) {
                    tracing::info!(service = %endpoint.target.host, address = %endpoint.address, "an address of a service is well again");
                }
                return;
            }
            Ok(Asked::Unwell(why)) => why,
            Err(_) => format!("no answer in {} s", limit.as_secs()),
        };
        if endpoint.note_health(false, rules) {
            let (tenant, app) = self.owner();
            tracing::warn!(tenant, app, service = %endpoint.target.host, address = %endpoint.address, %why, "an address of a service is not well");
            endpoint.pool.prune(true);
        }
    }

    /// Asks one address for its health: a request of our own, with nobody's identity.
    async fn health(&self, endpoint: &Endpoint, rules: &HealthRules, limit: Duration) -> Asked {
        let link = match endpoint.pool.take(self.wanted(endpoint, Needs::default())) {
            Some(link) => link,
            None => match self.open_aside(endpoint).await {
                Ok(link) => link,
                // Every connection that the service may have is at work, here or at its other addresses.
                Err(Reason::Overloaded) => return Asked::NoPlace,
                Err(reason) => return Asked::Unwell(reason.code().to_owned()),
            },
        };
        self.ask(endpoint, link, rules, limit).await.map_or_else(Asked::Unwell, |()| Asked::Well)
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        mut link: Link,
        rules: &HealthRules,
        limit: Duration,
    ) -> Result<(), String> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = rules.path.parse().map_err(|_| format!("`{}` is not a path", rules.path))?;
        let host = HeaderValue::try_from(endpoint.target.authority()).map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("cardea-health"));
        let patience = exchange::Patience { limit, call: false };
        let sent = exchange::send(&mut link, request, self.tls.is_some(), patience, None).await;
        let response = sent.map_err(|failed| failed.reason.code().to_owned())?;
        let status = response.status();
        if http_body::Body::is_end_stream(response.body()) {
            endpoint.pool.keep(link);
        }
        if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("it answers {status}")) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::upstream::Transport;

    #[tokio::test]
    async fn a_health_check_without_a_connection_makes_nobody_well() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spec = format!("url = '{url}'\nconnections = 1\n[health]\nunhealthy_after = 1\nhealthy_after = 1");
        let upstream = Upstream::new(&toml::from_str(&spec).unwrap(), Transport::Plain).unwrap();
        let rules = upstream.spec.health.as_ref().unwrap();
        let sick = Arc::clone(&upstream.fleet.load()[0]);
        sick.note_health(false, rules);
        let place = upstream.room.try_enter().unwrap();
        upstream.ask_health(&sick, rules).await;
        assert!(!sick.is_fit(), "it was not asked");
        drop(place);
        let answers = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            stream
        };
        let ((), _open) = tokio::join!(upstream.ask_health(&sick, rules), answers);
        assert!(sick.is_fit());
    }
}
