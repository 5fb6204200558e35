//! What the committer promises, on a disk that fails, waits and forgets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::*;
use crate::ledger::fault::{FakeDisk, Fault};
use crate::ledger::{Opened, Options, Seq};
use crate::row::Table;

const PLENTY: u64 = 1 << 40;

struct Bench {
    disk: FakeDisk,
    dir: tempfile::TempDir,
    free: Arc<AtomicU64>,
    committer: Committer<u32>,
    durable: UnboundedReceiver<u32>,
}

fn opened(disk: &FakeDisk, options: Options) -> (Ledger, Opened) {
    Ledger::open_on(Box::new(disk.clone()), options).expect("opens")
}

fn bench() -> Bench {
    bench_with(Settings::default(), Options::default())
}

fn bench_with(settings: Settings, options: Options) -> Bench {
    let disk = FakeDisk::default();
    let dir = tempfile::tempdir().unwrap();
    let (ledger, found) = opened(&disk, options);
    let store = Store::open(dir.path()).unwrap();
    store.catch_up(&found).unwrap();
    let free = Arc::new(AtomicU64::new(PLENTY));
    let measured = Arc::clone(&free);
    let free_space = Box::new(move || Ok(measured.load(Ordering::SeqCst)));
    let (committer, durable) = Committer::start_measuring(ledger, store, settings, free_space).unwrap();
    Bench { disk, dir, free, committer, durable }
}

fn rows(n: u32) -> Vec<Row> {
    vec![Row::put(Table(1), n.to_be_bytes(), vec![7; 50])]
}

/// Waits for something; half a minute is for the test that fails.
fn wait<F: Future>(what: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), what).await }).expect("waited for nothing")
}

impl Bench {
    fn submit(&self, n: u32) {
        self.committer.submit(rows(n), n).unwrap();
    }

    fn submit_free(&self, n: u32) {
        self.committer.submit(Vec::new(), n).unwrap();
    }

    fn next(&mut self) -> Option<u32> {
        wait(self.durable.recv())
    }

    fn take(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.next().expect("comes out")).collect()
    }

    fn wait_for_health(&self, is_so: impl Fn(&Health) -> bool) {
        wait(self.committer.health().wait_for(|health| is_so(health))).unwrap();
    }
}

#[test]
fn what_comes_out_is_in_the_order_of_submission() {
    let mut bench = bench();
    for n in 0..500 {
        if n % 3 == 0 { bench.submit_free(n) } else { bench.submit(n) }
    }
    assert_eq!(bench.take(500), (0..500).collect::<Vec<_>>());
}

#[test]
fn nothing_comes_out_before_its_sync_and_who_waits_shares_the_next() {
    let mut bench = bench();
    let before = bench.disk.syncs();
    bench.disk.hold_syncs();
    bench.submit(1);
    bench.disk.wait_for_a_sync();
    (2..=10).for_each(|n| bench.submit(n));
    // Neither a sync nor the wait for one is over.
    assert_eq!(bench.durable.try_recv(), Err(TryRecvError::Empty));
    bench.disk.release_syncs();
    assert_eq!(bench.take(10), (1..=10).collect::<Vec<_>>());
    assert_eq!(bench.disk.syncs(), before + 2);
    let metrics = bench.committer.metrics();
    assert_eq!((metrics.commits, metrics.syncs, metrics.largest_group), (10, 2, 9));
    assert_eq!(metrics.durable, Seq(10));
    assert!((metrics.batches_per_sync() - 5.0).abs() < 1e-9);
}

#[test]
fn what_has_no_rows_causes_no_sync() {
    let mut bench = bench();
    let before = bench.disk.syncs();
    (0..5).for_each(|n| bench.submit_free(n));
    assert_eq!(bench.take(5), [0, 1, 2, 3, 4]);
    assert_eq!(bench.disk.syncs(), before);
}

