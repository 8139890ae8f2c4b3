//! One address of a service: its connections, what it has to do, and whether it may be given more.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use cardea_core::resources::HealthRules;
use rustls_pki_types::ServerName;
use tokio::time::Instant;

use super::{pool::Pool, room::Room};
use crate::seldom::Seldom;

/// Where one of a service's URLs leads.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// What a certificate must be for.
    pub(super) name: Option<ServerName<'static>>,
    /// Lines of the log that say that its name cannot be looked up.
    pub(super) nameless: Seldom,
}

impl Target {
    /// Its address, where the URL names one and no host.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, self.port))
    }

    /// What a request's `Host` calls it.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// An address of a service.
pub(crate) struct Endpoint {
    pub(super) target: Arc<Target>,
    pub(super) address: SocketAddr,
    pub(crate) pool: Pool,
    /// Requests begun and ended: their difference is what it has to do.
    begun: AtomicU64,
    ended: AtomicU64,
    /// Faults in a row.
    pub(super) faults: AtomicU32,
    /// Whether [`Condition`] has something to say; read without its lock.
    unfit: AtomicBool,
    condition: Mutex<Condition>,
    /// What the other side turned out not to speak.
    pub(super) lacks_http1: AtomicBool,
    pub(super) lacks_http2: AtomicBool,
    /// One opens an HTTP/2 connection, and the others wait to share it.
    pub(super) opening: tokio::sync::Mutex<()>,
    /// Lines of the log that say that it cannot be reached, and that it is not who it should be.
    pub(super) unreached: Seldom,
    pub(super) unproven: Seldom,
    /// What a sticky cookie calls it.
    pub(crate) label: Box<str>,
}

/// Why an address gets no requests, or only some.
#[derive(Debug)]
pub(super) struct Condition {
    /// It could not be reached.
    pub(super) down: bool,
    /// It says that it is not well.
    pub(super) sick: bool,
    /// It is left out, or not to be tried, until then.
    pub(super) until: Option<Instant>,
    /// How often it was lost lately, and the end of the last pause.
    times: u32,
    lately: Option<Instant>,
    /// Good and bad answers about its health in a row.
    pub(super) good: u32,
    pub(super) bad: u32,
    /// One request tries it, although it is unfit.
    trying: bool,
    /// Since when it takes requests, where it did not before.
    warming: Option<Instant>,
}

impl Condition {
    fn is_fit(&self) -> bool {
        !self.down && !self.sick && self.until.is_none()
    }
}

/// The longest pause before a lost address is tried again, in multiples of the first.
const PAUSE_MAX: u32 = 10;

/// After this time without a loss the earlier ones no longer count. A minute: what fails once an hour is not worse each time.
const FORGIVEN: Duration = Duration::from_secs(60);

impl Endpoint {
    pub(super) fn new(target: Arc<Target>, address: SocketAddr, room: Arc<Room>, label: Box<str>, warms: bool) -> Self {
        let warming = warms.then(Instant::now);
        let condition = Condition {
            down: false,
            sick: false,
            until: None,
            times: 0,
            lately: None,
            good: 0,
            bad: 0,
            trying: false,
            warming,
        };
        Self {
            target,
            address,
            pool: Pool::new(room),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            faults: AtomicU32::new(0),
            // A warming one is unfit in so far as its condition must be looked at.
            unfit: AtomicBool::new(warms),
            condition: Mutex::new(condition),
            lacks_http1: AtomicBool::new(false),
            lacks_http2: AtomicBool::new(false),
            opening: tokio::sync::Mutex::new(()),
            unreached: Seldom::default(),
            unproven: Seldom::default(),
            label,
        }
    }

    pub(super) fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn in_flight(&self) -> u64 {
        self.begun().saturating_sub(self.ended.load(Ordering::Relaxed))
    }

    /// What it has to do, the higher the less it should get; `None` where it should get nothing. An address without a
    /// past costs one load here, and no lock.
    pub(super) fn load(&self, slow_start: Duration) -> Option<u64> {
        let share = if self.unfit.load(Ordering::Acquire) { self.share(slow_start)? } else { 1_000 };
        Some((self.in_flight() + 1) * 1_000_000 / share)
    }

    /// Thousandths of an ordinary share that it should get now.
    fn share(&self, slow_start: Duration) -> Option<u64> {
        let mut condition = self.condition();
        let now = Instant::now();
        if condition.until.is_some_and(|until| until <= now) && !condition.down {
            condition.until = None;
            if condition.is_fit() {
                tracing::info!(address = %self.address, "an address of a service gets requests again: its time is over");
                condition.warming = Some(now);
                self.faults.store(0, Ordering::Relaxed);
            }
        }
        if !condition.is_fit() {
            return None;
        }
        let warm = condition.warming.map_or(slow_start, |since| now - since);
        if warm >= slow_start {
            condition.warming = None;
            self.unfit.store(false, Ordering::Release);
            return Some(1_000);
        }
        let share = warm.as_millis() * 1_000 / slow_start.as_millis().max(1);
        // A tenth at the least: who gets nothing never gets warm.
        Some(u64::try_from(share).unwrap_or(1_000).clamp(100, 1_000))
    }

    /// Whether it may get requests.
    pub(super) fn is_fit(&self) -> bool {
        !self.unfit.load(Ordering::Acquire) || self.condition().is_fit()
    }

