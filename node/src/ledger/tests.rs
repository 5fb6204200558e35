//! What the ledger promises, on a disk that fails and forgets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::fault::{FakeDisk, Fault};
use super::*;

const PLAIN: Table = Table(1);
const KEPT: Table = Table(2);

fn options() -> Options {
    Options { kept: [KEPT].into(), ..Options::default() }
}

fn opened(disk: &FakeDisk) -> (Ledger, Opened) {
    Ledger::open_on(Box::new(disk.clone()), options()).expect("opens")
}

fn batch(number: u8) -> Vec<Row> {
    vec![Row::put(PLAIN, [number], vec![number; 20]), Row::put(KEPT, [0], [number])]
}

fn append(ledger: &mut Ledger, batches: &[Vec<Row>]) -> Result<Seq, AppendError> {
    ledger.append(batches.iter().map(Vec::as_slice))
}

fn state_after(batches: &[Vec<Row>]) -> Tables {
    batches.iter().flatten().cloned().collect()
}

/// A ledger of `count` batches, each synced before the next, and where each frame begins.
fn written(count: u8) -> (FakeDisk, Vec<u64>) {
    let disk = FakeDisk::default();
    let (mut ledger, _) = opened(&disk);
    let mut starts = Vec::new();
    for number in 1..=count {
        starts.push(ledger.size());
        append(&mut ledger, &[batch(number)]).unwrap();
        ledger.sync().unwrap();
    }
    (disk, starts)
}

#[test]
fn what_was_synced_is_there_after_a_power_cut() {
    let (disk, _) = written(3);
    let (_, opened) = opened(&disk.after_power_cut(0));
    assert_eq!(opened.last_seq, Seq(3));
    assert_eq!(opened.rows, state_after(&[batch(1), batch(2), batch(3)]));
    assert_eq!(opened.torn, None);
}

#[test]
fn a_ledger_cut_short_at_any_byte_opens_with_the_whole_batches_before_it() {
    let (disk, mut starts) = written(4);
    let bytes = disk.bytes(LEDGER);
    starts.push(bytes.len() as u64);
    for cut in frame::HEADER..=bytes.len() {
        let disk = FakeDisk::holding(LEDGER, &bytes[..cut]);
        let (_, opened) = opened(&disk);
        let whole = starts[1..].iter().filter(|end| **end <= cut as u64).count();
        assert_eq!(opened.last_seq, Seq(whole as u64), "cut at {cut}");
        let torn = cut as u64 - starts[whole];
        assert_eq!(opened.torn.map_or(0, |tail| tail.bytes), torn, "cut at {cut}");
        assert_eq!(disk.bytes(LEDGER).len() as u64, starts[whole], "cut at {cut}");
    }
}

#[test]
fn damage_before_the_last_frame_is_an_error_and_leaves_the_file_as_it_was() {
    let (disk, starts) = written(4);
    let good = disk.bytes(LEDGER);
    for at in 0..starts[3] as usize {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        let disk = FakeDisk::holding(LEDGER, &bytes);
        let result = Ledger::open_on(Box::new(disk.clone()), options());
        assert!(matches!(result, Err(OpenError::Read(_))), "byte {at}");
        assert_eq!(disk.bytes(LEDGER), bytes, "byte {at}");
    }
}

#[test]
fn a_damaged_last_frame_is_cut_off() {
    let (disk, starts) = written(4);
    let good = disk.bytes(LEDGER);
    for at in starts[3] as usize..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        let (_, opened) = opened(&FakeDisk::holding(LEDGER, &bytes));
        assert_eq!(opened.last_seq, Seq(3), "byte {at}");
        assert!(opened.torn.is_some(), "byte {at}");
    }
}

