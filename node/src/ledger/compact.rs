//! Compaction: a new file that begins with a snapshot takes the place of one that grew long.
//!
//! The snapshot's first frame names the hash of the last frame that it replaces, so the chain goes on, and an older
//! copy of the ledger can be tied to the newer one. A crash at any point leaves one whole ledger under the name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::file::{File, write_all};
use super::frame::{self, Head, Kind};
use super::scan::{Scanner, Step};
use super::{Hash, LEDGER, LEDGER_NEW, Ledger, Poisoned, ReadError, Seq};
use crate::row::{Row, Table, Tables};

/// A part of a snapshot is closed once it is this long, in bytes: reading one stays cheap.
const PART: usize = 1024 * 1024;

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The file's length before, in bytes.
    pub before: u64,
    /// The file's length after, in bytes.
    pub after: u64,
}

/// Why a ledger was not compacted.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// There are batches that are not synced; nothing was done.
    #[error("batches up to {0} are not on the disk yet")]
    NotSynced(Seq),
    /// The ledger did not read back; it is as it was and can be written on.
    #[error("the ledger does not read back")]
    Read(#[from] ReadError),
    /// The new file could not be written and was removed; the ledger is as it was and can be written on.
    #[error("cannot write the compacted ledger")]
    Io(#[source] io::Error),
    /// Which of the two files has the name is unknown.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

impl Ledger {
    /// Whether the file is over [`Options::compact_above`](super::Options::compact_above), and over twice what was
    /// alive in it when it was opened or last compacted.
    #[must_use]
    pub fn wants_compaction(&self) -> bool {
        self.len > self.compact_at
    }

    /// Replaces the file by one that begins with a snapshot of the state. Removed rows disappear from it, except the
    /// last values of those in kept tables. Everything must have been synced.
    ///
    /// # Errors
    /// After [`CompactError::Poisoned`] the ledger is closed; after all others it can be written on, and wants
    /// compaction again only when it has grown some more.
    pub fn compact(&mut self) -> Result<Compacted, CompactError> {
        self.usable()?;
        if self.durable < self.last {
            return Err(CompactError::NotSynced(self.last));
        }
        let result = self.replace();
        if result.is_err() {
            self.compact_at = self.len.saturating_add(self.options.compact_above);
        }
        result
    }

    fn replace(&mut self) -> Result<Compacted, CompactError> {
        let fold = self.read_back()?;
        let (mut file, len, head) = match self.write_new(&fold) {
            Ok(written) => written,
            Err(error) => {
                // It would only take room; the next opening removes it too.
                let _ = self.disk.remove(LEDGER_NEW);
                return Err(CompactError::Io(error));
            }
        };
        self.disk
            .rename(LEDGER_NEW, LEDGER)
            .and_then(|()| self.disk.sync())
            .map_err(|error| self.poison(format!("put the compacted file in its place: {error}")))?;
        std::mem::swap(&mut self.file, &mut file);
        let before = std::mem::replace(&mut self.len, len);
        self.head = head;
        self.compact_at = self.options.compact_above.max(len.saturating_mul(2));
        Ok(Compacted { before, after: len })
    }

    /// Reads the state from the file: the one place that has it, so memory need not.
    fn read_back(&self) -> Result<Fold, ReadError> {
        let mut scanner = Scanner::new(&*self.file, self.len)?;
        let mut fold = Fold::new(&self.options.kept);
        loop {
            match scanner.next()? {
                Step::Frame(found) => found.frame.rows.into_iter().for_each(|row| fold.apply(row)),
                Step::End if scanner.head() == self.head => return Ok(fold),
                Step::End | Step::Torn(_) => {
                    return Err(ReadError::Damaged {
                        offset: scanner.offset(),
                        seq: scanner.last(),
                        what: "it does not end as it was written".to_owned(),
                    });
                }
            }
        }
    }

    /// Writes and syncs the new file, and returns it with its length and the hash of its last frame.
    fn write_new(&self, fold: &Fold) -> io::Result<(Box<dyn File>, u64, Hash)> {
        let mut file = self.disk.create(LEDGER_NEW)?;
        let mut len = 0;
        let mut write = |bytes: &[u8]| {
            write_all(&mut *file, len, bytes)?;
            len += bytes.len() as u64;
            io::Result::Ok(())
        };
        write(&frame::header(true))?;
        let mut previous = self.head;
        let mut rows = fold.rows().peekable();
        loop {
            let mut part = Vec::new();
            let mut size = 0;
            while let Some(row) =
                rows.next_if(|(_, key, value)| part.is_empty() || size + frame::row_len(key, *value) <= PART)
            {
                size += frame::row_len(row.1, row.2);
                part.push(row);
            }
            let last = rows.peek().is_none();
            let head = Head { kind: Kind::Snapshot { last }, seq: self.last, durable: self.last, previous };
            let mut bytes = Vec::new();
            previous = frame::encode(&mut bytes, frame::BODY_MAX, &head, part)
                .ok_or_else(|| io::Error::other("a row does not fit in a frame"))?;
            write(&bytes)?;
            if last {
                break;
            }
        }
        file.sync()?;
        Ok((file, len, previous))
    }
}

/// The state that rows add up to, with what kept tables do not forget.
pub(super) struct Fold {
    tables: Tables,
    kept: BTreeSet<Table>,
    /// The last values of removed rows of kept tables.
    past: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Fold {
    pub(super) fn new(kept: &BTreeSet<Table>) -> Self {
        Self { tables: Tables::default(), kept: kept.clone(), past: BTreeMap::new() }
    }

    pub(super) fn apply(&mut self, row: Row) {
        if !self.kept.contains(&row.table) {
            self.tables.apply(row);
            return;
        }
        let (place, is_removed) = ((row.table, row.key.clone()), row.value.is_none());
        match self.tables.apply(row) {
            Some(value) if is_removed => {
                self.past.insert(place, value);
            }
            _ if !is_removed => {
                self.past.remove(&place);
            }
            // Removed twice: what was known of it stands.
            _ => {}
        }
    }

    /// The rows that lead to this state and this past: a kept row that was removed is written and removed again.
    fn rows(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        let past = self.past.iter().flat_map(|((table, key), value)| {
            [(*table, key.as_slice(), Some(value.as_slice())), (*table, key.as_slice(), None)]
        });
        past.chain(self.tables.all().map(|(table, key, value)| (table, key, Some(value))))
    }

    /// About how long a snapshot of this would be.
    pub(super) fn bytes(&self) -> u64 {
        self.rows().map(|(_, key, value)| frame::row_len(key, value) as u64).sum()
    }

    pub(super) fn into_tables(self) -> Tables {
        self.tables
    }
}
