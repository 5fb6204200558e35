//! The search over real runs: the same failure on any number of threads, and a smaller run that fails like it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{ops::ControlFlow, time::Duration};

use simulations::{
    plan::Trim,
    run::run,
    scenario::Scenario,
    search::{Budget, Stand, Watch, search, shrink_failure},
};

/// A city in which three of four nodes have nothing, so that most intents need another node; each must be in a
/// stated state `within` so much.
fn city(within: &str) -> Scenario {
    let text = format!(
        r#"# A small city with crashes.
        length = "2m"
        settings = {{ contract = {{ lease = "6s", activate-within = "4s" }}, vfabric = {{ grace = "1s" }} }}
        domains = [{{ name = "city", nodes = 9, offering = 0.25 }}]
        load = [{{ per-second = 0.5, cpu = "100m", memory = "16Mi", term = "30s", lives = "20s" }}]
        faults = [{{ kind = "bounce", every = "10s..20s" }}]
        hold = {{ stated-within = "{within}" }}"#
    );
    Scenario::read("city", &text).unwrap()
}

fn going(_: &Stand) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn what_is_found_is_the_same_on_any_number_of_threads() {
    // So tight that some seeds are within it and others are not.
    let scenario = city("60ms");
    let trim = Trim::default();
    let found = |threads| search(&scenario, 1..13, &trim, threads, &mut going).unwrap();
    let (one, many) = (found(1), found(4));
    assert_eq!(one.passed, many.passed);
    let hashes = |found: &simulations::search::Found| {
        found.outcomes.iter().map(|outcome| outcome.trace_hash.clone()).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&one), hashes(&many));
    let of = |found: simulations::search::Found| found.failed.map(|it| (it.outcome.seed, it.outcome.trace_hash));
    assert_eq!(of(one), of(many));
}

#[test]
fn a_failing_run_shrinks_to_what_matters_and_the_same_trim_fails_again() {
    let scenario = city("10ms");
    let failure = search(&scenario, 7..9, &Trim::default(), 2, &mut going).unwrap().failed.unwrap();
    assert_eq!((failure.outcome.seed, failure.violation.what.as_str()), (7, "liveness"));
    let budget = Budget { runs: 200, time: Duration::MAX, threads: 2 };
    let run_one = |seed, trim: &Trim, watch: &mut Watch<'_>| run(&scenario, seed, trim, watch);
    let mut go_on = || ControlFlow::Continue(());
    let shrunk = shrink_failure(&scenario, &run_one, &failure, &Trim::default(), budget, &mut go_on);
    assert!(shrunk.done);
    assert!(shrunk.to.acts == 0 && shrunk.to.arrivals <= 3, "few intents are enough: {shrunk:?}");
    assert!(shrunk.to.nodes < shrunk.from.nodes && shrunk.to.length < shrunk.from.length);
    let again = || run(&scenario, 7, &shrunk.trim, &mut |_| ControlFlow::Continue(())).unwrap();
    let (again, once_more) = (again(), again());
    assert_eq!(again.violations, std::slice::from_ref(&shrunk.violation));
    assert_eq!(again.trace_hash, once_more.trace_hash);
}
