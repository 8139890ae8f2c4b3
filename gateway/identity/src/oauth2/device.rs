//! The codes of the device grant (RFC 8628): a long one that the device keeps asking with, a short one that a person types.

use std::time::Duration;

use cardea_core::{Entropy, entropy};

use crate::token::{TicketHash, sha256};

/// Seconds between two questions of a device (section 3.5).
pub const INTERVAL: Duration = Duration::from_secs(5);

/// What a person types: no vowels, so that it says nothing, and nothing that looks like another (section 6.1).
const SIGNS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Eight of twenty signs are 34 bits: enough for ten minutes in which each account has ten tries.
const LENGTH: usize = 8;

/// A code that a person types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode([u8; LENGTH]);

impl UserCode {
    /// Draws a new one.
    pub fn draw(source: &dyn Entropy) -> Self {
        let mut code = [0; LENGTH];
        for sign in &mut code {
            *sign = loop {
                // 240 is the largest multiple of 20 in a byte: what is above it would favour the first signs.
                let [drawn] = entropy::bytes::<1>(source);
                if drawn < 240 {
                    break SIGNS[usize::from(drawn) % SIGNS.len()];
                }
            };
        }
        Self(code)
    }

    /// Reads what somebody typed: in any case, with or without what stands between.
    pub fn parse(text: &str) -> Option<Self> {
        let signs: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')).collect();
        let signs: Vec<u8> = signs.iter().map(u8::to_ascii_uppercase).collect();
        let code: [u8; LENGTH] = signs.try_into().ok()?;
        code.iter().all(|sign| SIGNS.contains(sign)).then_some(Self(code))
    }

    /// What stores know it by.
    pub fn hash(&self) -> TicketHash {
        TicketHash::from_bytes(sha256(&self.0))
    }

    /// As it is shown: `WDJB-MJHT`. Named long, as of every secret that leaves.
    pub fn expose_text(&self) -> String {
        let (first, second) = self.0.split_at(LENGTH / 2);
        format!("{}-{}", String::from_utf8_lossy(first), String::from_utf8_lossy(second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = UserCode::draw(&Fixed::new(7));
        let shown = code.expose_text();
        assert_eq!(shown.len(), 9);
        for typed in [shown.clone(), shown.to_lowercase(), shown.replace('-', ""), shown.replace('-', " ")] {
            assert_eq!(UserCode::parse(&typed).unwrap().hash(), code.hash(), "{typed}");
        }
        for typed in ["", "AAAA-AAAA", "WDJB-MJH", "WDJB-MJHTX", "WDJB-MJH1", "ÄÖÜ"] {
            assert_eq!(UserCode::parse(typed), None, "{typed}");
        }
    }

    #[test]
    fn every_sign_is_drawn_as_often() {
        let source = Fixed::new(1);
        let mut seen = [0u32; 20];
        for _ in 0..5_000 {
            for sign in UserCode::draw(&source).0 {
                seen[SIGNS.iter().position(|one| *one == sign).unwrap()] += 1;
            }
        }
        assert!(seen.iter().all(|times| (1_750..2_250).contains(times)), "{seen:?}");
    }
}
