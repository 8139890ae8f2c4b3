//! One-time values in memory.

use cardea_core::Timestamp;
use cardea_identity::{
    TicketHash,
    one_time::{OneTime, Purpose},
};

use super::memory_timed::Timed;
use crate::StoreFault;

/// The one-time values of a tenant. INVARIANT: those that anybody causes have a bound to themselves: whoever is not signed in takes no
/// room from who is.
#[derive(Default)]
pub(super) struct Values {
    of_strangers: Timed<(Purpose, TicketHash), OneTime>,
    of_people: Timed<(Purpose, TicketHash), OneTime>,
}

impl Values {
    fn like(&mut self, purpose: Purpose) -> &mut Timed<(Purpose, TicketHash), OneTime> {
        match purpose.is_of_strangers() {
            true => &mut self.of_strangers,
            false => &mut self.of_people,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of_strangers.is_empty() && self.of_people.is_empty()
    }

    /// Keeps a value in the place of one of the same name. Where there are `most` of its like, what is past its time goes first.
    pub(super) fn put(&mut self, value: &OneTime, most: usize, now: Timestamp) -> Result<(), StoreFault> {
        let (name, like) = ((value.purpose, value.hash), self.like(value.purpose));
        while like.len() >= most && !like.holds(&name) {
            if like.pop_over(now).is_none() {
                return Err(StoreFault::Full { what: "one-time values" });
            }
        }
        like.insert(name, value.expires, value.clone());
        Ok(())
    }

    /// A value, be it past its time or not.
    pub(super) fn peek(&mut self, purpose: Purpose, hash: &TicketHash) -> Option<OneTime> {
        self.like(purpose).get(&(purpose, *hash)).cloned()
    }

    /// The same, let go of.
    pub(super) fn take(&mut self, purpose: Purpose, hash: &TicketHash) -> Option<OneTime> {
        self.like(purpose).remove(&(purpose, *hash))
    }

    /// Lets go of one of each like that came to its end by then; tells whether there was any.
    pub(super) fn drop_one(&mut self, by: Timestamp) -> bool {
        self.of_strangers.pop_over(by).is_some() | self.of_people.pop_over(by).is_some()
    }
}