#[test]
fn zeros_at_the_end_are_cut_off() {
    let (disk, _) = written(2);
    let mut bytes = disk.bytes(LEDGER);
    bytes.resize(bytes.len() + 5000, 0);
    let (_, opened) = opened(&FakeDisk::holding(LEDGER, &bytes));
    assert_eq!(opened.last_seq, Seq(2));
    assert_eq!(opened.torn.unwrap().bytes, 5000);
}

#[test]
fn a_hole_in_a_group_that_was_never_synced_is_cut_off_with_what_follows_it() {
    let disk = FakeDisk::default();
    let (mut ledger, _) = opened(&disk);
    append(&mut ledger, &[batch(1)]).unwrap();
    ledger.sync().unwrap();
    let hole = ledger.size() as usize;
    append(&mut ledger, &[batch(2), batch(3)]).unwrap();
    let mut bytes = disk.bytes(LEDGER);
    bytes[hole..hole + 10].fill(0);
    let (_, opened) = opened(&FakeDisk::holding(LEDGER, &bytes));
    assert_eq!(opened.last_seq, Seq(1));
}

#[test]
fn frames_that_change_places_are_damage() {
    let (disk, starts) = written(3);
    let bytes = disk.bytes(LEDGER);
    let [a, b, c] = [starts[0] as usize, starts[1] as usize, starts[2] as usize];
    let swapped = [&bytes[..a], &bytes[b..c], &bytes[a..b], &bytes[c..]].concat();
    let missing = [&bytes[..b], &bytes[c..]].concat();
    for bytes in [swapped, missing] {
        let error = Ledger::open_on(Box::new(FakeDisk::holding(LEDGER, &bytes)), options()).unwrap_err();
        assert!(error.to_string().contains("chain"), "{error}");
    }
}

#[test]
fn a_newer_version_is_named_and_left_alone() {
    let (disk, starts) = written(1);
    let mut newer_file = disk.bytes(LEDGER);
    newer_file[8] = 2;
    let mut newer_frame = disk.bytes(LEDGER);
    let start = starts[0] as usize;
    newer_frame[start + frame::PREFIX] = 9;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&newer_frame[start..start + 4]);
    crc.update(&newer_frame[start + frame::PREFIX..]);
    newer_frame[start + 4..start + 8].copy_from_slice(&crc.finalize().to_le_bytes());
    for (bytes, version) in [(newer_file, 2), (newer_frame, 9)] {
        let disk = FakeDisk::holding(LEDGER, &bytes);
        let error = Ledger::open_on(Box::new(disk.clone()), options()).unwrap_err();
        assert!(error.to_string().contains(&format!("version {version}, which is newer")), "{error}");
        assert_eq!(disk.bytes(LEDGER), bytes);
    }
}

#[test]
fn another_file_is_not_taken_for_a_ledger() {
    let disk = FakeDisk::holding(LEDGER, b"-----BEGIN PRIVATE KEY-----");
    let error = Ledger::open_on(Box::new(disk), options()).unwrap_err();
    assert!(matches!(error, OpenError::Read(ReadError::Foreign)), "{error}");
}

#[test]
fn several_batches_share_one_sync() {
    let disk = FakeDisk::default();
    let (mut ledger, _) = opened(&disk);
    let before = disk.syncs();
    append(&mut ledger, &[batch(1), batch(2)]).unwrap();
    append(&mut ledger, &[batch(3)]).unwrap();
    assert_eq!(disk.syncs(), before);
    assert_eq!(ledger.sync(), Ok(Seq(3)));
    assert_eq!(ledger.sync(), Ok(Seq(3)));
    assert_eq!(disk.syncs(), before + 1);
}

#[test]
fn short_writes_are_continued() {
    let disk = FakeDisk::default();
    let (mut ledger, _) = opened(&disk);
    disk.inject(Fault::Short(3));
    disk.inject(Fault::Short(1));
    append(&mut ledger, &[batch(1)]).unwrap();
    ledger.sync().unwrap();
    let (_, opened) = opened(&disk.after_power_cut(0));
    assert_eq!(opened.rows, state_after(&[batch(1)]));
}

