//! The clocks of a simulated machine: virtual time, by which the wall clock may be off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use node::clock::Source;
use tokio::time::Instant;

/// A machine's clocks, from one start of it on.
pub(crate) struct Virtual {
    /// What time it was when the machine started, in milliseconds since 1970.
    base: u64,
    since: Instant,
    /// By how many milliseconds the wall clock is ahead.
    ahead: Arc<AtomicI64>,
}

impl Virtual {
    /// Starts the clocks of a machine whose world began at `begin` by its calendar. To be called on the machine.
    #[allow(clippy::disallowed_methods, reason = "time is virtual here: this reads what turmoil has set")]
    pub(crate) fn start(begin: u64, ahead: Arc<AtomicI64>) -> Self {
        let age = turmoil::sim_elapsed().unwrap_or_default();
        Self { base: begin.saturating_add(millis(age)), since: Instant::now(), ahead }
    }
}

impl Source for Virtual {
    fn wall(&self) -> u64 {
        (self.base + millis(self.since.elapsed())).saturating_add_signed(self.ahead.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        self.since.elapsed()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
