//! The four stories over the real stack, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod towns;

use towns::Town;

/// Runs a story for some seeds; its intent runs, told in that story's steps, and answers with a page that names `who`.
fn check(town: &Town, story: u8, steps: usize, who: Option<&str>) {
    for seed in 0..3 {
        let report = town.holds(seed);
        let wish = &report.wishes[0];
        assert_eq!(wish.story, Some((story, steps)), "seed {seed}: {wish:?}");
        let page = wish.page.as_deref().unwrap_or_else(|| panic!("seed {seed}: no page: {wish:?}"));
        assert!(page.starts_with("run by "), "{page}");
        if let Some(who) = who {
            assert_eq!(page, format!("run by {who}"), "seed {seed}");
        }
        eprintln!("story {story}: {}", serde_json::to_string(&report.outcome).unwrap());
    }
}

#[test]
fn story_one_is_told_within_a_domain() {
    check(&towns::story_one(), 1, 31, None);
}

#[test]
fn story_two_is_told_by_a_supernode() {
    check(&towns::story_two(), 2, 31, None);
}

#[test]
fn story_three_is_told_across_a_border_and_names_no_node_beyond_it() {
    check(&towns::story_three(), 3, 41, Some("beta"));
}

#[test]
fn story_four_is_told_by_a_catalogue() {
    check(&towns::story_four(), 4, 41, Some("beta"));
}
