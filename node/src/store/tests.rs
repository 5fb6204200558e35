//! What the tables promise, with sled's files whole and damaged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const A: Table = Table(1);
const B: Table = Table(2);

fn opened(seq: u64, rows: impl IntoIterator<Item = Row>) -> Opened {
    Opened { rows: rows.into_iter().collect(), last_seq: Seq(seq), torn: None }
}

fn all(store: &Store) -> Tables {
    let tables = (0..=u8::MAX).map(Table);
    let rows = tables.flat_map(|table| store.iter(table).unwrap().map(move |(key, value)| Row::put(table, key, value)));
    rows.collect()
}

#[test]
fn rows_are_read_back_by_table_in_the_order_of_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.apply(Seq(1), &[Row::put(A, *b"y", *b"2"), Row::put(B, *b"x", *b"3"), Row::put(A, *b"x", *b"1")]).unwrap();
    store.apply(Seq(2), &[Row::removed(B, *b"x"), Row::put(A, *b"y", *b"4"), Row::put(A, [], *b"0")]).unwrap();
    let rows: Vec<_> = store.iter(A).unwrap().collect();
    assert_eq!(rows, [(b"".to_vec(), b"0".to_vec()), (b"x".to_vec(), b"1".to_vec()), (b"y".to_vec(), b"4".to_vec())]);
    assert_eq!(store.iter(B).unwrap().count(), 0);
    assert_eq!(store.value(A, b"y").unwrap(), Some(b"4".to_vec()));
    assert_eq!(store.applied().unwrap(), Seq(2));
}

#[test]
fn what_was_flushed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let row = Row::put(A, *b"k", vec![7; 300_000]);
    store.apply(Seq(5), [&row]).unwrap();
    store.flush_lazily().unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.applied().unwrap(), Seq(5));
    store.catch_up(&opened(5, [row])).unwrap();
}

#[test]
fn tables_ahead_of_the_ledger_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.apply(Seq(5), &[Row::put(A, *b"k", *b"v")]).unwrap();
    let error = store.catch_up(&opened(4, [])).unwrap_err();
    assert!(matches!(error, StoreError::Ahead { applied: Seq(5), ledger: Seq(4), .. }), "{error}");
    assert!(error.to_string().contains("tombolo repair"), "{error}");
    assert_eq!(all(&store), [Row::put(A, *b"k", *b"v")].into_iter().collect());
}

#[test]
fn tables_that_disagree_with_the_ledger_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.apply(Seq(5), &[Row::put(A, *b"k", *b"v")]).unwrap();
    for ledger in [Row::put(A, *b"k", *b"w"), Row::put(A, *b"l", *b"v"), Row::put(B, *b"k", *b"v")] {
        let error = store.catch_up(&opened(5, [ledger])).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("tombolo repair"), "{error}");
    }
    assert_eq!(all(&store), [Row::put(A, *b"k", *b"v")].into_iter().collect());
}

#[test]
fn tables_that_were_not_filled_to_the_end_are_caught_up() {
    let rows: Vec<Row> = (0..2500_u16).map(|n| Row::put(A, n.to_be_bytes(), [1])).collect();
    let ledger = opened(3, rows.clone());
    let count = steps(&rows, Seq(3)).count();
    for crash in 0..count {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.apply(Seq(1), &[Row::put(B, *b"old", *b"")]).unwrap();
        steps(&rows, Seq(3)).take(crash).for_each(|(seq, rows)| store.apply(seq, rows).unwrap());
        store.catch_up(&ledger).unwrap();
        assert_eq!(all(&store), ledger.rows, "crash at {crash}");
    }
}

#[test]
fn newer_tables_are_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.db.insert(VERSION, &[9]).unwrap();
    drop(store);
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { version: 9, .. }), "{error}");
}

#[test]
fn repair_builds_the_tables_from_the_ledger_and_keeps_the_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = opened(3, (0..2500_u16).map(|n| Row::put(A, n.to_be_bytes(), n.to_be_bytes())));
    for n in 1..=2 {
        fs::create_dir_all(dir.path().join(TABLES)).unwrap();
        fs::write(dir.path().join(TABLES).join("db"), [0xFF; 3000]).unwrap();
        let repaired = repair(dir.path(), &ledger).unwrap();
        let aside = dir.path().join(format!("tables.damaged-{n}"));
        assert_eq!(fs::read(aside.join("db")).unwrap(), [0xFF; 3000]);
        assert_eq!(repaired, Repaired { aside: Some(aside), rows: 2500 });
        let store = Store::open(dir.path()).unwrap();
        assert_eq!((all(&store), store.applied().unwrap()), (ledger.rows.clone(), Seq(3)));
    }
}

/// Whatever happens to sled's files, the node gets the ledger's state or one sentence; it never panics or aborts,
/// and repair always helps.
#[test]
fn tables_with_any_damage_are_caught_up_or_refused_and_can_be_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..400_u16).map(|n| Row::put(A, n.to_be_bytes(), vec![n as u8; 200])).collect();
    {
        let store = Store::open(dir.path()).unwrap();
        for (n, row) in rows.iter().enumerate() {
            store.apply(Seq(n as u64 + 1), [row]).unwrap();
        }
        store.flush_lazily().unwrap();
    }
    let ledger = opened(400, rows);
    let tables = dir.path().join(TABLES);
    let names = fs::read_dir(&tables).unwrap().map(|entry| entry.unwrap());
    let good: Vec<(PathBuf, Vec<u8>)> = names
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.path(), fs::read(entry.path()).unwrap()))
        .collect();
    for (victim, bytes) in &good {
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        for step in 0..30 {
            let at = used * step / 30;
            let mut bad = bytes.clone();
            if step % 3 == 0 {
                bad.truncate(at);
            } else {
                let end = (at + 40).min(bad.len());
                bad[at..end].iter_mut().for_each(|byte| *byte ^= 0x55);
            }
            fs::remove_dir_all(&tables).unwrap();
            fs::create_dir_all(&tables).unwrap();
            for (path, bytes) in &good {
                fs::write(path, if path == victim { &bad } else { bytes }).unwrap();
            }
            let what = format!("{} at {at}", victim.display());
            match Store::open(dir.path()).and_then(|store| store.catch_up(&ledger).map(|()| store)) {
                Ok(store) => assert_eq!(all(&store), ledger.rows, "{what}"),
                Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{what}: {error}"),
            }
            repair(dir.path(), &ledger).unwrap();
            assert_eq!(all(&Store::open(dir.path()).unwrap()), ledger.rows, "{what}");
        }
    }
}

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..4));
    let key = proptest::collection::vec(0..3_u8, 0..3);
    let row = (prop_oneof![Just(0_u8), Just(1), Just(255)], key, value).prop_map(|(table, key, value)| Row {
        table: Table(table),
        key,
        value,
    });
    proptest::collection::vec(row, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn catching_up_ends_in_the_ledgers_state(before in any_rows(), after in any_rows()) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.apply(Seq(1), &before).unwrap();
        let ledger = opened(2, before.into_iter().chain(after));
        store.catch_up(&ledger).unwrap();
        prop_assert_eq!(all(&store), ledger.rows.clone());
        prop_assert_eq!(store.applied().unwrap(), Seq(2));
        store.catch_up(&ledger).unwrap();
    }

    #[test]
    fn a_place_has_one_table_and_one_key(rows in any_rows()) {
        let places: BTreeSet<_> = rows.iter().map(|row| place(row.table, &row.key)).collect();
        let names: BTreeSet<_> = rows.iter().map(|row| (row.table, &row.key)).collect();
        prop_assert_eq!(places.len(), names.len());
    }
}
