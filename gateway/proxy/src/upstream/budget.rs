//! How many requests may be sent again: a share of all, so that a service that fails is not asked twice as much.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Over which time the share is counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Requests that may be sent again in that time however few there are: a service with ten requests a minute has a share
/// of none.
const FLOOR: u64 = 10;

#[derive(Debug)]
pub(super) struct Budget {
    percent: u64,
    window: Mutex<Window>,
    /// Requests sent again so far.
    pub(super) spent: AtomicU64,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    begun: u64,
    spent: u64,
}

impl Budget {
    pub(super) fn new(percent: u32) -> Self {
        let window = Mutex::new(Window { since: Instant::now(), begun: 0, spent: 0 });
        Self { percent: percent.into(), window, spent: AtomicU64::new(0) }
    }

    /// Takes one, where `begun` requests were begun so far. Asked only once a request has failed.
    pub(super) fn take(&self, begun: u64, now: Instant) -> bool {
        if self.percent == 0 {
            return false;
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(window.since) > WINDOW {
            *window = Window { since: now, begun, spent: 0 };
        }
        if window.spent >= FLOOR + begun.saturating_sub(window.begun) * self.percent / 100 {
            return false;
        }
        window.spent += 1;
        true
    }

    /// One is sent again, or tries another address.
    pub(super) fn count(&self) {
        self.spent.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_share_with_a_floor_and_comes_back() {
        let (budget, now) = (Budget::new(20), Instant::now());
        assert_eq!((0..100).filter(|_| budget.take(0, now)).count(), 10);
        assert_eq!((0..300).filter(|_| budget.take(1_000, now)).count(), 200);
        assert!(!budget.take(1_000, now));
        assert_eq!((0..100).filter(|_| budget.take(1_000, now + WINDOW * 2)).count(), 10);
        assert!(!Budget::new(0).take(1_000, now));
    }
}
