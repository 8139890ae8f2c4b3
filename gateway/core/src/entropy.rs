//! Randomness as an argument. The gateway draws it from the system; tests from a seed.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random bytes fit for keys and handles.
pub trait Entropy: Send + Sync {
    /// Fills `out` wholly. A source that cannot must end the process rather than return less.
    fn fill(&self, out: &mut [u8]);
}

/// `N` bytes from `source`.
pub fn bytes<const N: usize>(source: &dyn Entropy) -> [u8; N] {
    let mut out = [0; N];
    source.fill(&mut out);
    out
}

/// A repeatable source for tests: every draw differs, every run is the same. Never fit for a secret.
#[derive(Debug)]
pub struct Fixed(AtomicU64);

impl Fixed {
    /// A source that starts at `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            // SplitMix64: well spread from any seed, and short.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let drawn = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}
