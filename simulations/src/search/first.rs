//! The first of many that fails, on several threads at once, and the same one however they are scheduled.

use std::{
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// How often the caller is asked whether to go on.
const TICK: Duration = Duration::from_millis(100);

/// Returns the lowest number below `count` for which `test` has an answer, with the answer.
///
/// Numbers are tried in order. Once there is an answer, nothing above it is begun, what runs above it is told to give
/// up, and what runs below it runs to its end. `test` is told by its second argument when nobody waits for it any
/// more; what it answers then counts only where it is the lowest. `tick` is called on the caller's thread now and
/// then; when it breaks, everything is told to give up.
pub(super) fn first<A: Send>(
    count: u64,
    threads: usize,
    test: &(impl Fn(u64, &dyn Fn() -> bool) -> Option<A> + Sync),
    tick: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<(u64, A)> {
    let next = AtomicU64::new(0);
    let lowest = AtomicU64::new(u64::MAX);
    let stopped = AtomicBool::new(false);
    let best: Mutex<Option<(u64, A)>> = Mutex::new(None);
    let threads = threads.max(1).min(usize::try_from(count).unwrap_or(usize::MAX));
    // Nothing is ever sent: that all senders are gone is the message.
    let (alive, ended) = mpsc::sync_channel::<()>(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            let alive = alive.clone();
            let (next, lowest, stopped, best) = (&next, &lowest, &stopped, &best);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let idle = || stopped.load(Ordering::Relaxed) || lowest.load(Ordering::Relaxed) < number;
                    if number >= count || idle() {
                        break;
                    }
                    if let Some(answer) = test(number, &idle) {
                        lowest.fetch_min(number, Ordering::Relaxed);
                        let mut best = best.lock().unwrap_or_else(PoisonError::into_inner);
                        if best.as_ref().is_none_or(|(at, _)| number < *at) {
                            *best = Some((number, answer));
                        }
                    }
                }
                drop(alive);
            });
        }
        drop(alive);
        while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if tick().is_break() {
                stopped.store(true, Ordering::Relaxed);
            }
        }
    });
    best.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ever(_: u64, _: &dyn Fn() -> bool) -> Option<u64> {
        None
    }

    #[test]
    fn the_lowest_that_fails_is_found_however_many_look() {
        for threads in [1, 2, 7, 64] {
            let test = |number: u64, _: &dyn Fn() -> bool| (number % 37 == 36 || number > 50).then_some(number * 2);
            assert_eq!(first(1000, threads, &test, &mut || ControlFlow::Continue(())), Some((36, 72)));
            assert_eq!(first(36, threads, &test, &mut || ControlFlow::Continue(())), None);
        }
        assert_eq!(first(0, 4, &ever, &mut || ControlFlow::Continue(())), None);
    }

    #[test]
    fn a_slow_lower_one_is_waited_for_and_a_higher_one_gives_up() {
        // 0 fails only after 1 has failed; 2 runs until it is told to give up.
        let failed = AtomicBool::new(false);
        let test = |number: u64, idle: &dyn Fn() -> bool| match number {
            0 => {
                while !failed.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                Some(0)
            }
            1 => {
                failed.store(true, Ordering::Relaxed);
                Some(1)
            }
            _ => {
                while !idle() {
                    thread::yield_now();
                }
                None
            }
        };
        assert_eq!(first(3, 3, &test, &mut || ControlFlow::Continue(())), Some((0, 0)));
    }

    #[test]
    fn a_higher_one_that_answers_later_counts_for_nothing() {
        for _ in 0..50 {
            // 0 fails once 1 has begun; 1 answers once nobody waits for it any more.
            let begun = AtomicBool::new(false);
            let test = |number: u64, idle: &dyn Fn() -> bool| {
                begun.fetch_or(number == 1, Ordering::Relaxed);
                while !(if number == 0 { begun.load(Ordering::Relaxed) } else { idle() }) {
                    thread::yield_now();
                }
                Some(number)
            };
            assert_eq!(first(2, 2, &test, &mut || ControlFlow::Continue(())), Some((0, 0)));
        }
    }

    #[test]
    fn a_caller_who_breaks_ends_it() {
        let test = |_: u64, idle: &dyn Fn() -> bool| {
            while !idle() {
                thread::yield_now();
            }
            None::<()>
        };
        assert_eq!(first(u64::MAX, 2, &test, &mut || ControlFlow::Break(())), None);
    }
}
