//! The seeded generator that deciders are handed, so that one seed gives one run.

use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// A deterministic generator; its owner seeds it from the system once, or from a test's seed.
#[derive(Debug, Clone)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// Makes a generator from 32 bytes of seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// Makes a generator from a number, as tests and simulations do.
    pub fn from_number(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// Returns `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Returns a random 64-bit number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number in `0..end`, or 0 when `end` is 0.
    ///
    /// The bias of the modulo is below 2⁻³² for the small ranges that decisions need.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.number() % end }
    }

    /// Splits off an independent generator, for a part that keeps its own.
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.bytes())
    }
}
