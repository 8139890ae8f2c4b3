//! Whose turn it is to be told, and what follows a try. Asks nobody and reads no clock: time is given.

use std::sync::Arc;

use cardea_core::TenantId;
use tokio::time::Instant;

use super::{
    WAITING, Word,
    figures::Outcome,
    hands::{Hand, Hands},
    tries::{self, Answer, Next},
};
use crate::queue::Queue;

/// Why a word was dropped for which there was no room.
const FULL: &str = "too many others wait";

/// The words that wait, and those who bring them.
pub(super) struct Round {
    pub(super) queue: Queue<Word>,
    pub(super) hands: Arc<Hands>,
}

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum Turn {
    /// Its app is asked now, by that hand.
    Told(Word, Hand),
    /// It comes too late to be told. No hand is needed to find that out.
    Late(Untold),
}

/// What became of a try.
#[derive(Debug)]
pub(super) enum Tried {
    /// The app knows.
    Told,
    /// It rests until it is tried again, and holds no hand.
    Rests,
    /// One is given up: this one, or another that made room for it.
    Untold(Untold),
}

/// A word that is given up, and why.
#[derive(Debug)]
pub(super) struct Untold {
    pub(super) word: Word,
    pub(super) outcome: Outcome,
    pub(super) why: String,
}

impl Untold {
    /// One for which there was no room or no time.
    pub(super) fn dropped(word: Word, why: &str) -> Self {
        Self { word, outcome: Outcome::Dropped, why: why.to_owned() }
    }
}

impl Default for Round {
    fn default() -> Self {
        let queue = Queue::new(WAITING);
        let hands = Hands::new(queue.bell());
        Self { queue, hands }
    }
}

impl Round {
    /// Puts a word at the end of its app's share; gives what there is no room for.
    pub(super) fn put(&self, word: Word) -> Option<Untold> {
        self.queue.put(word).map(|word| Untold::dropped(word, FULL))
    }

    /// Whose turn it is now; else when the first that rests is due.
    pub(super) fn turn(&self, now: Instant) -> Result<Turn, Option<Instant>> {
        let late = |word: &Word| tries::begin(now - word.since).err();
        let hand = |word: &Word| if late(word).is_some() { Some(None) } else { self.hands.take(word).map(Some) };
        let (word, hand) = self.queue.next_for(hand, now)?;
        let outcome = Outcome::Failed;
        Ok(match hand {
            Some(hand) => Turn::Told(word, hand),
            None => Turn::Late(Untold { why: late(&word).unwrap_or_default().to_owned(), word, outcome }),
        })
    }

    /// What follows a try that ended now. Whoever asked gives back the hand after this.
    pub(super) fn tried(&self, mut word: Word, answer: Answer, now: Instant) -> Tried {
        word.tries += 1;
        let untold = |word, outcome, why| Tried::Untold(Untold { word, outcome, why });
        match tries::after(word.tries, now - word.since, answer) {
            Next::Done => Tried::Told,
            Next::Refused => untold(word, Outcome::Refused, tries::REFUSES.to_owned()),
            Next::GivenUp(why) => untold(word, Outcome::Failed, why),
            Next::Again(pause) => {
                word.due = Some(now + pause);
                if word.failing.is_none() {
                    word.failing = Some(self.hands.failing(&word));
                }
                self.queue.put_first(word).map_or(Tried::Rests, |word| Tried::Untold(Untold::dropped(word, FULL)))
            }
        }
    }

    /// Whether nothing waits and nobody is asked. In this order: a word is back in its place before its hand is free.
    pub(super) fn is_over(&self) -> bool {
        self.hands.are_idle() && self.queue.is_empty()
    }

    /// Whose apps are still to be told.
    pub(super) fn waiting(&self) -> Vec<TenantId> {
        self.queue.tenants()
    }
}
