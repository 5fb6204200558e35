//! Holds a workload to its share of the processor.
//!
//! [`Account`] is a token bucket in nanoseconds of processor time, shared by all instances of a workload. [`Metered`]
//! wraps the future that runs an instance: it measures each poll with the thread's own processor clock, charges the
//! account, and does not poll again until the account is out of debt. The engine's epochs make a spinning guest yield
//! (see `wasm::ticker`), so that a poll is never longer than a slice and the worker threads stay free.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::logs::lock;

/// How long a workload that was idle may run at full speed, measured in time at its own share: short enough that a burst
/// is not felt by others, long enough that a page is served in one go.
const WINDOW: Duration = Duration::from_millis(100);

/// The processor time that a workload has left, and what it has used.
pub(crate) struct Account {
    millis: u64,
    balance: Mutex<Balance>,
}

struct Balance {
    /// Below zero the workload waits.
    nanos: i128,
    at: Instant,
    used: Duration,
}

impl Account {
    /// An account that fills by `millis` thousandths of real time.
    pub(crate) fn new(millis: u64, now: Instant) -> Self {
        let millis = millis.max(1);
        Self { millis, balance: Mutex::new(Balance { nanos: earned(millis, WINDOW), at: now, used: Duration::ZERO }) }
    }

    /// Takes `cost` from the account, into debt if need be.
    pub(crate) fn charge(&self, now: Instant, cost: Duration) {
        let mut balance = lock(&self.balance);
        self.fill(&mut balance, now);
        balance.nanos -= nanos(cost);
        balance.used += cost;
    }

    /// How long until the account is out of debt; `None` if it is now.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let mut balance = lock(&self.balance);
        self.fill(&mut balance, now);
        if balance.nanos >= 0 {
            return None;
        }
        let rate = i128::from(self.millis);
        let wait = (-balance.nanos * 1000 + rate - 1) / rate;
        Some(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// Processor time used since the start.
    pub(crate) fn used(&self) -> Duration {
        lock(&self.balance).used
    }

    fn fill(&self, balance: &mut Balance, now: Instant) {
        let passed = now.saturating_duration_since(balance.at);
        balance.nanos = (balance.nanos + earned(self.millis, passed)).min(earned(self.millis, WINDOW));
        balance.at = balance.at.max(now);
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn earned(millis: u64, passed: Duration) -> i128 {
    nanos(passed).saturating_mul(i128::from(millis)) / 1000
}

type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where time comes from, so that tests can make their own.
#[derive(Clone, Copy)]
struct Clock {
    /// Processor time of the polling thread.
    worked: fn() -> Duration,
    now: fn() -> Instant,
    pause: fn(Duration) -> Pause,
}

const CLOCK: Clock = Clock { worked: thread_time, now, pause: |wait| Box::pin(tokio::time::sleep(wait)) };

/// A future that runs only while its account is out of debt.
pub(crate) struct Metered<'a, F> {
    inner: Pin<Box<F>>,
    account: &'a Account,
    clock: Clock,
    pause: Option<Pause>,
}

impl<'a, F: Future> Metered<'a, F> {
    /// Charges `account` for what polling `inner` costs.
    pub(crate) fn new(account: &'a Account, inner: F) -> Self {
        Self { inner: Box::pin(inner), account, clock: CLOCK, pause: None }
    }
}

impl<F: Future> Future for Metered<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let clock = self.clock;
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            // Asked again after each pause: another instance of the workload may have spent what came in.
            match self.account.wait((clock.now)()) {
                Some(wait) => self.pause = Some((clock.pause)(wait)),
                None => break,
            }
        }
        let before = (clock.worked)();
        let output = self.inner.as_mut().poll(cx);
        let cost = (clock.worked)().saturating_sub(before);
        self.account.charge((clock.now)(), cost);
        output
    }
}

/// The moment, on a clock that measures how long guests ran and waited.
#[allow(clippy::disallowed_methods, reason = "shares of a processor are shares of real time; nothing is decided by it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The processor time that this thread has used.
#[cfg(unix)]
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Real time, where a thread's own time cannot be had: a workload on a busy machine then gets less than its share.
#[cfg(not(unix))]
fn thread_time() -> Duration {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(now);
    now() - *START
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SLICE: Duration = Duration::from_millis(5);

    #[test]
    fn debt_is_waited_for_at_the_workloads_share() {
        let start = super::now();
        let account = Account::new(500, start);
        assert_eq!(account.wait(start), None);
        account.charge(start, Duration::from_millis(60));
        // 50 ms stood to its credit, so 10 ms are owed, and come in within 20.
        assert_eq!(account.wait(start), Some(Duration::from_millis(20)));
        assert_eq!(account.wait(start + Duration::from_millis(20)), None);
        assert_eq!(account.used(), Duration::from_millis(60));
    }

    #[test]
    fn idle_time_is_not_saved_up_beyond_the_window() {
        let start = super::now();
        let account = Account::new(100, start);
        let later = start + Duration::from_secs(3600);
        account.charge(later, Duration::from_millis(10));
        assert_eq!(account.wait(later), None);
        account.charge(later, Duration::from_millis(1));
        assert_eq!(account.wait(later), Some(Duration::from_millis(10)));
    }

    thread_local! {
        static START: Instant = super::now();
        static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        static WORKED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    fn virtual_now() -> Instant {
        START.with(|start| *start + PASSED.get())
    }

    /// Time passes where a spinner works and where it pauses, and nowhere else.
    const VIRTUAL: Clock = Clock {
        worked: || WORKED.get(),
        now: virtual_now,
        pause: |wait| {
            Box::pin(async move {
                PASSED.set(PASSED.get() + wait);
            })
        },
    };

    /// Takes a slice of the processor at each poll, until ten seconds have passed.
    struct Spinner;

    impl Future for Spinner {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if PASSED.get() >= Duration::from_secs(10) {
                return Poll::Ready(());
            }
            WORKED.set(WORKED.get() + SLICE);
            PASSED.set(PASSED.get() + SLICE);
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    /// How much of ten seconds `count` spinners of one workload get together.
    fn worked_in_ten_seconds(millis: u64, count: usize) -> Duration {
        PASSED.set(Duration::ZERO);
        WORKED.set(Duration::ZERO);
        let account = Account::new(millis, virtual_now());
        let spinners = (0..count).map(|_| Metered { clock: VIRTUAL, ..Metered::new(&account, Spinner) });
        futures::executor::block_on(futures::future::join_all(spinners));
        assert_eq!(account.used(), WORKED.get());
        WORKED.get()
    }

    #[test]
    fn a_spinner_gets_its_share_and_no_more() {
        for (millis, count) in [(20, 1), (100, 1), (500, 1), (500, 8)] {
            let worked = worked_in_ten_seconds(millis, count);
            let share = Duration::from_millis(10 * millis);
            let allowed = share..=share + WINDOW + SLICE * u32::try_from(count).unwrap_or(0);
            assert!(allowed.contains(&worked), "{count} at {millis}: {worked:?} of {share:?}");
        }
    }

    #[test]
    fn a_share_of_a_whole_core_is_never_paused() {
        assert_eq!(worked_in_ten_seconds(1000, 1), Duration::from_secs(10));
    }
}
