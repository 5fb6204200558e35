//! A row: the unit of what a node remembers, and the tables that rows add up to.
//!
//! What a key or a value means, and what a table is called, is not known here.

use std::collections::BTreeMap;

/// A table's number. Names and meanings belong to whoever writes the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub u8);

/// One change of one row of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The table that the row is in.
    pub table: Table,
    /// The row's key, unique in its table.
    pub key: Vec<u8>,
    /// What the row is from here on; `None` removes it.
    pub value: Option<Vec<u8>>,
}

impl Row {
    /// A row that is written.
    #[must_use]
    pub fn put(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into(), value: Some(value.into()) }
    }

    /// A row that is removed.
    #[must_use]
    pub fn removed(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into(), value: None }
    }
}

impl From<rear_proto::Row> for Row {
    fn from(row: rear_proto::Row) -> Self {
        Self { table: row.table.into(), key: row.key, value: row.value }
    }
}

impl From<rear_proto::Table> for Table {
    fn from(table: rear_proto::Table) -> Self {
        Self(table.number())
    }
}

/// The state of all tables: what is left when rows have been applied in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables(BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>);

impl Tables {
    /// Applies one row and returns the value that it replaced or removed.
    pub fn apply(&mut self, row: Row) -> Option<Vec<u8>> {
        match row.value {
            Some(value) => self.0.entry(row.table).or_default().insert(row.key, value),
            None => {
                let rows = self.0.get_mut(&row.table)?;
                let old = rows.remove(&row.key);
                if rows.is_empty() {
                    // An emptied table equals one that never was.
                    self.0.remove(&row.table);
                }
                old
            }
        }
    }

    /// The value of a row, if there is one.
    #[must_use]
    pub fn value(&self, table: Table, key: &[u8]) -> Option<&[u8]> {
        self.0.get(&table)?.get(key).map(Vec::as_slice)
    }

    /// The rows of one table as (key, value), in the order of their keys.
    pub fn iter(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.get(&table).into_iter().flatten().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// The rows of all tables as (table, key, value), in the order of table and key.
    pub fn all(&self) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
        self.0
            .iter()
            .flat_map(|(table, rows)| rows.iter().map(|(key, value)| (*table, key.as_slice(), value.as_slice())))
    }

    /// The number of rows in all tables.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Whether no table has a row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Row> for Tables {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut tables = Self::default();
        for row in rows {
            tables.apply(row);
        }
        tables
    }
}
