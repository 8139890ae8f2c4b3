//! What came of all requests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Times in nanoseconds, of the requests that count.
pub(crate) struct Tally {
    took: Vec<u64>,
    late: Vec<u64>,
    failed: BTreeMap<String, u64>,
    all: u64,
    lead: u64,
    good: u64,
}

impl Tally {
    /// Of `all` requests, the first `lead` do not count in the times. Takes the memory for them at once.
    pub(crate) fn new(lead: u64, all: u64) -> Self {
        let room = usize::try_from(all).unwrap_or(0);
        Self {
            took: Vec::with_capacity(room),
            late: Vec::with_capacity(room),
            failed: BTreeMap::new(),
            all,
            lead,
            good: 0,
        }
    }

    /// A request was due so long before the sender came to it.
    pub(crate) fn due(&mut self, nth: u64, late: u64) {
        if nth >= self.lead {
            self.late.push(late);
        }
    }

    pub(crate) fn answered(&mut self, nth: u64, status: u16, took: u64) {
        if status != 200 {
            self.failed(&status.to_string());
            return;
        }
        self.good += 1;
        if nth >= self.lead {
            self.took.push(took);
        }
    }

    /// From the first on, all count: by the answer's status, as `ended` without one, or as `unanswered`.
    pub(crate) fn failed(&mut self, how: &str) {
        *self.failed.entry(how.to_owned()).or_default() += 1;
    }

    /// Times are told in µs; `late` is the sender's own p99, and `late_half` its p50.
    pub(crate) fn told(mut self) -> Value {
        self.took.sort_unstable();
        self.late.sort_unstable();
        let unanswered = self.all - self.good - self.failed.values().sum::<u64>();
        if unanswered > 0 {
            self.failed.insert("unanswered".to_owned(), unanswered);
        }
        let took = |per_mille| micros(&self.took, per_mille);
        json!({
            "sent": self.all, "answered": self.took.len(), "failed": self.failed,
            "p50": took(500), "p90": took(900), "p99": took(990), "p999": took(999), "max": took(1_000),
            "late": micros(&self.late, 990), "late_half": micros(&self.late, 500),
        })
    }
}

/// What so many in a thousand stay below; nothing where nothing was measured.
fn micros(sorted: &[u64], per_mille: usize) -> Option<f64> {
    let nth = (sorted.len() * per_mille / 1_000).min(sorted.len().checked_sub(1)?);
    #[allow(clippy::cast_precision_loss, reason = "a run takes minutes")]
    let nanos = *sorted.get(nth)? as f64;
    Some(nanos / 1e3)
}
