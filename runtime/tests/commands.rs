//! Commands: they run to their end within their limits, and again where that is asked for.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use runtime::{Driver, LogStream, Restart, StartError, Status};
use support::{BATCH, Bench, command, counts_directories, hog, holds_headers, is_denied_sockets, soon, spec, spinner};

#[tokio::test]
async fn a_command_runs_to_its_end_and_its_output_is_kept() {
    let mut bench = Bench::new();
    bench.start("batch", BATCH, |spec| spec.args = vec!["one".into(), "two words".into()]).await;
    let seen = bench.until("batch", Status::has_ended).await;
    assert_eq!(seen, [Status::Starting, Status::Running, Status::Succeeded]);
    let lines = bench.driver.logs("batch", 0).await.lines;
    let out: Vec<_> = lines.iter().map(|line| (line.stream, line.text.as_str(), line.at_ms)).collect();
    let expected =
        ["batch on 12D3KooW", "argument 1: one", "argument 2: two words", "step 1 of 3", "step 2 of 3", "step 3 of 3"];
    let mut expected: Vec<_> = expected.map(|text| (LogStream::Stdout, text, Some(1234))).into();
    expected.push((LogStream::Stderr, "done", Some(1234)));
    assert_eq!(out, expected);
    assert!(bench.driver.running().is_empty());
    assert_eq!(bench.driver.usage("batch").unwrap().memory_bytes, 0);
}

#[tokio::test]
async fn a_stopped_workload_is_gone_and_its_name_is_free() {
    let mut bench = Bench::new();
    bench.start("spin", &spinner(), |_| {}).await;
    bench.until_running("spin").await;
    assert_eq!(bench.driver.running(), ["spin"]);
    assert_eq!(bench.driver.start(spec("spin", bench.put(BATCH))).await, Err(StartError::AlreadyExists("spin".into())));
    soon(bench.driver.stop("spin", Duration::from_secs(600))).await;
    assert_eq!(bench.event().await.1, Status::Stopped);
    assert!(bench.driver.running().is_empty() && bench.driver.usage("spin").is_none());
    soon(bench.driver.stop("spin", Duration::ZERO)).await;
    soon(bench.driver.stop("never heard of", Duration::ZERO)).await;
    bench.start("spin", BATCH, |_| {}).await;
    bench.until("spin", |status| *status == Status::Succeeded).await;
}

#[tokio::test]
async fn memory_beyond_the_limit_is_refused_and_named_as_the_reason() {
    let mut bench = Bench::new();
    bench.start("hog", &hog(), |_| {}).await;
    let reason = bench.until_failed("hog").await;
    assert!(reason.starts_with("out of memory: wanted 64 KiB more than the limit of 16 MiB leaves"), "{reason}");
    let usage = bench.driver.usage("hog").unwrap();
    assert_eq!((usage.memory_bytes, usage.memory_peak_bytes), (0, 16 << 20));
}

/// What the host keeps for a guest stands in no budget of memory: there is little of it.
#[tokio::test]
async fn a_guest_holds_few_things_of_the_hosts() {
    let mut bench = Bench::new();
    bench.start("some", &holds_headers(500), |_| {}).await;
    assert_eq!(bench.until("some", Status::has_ended).await.last(), Some(&Status::Succeeded));
    bench.start("many", &holds_headers(2000), |_| {}).await;
    let reason = bench.until_failed("many").await;
    assert_eq!(reason, "resource table has no free keys");
}

#[tokio::test]
async fn a_component_larger_than_its_partition_fails_at_once() {
    let mut bench = Bench::new();
    bench.start("large", &command("(memory 257)", "i32.const 0"), |spec| spec.restart = Restart::Always).await;
    let reason = bench.until_failed("large").await;
    assert!(reason.starts_with("out of memory"), "{reason}");
}

