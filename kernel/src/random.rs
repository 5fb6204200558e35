//! The seeded generator that deciders are handed, so that one seed gives one run.

use std::fmt;

use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// A deterministic generator; its owner seeds it from the system once, or from a test's seed.
///
/// Until the first draw it is its seed: at rest many a manager never draws, and a generator takes 300 bytes.
#[derive(Clone)]
pub struct Rng {
    seed: [u8; 32],
    drawn: Option<Box<ChaCha12Rng>>,
}

/// Nothing of it: secrets are drawn.
impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}

impl Rng {
    /// Makes a generator from 32 bytes of seed.
    pub const fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed, drawn: None }
    }

    /// Makes a generator from a number, as tests and simulations do.
    pub fn from_number(seed: u64) -> Self {
        Self { seed: [0; 32], drawn: Some(Box::new(ChaCha12Rng::seed_from_u64(seed))) }
    }

    fn generator(&mut self) -> &mut ChaCha12Rng {
        let Self { seed, drawn } = self;
        drawn.get_or_insert_with(|| Box::new(ChaCha12Rng::from_seed(*seed)))
    }

    /// Returns `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.generator().fill_bytes(&mut bytes);
        bytes
    }

    /// Returns a random 64-bit number.
    pub fn number(&mut self) -> u64 {
        self.generator().next_u64()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_run_and_has_always_given_it() {
        let mut rng = Rng::from_number(1);
        let numbers = [rng.number(), rng.number()];
        assert_eq!(numbers, [17_971_643_333_364_160_609, 12_751_046_405_260_142_922]);
        let (mut a, mut b) = (Rng::from_seed([1; 32]), Rng::from_seed([1; 32]));
        assert_eq!(a.bytes::<64>(), b.bytes::<64>());
        assert_ne!(a.number(), Rng::from_seed([2; 32]).number());
    }

    #[test]
    fn what_it_will_give_can_not_be_read_where_it_is_printed() {
        let mut rng = Rng::from_seed([171; 32]);
        for _ in 0..2 {
            assert!(!format!("{rng:?}").contains("171"));
            rng.number();
        }
    }

    #[test]
    fn a_number_below_is_below_and_every_one_comes() {
        let mut rng = Rng::from_number(2);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[rng.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }

    #[test]
    fn a_fork_goes_its_own_way() {
        let mut rng = Rng::from_number(3);
        let mut fork = rng.fork();
        assert_ne!(fork.bytes::<16>(), rng.bytes::<16>());
        // What the fork draws does not move its parent.
        let (mut drawn, mut idle) = (Rng::from_number(3), Rng::from_number(3));
        drawn.fork().number();
        let _ = idle.fork();
        assert_eq!(drawn.number(), idle.number());
    }
}
