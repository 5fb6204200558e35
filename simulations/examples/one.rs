//! One run of a shipped scenario, for measuring: `cargo run --release -p simulations --example one -- NAME SEED`.
#![allow(clippy::unwrap_used)]
use std::ops::ControlFlow;
fn main() {
    let mut args = std::env::args().skip(1);
    let (path, seed) = (args.next().unwrap(), args.next().map_or(1, |seed| seed.parse().unwrap()));
    let text = std::fs::read_to_string(&path).unwrap();
    let scenario = simulations::scenario::Scenario::read(&path, &text).unwrap();
    let began = simulations::search::Stopwatch::start();
    let outcome = simulations::run::run(&scenario, seed, &Default::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    let took = began.elapsed().as_secs_f64();
    println!("{} nodes, {} s virtual, {took:.2} s, {} events, {:.0} events/s, {}", outcome.nodes, outcome.virtual_s, outcome.events, outcome.events as f64 / took, outcome.trace_hash);
    println!("{:?} {:?}", outcome.intents, outcome.violations);
}