#[test]
fn a_failed_append_is_cut_off_and_the_ledger_goes_on() {
    for room in [0, 1, 30, 100] {
        let (disk, _) = written(1);
        let (mut ledger, _) = opened(&disk);
        let before = disk.bytes(LEDGER);
        disk.inject(Fault::NoRoom(room));
        let error = append(&mut ledger, &[batch(2), batch(3)]).unwrap_err();
        assert!(matches!(error, AppendError::Io(_)), "{error}");
        assert_eq!(disk.bytes(LEDGER), before);
        assert_eq!(append(&mut ledger, &[batch(4)]).unwrap(), Seq(2));
        ledger.sync().unwrap();
        let (_, opened) = opened(&disk.after_power_cut(0));
        assert_eq!(opened.rows, state_after(&[batch(1), batch(4)]));
    }
}

#[test]
fn a_failed_append_that_cannot_be_cut_off_closes_the_ledger() {
    let disk = FakeDisk::default();
    let (mut ledger, _) = opened(&disk);
    disk.inject(Fault::NoRoom(30));
    disk.inject(Fault::Truncate);
    assert!(matches!(append(&mut ledger, &[batch(1)]), Err(AppendError::Poisoned(_))));
    assert!(matches!(append(&mut ledger, &[batch(2)]), Err(AppendError::Poisoned(_))));
    assert!(ledger.sync().is_err());
    let (_, opened) = opened(&disk);
    assert_eq!(opened.last_seq, Seq(0));
}

#[test]
fn a_failed_sync_closes_the_ledger_for_good() {
    let disk = FakeDisk::default();
    let (mut ledger, _) = opened(&disk);
    append(&mut ledger, &[batch(1)]).unwrap();
    disk.inject(Fault::Sync);
    let before = disk.syncs();
    let error = ledger.sync().unwrap_err();
    assert!(error.to_string().contains("sync: injected"), "{error}");
    assert_eq!(ledger.sync(), Err(error.clone()));
    assert_eq!(disk.syncs(), before + 1, "a failed sync is never tried again");
    assert!(matches!(append(&mut ledger, &[batch(2)]), Err(AppendError::Poisoned(_))));
    assert!(matches!(ledger.compact(), Err(CompactError::Poisoned(_))));
}

#[test]
fn what_is_read_after_a_failed_sync_is_made_durable_before_it_is_relied_on() {
    let (disk, _) = written(2);
    let (mut ledger, _) = opened(&disk);
    append(&mut ledger, &[batch(3), batch(4)]).unwrap();
    disk.inject(Fault::Sync);
    ledger.sync().unwrap_err();
    drop(ledger);
    // The process starts again while the system still runs: it reads pages that no disk has.
    let (_, seen) = opened(&disk);
    assert_eq!(seen.last_seq, Seq(4));
    let (_, after) = opened(&disk.after_power_cut(7));
    assert_eq!(after.rows, seen.rows);
}

#[test]
fn a_batch_over_the_limit_is_refused_and_nothing_is_written() {
    let disk = FakeDisk::default();
    let small = Options { max_frame: 200, ..options() };
    let (mut ledger, _) = Ledger::open_on(Box::new(disk.clone()), small).unwrap();
    let before = disk.bytes(LEDGER);
    let big = vec![Row::put(PLAIN, *b"k", vec![0; 200])];
    assert!(matches!(append(&mut ledger, &[batch(1), big]), Err(AppendError::TooLarge { max: 200 })));
    assert_eq!(disk.bytes(LEDGER), before);
    assert_eq!(append(&mut ledger, &[batch(1)]).unwrap(), Seq(1));
}

