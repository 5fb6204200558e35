//! The one file that reads the clock.
//!
//! `Time` is wall-clock milliseconds that never run backwards: not when the system's clock is set back, and not
//! over a restart, since the last time told is kept with the count of starts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use kernel::{Span, Time};

/// By how much the wall clock may drift from the steady one between two readings before that counts as a jump.
const JUMP: Duration = Duration::from_secs(30);

/// The node's clock.
#[derive(Debug)]
pub struct Clock {
    /// The latest time told.
    floor: AtomicU64,
}

impl Clock {
    /// Makes a clock that tells no time before `floor`.
    pub const fn starting_after(floor: Time) -> Self {
        Self { floor: AtomicU64::new(floor.0) }
    }

    /// Tells the time.
    pub fn now(&self) -> Time {
        let told = self.floor.fetch_max(wall_millis(), Ordering::SeqCst);
        Time(told.max(self.floor.load(Ordering::SeqCst)))
    }
}

/// Notices when the wall clock was set, or the machine slept.
#[derive(Debug)]
pub struct JumpWatch {
    wall: u64,
    steady: Instant,
}

impl JumpWatch {
    /// Begins to watch.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub fn new() -> Self {
        Self { wall: wall_millis(), steady: Instant::now() }
    }

    /// Says whether the wall clock has moved otherwise than the steady one since the last call.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub fn jumped(&mut self) -> bool {
        let last = std::mem::replace(self, Self { wall: wall_millis(), steady: Instant::now() });
        apart(last.wall, self.wall, self.steady.duration_since(last.steady)) > JUMP
    }
}

/// Returns by how much a wall clock that went from `before` to `after` has strayed from a steady one in that time.
fn apart(before: u64, after: u64, steady: Duration) -> Duration {
    let moved = Duration::from_millis(after.abs_diff(before));
    if after >= before { moved.abs_diff(steady) } else { moved.saturating_add(steady) }
}

impl Default for JumpWatch {
    fn default() -> Self {
        Self::new()
    }
}

/// Measures how long something takes, for progress and reports.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Returns the system's wall-clock time, for what happens before or beside a daemon.
pub fn wall() -> Time {
    Time(wall_millis())
}

/// Returns the span from now until `at`, by the system's wall clock.
pub fn until(now: Time, at: Time) -> Span {
    now.until(at)
}

#[allow(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_strays_far_from_the_steady_clock_is_a_jump() {
        let second = Duration::from_secs(1);
        for (before, after, jumped) in [
            (100_000, 101_000, false),
            // A clock that is set right by a little, either way.
            (100_000, 101_900, false),
            (100_000, 99_995, false),
            // The machine slept, or the clock was set.
            (100_000, 200_000, true),
            (100_000, 40_000, true),
        ] {
            assert_eq!(apart(before, after, second) > JUMP, jumped, "{before} to {after}");
        }
    }

    #[test]
    fn time_does_not_run_backwards_over_a_restart() {
        let future = Time(wall_millis() + 1_000_000);
        let clock = Clock::starting_after(future);
        assert!(clock.now() >= future);
        assert!(clock.now() >= future);
    }
}
