//! How fast the steps of sign-ins may follow each other from one place. Each step is a durable write that anybody can
//! cause, so it is bounded before it is made, and in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cardea_core::Timestamp;

/// The pace of every place that has made a step lately, as the moment when all its steps so far are paid for (the
/// generic cell rate algorithm of ITU-T I.371).
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<String, Timestamp>>);

/// What one step costs. Half a second: a sign-in is three steps, so an office behind one address can begin forty in a
/// minute for as long as it likes.
const STEP: Duration = Duration::from_millis(500);

/// What may be owed. A minute's worth, 120 steps: forty people who come at once.
const CREDIT: Duration = Duration::from_secs(60);

/// Places that are told apart. What comes from further ones shares one pace, so that memory is bounded.
const PLACES: usize = 20_000;

impl Pace {
    /// Makes a step at `now` from `place`, or says how long to wait.
    pub(super) fn step(&self, place: &str, now: Timestamp) -> Result<(), Duration> {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if owed.len() >= PLACES && !owed.contains_key(place) {
            owed.retain(|_, paid| *paid > now);
        }
        let place = if owed.len() < PLACES || owed.contains_key(place) { place } else { "" };
        let paid = owed.get(place).copied().unwrap_or(now).max(now).plus(STEP);
        let debt = paid.since(now);
        if debt > CREDIT {
            return Err(debt - CREDIT);
        }
        owed.insert(place.to_owned(), paid);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t0() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    fn steps(pace: &Pace, place: &str, at: Timestamp, tries: usize) -> usize {
        (0..tries).filter(|_| pace.step(place, at).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let pace = Pace::default();
        assert_eq!(steps(&pace, "192.0.2.1", t0(), 1_000), 120);
        assert_eq!(pace.step("192.0.2.1", t0()), Err(STEP));
        assert_eq!(steps(&pace, "192.0.2.1", t0().plus(STEP), 1_000), 1);
        assert_eq!(steps(&pace, "192.0.2.2", t0(), 1_000), 120, "another place");
        assert_eq!(steps(&pace, "192.0.2.1", t0().plus(CREDIT * 2), 1_000), 120, "after a rest");
    }

    #[test]
    fn memory_is_bounded_and_places_beyond_it_share_a_pace() {
        let pace = Pace::default();
        assert_eq!((0..PLACES).filter(|nth| pace.step(&nth.to_string(), t0()).is_ok()).count(), PLACES);
        let beyond = (PLACES..PLACES * 2).filter(|nth| pace.step(&nth.to_string(), t0()).is_ok()).count();
        assert_eq!(beyond, 120);
        assert_eq!(steps(&pace, "7", t0(), 1_000), 119, "who was here before is not disturbed");
        assert!(pace.0.lock().unwrap().len() <= PLACES + 1);
        assert!(pace.step("late", t0().plus(CREDIT)).is_ok());
        assert_eq!(pace.0.lock().unwrap().len(), 1, "what is paid for is forgotten");
    }
}
