//! A short pass over all shipped scenarios with seeds that nobody has tried: what fails is printed with the command that
//! repeats it. It always ends well: a find is news, not a reason to turn a change away.
//!
//! `cargo run --release -p simulations --example fresh -- FIRST_SEED [SECONDS]`, such as with `$(date +%s)`.

use std::{ops::ControlFlow, time::Duration};

use kernel::Span;
use simulations::{
    plan::Trim,
    regressions, run,
    search::{Budget, Stopwatch, Watch, command, processors, search, shrink_failure},
    shipped,
};

/// Large scenarios are made so small that each has its turn.
const NODES: u32 = 300;
const LENGTH: Span = Span::secs(600);

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().ok());
    let first = numbers.next().flatten().unwrap_or(1);
    let time = Duration::from_secs(numbers.next().flatten().unwrap_or(60));
    let begun = Stopwatch::start();
    let in_time = || if begun.elapsed() < time { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let threads = processors();
    let at_once = threads as u64;
    let (mut held, mut failed) = (0, 0);
    for round in 0.. {
        for scenario in shipped::all() {
            if in_time().is_break() {
                println!("fresh seeds from {first} on: all held in {held} runs, and did not in {failed}");
                return;
            }
            let trim = Trim {
                nodes: (scenario.nodes() > NODES.into()).then_some(NODES),
                length: (scenario.length > LENGTH).then_some(LENGTH),
                ..Trim::default()
            };
            let seeds = first.saturating_add(round * at_once)..first.saturating_add((round + 1) * at_once);
            let found = match search(&scenario, seeds, &trim, threads, &mut |_| in_time()) {
                Ok(found) => found,
                Err(error) => {
                    println!("{}: {error}", scenario.name);
                    continue;
                }
            };
            held += found.passed;
            let Some(failure) = found.failed else { continue };
            failed += 1;
            println!("{} does not hold: {}: {}", scenario.name, failure.violation.what, failure.violation.detail);
            let seed = failure.outcome.seed;
            println!("  repeat it: {}", command(&scenario.name, seed, &trim));
            if let Ok(row) = regressions::row(&scenario.name, seed, &trim, &failure.violation) {
                println!("  keep it in regressions.toml:\n{row}");
            }
            if !failure.may_shrink() {
                continue;
            }
            let budget = Budget { runs: 200, time: time / 4, threads };
            let run = |seed, trim: &Trim, watch: &mut Watch<'_>| run::run(&scenario, seed, trim, watch);
            let shrunk = shrink_failure(&scenario, &run, &failure, &trim, budget, &mut || ControlFlow::Continue(()));
            println!("  or smaller: {}", command(&scenario.name, seed, &shrunk.trim));
        }
    }
}