#[tokio::test]
async fn the_wall_clock_limit_ends_a_spinner_and_is_named_as_the_reason() {
    let mut bench = Bench::new();
    let change = |spec: &mut runtime::Spec| {
        spec.limits.wall = Some(Duration::from_millis(50));
        spec.restart = Restart::Always;
    };
    bench.start("spin", &spinner(), change).await;
    assert_eq!(bench.until_failed("spin").await, "ran longer than its limit of 50ms");
    assert!(bench.texts("spin").await.contains(&"ran longer than its limit of 50ms".to_owned()));
}

#[tokio::test]
async fn a_crash_is_told_in_one_sentence() {
    let mut bench = Bench::new();
    for (id, body, expected) in [
        ("trap", "unreachable", "wasm trap: wasm `unreachable` instruction executed"),
        ("divide", "(i32.div_u (i32.const 1) (i32.const 0))", "wasm trap: integer divide by zero"),
        ("error", "i32.const 1", "ended with an error"),
    ] {
        bench.start(id, &command("", body), |_| {}).await;
        assert_eq!(bench.until_failed(id).await, expected);
    }
}

#[tokio::test]
async fn a_crash_is_repeated_with_growing_waits() {
    let mut bench = Bench::new();
    bench.start("crash", &command("", "unreachable"), |spec| spec.restart = Restart::OnFailure).await;
    let mut waits = vec![];
    while waits.len() < 5 {
        match bench.event().await.1 {
            Status::BackingOff { after, reason } => {
                assert_eq!(reason, "wasm trap: wasm `unreachable` instruction executed");
                waits.push(after.as_millis());
            }
            Status::Starting | Status::Running => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits, [1, 2, 4, 5, 5]);
    assert_eq!(bench.driver.running(), ["crash"]);
    soon(bench.driver.stop("crash", Duration::ZERO)).await;
}

#[tokio::test]
async fn waits_begin_anew_after_a_run_that_was_well() {
    let mut bench = Bench::with(|config| runtime::Config { well_after: Duration::ZERO, ..config });
    bench.start("crash", &command("", "unreachable"), |spec| spec.restart = Restart::OnFailure).await;
    for _ in 0..3 {
        let seen = bench.until("crash", |status| matches!(status, Status::BackingOff { .. })).await;
        assert!(matches!(seen.last(), Some(Status::BackingOff { after, .. }) if after.as_millis() == 1), "{seen:?}");
    }
}

#[tokio::test]
async fn success_is_repeated_only_where_always_is_asked_for() {
    let mut bench = Bench::new();
    let good = command("", "i32.const 0");
    for (id, restart) in [("never", Restart::Never), ("on failure", Restart::OnFailure)] {
        bench.start(id, &good, |spec| spec.restart = restart).await;
        assert_eq!(bench.until(id, Status::has_ended).await.last(), Some(&Status::Succeeded));
    }
    bench.start("always", &good, |spec| spec.restart = Restart::Always).await;
    for _ in 0..2 {
        bench.until("always", |status| matches!(status, Status::BackingOff { .. })).await;
    }
}

#[tokio::test]
async fn what_cannot_run_is_refused_or_fails_with_a_sentence() {
    let mut bench = Bench::new();
    let missing = runtime::Digest::of(b"missing");
    assert_eq!(bench.driver.start(spec("a", missing)).await, Err(StartError::UnknownModule(missing)));
    let mut nothing = spec("a", bench.put(BATCH));
    nothing.limits.cpu_millis = 0;
    assert!(matches!(bench.driver.start(nothing).await, Err(StartError::Invalid(_))));

    bench.start("text", b"#!/bin/sh\n", |_| {}).await;
    assert_eq!(bench.until_failed("text").await, "this is not a WebAssembly file");
    let wants = r#"(component (import "acme:gpu/draw@1.0.0" (instance (export "draw" (func))))
        (instance $i) (export "wasi:cli/run@0.2.3" (instance $i)))"#;
    bench.start("wants", &wat::parse_str(wants).unwrap(), |_| {}).await;
    let reason = bench.until_failed("wants").await;
    assert!(reason.starts_with("the component needs what is not here") && reason.contains("acme:gpu/draw"), "{reason}");
}

