//! Shrinking, tried on runs that are made up.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::{collection::btree_set, prelude::*};

use super::*;

/// A made-up world in which something goes wrong when all of these come together.
#[derive(Debug, Clone)]
struct Cause {
    nodes: u32,
    /// When it goes wrong; a run must be longer.
    at: u64,
    acts: Vec<u32>,
    arrivals: Vec<u32>,
}

/// How large the whole is.
const WHOLE: Size = Size { nodes: 100, length: Span::secs(1000), acts: 40, arrivals: 300 };

/// An act comes every 20 s, an intent every 3 s, each from one node after the other.
fn shape(trim: &Trim) -> Option<Shape> {
    let nodes = trim.nodes.unwrap_or(WHOLE.nodes).clamp(2, WHOLE.nodes);
    let length = trim.length.unwrap_or(WHOLE.length).min(WHOLE.length);
    let list = |count: u32, every: u64, said: &Option<Vec<u32>>| {
        let comes = |number: &u32| Span::secs(u64::from(*number) * every) < length;
        let is_said = |number: &u32| said.as_ref().is_none_or(|said| said.binary_search(number).is_ok());
        (0..count).filter(comes).filter(is_said).collect::<Vec<u32>>()
    };
    let (acts, arrivals) = (list(WHOLE.acts, 20, &trim.acts), list(WHOLE.arrivals, 3, &trim.arrivals));
    Some(Shape { nodes, length, acts, arrivals })
}

fn wrong(what: &str, at_ms: u64) -> Violation {
    Violation { what: what.to_owned(), at_ms, node: String::new(), detail: String::new() }
}

impl Cause {
    fn run(&self, trim: &Trim) -> Vec<Violation> {
        let shape = shape(trim).unwrap();
        let has = |all: &[u32], wanted: &[u32]| wanted.iter().all(|number| all.binary_search(number).is_ok());
        let fails = shape.nodes >= self.nodes
            && shape.length.0 > self.at
            && has(&shape.acts, &self.acts)
            && has(&shape.arrivals, &self.arrivals);
        // Another thing goes wrong in every small run: it is not the one that is looked for.
        let other = (shape.nodes < 50).then(|| wrong("other", 0));
        other.into_iter().chain(fails.then(|| wrong("this", self.at))).collect()
    }

    /// When the last thing of the cause has happened.
    fn last(acts: &[u32], arrivals: &[u32]) -> u64 {
        let act = acts.iter().map(|number| u64::from(*number) * 20_000).max();
        act.max(arrivals.iter().map(|number| u64::from(*number) * 3000).max()).unwrap_or(0)
    }
}

fn shrunk(cause: &Cause, threads: usize, runs: u32) -> Shrunk {
    let budget = Budget { runs, time: Duration::MAX, threads };
    let run = |trim: &Trim, _: &dyn Fn() -> bool| cause.run(trim);
    shrink(&Trim::default(), &wrong("this", cause.at), budget, &shape, &run, &mut || ControlFlow::Continue(()))
}

#[test]
fn one_cause_is_found_among_many_in_few_runs() {
    for (acts, arrivals) in [(vec![], vec![]), (vec![23], vec![]), (vec![], vec![200]), (vec![7], vec![13])] {
        let at = Cause::last(&acts, &arrivals) + 300;
        let cause = Cause { nodes: 9, at, acts: acts.clone(), arrivals: arrivals.clone() };
        let shrunk = shrunk(&cause, 1, 200);
        assert_eq!((shrunk.trim.acts.unwrap(), shrunk.trim.arrivals.unwrap()), (acts, arrivals));
        assert_eq!((shrunk.to.nodes, shrunk.to.length), (9, rounded(Span(at + 1))));
        assert!(shrunk.done && shrunk.runs < 100, "{} runs", shrunk.runs);
        assert_eq!(shrunk.from, WHOLE);
    }
}

#[test]
fn what_needs_no_fault_and_no_intent_is_left_with_none() {
    let shrunk = shrunk(&Cause { nodes: 2, at: 0, acts: vec![], arrivals: vec![] }, 2, 200);
    assert_eq!(shrunk.to, Size { nodes: 2, length: Span::millis(100), acts: 0, arrivals: 0 });
}

#[test]
fn it_ends_when_all_is_spent_or_nobody_waits() {
    let cause = Cause { nodes: 9, at: 700_000, acts: vec![1, 5, 9, 30], arrivals: vec![1, 50, 99, 150, 151] };
    let tried = AtomicU32::new(0);
    let run = |trim: &Trim, _: &dyn Fn() -> bool| {
        tried.fetch_add(1, Ordering::Relaxed);
        cause.run(trim)
    };
    let start = |budget: Budget, go_on: &mut dyn FnMut() -> ControlFlow<()>| {
        shrink(&Trim::default(), &wrong("this", cause.at), budget, &shape, &run, go_on)
    };
    let shrunk = start(Budget { runs: 17, time: Duration::MAX, threads: 2 }, &mut || ControlFlow::Continue(()));
    assert_eq!((shrunk.runs, shrunk.done), (17, false));
    assert!(tried.load(Ordering::Relaxed) <= 17);
    assert!(!cause.run(&shrunk.trim).is_empty());
    for (time, flow) in [(Duration::ZERO, ControlFlow::Continue(())), (Duration::MAX, ControlFlow::Break(()))] {
        let shrunk = start(Budget { runs: 1000, time, threads: 2 }, &mut || flow);
        assert_eq!((shrunk.runs, shrunk.done, shrunk.trim), (0, false, Trim::default()));
    }
}

fn causes() -> impl Strategy<Value = Cause> {
    let numbers = |count: u32| btree_set(0..count, 0..4).prop_map(|set| set.into_iter().collect::<Vec<u32>>());
    (2..=100u32, 1..60_000u64, numbers(WHOLE.acts), numbers(WHOLE.arrivals)).prop_map(
        |(nodes, later, acts, arrivals)| Cause { nodes, at: Cause::last(&acts, &arrivals) + later, acts, arrivals },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_shrunk_still_fails_so_and_needs_all_that_is_left(cause in causes(), threads in 1..5usize) {
        let shrunk = shrunk(&cause, threads, 5000);
        prop_assert!(shrunk.done);
        prop_assert!(cause.run(&shrunk.trim).contains(&shrunk.violation));
        prop_assert_eq!(&shrunk.violation.what, "this");
        prop_assert_eq!(shrunk.trim.acts.as_ref().unwrap(), &cause.acts);
        prop_assert_eq!(shrunk.trim.arrivals.as_ref().unwrap(), &cause.arrivals);
        prop_assert_eq!(shrunk.to.nodes, cause.nodes);
        prop_assert_eq!(shrunk.to.length, rounded(Span(cause.at + 1)));
        prop_assert_eq!(shrunk.to, shape(&shrunk.trim).unwrap().size());
    }

    #[test]
    fn it_is_never_larger_whatever_is_spent_and_the_same_on_any_number_of_threads(cause in causes(), runs in 0..60u32) {
        let one = shrunk(&cause, 1, runs);
        prop_assert!(one.runs <= runs);
        prop_assert!(cause.run(&one.trim).iter().any(|violation| violation.what == "this"));
        prop_assert!(one.to == one.from || is_smaller(&one.to, &one.from));
        prop_assert_eq!(one.from, WHOLE);
        let (few, many) = (shrunk(&cause, 1, 5000), shrunk(&cause, 4, 5000));
        prop_assert_eq!((few.trim, few.violation), (many.trim, many.violation));
    }
}
