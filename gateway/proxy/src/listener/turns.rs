//! TLS handshakes over TCP take turns with everything else: a thousand clients that come at once must not be answered in one go
//! while a request that is under way waits behind them.

use std::{
    future::poll_fn,
    num::NonZero,
    pin::pin,
    task::{Context, Poll},
    thread,
};

use tokio::{sync::Semaphore, task::yield_now};

/// Turns that one client's handshake takes. Sixteen: three or four are usual. Whoever sends it in crumbs takes no more from the
/// others, and costs less a crumb than a step does.
const MOST: usize = 16;

/// As many turns at a time as there are cores.
#[derive(Debug)]
pub(crate) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)))
    }
}

impl Turns {
    /// Does `work` whose steps are long, each in a turn of its own: before it, whatever else is ready goes first. Nothing is
    /// held while `work` waits for the other side, so that nobody who is slow keeps others waiting; and it has so many turns.
    pub(crate) async fn in_turns<W: Future>(&self, work: W) -> W::Output {
        let mut work = pin!(work);
        for _ in 0..MOST {
            // The semaphore is never closed; if it were, there would be no turns to wait for.
            let turn = self.0.acquire().await;
            yield_now().await;
            if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
                return done;
            }
            drop(turn);
            woken().await;
        }
        work.await
    }
}

/// Waits until the task is woken, by what was polled in it last.
async fn woken() {
    let mut asked = false;
    poll_fn(
        move |_: &mut Context<'_>| {
            if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::oneshot;

    use super::*;

    /// A step as long as a handshake's, told by its number alone.
    async fn step(done: &AtomicU32) -> u32 {
        done.fetch_add(1, Ordering::Relaxed)
    }

    #[tokio::test]
    async fn what_is_under_way_goes_between_two_handshakes_of_a_thousand() {
        let (turns, done) = (Arc::new(Turns(Semaphore::new(1))), Arc::new(AtomicU32::new(0)));
        let crowd: Vec<_> = (0..1_000)
            .map(|_| {
                let (turns, done) = (Arc::clone(&turns), Arc::clone(&done));
                tokio::spawn(async move { turns.in_turns(step(&done)).await })
            })
            .collect();
        // One pass through all that is ready for each step of somebody else.
        for passes in 1..=5 {
            yield_now().await;
            assert!(done.load(Ordering::Relaxed) <= passes, "more than one handshake a pass");
        }
        for one in crowd {
            one.await.unwrap();
        }
        assert_eq!(done.load(Ordering::Relaxed), 1_000);
    }

    #[tokio::test]
    async fn who_is_slow_keeps_no_turn() {
        let turns = Arc::new(Turns(Semaphore::new(1)));
        let (says, hears) = oneshot::channel();
        let slow = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.in_turns(hears).await }
        });
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(turns.in_turns(async { 7 }).await, 7);
        says.send(8).unwrap();
        assert_eq!(slow.await.unwrap(), Ok(8));
    }

    #[tokio::test]
    async fn who_sends_in_crumbs_takes_so_many_turns_and_ends_all_the_same() {
        let turns = Turns(Semaphore::new(1));
        let (mut steps, mut held) = (0, 0);
        let crumbs = poll_fn(|cx| {
            steps += 1;
            held += usize::from(turns.0.available_permits() == 0);
            cx.waker().wake_by_ref();
            if steps < 100 { Poll::Pending } else { Poll::Ready(()) }
        });
        turns.in_turns(crumbs).await;
        assert_eq!((steps, held), (100, MOST));
    }

    #[tokio::test]
    async fn who_leaves_in_the_middle_gives_the_turn_back() {
        let turns = Turns(Semaphore::new(1));
        {
            let mut leaves = pin!(turns.in_turns(std::future::pending::<()>()));
            for _ in 0..3 {
                assert!(poll_fn(|cx| Poll::Ready(leaves.as_mut().poll(cx).is_pending())).await);
                yield_now().await;
            }
        }
        {
            // With the turn in hand, before its first step.
            let mut leaves = pin!(turns.in_turns(std::future::pending::<()>()));
            assert!(poll_fn(|cx| Poll::Ready(leaves.as_mut().poll(cx).is_pending())).await);
        }
        assert_eq!(turns.in_turns(async { 7 }).await, 7);
    }
}
