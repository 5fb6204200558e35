//! What simulations have found: every row of `regressions.toml` is run, and must hold.
//!
//! A failure prints the command that repeats it. A new find becomes a row before it is mended; `tombolo sim` prints it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, ops::ControlFlow};

use simulations::{
    regressions::{self, Regression},
    search::{command, processors, search},
    shipped,
};

/// Runs a row; says what did not hold.
fn run(row: &Regression) -> Option<String> {
    let Regression { scenario: name, seed, .. } = row;
    let scenario = shipped::by_name(name).unwrap_or_else(|| panic!("no scenario {name} is shipped"));
    let (seeds, trim) = (*seed..seed + 1, row.trim());
    let found = search(&scenario, seeds, &trim, 1, &mut |_| ControlFlow::Continue(())).unwrap();
    let violation = found.failed?.violation;
    let repeat = command(name, *seed, &trim);
    Some(format!("{}: {}\nonce: {}\nrepeat it: {repeat}", violation.what, violation.detail, row.found))
}

#[test]
fn what_was_found_once_holds_from_then_on() {
    let rows = regressions::all().unwrap();
    let each = rows.len().div_ceil(processors()).max(1);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let all: Vec<_> =
            rows.chunks(each).map(|rows| scope.spawn(|| rows.iter().filter_map(run).collect::<Vec<_>>())).collect();
        all.into_iter().flat_map(|some| some.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn every_row_is_one_run_and_says_what_was_found_and_what_mended_it() {
    let rows = regressions::all().unwrap();
    assert!(!rows.is_empty());
    let mut runs = BTreeSet::new();
    for row in &rows {
        let repeat = command(&row.scenario, row.seed, &row.trim());
        assert!(row.found.ends_with('.') && row.mended.ends_with('.'), "{repeat}");
        assert!(runs.insert(repeat.clone()), "twice: {repeat}");
    }
}