#[test]
fn compaction_drops_what_was_removed_except_in_kept_tables() {
    let disk = FakeDisk::default();
    let (mut ledger, _) = opened(&disk);
    let secret = [0xAB; 40];
    let contract = [0xCD; 40];
    let batches = [
        vec![Row::put(PLAIN, *b"a", secret), Row::put(KEPT, *b"c", contract), Row::put(PLAIN, *b"b", [1])],
        vec![Row::removed(PLAIN, *b"a"), Row::removed(KEPT, *b"c")],
        vec![Row::removed(KEPT, *b"c")],
    ];
    append(&mut ledger, &batches).unwrap();
    ledger.sync().unwrap();
    let contains = |needle: &[u8]| disk.bytes(LEDGER).windows(needle.len()).any(|window| window == needle);
    assert!(contains(&secret));
    // Twice: the second one has only the first one's snapshot to go by.
    for _ in 0..2 {
        let done = ledger.compact().unwrap();
        assert_eq!(done.after, disk.bytes(LEDGER).len() as u64);
        assert!(!contains(&secret));
        assert!(contains(&contract));
        assert_eq!(disk.names(), [LEDGER]);
        let (_, again) = opened(&disk);
        assert_eq!((again.rows, again.last_seq), (state_after(&batches), Seq(3)));
    }
}

#[test]
fn compaction_waits_for_the_sync() {
    let (disk, _) = written(1);
    let (mut ledger, _) = opened(&disk);
    append(&mut ledger, &[batch(2)]).unwrap();
    assert!(matches!(ledger.compact(), Err(CompactError::NotSynced(Seq(2)))));
}

#[test]
fn the_chain_goes_on_behind_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LEDGER);
    let (mut ledger, _) = Ledger::open(dir.path(), options()).unwrap();
    append(&mut ledger, &[batch(1), batch(2)]).unwrap();
    ledger.sync().unwrap();
    let before = verify(&path).unwrap();
    assert_eq!((before.ok, before.frames, before.rows, before.anchor), (true, 2, 4, None));
    ledger.compact().unwrap();
    append(&mut ledger, &[batch(3)]).unwrap();
    ledger.sync().unwrap();
    let after = verify(&path).unwrap();
    assert_eq!(after.anchor, Some(before.head));
    assert_eq!((after.ok, after.frames, after.last_seq), (true, 2, Seq(3)));
}

#[test]
fn a_snapshot_of_many_parts_is_read_whole_or_not_at_all() {
    let disk = FakeDisk::default();
    let (mut ledger, _) = opened(&disk);
    let rows: Vec<Row> = (0..5).map(|n| Row::put(PLAIN, [n], vec![n; 400_000])).collect();
    append(&mut ledger, std::slice::from_ref(&rows)).unwrap();
    ledger.sync().unwrap();
    ledger.compact().unwrap();
    let bytes = disk.bytes(LEDGER);
    let (_, whole) = opened(&disk);
    assert_eq!(whole.rows, state_after(&[rows]));
    for cut in [frame::HEADER, 1000, 900_000, bytes.len() - 1] {
        let result = Ledger::open_on(Box::new(FakeDisk::holding(LEDGER, &bytes[..cut])), options());
        assert!(matches!(result, Err(OpenError::Read(ReadError::Damaged { .. }))), "cut at {cut}");
    }
}

#[test]
fn a_compaction_without_room_leaves_the_ledger_as_it_was() {
    let (disk, _) = written(3);
    let (mut ledger, _) = opened(&disk);
    let before = disk.bytes(LEDGER);
    disk.inject(Fault::NoRoom(20));
    assert!(matches!(ledger.compact(), Err(CompactError::Io(_))));
    assert_eq!((disk.bytes(LEDGER), disk.names()), (before, vec![LEDGER.to_owned()]));
    append(&mut ledger, &[batch(4)]).unwrap();
    ledger.sync().unwrap();
    let (_, opened) = opened(&disk.after_power_cut(1));
    assert_eq!(opened.last_seq, Seq(4));
}

