//! Which seeds a test runs, and how the one that fails is repeated.

use std::ops::Range;

/// Returns the seeds to run: those given, `TOMBOLO_SEED` alone, or as many others as `TOMBOLO_SEEDS` says.
pub(crate) fn seeds(given: Range<u64>) -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match (std::env::var("TOMBOLO_SEED"), std::env::var("TOMBOLO_SEEDS")) {
        (Ok(seed), _) => number(&seed)..number(&seed) + 1,
        (Err(_), Ok(range)) => {
            let (from, to) = range.split_once("..").expect("a range, as 0..1000");
            let first = (given.start + 1) * 1_000_000;
            first + number(from)..first + number(to)
        }
        (Err(_), Err(_)) => given,
    }
}

/// Returns how much of each event is told in a trace: as many characters as `TOMBOLO_TRACE` says, if over one.
pub(crate) fn width() -> usize {
    let wished = std::env::var("TOMBOLO_TRACE").ok().and_then(|text| text.parse().ok());
    wished.filter(|width| *width > 1).unwrap_or(300)
}

/// Tells how a run that fails is repeated.
pub(crate) struct Tells {
    pub(crate) test: &'static str,
    pub(crate) seed: u64,
}

impl Drop for Tells {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = std::thread::current().name().unwrap_or("NAME").to_owned();
            let Self { test, seed } = self;
            eprintln!("to repeat: TOMBOLO_SEED={seed} cargo test -p agent --test {test} {name}");
        }
    }
}
