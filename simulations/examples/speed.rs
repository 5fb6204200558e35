//! One run of a scenario, shipped or in a file, without any report, for a profiler: events for each second of processor time.
//!
//! `cargo run --release -p simulations --example speed -- SCENARIO [SEED [NODES [SECONDS]]]`; 0 is all nodes, or the
//! whole length. A phase, such as founding and finding each other, is told apart by the events that it took.

use std::{fs, ops::ControlFlow};

use kernel::Span;
use simulations::{plan::Trim, run, run::Progress, scenario::Scenario, shipped};

/// After how much virtual time what it took so far is printed.
const EVERY: Span = Span::secs(60);

fn main() {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "ten-thousand-nodes".to_owned());
    let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize| numbers.get(at).copied().filter(|number| *number != 0);
    let own = || Scenario::read(&name, &fs::read_to_string(&name).ok()?).ok();
    let Some(scenario) = shipped::by_name(&name).or_else(own) else {
        println!("there is no scenario {name}; {}", shipped::hint(&name));
        return;
    };
    let trim = Trim {
        nodes: number(1).and_then(|nodes| nodes.try_into().ok()),
        length: number(2).map(Span::secs),
        ..Trim::default()
    };
    let (mut before, mut next) = ((0, processor()), Span::ZERO);
    let mut tell = |events: u64, age: Span| {
        let now = processor();
        let rate = (events - before.0) as f64 / (now - before.1).max(0.001);
        println!("{age:>8} {events:>10} events, {:>7.2} s of processor, {rate:>8.0} a second lately", now);
        before = (events, now);
    };
    let mut watch = |progress: Progress| {
        if progress.age >= next {
            next = progress.age.plus(EVERY);
            tell(progress.events, progress.age);
        }
        ControlFlow::Continue(())
    };
    match run::run(&scenario, number(0).unwrap_or(1), &trim, &mut watch) {
        Ok(outcome) => {
            let took = processor();
            println!(
                "{} nodes, {} s: {} events in {took:.2} s of processor: {:.0} a second; {} of {} ran; trace {}",
                outcome.nodes,
                outcome.virtual_s,
                outcome.events,
                outcome.events as f64 / took.max(0.001),
                outcome.intents.running,
                outcome.intents.total,
                outcome.trace_hash,
            );
            for violation in outcome.violations {
                println!("{}: {}", violation.what, violation.detail);
            }
        }
        Err(error) => println!("{error}"),
    }
}

/// Returns how many seconds of a processor this thread has used.
fn processor() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default() / 1e9
}
