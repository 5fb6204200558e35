//! Searches over runs that are made up.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn outcome(seed: u64, violations: &[&str]) -> Outcome {
    let violation =
        |what: &&str| Violation { what: (*what).to_owned(), at_ms: 5, node: String::new(), detail: String::new() };
    Outcome { seed, events: 10, violations: violations.iter().map(violation).collect(), ..Outcome::default() }
}

fn going(_: &Stand) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn the_failure_is_that_of_the_lowest_seed_and_all_below_it_held() {
    for threads in [1, 2, 9] {
        let run = |seed: u64, _: &mut Watch<'_>| {
            let broken: &[&str] = if seed >= 130 { &["liveness", "invariant 1"] } else { &[] };
            Ok(outcome(seed, broken))
        };
        let found = search_with(&run, 100..1000, threads, &mut going).unwrap();
        let failed = found.failed.unwrap();
        assert_eq!((found.passed, failed.outcome.seed, failed.violation.what.as_str()), (30, 130, "liveness"));
        let seeds: Vec<u64> = found.outcomes.iter().map(|outcome| outcome.seed).collect();
        assert_eq!(seeds, (100..116).collect::<Vec<u64>>());
    }
}

#[test]
fn where_all_holds_all_seeds_have_run() {
    let found = search_with(&|seed, _: &mut Watch<'_>| Ok(outcome(seed, &[])), 5..60, 3, &mut going).unwrap();
    assert_eq!((found.passed, found.outcomes.len(), found.failed.is_none()), (55, 16, true));
    let none = search_with(&|seed, _: &mut Watch<'_>| Ok(outcome(seed, &[])), 5..5, 3, &mut going).unwrap();
    assert_eq!((none.passed, none.failed.is_none()), (0, true));
}

#[test]
fn a_panic_is_a_failure_that_says_where_and_when() {
    let run = |seed: u64, watch: &mut Watch<'_>| {
        let _ = watch(Progress { age: Span::secs(3), of: Span::secs(9), events: 77 });
        assert_ne!(seed, 4, "the fourth");
        Ok(outcome(seed, &[]))
    };
    let failed = search_with(&run, 0..9, 2, &mut going).unwrap().failed.unwrap();
    assert!(failed.violation.what.starts_with("panic at ") && failed.violation.what.contains("search/tests.rs:"));
    assert!(failed.violation.detail.contains("the fourth"), "{}", failed.violation.detail);
    assert_eq!((failed.violation.at_ms, failed.outcome.seed, failed.outcome.events), (3000, 4, 77));
}

#[test]
fn what_can_not_run_is_an_error() {
    let run = |_: u64, _: &mut Watch<'_>| Err(PlanError("no such node".to_owned()));
    assert_eq!(search_with(&run, 0..9, 2, &mut going).unwrap_err().to_string(), "no such node");
}

#[test]
fn one_who_breaks_gets_what_there_was_so_far() {
    let run = |seed: u64, watch: &mut Watch<'_>| {
        while watch(Progress { age: Span::secs(1), of: Span::secs(2), events: 1 }).is_continue() {
            std::thread::yield_now();
        }
        Ok(outcome(seed, &[]))
    };
    let mut seen = Vec::new();
    let found = search_with(&run, 3..4, 1, &mut |stand| {
        seen.push(*stand);
        if stand.share > 0.4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let found = found.unwrap();
    assert_eq!((found.passed, found.failed.is_none(), found.stopped.unwrap().seed), (0, true, 3));
    let last = seen.last().unwrap();
    assert_eq!((last.passed, last.of, last.events, last.share), (0, 1, 1, 0.5));
}
