//! What a manager is: an actor that decides and never does.

use crate::Time;

/// When a manager wants to be woken, and the word that says why.
pub type Wake = (Time, &'static str);

/// A plain, synchronous decider: inputs and the time go in, effects come out.
///
/// The same inputs at the same times, with the same seed, give the same effects. A manager knows no other
/// manager: it addresses its effects to nobody, and the agent's route table decides whose mail they become.
pub trait Manager {
    /// Everything that can happen to this manager.
    type Input;
    /// Everything this manager can ask for.
    type Effect;

    /// Takes in one event and appends what follows from it to `out`.
    fn handle(&mut self, now: Time, input: Self::Input, out: &mut Vec<Self::Effect>);

    /// Returns the earliest time at which [`wake`](Self::wake) has something to do.
    fn next_wake(&self) -> Option<Wake>;

    /// Does what is due at `now`; does nothing when called early.
    fn wake(&mut self, now: Time, out: &mut Vec<Self::Effect>);
}
