//! Questions that came before there was anybody to ask: just after a start they wait a moment, instead of being
//! told that nobody has anything.

use kernel::{Span, Time};

use crate::fan_out::{Question, Travel, Waiting};

/// The most questions that wait; further ones are told at once that there is nobody.
const MOST: usize = 4096;

/// A question that waits for somebody to ask.
#[derive(Debug)]
pub(crate) struct Early {
    pub(crate) question: Question,
    pub(crate) limit: u32,
    pub(crate) waiting: Waiting,
    /// Where it has been, where it is another node's.
    pub(crate) travel: Option<Travel>,
    /// Until when an answer is of use.
    pub(crate) deadline: Time,
    /// How much of that is kept for the asking itself.
    pub(crate) reserve: Span,
}

/// Those that wait.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// Until when questions may wait at all.
    until: Time,
    /// When somebody has been reached: until when it is waited for others.
    gathering: Option<Time>,
    early: Vec<Early>,
}

impl Waits {
    /// Begins a life in which questions wait until then.
    pub(crate) const fn begin(&mut self, until: Time) {
        self.until = until;
    }

    /// Says whether a question that comes now may wait.
    pub(crate) fn is_open(&self, now: Time) -> bool {
        now < self.until && self.early.len() < MOST
    }

    /// Lets a question wait, where it may.
    pub(crate) fn put(&mut self, early: Early) {
        self.early.push(early);
    }

    /// Somebody was reached: others may follow until then.
    pub(crate) const fn reached(&mut self, until: Time) {
        if self.gathering.is_none() {
            self.gathering = Some(until);
        }
    }

    /// Returns when those that wait are to be asked, whoever is there.
    pub(crate) fn due(&self) -> Option<Time> {
        // Those that came last may have the least time.
        let latest = |early: &Early| Time(early.deadline.0.saturating_sub(early.reserve.0));
        let first = self.early.iter().map(latest).min()?.min(self.until);
        Some(self.gathering.map_or(first, |gathered| gathered.min(first)))
    }

    /// Ends the waiting and returns who waited.
    pub(crate) fn take(&mut self) -> Vec<Early> {
        // Whoever asks from here on is answered at once.
        self.until = Time::default();
        std::mem::take(&mut self.early)
    }
}
