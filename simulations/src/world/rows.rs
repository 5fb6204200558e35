//! What is on a disk: rows in the order of their tables and keys, each in one piece of memory.
//!
//! All nodes of a domain keep the same certificates, lists and partners. In such tables, equal rows of different nodes
//! are one.

use std::{collections::BTreeSet, sync::Arc};

use rear_proto::{Row, Table};

/// By which part of its length, one of so many, a disk grows.
const GROWTH: usize = 8;
/// By how many shared rows more than were left the last time those that no disk has any longer are looked for.
const SLACK: usize = 4096;

/// A row: its table's number, how long its key is, its key, its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kept(Arc<[u8]>);

const HEAD: usize = 3;

impl Kept {
    /// A key that is longer than 64 KiB is cut: none is longer than a hundred bytes.
    fn new(table: Table, key: &[u8], value: &[u8]) -> Self {
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
        let [low, high] = length.to_le_bytes();
        Self([&[table.number(), low, high], &key[..length.into()], value].concat().into())
    }

    fn table(&self) -> u8 {
        self.0[0]
    }

    fn split(&self) -> (&[u8], &[u8]) {
        self.0[HEAD..].split_at(u16::from_le_bytes([self.0[1], self.0[2]]).into())
    }

    fn name(&self) -> (u8, &[u8]) {
        (self.table(), self.split().0)
    }
}

/// The rows of one disk.
#[derive(Debug, Clone, Default)]
pub struct Rows(Vec<Kept>);

impl Rows {
    fn place(&self, table: Table, key: &[u8]) -> Result<usize, usize> {
        self.0.binary_search_by(|kept| kept.name().cmp(&(table.number(), key)))
    }

    /// Says whether there is a row of this key.
    pub fn has(&self, table: Table, key: &[u8]) -> bool {
        self.place(table, key).is_ok()
    }

    /// Returns all rows, by table and key: table, key, value.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
        self.0.iter().filter_map(|kept| {
            let (key, value) = kept.split();
            Some((Table::from_number(kept.table())?, key, value))
        })
    }

    /// Returns how many rows of a table have keys that begin like this.
    pub fn count(&self, table: Table, prefix: &[u8]) -> usize {
        let first = self.place(table, prefix).unwrap_or_else(|at| at);
        let is_of_it = |kept: &&Kept| kept.table() == table.number() && kept.split().0.starts_with(prefix);
        self.0[first..].iter().take_while(is_of_it).count()
    }

    /// Writes a row, or takes it away.
    pub(crate) fn keep(&mut self, row: &Row, shared: &mut Shared) {
        let Row { table, key, value } = row;
        let place = self.place(*table, key);
        match (place, value) {
            (Ok(at), Some(value)) => self.0[at] = shared.one(*table, key, value),
            (Err(at), Some(value)) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(self.0.len() / GROWTH + 1);
                }
                self.0.insert(at, shared.one(*table, key, value));
            }
            (Ok(at), None) => drop(self.0.remove(at)),
            (Err(_), None) => {}
        }
    }

    /// Loses all rows but those of one table.
    pub(crate) fn lose_all_but(&mut self, table: Table) {
        self.0.retain(|kept| kept.table() == table.number());
    }
}

/// Rows that many disks have.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    rows: BTreeSet<Kept>,
    /// How many there were after those that no disk has were last dropped.
    left: usize,
}

impl Shared {
    fn one(&mut self, table: Table, key: &[u8], value: &[u8]) -> Kept {
        let kept = Kept::new(table, key, value);
        if !matches!(table, Table::Membership | Table::Members | Table::Partners) {
            return kept;
        }
        if let Some(known) = self.rows.get(&kept) {
            return known.clone();
        }
        if self.rows.len() >= 2 * self.left + SLACK {
            self.rows.retain(|kept| Arc::strong_count(&kept.0) > 1);
            self.left = self.rows.len();
        }
        self.rows.insert(kept.clone());
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

    fn row(table: usize, key: Vec<u8>, value: Option<Vec<u8>>) -> Row {
        Row { table: Table::ALL[table % Table::ALL.len()], key, value }
    }

    proptest! {
        #[test]
        fn rows_are_a_map(
            rows in prop::collection::vec(
                (0..16usize, prop::collection::vec(0..3u8, 0..4), prop::option::of(prop::collection::vec(0..3u8, 0..3))),
                0..200,
            ),
        ) {
            let (mut disks, mut model, mut shared) = ([Rows::default(), Rows::default()], Model::new(), Shared::default());
            for (table, key, value) in rows {
                let row = row(table, key, value);
                disks.iter_mut().for_each(|disk| disk.keep(&row, &mut shared));
                match row.value {
                    Some(value) => model.insert((row.table, row.key), value),
                    None => model.remove(&(row.table, row.key)),
                };
            }
            for disk in &disks {
                let all = disk.iter().map(|(table, key, value)| ((table, key.to_vec()), value.to_vec()));
                prop_assert_eq!(all.collect::<Vec<_>>(), model.clone().into_iter().collect::<Vec<_>>());
                for (table, key) in model.keys() {
                    prop_assert!(disk.has(*table, key));
                    let begins = |(of, it): &&(Table, Vec<u8>)| of == table && it.starts_with(&key[..key.len() / 2]);
                    prop_assert_eq!(disk.count(*table, &key[..key.len() / 2]), model.keys().filter(begins).count());
                }
            }
        }
    }

    #[test]
    fn equal_rows_of_members_are_one_and_are_forgotten_when_no_disk_has_them() {
        let (mut a, mut b, mut shared) = (Rows::default(), Rows::default(), Shared::default());
        let member = |n: usize| row(Table::Members as usize, n.to_le_bytes().to_vec(), Some(vec![7; 100]));
        a.keep(&member(1), &mut shared);
        b.keep(&member(1), &mut shared);
        assert!(Arc::ptr_eq(&a.0[0].0, &b.0[0].0));
        for n in 2..3 * SLACK {
            a.keep(&member(n), &mut shared);
            a.keep(&Row { value: None, ..member(n) }, &mut shared);
        }
        assert!(shared.rows.len() <= SLACK + 2);
        assert!(shared.rows.contains(&b.0[0]), "what a disk has stays");
    }
}
