//! The one file that reads the clock.
//!
//! `Time` is wall-clock milliseconds that never run backwards: not when the system's clock is set back, and not
//! over a restart, since the last time told is kept with the count of starts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use kernel::{Span, Time};

/// By how much the wall clock may drift from the steady one between two readings before that counts as a jump.
const JUMP: Duration = Duration::from_secs(30);

/// What can be read of a machine's clocks.
pub trait Source: Send + Sync + 'static {
    /// Milliseconds since 1970 by the wall clock, which can be set, either way.
    fn wall(&self) -> u64;

    /// The time since some moment by the steady clock, which nobody sets.
    fn steady(&self) -> Duration;
}

/// This machine's clocks.
#[derive(Debug)]
pub struct Machine {
    since: Instant,
}

impl Machine {
    /// Begins to count the steady time.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub fn new() -> Self {
        Self { since: Instant::now() }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Machine {
    fn wall(&self) -> u64 {
        wall_millis()
    }

    fn steady(&self) -> Duration {
        self.since.elapsed()
    }
}

/// The node's clock.
pub struct Clock {
    source: Arc<dyn Source>,
    /// The latest time told.
    floor: AtomicU64,
}

impl Clock {
    /// Makes a clock that tells no time before `floor`.
    pub fn starting_after(floor: Time, source: Arc<dyn Source>) -> Self {
        Self { source, floor: AtomicU64::new(floor.0) }
    }

    /// Tells the time.
    pub fn now(&self) -> Time {
        let told = self.floor.fetch_max(self.source.wall(), Ordering::SeqCst);
        Time(told.max(self.floor.load(Ordering::SeqCst)))
    }

    /// Begins to watch for jumps.
    pub fn watch(&self) -> JumpWatch {
        JumpWatch { wall: self.source.wall(), steady: self.source.steady(), source: Arc::clone(&self.source) }
    }
}

/// Notices when the wall clock was set, or the machine slept.
pub struct JumpWatch {
    source: Arc<dyn Source>,
    wall: u64,
    steady: Duration,
}

impl JumpWatch {
    /// Says whether the wall clock has moved otherwise than the steady one since the last call.
    pub fn jumped(&mut self) -> bool {
        let (wall, steady) = (self.source.wall(), self.source.steady());
        let strayed = apart(self.wall, wall, steady.saturating_sub(self.steady));
        (self.wall, self.steady) = (wall, steady);
        strayed > JUMP
    }
}

/// Returns by how much a wall clock that went from `before` to `after` has strayed from a steady one in that time.
fn apart(before: u64, after: u64, steady: Duration) -> Duration {
    let moved = Duration::from_millis(after.abs_diff(before));
    if after >= before { moved.abs_diff(steady) } else { moved.saturating_add(steady) }
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

    /// A clock that is set, over a steady one.
    #[derive(Default)]
    struct Set(AtomicU64);

    impl Source for Set {
        fn wall(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }

        fn steady(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn a_jump_is_noticed_once_and_time_told_stays_where_it_was() {
        let source = Arc::new(Set(AtomicU64::new(100_000)));
        let clock = Clock::starting_after(Time::default(), source.clone());
        let mut jumps = clock.watch();
        assert!(!jumps.jumped());
        assert_eq!(clock.now(), Time(100_000));
        source.0.store(10_000, Ordering::SeqCst);
        assert!(jumps.jumped() && !jumps.jumped());
        assert_eq!(clock.now(), Time(100_000));
    }

    #[test]
    fn time_does_not_run_backwards_over_a_restart() {
        let future = Time(wall_millis() + 1_000_000);
        let clock = Clock::starting_after(future, Arc::new(Machine::new()));
        assert!(clock.now() >= future);
        assert!(clock.now() >= future);
    }
}