    /// Leaves it without requests, for as long as `base` and its past say; says whether it was fit before.
    ///
    /// The pause grows with each loss, and with each `trial` after its end; requests that were under way when it was lost
    /// tell nothing new.
    pub(super) fn lose(&self, base: Duration, trial: bool, change: impl FnOnce(&mut Condition)) -> bool {
        let mut condition = self.condition();
        let now = Instant::now();
        let was_fit = condition.is_fit();
        change(&mut condition);
        self.unfit.store(true, Ordering::Release);
        let counts = was_fit || trial && condition.until.is_none_or(|until| until <= now);
        if !counts {
            return false;
        }
        if condition.lately.is_none_or(|end| now > end + FORGIVEN) {
            condition.times = 0;
        }
        condition.times = (condition.times + 1).min(PAUSE_MAX);
        condition.until = Some(now + base * condition.times);
        condition.lately = condition.until;
        was_fit
    }

    /// Whether it could not be reached, and is to be tried again now.
    pub(super) fn is_due(&self) -> bool {
        if !self.unfit.load(Ordering::Acquire) {
            return false;
        }
        let condition = self.condition();
        condition.down && condition.until.is_none_or(|until| until <= Instant::now())
    }

    /// Notes what came of a question about its health; says whether that has changed what it gets.
    pub(super) fn note_health(&self, well: bool, rules: &HealthRules) -> bool {
        let mut condition = self.condition();
        (condition.good, condition.bad) =
            if well { (condition.good.saturating_add(1), 0) } else { (0, condition.bad.saturating_add(1)) };
        let lost = condition.sick || condition.down;
        if !well && !condition.sick && condition.bad >= rules.unhealthy_after {
            condition.sick = true;
            self.unfit.store(true, Ordering::Release);
            return !lost;
        }
        let back = well && lost && condition.good >= rules.healthy_after;
        drop(condition);
        back && self.regain(|condition| {
            (condition.sick, condition.down, condition.until) = (false, false, None);
        })
    }

    /// It may get requests again; says whether it could not before.
    pub(super) fn regain(&self, change: impl FnOnce(&mut Condition)) -> bool {
        let mut condition = self.condition();
        let before = condition.is_fit();
        change(&mut condition);
        if before || !condition.is_fit() {
            return false;
        }
        condition.warming = Some(Instant::now());
        self.faults.store(0, Ordering::Relaxed);
        true
    }

    /// Begins a request on it.
    pub(super) fn begin(self: &Arc<Self>) -> Load {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Load { endpoint: Arc::clone(self), trial: false }
    }

    /// Begins the one request that may try it although it is unfit.
    pub(super) fn begin_trial(self: &Arc<Self>) -> Option<Load> {
        let mut condition = self.condition();
        if std::mem::replace(&mut condition.trying, true) {
            return None;
        }
        drop(condition);
        let mut load = self.begin();
        load.trial = true;
        Some(load)
    }
}

/// A request that an address has to do, until dropped.
pub(crate) struct Load {
    endpoint: Arc<Endpoint>,
    trial: bool,
}

impl Load {
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Whether an address is tried that is unfit.
    pub(super) fn is_trial(&self) -> bool {
        self.trial
    }

    /// The trial has come out: another may follow.
    pub(super) fn tried(&mut self) {
        if std::mem::take(&mut self.trial) {
            self.endpoint.condition().trying = false;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tried();
        self.endpoint.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::room::TenantRoom;

    const MINUTE: Duration = Duration::from_secs(60);

    fn endpoint(warms: bool) -> Arc<Endpoint> {
        let target = Arc::new(Target { host: "records".to_owned(), port: 1, name: None, nameless: Seldom::default() });
        let room = Arc::new(Room::new(1, TenantRoom::new(1)));
        Arc::new(Endpoint::new(target, "10.0.0.7:1".parse().unwrap(), room, "".into(), warms))
    }

    #[test]
    fn an_address_that_is_new_is_brought_up_to_its_share() {
        let new = endpoint(true);
        assert_eq!(endpoint(false).load(MINUTE), Some(1_000));
        assert!((9_900..=10_000).contains(&new.load(MINUTE).unwrap()), "a tenth at first");
        new.condition().warming = Some(Instant::now() - MINUTE / 2);
        assert!((1_950..=2_000).contains(&new.load(MINUTE).unwrap()), "half after half of the time");
        new.condition().warming = Some(Instant::now() - MINUTE);
        assert_eq!(new.load(MINUTE), Some(1_000));
        let held = new.begin();
        assert_eq!(new.load(MINUTE), Some(2_000));
        drop(held);
        assert_eq!(new.load(MINUTE), Some(1_000));
    }

    #[test]
    fn a_lost_address_is_tried_by_one_request_at_a_time_and_ever_more_seldom() {
        let lost = endpoint(false);
        for pause in [1, 2, 3] {
            lost.lose(MINUTE, true, |condition| condition.down = true);
            assert!(!lost.lose(MINUTE, true, |_| ()), "a trial ahead of time");
            let left = lost.condition().until.unwrap() - Instant::now();
            assert!(left > MINUTE * pause - Duration::from_secs(5) && left <= MINUTE * pause, "{left:?}");
            lost.condition().until = Some(Instant::now());
        }
        assert_eq!((lost.is_fit(), lost.load(MINUTE)), (false, None));
        let mut trial = lost.begin_trial().unwrap();
        assert!(lost.begin_trial().is_none());
        trial.tried();
        assert!(lost.begin_trial().is_some());
        assert!(lost.regain(|condition| (condition.down, condition.until) = (false, None)));
        assert!(lost.is_fit());
    }

    #[test]
    fn health_changes_after_as_many_answers_as_the_app_says() {
        let rules: HealthRules = toml::from_str("healthy_after = 2\nunhealthy_after = 3").unwrap();
        let asked = endpoint(false);
        for (well, fit) in [
            (false, true),
            (false, true),
            (true, true),
            (false, true),
            (false, true),
            (false, false),
            (true, false),
            (false, false),
            (true, false),
            (true, true),
        ] {
            asked.note_health(well, &rules);
            assert_eq!(asked.is_fit(), fit);
        }
    }
}