#[tokio::test]
async fn a_module_damaged_on_disk_fails_and_is_dropped() {
    let mut bench = Bench::new();
    let digest = bench.put(BATCH);
    std::fs::write(bench.directory.path().join("modules").join(digest.to_string()), b"\0asm").unwrap();
    bench.driver.start(spec("batch", digest)).await.unwrap();
    let reason = bench.until_failed("batch").await;
    assert_eq!(reason, format!("module {digest} was damaged on disk and has been dropped"));
    bench.start("again", BATCH, |_| {}).await;
    assert_eq!(bench.until("again", Status::has_ended).await.last(), Some(&Status::Succeeded));
}

#[tokio::test]
async fn files_and_sockets_are_denied_by_an_error_and_scratch_is_given_on_request() {
    let mut bench = Bench::new();
    for (id, module, scratch) in [
        ("no files", counts_directories(0), false),
        ("scratch", counts_directories(1), true),
        ("no sockets", is_denied_sockets(), false),
    ] {
        bench.start(id, &module, |spec| spec.allow.scratch = scratch).await;
        assert_eq!(bench.until(id, Status::has_ended).await.last(), Some(&Status::Succeeded), "{id}");
    }
    let nowhere = Bench::with(|config| runtime::Config { scratch: None, ..config });
    let mut wanting = spec("scratch", nowhere.put(BATCH));
    wanting.allow.scratch = true;
    assert!(matches!(nowhere.driver.start(wanting).await, Err(StartError::Invalid(_))));
}

#[tokio::test]
async fn a_module_that_was_compiled_starts_again_from_memory() {
    let mut bench = Bench::new();
    bench.start("first", BATCH, |_| {}).await;
    bench.until("first", Status::has_ended).await;
    std::fs::write(bench.directory.path().join("modules").join(bench.put(BATCH).to_string()), b"damaged").unwrap();
    bench.start("second", BATCH, |_| {}).await;
    assert_eq!(bench.until("second", Status::has_ended).await.last(), Some(&Status::Succeeded));
}

#[tokio::test]
async fn sweeping_ends_all_that_is_not_kept_and_leftover_directories() {
    let mut bench = Bench::new();
    for id in ["a", "b", "c"] {
        bench.start(id, &spinner(), |spec| spec.allow.scratch = true).await;
        bench.until_running(id).await;
    }
    let scratch = bench.directory.path().join("scratch");
    std::fs::create_dir_all(scratch.join("of an earlier life").join("deep")).unwrap();
    let places = || std::fs::read_dir(&scratch).unwrap().count();
    assert_eq!(places(), 4);
    soon(bench.driver.sweep(&["b".to_owned()].into())).await;
    assert_eq!(bench.driver.running(), ["b"]);
    assert_eq!(places(), 1);
    soon(bench.driver.stop("b", Duration::ZERO)).await;
    assert_eq!(places(), 0);
}

#[tokio::test]
async fn shutdown_ends_everything_also_with_a_full_queue_and_refuses_what_comes_after() {
    let bench = Bench::new();
    // Nobody reads the events: the queue of 64 is full long before the last one starts.
    for n in 0..50 {
        bench.start(&format!("spin {n}"), &spinner(), |_| {}).await;
    }
    soon(bench.driver.shutdown()).await;
    assert!(bench.driver.running().is_empty());
    assert_eq!(bench.driver.start(spec("late", bench.put(BATCH))).await, Err(StartError::ShuttingDown));
}

#[tokio::test]
async fn events_of_a_slow_reader_wait_and_none_is_lost() {
    let mut bench = Bench::new();
    for n in 0..40 {
        bench.start(&format!("{n}"), &command("", "i32.const 0"), |_| {}).await;
    }
    let mut seen = std::collections::BTreeMap::<String, Vec<Status>>::new();
    for _ in 0..120 {
        let (id, status) = bench.event().await;
        seen.entry(id).or_default().push(status);
    }
    assert_eq!(seen.len(), 40);
    assert!(seen.values().all(|one| *one == [Status::Starting, Status::Running, Status::Succeeded]));
}
