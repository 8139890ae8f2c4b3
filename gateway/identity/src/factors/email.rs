//! One-time codes by e-mail, in place of a password: eight digits that are good for ten minutes, for a few tries, and only
//! in the browser that asked for them. What is known of a code lies within the sign-in that it belongs to (see
//! [`crate::sign_in`]), which one browser holds the ticket of; so a code that was read over somebody's shoulder, or asked
//! for by somebody else, opens nothing elsewhere, a new code ends the one before, and no stranger ends another's.
//!
//! A code is drawn and kept for whoever is named, known or not, and is worth what the mailbox is worth: assurance 1, beside
//! whatever (see [`crate::assurance`]).

use std::{fmt, time::Duration};

use aws_lc_rs::hmac;
use cardea_core::{Entropy, Secret, Timestamp, entropy};
use serde::{Deserialize, Serialize};

/// Ten minutes: what a slow mail server takes, and a cup of tea.
pub const LIFE: Duration = Duration::from_secs(600);

/// Tries at one code. Five: four mistakes in copying eight digits.
pub const TRIES: u8 = 5;

/// Eight, where an authenticator app has six: a code by mail lets in by itself, so that guessing must be worth less.
const DIGITS: usize = 8;
const CODES: u32 = 100_000_000;

/// A code, for the letter that it goes into.
#[derive(Debug, Clone)]
pub struct Code(Secret<String>);

/// What a sign-in keeps of the code that it awaits.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sent {
    key: [u8; 32],
    hash: Vec<u8>,
    expires: Timestamp,
    left: u8,
}

/// What was typed does not prove the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is another code.
    #[error("the code is wrong")]
    Wrong,
    /// The code that was sent is past its time, or its tries are used up: whatever is typed, it is good no more.
    #[error("the code is too old, or was tried too often")]
    Spent,
}

/// Draws a code.
pub fn draw(now: Timestamp, entropy: &dyn Entropy) -> (Code, Sent) {
    let code = Code::draw(entropy);
    let key: [u8; 32] = entropy::bytes(entropy);
    let hash = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), code.0.expose().as_bytes());
    let sent = Sent { key, hash: hash.as_ref().to_vec(), expires: now.plus(LIFE), left: TRIES };
    (code, sent)
}

impl Code {
    fn draw(entropy: &dyn Entropy) -> Self {
        // What lies beyond the last whole hundred million is drawn again: no code is likelier than another.
        let fair = u32::MAX - u32::MAX % CODES;
        loop {
            let number = u32::from_be_bytes(entropy::bytes(entropy));
            if number < fair {
                return Self(Secret::new(format!("{:0DIGITS$}", number % CODES)));
            }
        }
    }

    /// The code as people read it, in two groups of four; named long so that every use stands out.
    pub fn expose_grouped(&self) -> String {
        let (first, second) = self.0.expose().split_at(DIGITS / 2);
        format!("{first} {second}")
    }
}

impl Sent {
    /// Spends one try; says whether what was typed is the code.
    pub fn answer(&mut self, typed: &str, now: Timestamp) -> Result<(), Rejected> {
        if self.left == 0 || now >= self.expires {
            return Err(Rejected::Spent);
        }
        self.left -= 1;
        let typed: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(DIGITS + 1).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        // Constant time, whatever was typed.
        match hmac::verify(&key, typed.as_bytes(), &self.hash) {
            Ok(()) => Ok(()),
            Err(_) if self.left == 0 => Err(Rejected::Spent),
            Err(_) => Err(Rejected::Wrong),
        }
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sent(***, {} tries left)", self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::now;
    use cardea_core::entropy::Fixed;

    fn wrong(code: &str) -> String {
        let last = if code.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &code[..code.len() - 1])
    }

    #[test]
    fn a_code_is_eight_digits_taken_however_they_were_typed() {
        for seed in 0..200 {
            let (code, sent) = draw(now(), &Fixed::new(seed));
            let shown = code.expose_grouped();
            assert!(shown.len() == 9 && shown.bytes().filter(u8::is_ascii_digit).count() == 8, "{shown}");
            for typed in [shown.clone(), shown.replace(' ', ""), format!("\u{a0}{}\r\n", shown.replace(' ', "-"))] {
                assert_eq!(sent.clone().answer(&typed, now()), Ok(()), "{typed:?}");
            }
        }
    }

    #[test]
    fn what_is_not_the_code_is_wrong() {
        let (code, sent) = draw(now(), &Fixed::new(1));
        let (code, other) = (code.expose_grouped(), draw(now(), &Fixed::new(2)).0.expose_grouped());
        let long = format!("{code}0");
        for bad in
            ["", "-", "1234567", &wrong(&code), &code[1..], &long, &other, "０１２３４５６７", &"0".repeat(100_000)]
        {
            assert_eq!(sent.clone().answer(bad, now()), Err(Rejected::Wrong), "{:?}", bad.get(..20));
        }
    }

    #[test]
    fn a_code_is_good_for_five_tries_and_ten_minutes() {
        let (code, sent) = draw(now(), &Fixed::new(1));
        let code = code.expose_grouped();
        let mut tried = sent.clone();
        let told: Vec<_> = (0..5).map(|_| tried.answer(&wrong(&code), now())).collect();
        assert_eq!(told[..4], [Err(Rejected::Wrong); 4]);
        assert_eq!(told[4], Err(Rejected::Spent));
        assert_eq!(tried.answer(&code, now()), Err(Rejected::Spent), "right, but too late");
        let at = |seconds| sent.clone().answer(&code, now().plus(Duration::from_secs(seconds)));
        assert_eq!((at(599), at(600)), (Ok(()), Err(Rejected::Spent)));
    }

    #[test]
    fn neither_code_nor_what_is_kept_of_it_prints() {
        let (code, sent) = draw(now(), &Fixed::new(1));
        let digits = code.expose_grouped().replace(' ', "");
        let told = format!("{code:?} {sent:?} {}", serde_json::to_string(&sent).unwrap());
        assert!(!told.contains(&digits), "{told}");
    }
}
