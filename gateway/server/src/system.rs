//! The system's clock and the system's randomness: the only place that reads either. All else is given them.

use std::cell::RefCell;

use cardea_core::{Clock, Entropy, Timestamp};

/// Tells the time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the edge that the ban list points to")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }
}

/// Draws randomness from the operating system through aws-lc. What is short enough to be no secret (ids of entries and
/// spans, several a request) is drawn ahead, many at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

/// Longest draw that is served from what was drawn ahead. Sixteen bytes: every key and handle is longer, so none of
/// them ever lay in memory before it was made.
const SHORT: usize = 16;

/// Bytes drawn ahead by one thread, from the front; each is wiped as it is given away.
struct Ahead {
    bytes: [u8; 1024],
    given: usize,
}

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; 1024], given: 1024 }) };
}

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        if out.len() > SHORT {
            return draw(out);
        }
        AHEAD.with_borrow_mut(|ahead| ahead.give(out));
    }
}

impl Ahead {
    fn give(&mut self, out: &mut [u8]) {
        if self.bytes.len() - self.given < out.len() {
            draw(&mut self.bytes);
            self.given = 0;
        }
        let given = &mut self.bytes[self.given..self.given + out.len()];
        out.copy_from_slice(given);
        given.fill(0);
        self.given += out.len();
    }
}

fn draw(out: &mut [u8]) {
    // Keys from a source that failed would be worse than no gateway.
    if aws_lc_rs::rand::fill(out).is_err() {
        tracing::error!("the system gives no randomness; ending");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_draw_is_given_twice() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(cardea_core::entropy::bytes::<10>(&SystemEntropy).to_vec()));
            assert!(seen.insert(cardea_core::entropy::bytes::<32>(&SystemEntropy).to_vec()));
        }
    }
}