#[test]
fn compaction_is_wanted_by_a_file_that_is_long_and_mostly_dead() {
    let disk = FakeDisk::default();
    let options = Options { compact_above: 2000, ..options() };
    let (mut ledger, _) = Ledger::open_on(Box::new(disk), options).unwrap();
    while !ledger.wants_compaction() {
        append(&mut ledger, &[batch(1)]).unwrap();
    }
    assert!(ledger.size() > 2000);
    ledger.sync().unwrap();
    ledger.compact().unwrap();
    assert!(!ledger.wants_compaction());
    assert!(ledger.size() < 300);
}

#[test]
fn a_data_directory_has_one_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = Ledger::open(dir.path(), options()).unwrap();
    let error = Ledger::open(dir.path(), options()).unwrap_err().to_string();
    assert!(error.contains("in use by another tombolo"), "{error}");
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(first);
    Ledger::open(dir.path(), options()).unwrap();
}

#[test]
fn a_data_directory_is_waited_for_while_its_daemon_ends_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Some(DirLock::take(dir.path()).unwrap());
    let mut pauses = 0;
    let second = DirLock::take_again(dir.path(), 10, |_| {
        pauses += 1;
        if pauses == 3 {
            first = None;
        }
    });
    assert_eq!((second.is_ok(), pauses), (true, 3));
    let mut pauses = 0;
    let third = DirLock::take_again(dir.path(), 10, |_| pauses += 1);
    assert!(matches!(third, Err(LockError::InUse { .. })), "{third:?}");
    assert_eq!(pauses, 10);
}

#[test]
fn verify_names_the_first_bad_frame_and_changes_nothing() {
    let (disk, starts) = written(4);
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("copy");
    let good = disk.bytes(LEDGER);

    let mut bad = good.clone();
    bad[starts[1] as usize + 20] ^= 1;
    fs::write(&path, &bad).unwrap();
    let report = verify(&path).unwrap();
    assert!(!report.ok);
    assert_eq!((report.frames, report.last_seq, report.problems.len()), (1, Seq(1), 1));
    let first = report.first_bad.unwrap();
    assert_eq!((first.offset, first.seq), (starts[1], Seq(2)));
    assert_eq!(fs::read(&path).unwrap(), bad);

    // As a copy that is made while the ledger is written.
    fs::write(&path, &good[..good.len() - 5]).unwrap();
    let report = verify(&path).unwrap();
    assert!(report.ok && report.problems.is_empty());
    assert_eq!((report.frames, report.torn.unwrap().offset), (3, starts[3]));
    assert_eq!(fs::read(&path).unwrap().len(), good.len() - 5);

    fs::write(&path, b"something else entirely").unwrap();
    assert!(!verify(&path).unwrap().ok);
    assert!(verify(&dir.path().join("none")).is_err());
}

#[test]
fn every_row_that_the_ledger_holds_can_be_audited() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path(), options()).unwrap();
    append(&mut ledger, &[batch(1), vec![Row::removed(KEPT, [0])]]).unwrap();
    ledger.sync().unwrap();
    ledger.compact().unwrap();
    append(&mut ledger, &[batch(2)]).unwrap();
    let frames: Vec<Frame> = Frames::open(&dir.path().join(LEDGER)).unwrap().map(Result::unwrap).collect();
    assert_eq!(frames[0].kind, Kind::Snapshot { last: true });
    assert!(frames[0].rows.contains(&Row::put(KEPT, [0], [1])), "a removed row of a kept table is still read");
    assert_eq!((frames[1].kind, frames[1].seq, &frames[1].rows), (Kind::Batch, Seq(3), &batch(2)));
}

/// One step of a run.
#[derive(Clone, Debug)]
enum Do {
    Append(Vec<Vec<Row>>),
    Sync,
    Compact,
    Restart,
    Break(Fault),
}

