//! Room for connections and for requests: as much as the settings in force say, also after they have changed.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

mod benches;
mod shares;

use benches::Benches;
pub(crate) use benches::Leaving;
pub(crate) use shares::{Holder, Share, Shares};

/// Places for connections. Whoever finds none waits, and whoever sits idle in one leaves it to them.
#[derive(Debug)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    /// How many there are; held while it changes.
    size: Mutex<usize>,
    /// Places that are to go as soon as whoever is in them leaves.
    owed: AtomicUsize,
    /// Those who would leave for others.
    benches: Arc<Benches>,
}

/// A place in a room, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn of(size: usize) -> Arc<Self> {
        let size = size.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            places: Arc::new(Semaphore::new(size)),
            size: Mutex::new(size),
            owed: AtomicUsize::new(0),
            benches: Arc::default(),
        })
    }

    /// The next place that is free; none only if there will never be one again.
    pub(crate) async fn place(self: &Arc<Self>) -> Option<Place> {
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = self.benches.wait();
                Arc::clone(&self.places).acquire_owned().await.ok()?
            }
        };
        Some(Place { room: Arc::clone(self), permit: Some(permit) })
    }

    /// For whoever sits idle in a place: ready once it is to be left to somebody who waits for one. Strangers are asked before
    /// those who are `known`.
    pub(crate) async fn to_leave(&self, known: bool) -> Leaving {
        self.benches.sit(known).await
    }

    /// Whoever was asked to leave is not idle after all: the next is.
    pub(crate) fn stays(&self, leaving: Leaving) {
        drop(leaving);
        self.benches.call();
    }

    /// Makes it larger or smaller. Nobody is sent away: what is too much goes with those who leave.
    pub(crate) fn resize(&self, wanted: usize) {
        let wanted = wanted.min(Semaphore::MAX_PERMITS);
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let (more, fewer) = (wanted.saturating_sub(*size), size.saturating_sub(wanted));
        let kept = self.take_owed(more);
        self.places.add_permits(more - kept);
        self.owed.fetch_add(fewer - self.places.forget_permits(fewer), Ordering::AcqRel);
        *size = wanted;
    }

    /// Takes back up to `most` of what is owed; tells how many.
    fn take_owed(&self, most: usize) -> usize {
        let less = |owed: usize| Some(owed - owed.min(most));
        let before = self.owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        before.unwrap_or_else(|owed| owed).min(most)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.room.owed.load(Ordering::Acquire) > 0
            && self.room.take_owed(1) == 1
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}

/// Requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Slots(AtomicUsize);

/// A request in flight.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a AtomicUsize);

impl Slots {
    /// One more, if there are fewer than `most`.
    pub(crate) fn take(&self, most: usize) -> Option<Slot<'_>> {
        let slot = Slot(&self.0);
        // Counted before it is looked at: two that come at once are never both the last.
        (self.0.fetch_add(1, Ordering::AcqRel) < most).then_some(slot)
    }

    /// How many there are.
    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_room_that_shrinks_sends_nobody_away_and_takes_nobody_in_until_there_is_room() {
        let room = Room::of(3);
        let next = || room.place().now_or_never().flatten();
        let mut held: Vec<_> = (0..3).filter_map(|_| next()).collect();
        assert!(next().is_none());
        room.resize(1);
        held.pop();
        held.pop();
        assert!(next().is_none(), "one is still in, and one is the most");
        held.pop();
        held.extend(next());
        assert!(held.len() == 1 && next().is_none());
        // What is not yet gone need not be made anew.
        room.resize(0);
        room.resize(2);
        held.extend(next());
        assert!(held.len() == 2 && next().is_none());
        drop(held);
        assert_eq!((room.places.available_permits(), room.owed.load(Ordering::SeqCst)), (2, 0));
    }

    #[test]
    fn one_leaves_for_one_who_waits_and_strangers_before_others() {
        let room = Room::of(1);
        let next = || Box::pin(room.place());
        let held = next().now_or_never().flatten();
        let sit = |known| Box::pin(room.to_leave(known));
        let (mut known, mut first, mut second) = (sit(true), sit(false), sit(false));
        for one in [&mut known, &mut first, &mut second] {
            assert!(one.now_or_never().is_none(), "nobody waits");
        }
        let mut waits = next();
        assert!((&mut waits).now_or_never().is_none());
        assert!((&mut known).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        let leaving = (&mut first).now_or_never().unwrap();
        let mut late = sit(false);
        assert!((&mut late).now_or_never().is_none(), "one has been asked");

        // It was not idle after all, nor was the next: then the one after it is asked, and at last who is known.
        room.stays(leaving);
        room.stays((&mut second).now_or_never().unwrap());
        room.stays((&mut late).now_or_never().unwrap());
        let leaving = (&mut known).now_or_never().unwrap();
        drop((held, leaving));
        let held = (&mut waits).now_or_never().flatten();
        assert!(held.is_some() && sit(false).now_or_never().is_none(), "nobody waits any more");

        // Nobody sat there when somebody began to wait: whoever sits down next is asked.
        let mut waits = next();
        assert!((&mut waits).now_or_never().is_none());
        let leaving = sit(true).now_or_never();
        assert!(leaving.is_some() && sit(false).now_or_never().is_none());
        drop(waits);
        drop(leaving);
        assert!(sit(false).now_or_never().is_none(), "who waited has gone");
    }

    #[test]
    fn no_more_requests_are_let_in_than_may_be() {
        let slots = Slots::default();
        let first = slots.take(1);
        assert!(first.is_some() && slots.take(1).is_none());
        assert!(slots.take(2).is_some(), "there may be more now");
        drop(first);
        assert!(slots.take(1).is_some() && slots.take(0).is_none());
    }
}