#[test]
fn what_has_no_rows_waits_for_what_was_before_it() {
    let mut bench = bench();
    bench.disk.hold_syncs();
    bench.submit(1);
    bench.submit_free(2);
    bench.disk.wait_for_a_sync();
    assert_eq!(bench.durable.try_recv(), Err(TryRecvError::Empty));
    bench.disk.release_syncs();
    assert_eq!(bench.take(2), [1, 2]);
}

#[test]
fn after_a_failure_nothing_more_comes_out_and_the_reason_is_known() {
    for (faults, out, reason) in [
        (
            &[Fault::Sync][..],
            &[][..],
            "what was written may not be on the disk: the ledger is closed since it failed to sync: injected",
        ),
        (
            &[Fault::NoRoom(10), Fault::Truncate],
            &[2],
            "a batch could not be written: the ledger is closed since it failed to cut off a failed write: injected",
        ),
    ] {
        let mut bench = bench();
        bench.submit(1);
        assert_eq!(bench.next(), Some(1));
        bench.disk.hold_syncs();
        bench.submit(2);
        bench.disk.wait_for_a_sync();
        faults.iter().for_each(|fault| bench.disk.inject(*fault));
        bench.submit(3);
        bench.submit_free(4);
        bench.disk.release_syncs();
        assert_eq!(bench.take(out.len()), out, "{faults:?}");
        assert_eq!(bench.next(), None, "{faults:?}");
        bench.wait_for_health(|health| *health == Health::Failed(reason.to_owned()));
        wait(bench.committer.room());
        assert_eq!(bench.committer.submit(rows(5), 5), Err(Ended));
        assert!(bench.committer.close().is_err());
    }
}

#[test]
fn what_the_disk_has_no_room_for_waits_until_it_has() {
    let settings = Settings { idle: Duration::from_millis(1), ..Settings::default() };
    let mut bench = bench_with(settings, Options::default());
    bench.submit(1);
    assert_eq!(bench.next(), Some(1));
    bench.disk.fill(true);
    (2..5).for_each(|n| bench.submit(n));
    bench.submit_free(5);
    // Whatever the system says is free.
    bench.wait_for_health(|health| *health == Health::NoRoom { free: PLENTY, floor: settings.floor });
    assert_eq!(bench.durable.try_recv(), Err(TryRecvError::Empty));
    bench.disk.fill(false);
    assert_eq!(bench.take(4), [2, 3, 4, 5]);
    bench.wait_for_health(|health| *health == Health::Ok);
    bench.committer.close().unwrap();
    let (_, found) = opened(&bench.disk.after_power_cut(1), Options::default());
    assert_eq!((found.last_seq, found.rows.len()), (Seq(4), 4));
}

#[test]
fn what_was_never_written_for_want_of_room_never_comes_out_and_closing_says_so() {
    let settings = Settings { idle: Duration::from_secs(3600), ..Settings::default() };
    let mut bench = bench_with(settings, Options::default());
    bench.disk.fill(true);
    bench.submit(1);
    bench.wait_for_health(|health| matches!(health, Health::NoRoom { .. }));
    let error = bench.committer.close().unwrap_err();
    assert!(matches!(&error, CommitError::Append(error) if error.is_want_of_room()), "{error:?}");
    assert_eq!(wait(bench.durable.recv()), None);
    let (_, found) = opened(&bench.disk, Options::default());
    assert_eq!(found.rows.len(), 0);
}

#[test]
fn a_disk_under_the_floor_is_reported_and_still_written_to() {
    let settings = Settings { idle: Duration::from_millis(1), ..Settings::default() };
    let mut bench = bench_with(settings, Options::default());
    bench.wait_for_health(|health| *health == Health::Ok);
    bench.free.store(settings.floor - 1, Ordering::SeqCst);
    bench.wait_for_health(|health| *health == Health::NoRoom { free: settings.floor - 1, floor: settings.floor });
    bench.submit(1);
    assert_eq!(bench.next(), Some(1));
    bench.free.store(settings.floor, Ordering::SeqCst);
    bench.wait_for_health(|health| *health == Health::Ok);
}

