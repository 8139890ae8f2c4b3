//! Log lines about what may happen with every request: one in a while, and how often it happened since.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Between two lines of one cause. Ten seconds: whoever looks at the log sees at once that it goes on, and a thousand requests
/// a second do not hide the rest of it.
const APART: Duration = Duration::from_secs(10);

/// One cause of lines. It is asked only where something has failed.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<Told>);

#[derive(Default)]
struct Told {
    last: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// How often it has happened since the last line, with this time; none where that line is too young for another.
    pub(crate) fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.since += 1;
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < APART) {
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.since))
    }
}

impl fmt::Debug for Seldom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seldom")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_all_the_time_is_told_once_in_a_while_with_how_often() {
        let (cause, other, first) = (Seldom::default(), Seldom::default(), Instant::now());
        let young = first + APART - Duration::from_millis(1);
        assert_eq!(cause.due_at(first), Some(1));
        assert_eq!((cause.due_at(first), cause.due_at(young)), (None, None));
        assert_eq!(other.due_at(first), Some(1), "another cause has its own lines");
        assert_eq!((cause.due_at(first + APART), cause.due_at(first + APART)), (Some(3), None));
    }
}
