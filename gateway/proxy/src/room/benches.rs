//! Who leaves where a room is full: those who sit idle in it, one for each who waits for a place. So nobody keeps others out
//! by connections alone.
//!
//! Nothing of it is on a request's way. A connection sits down where one of its looks finds it idle, and costs nothing until
//! it is woken; who waits wakes one, and only one who is found busy after all wakes the next.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Notify;

/// Those who sit idle, strangers and known ones apart.
///
/// INVARIANT: who waits counts before looking who sits, and who sits before looking who waits: one sees the other.
#[derive(Debug, Default)]
pub(super) struct Benches {
    /// Those who wait for a place.
    waiting: AtomicUsize,
    /// Those who were asked to leave and are about to.
    leaving: AtomicUsize,
    strangers: Bench,
    known: Bench,
}

/// Who sat down first is asked first.
#[derive(Debug, Default)]
struct Bench {
    sitting: AtomicUsize,
    word: Notify,
}

/// Somebody's part in a count, until it is dropped.
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Who is about to leave, for one who waits; to be held until the place is given back.
#[derive(Debug)]
#[must_use]
pub(crate) struct Leaving(Arc<Benches>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leaving.fetch_sub(1, SeqCst);
    }
}

impl Benches {
    /// One more waits, until this is dropped.
    pub(super) fn wait(&self) -> Counted<'_> {
        let waiting = Counted::one_more(&self.waiting);
        self.call();
        waiting
    }

    /// Asks one to leave.
    pub(super) fn call(&self) {
        let bench = if self.strangers.sitting.load(SeqCst) > 0 { &self.strangers } else { &self.known };
        if bench.sitting.load(SeqCst) > 0 {
            // A word that nobody hears any more stays for the next who sits down, and who finds nobody waiting stays seated.
            bench.word.notify_one();
        }
    }

    /// Sits down until somebody waits for whom nobody leaves yet.
    pub(super) async fn sit(self: &Arc<Self>, known: bool) -> Leaving {
        let bench = if known { &self.known } else { &self.strangers };
        let _sitting = Counted::one_more(&bench.sitting);
        loop {
            if let Some(leaving) = self.leave() {
                return leaving;
            }
            bench.word.notified().await;
        }
    }

    fn leave(self: &Arc<Self>) -> Option<Leaving> {
        let one_more = |leaving| (leaving < self.waiting.load(SeqCst)).then_some(leaving + 1);
        self.leaving.fetch_update(SeqCst, SeqCst, one_more).ok()?;
        Some(Leaving(Arc::clone(self)))
    }
}