fn any_row() -> impl Strategy<Value = Row> {
    let value = proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..60));
    (1..3_u8, 0..4_u8, value).prop_map(|(table, key, value)| Row { table: Table(table), key: vec![key], value })
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..300_usize).prop_map(Fault::NoRoom),
        (0..300_usize).prop_map(Fault::Short),
        Just(Fault::Sync),
        Just(Fault::Truncate),
        Just(Fault::SyncDir),
    ]
}

fn any_run() -> impl Strategy<Value = Vec<Do>> {
    let batches = proptest::collection::vec(proptest::collection::vec(any_row(), 0..4), 0..4);
    let step = prop_oneof![
        6 => batches.prop_map(Do::Append),
        4 => Just(Do::Sync),
        1 => Just(Do::Compact),
        1 => Just(Do::Restart),
        1 => any_fault().prop_map(Do::Break),
    ];
    proptest::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// The one that matters: whatever fails and whenever the power goes, what is found is a prefix of the whole
    /// batches that were written, with every synced one in it, and one can go on from there.
    #[test]
    fn after_a_power_cut_exactly_a_prefix_with_every_synced_batch_is_left(run in any_run(), seed in any::<u64>()) {
        let disk = FakeDisk::default();
        let mut written: Vec<Vec<Row>> = Vec::new();
        let mut synced = 0;
        let mut ledger = None;
        for step in run {
            if ledger.is_none() {
                // The process ended; the system did not.
                let Ok((opened, found)) = Ledger::open_on(Box::new(disk.clone()), options()) else { continue };
                let last = found.last_seq.0 as usize;
                prop_assert!((synced..=written.len()).contains(&last), "{last} of {synced}..={}", written.len());
                prop_assert_eq!(&found.rows, &state_after(&written[..last]));
                written.truncate(last);
                synced = last;
                ledger = Some(opened);
            }
            let Some(open) = ledger.as_mut() else { continue };
            match step {
                Do::Append(batches) => match append(open, &batches) {
                    Ok(seq) => {
                        written.extend(batches);
                        prop_assert_eq!(seq.0 as usize, written.len());
                    }
                    Err(AppendError::Io(_)) => {}
                    Err(AppendError::Poisoned(_)) => {
                        // What could not be cut off may or may not be found.
                        written.extend(batches);
                        ledger = None;
                    }
                    Err(error @ AppendError::TooLarge { .. }) => prop_assert!(false, "{error}"),
                },
                Do::Sync => match open.sync() {
                    Ok(seq) => synced = seq.0 as usize,
                    Err(_) => ledger = None,
                },
                Do::Compact => match open.compact() {
                    Ok(_) | Err(CompactError::NotSynced(_) | CompactError::Io(_)) => {}
                    Err(CompactError::Poisoned(_)) => ledger = None,
                    Err(error @ CompactError::Read(_)) => prop_assert!(false, "{error}"),
                },
                Do::Restart => ledger = None,
                Do::Break(fault) => disk.inject(fault),
            }
        }
        drop(ledger);

        let disk = disk.after_power_cut(seed);
        let (mut ledger, found) = opened(&disk);
        let last = found.last_seq.0 as usize;
        prop_assert!((synced..=written.len()).contains(&last), "{last} of {synced}..={}", written.len());
        prop_assert_eq!(&found.rows, &state_after(&written[..last]));

        written.truncate(last);
        written.push(batch(200));
        append(&mut ledger, &[batch(200)]).unwrap();
        ledger.sync().unwrap();
        let (_, found) = opened(&disk.after_power_cut(seed));
        prop_assert_eq!(found.last_seq.0 as usize, written.len());
        prop_assert_eq!(&found.rows, &state_after(&written));
    }

    #[test]
    fn any_bytes_behind_a_header_open_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), snapshot in any::<bool>()) {
        let file = [&frame::header(snapshot)[..], &bytes].concat();
        let _ = Ledger::open_on(Box::new(FakeDisk::holding(LEDGER, &file)), options());
    }
}
