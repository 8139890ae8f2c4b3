//! Work that is done to its end, whoever waits for it: a client that goes away, or whose time is over, must not come
//! between a change and its entry.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::House;

/// What has been begun and is not yet done.
pub(super) struct Begun {
    tasks: TaskTracker,
    room: Arc<Semaphore>,
    size: Mutex<usize>,
}

/// The work broke off by a defect of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work broke off")]
pub struct BrokeOff;

/// How long work may take at the longest. Five minutes: what waits for a server that is gone without a word waits for ever, and would
/// keep for ever what it holds, the right to write among it.
const LONGEST: Duration = Duration::from_secs(300);

impl Begun {
    /// Room for so much at once: whoever sends and goes away at once must still not have more done than others.
    pub(super) fn new(room: usize) -> Self {
        let size = room.min(Semaphore::MAX_PERMITS);
        Self { tasks: TaskTracker::new(), room: Arc::new(Semaphore::new(size)), size: Mutex::new(size) }
    }

    /// Makes room for more, or for less: of what is in use nothing is taken, so that it may stay larger than it should be.
    pub(super) fn resize(&self, room: usize) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = room.min(Semaphore::MAX_PERMITS);
        self.room.add_permits(wanted.saturating_sub(*size));
        let less = self.room.forget_permits(size.saturating_sub(wanted));
        *size = (*size).max(wanted) - less;
    }

    /// Does `work` in a task of its own. Dropping the future that this returns before the work was begun undoes it;
    /// afterwards it only means that nobody hears what came of it.
    pub(super) async fn done<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, BrokeOff> {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| BrokeOff)?;
        let work = async move {
            let done = tokio::time::timeout(LONGEST, work).await;
            drop(place);
            done
        };
        self.tasks.spawn(work.in_current_span()).await.ok().and_then(Result::ok).ok_or(BrokeOff)
    }

    /// Waits until all of it is done, but no longer than `limit`; tells how much is left.
    pub(super) async fn all_done(&self, limit: Duration) -> usize {
        self.tasks.close();
        let _ = tokio::time::timeout(limit, self.tasks.wait()).await;
        self.tasks.len()
    }
}

impl House {
    /// Does `work` to its end, also when the caller stops waiting. INVARIANT: whatever makes a change and writes its
    /// entry runs in here, so that no change is left without one.
    pub async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, BrokeOff> {
        self.begun.done(work).await
    }
}

#[cfg(test)]
impl Begun {
    /// How much is begun and not yet done.
    pub(super) fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// Takes every place that is left.
    pub(super) fn full(&self) -> Full<'_> {
        let count = u32::try_from(self.room.available_permits()).unwrap();
        Full { begun: self, places: self.room.try_acquire_many(count).unwrap() }
    }
}

/// Every place, held by a test.
#[cfg(test)]
pub(super) struct Full<'a> {
    begun: &'a Begun,
    places: tokio::sync::SemaphorePermit<'a>,
}

#[cfg(test)]
impl Full<'_> {
    /// Gives one place to whoever waits for it; tells whether somebody did.
    pub(super) fn next_is_taken(&mut self) -> bool {
        drop(self.places.split(1));
        let Ok(back) = self.begun.room.try_acquire() else { return true };
        self.places.merge(back);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_done_though_nobody_waits_for_it() {
        let (begun, done) = (Begun::new(1), Arc::new(AtomicBool::new(false)));
        let (go, told) = oneshot::channel::<()>();
        let doing = Arc::clone(&done);
        let work = begun.done(async move {
            let _ = told.await;
            doing.store(true, Ordering::SeqCst);
        });
        assert!(work.now_or_never().is_none(), "dropped while under way");
        assert!(begun.done(async {}).now_or_never().is_none(), "there was room for one");
        assert_eq!(begun.all_done(Duration::ZERO).await, 1);
        go.send(()).unwrap();
        assert_eq!(begun.all_done(Duration::MAX).await, 0);
        assert!(done.load(Ordering::SeqCst));
        assert_eq!(begun.done(async { 7 }).await, Ok(7), "the place is free again");
    }

    #[tokio::test]
    async fn a_defect_in_the_work_is_told_and_leaves_its_place() {
        let begun = Begun::new(1);
        for _ in 0..2 {
            assert_eq!(begun.done(async { panic!("a defect") }).await, Err::<(), _>(BrokeOff));
        }
    }
}
