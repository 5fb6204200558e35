//! `tombolo sim` as a person and a program use it: what it prints, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// A small world in which every intent must be in a stated state within `stated`.
fn scenario(stated: &str) -> String {
    format!(
        r#"# A small town.
        length = "30s"
        quiet = "1m"
        settings = {{ contract = {{ lease = "6s", activate-within = "4s" }}, vfabric = {{ grace = "1s" }} }}
        domains = [{{ name = "town", nodes = 5, offering = 0.5 }}]
        load = [{{ per-second = 0.5, cpu = "100m", memory = "16Mi", term = "30s", lives = "20s" }}]
        hold = {{ stated-within = "{stated}" }}"#
    )
}

fn sim(dir: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tombolo"));
    command.current_dir(dir).arg("sim").args(args.split_whitespace()).output().unwrap()
}

/// Runs it and returns its exit code and what it printed as JSON.
fn json(dir: &Path, args: &str) -> (Option<i32>, Value) {
    let output = sim(dir, &format!("{args} --json"));
    let value = serde_json::from_slice(&output.stdout);
    (output.status.code(), value.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

#[test]
fn a_run_in_which_all_holds_ends_well_and_says_what_others_rely_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("town.toml"), scenario("20s")).unwrap();
    let (code, run) = json(dir.path(), "town.toml --seed 3 --trace trace.txt --report out");
    assert_eq!(code, Some(0));
    for field in
        ["scenario", "seed", "nodes", "virtualS", "wallS", "events", "traceHash", "violations", "intents", "command"]
    {
        assert!(!run[field].is_null(), "{field}");
    }
    assert_eq!(
        (run["scenario"].as_str(), run["seed"].as_u64(), run["nodes"].as_u64()),
        (Some("town"), Some(3), Some(6))
    );
    let intents = &run["intents"];
    let parts = ["running", "refused", "failed"].map(|part| intents[part].as_u64().unwrap());
    assert_eq!(intents["total"].as_u64(), Some(parts.iter().sum()));
    for file in ["trace.txt", "out/index.html", "out/report.json"] {
        assert!(fs::metadata(dir.path().join(file)).unwrap().len() > 100, "{file}");
    }
    // Reading along changes nothing, and a search runs the same.
    assert_eq!(json(dir.path(), "town.toml --seed 3").1["traceHash"], run["traceHash"]);
    let (code, search) = json(dir.path(), "town.toml --seed 3 --seeds 3");
    assert_eq!((code, search["passed"].as_u64(), search.get("failed")), (Some(0), Some(3), None));
}

#[test]
fn what_fails_becomes_smaller_and_the_command_that_is_printed_repeats_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("town.toml"), scenario("1ms")).unwrap();
    let (code, search) = json(dir.path(), "town.toml --seeds 4");
    assert_eq!((code, search["seeds"].as_u64()), (Some(1), Some(4)));
    let (failed, smaller) = (&search["failed"], &search["smaller"]);
    assert!(smaller["intents"]["total"].as_u64() < failed["intents"]["total"].as_u64());
    let command = search["command"].as_str().unwrap();
    let (code, again) = json(dir.path(), command.strip_prefix("tombolo sim ").unwrap());
    assert_eq!(code, Some(1));
    assert_eq!((&again["violations"], &again["traceHash"]), (&smaller["violations"], &smaller["traceHash"]));
    // People read the same.
    let told = sim(dir.path(), "town.toml --seeds 4");
    assert!(String::from_utf8_lossy(&told.stdout).contains(command));
    assert!(String::from_utf8_lossy(&told.stderr).contains("town does not hold for seed"));
}

#[test]
fn wrong_usage_is_told_with_what_may_have_been_meant() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bad.toml"), "# Bad.\nlength = \"5m\"\n[[domians]]\nname = \"a\"\n").unwrap();
    for (args, told) in [
        ("quite-city", "did you mean 'quiet-city'?"),
        ("bad.toml", "line 3"),
        ("none.toml", "can not read none.toml"),
        ("quiet-city --acts 3-1", "no list of places"),
        ("quiet-city --seeds 0", "0 is not in"),
        ("quiet-city --seeds 2 --trace t", "cannot be used with"),
    ] {
        let output = sim(dir.path(), args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args}: {stderr}");
        assert!(stderr.contains(told), "{args}: {stderr}");
    }
}

#[test]
fn the_shipped_scenarios_are_listed_with_their_stories_and_their_texts_can_be_had() {
    let dir = tempfile::tempdir().unwrap();
    let (code, list) = json(dir.path(), "");
    let list = list.as_array().unwrap();
    assert!(code == Some(0) && list.len() >= 14);
    assert!(list.iter().all(|it| it["story"].as_str().is_some_and(|story| story.ends_with('.'))));
    let text = sim(dir.path(), "quiet-city --text");
    fs::write(dir.path().join("mine.toml"), text.stdout).unwrap();
    let (code, run) = json(dir.path(), "mine.toml --for 20s");
    assert_eq!((code, run["scenario"].as_str()), (Some(0), Some("mine")));
}