#[test]
fn free_space_is_measured_before_each_commit() {
    let settings = Settings { idle: Duration::from_secs(3600), ..Settings::default() };
    let mut bench = bench_with(settings, Options::default());
    bench.free.store(5, Ordering::SeqCst);
    bench.submit(1);
    assert_eq!(bench.next(), Some(1));
    assert_eq!(*bench.committer.health().borrow(), Health::NoRoom { free: 5, floor: settings.floor });
}

#[test]
fn a_full_queue_says_so_and_takes_what_the_mind_has_already_decided() {
    let settings = Settings { queue: 3, ..Settings::default() };
    let mut bench = bench_with(settings, Options::default());
    bench.disk.hold_syncs();
    bench.submit(1);
    bench.disk.wait_for_a_sync();
    bench.submit(2);
    assert!(bench.committer.has_room());
    bench.submit(3);
    assert!(!bench.committer.has_room());
    bench.submit(4);
    let disk = bench.disk.clone();
    wait(async {
        tokio::join!(bench.committer.room(), async {
            tokio::task::yield_now().await;
            disk.release_syncs();
        })
    });
    assert_eq!(bench.take(4), [1, 2, 3, 4]);
}

#[test]
fn closing_commits_what_waits_and_leaves_the_tables_where_the_ledger_is() {
    let bench = bench();
    (0..300).for_each(|n| bench.submit(n));
    bench.committer.close().unwrap();
    let (_, found) = opened(&bench.disk.after_power_cut(3), Options::default());
    assert_eq!((found.last_seq, found.rows.len()), (Seq(300), 300));
    let store = Store::open(bench.dir.path()).unwrap();
    assert_eq!(store.applied().unwrap(), Seq(300));
    store.catch_up(&found).unwrap();
}

#[test]
fn what_came_out_survives_any_power_cut() {
    for seed in 0..40 {
        let mut bench = bench();
        let mut out = 0;
        for n in 0..200 {
            bench.submit(n);
            while bench.durable.try_recv().is_ok() {
                out += 1;
            }
            if n % 50 == 49 {
                if out <= n {
                    out += bench.take(1).len() as u32;
                }
                let (_, found) = opened(&bench.disk.after_power_cut(seed * 1000 + u64::from(n)), Options::default());
                assert!(found.last_seq.0 >= u64::from(out), "{out} came out, {} survived", found.last_seq);
            }
        }
    }
}

#[test]
fn a_long_ledger_is_compacted_between_commits() {
    let options = Options { compact_above: 5000, ..Options::default() };
    let mut bench = bench_with(Settings::default(), options);
    for _ in 0..200 {
        bench.submit(1);
        assert_eq!(bench.next(), Some(1));
    }
    bench.committer.close().unwrap();
    let (ledger, found) = opened(&bench.disk, Options::default());
    assert_eq!((found.last_seq, found.rows.len()), (Seq(200), 1));
    assert!(ledger.size() < 10_000, "{}", ledger.size());
}

#[test]
fn a_real_directory_commits_and_has_free_space() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, found) = Ledger::open(dir.path(), Options::default()).unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.catch_up(&found).unwrap();
    let settings = Settings { floor: 0, ..Settings::default() };
    let (committer, mut durable) = Committer::start(ledger, store.clone(), settings, dir.path()).unwrap();
    committer.submit(rows(1), 1).unwrap();
    assert_eq!(wait(durable.recv()), Some(1));
    assert!(free_space(dir.path()).unwrap() > 0);
    committer.close().unwrap();
    assert_eq!(store.value(Table(1), &1_u32.to_be_bytes()).unwrap(), Some(vec![7; 50]));
    assert_eq!(wait(durable.recv()), None);
}
