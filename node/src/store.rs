//! The tables in sled: a projection of the ledger, applied after it and caught up from it. The only file that names sled.
//!
//! It gates no answer, so it is flushed lazily. sled's own flush is no safe sync anyway (it ends in `sync_file_range`,
//! and large values go to files that it never syncs): what a crash takes from here, the ledger gives back.
//!
//! All tables share one tree, keyed `1, table, key`, so that rows and the sequence that they were applied at change
//! in one `Batch`, which sled recovers whole or not at all. A tree per table would need a transaction over trees, which
//! keeps what it reads and retries, for no gain: there is one writer.

mod quiet;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use self::quiet::quietly;
use crate::ledger::{Opened, Seq};
use crate::row::{Row, Table, Tables};

/// The tables' name in the data directory.
pub const TABLES: &str = "tables";

/// The first byte of keys that say how far the tables are, and of those of rows.
const META: u8 = 0;
const ROW: u8 = 1;
/// Where the last applied sequence stands; absent while the tables are being filled.
const APPLIED: &[u8] = &[META, b'a'];
/// Where the version stands that wrote the tables.
const VERSION: &[u8] = &[META, b'v'];
/// The version of keys and values.
const CURRENT: u8 = 1;
/// Rows written in one batch when many are: keeps one batch to some megabytes of sled's buffers.
const CHUNK: usize = 1000;
/// How often and how long sled's lock is waited for: two seconds in all, where a millisecond is the rule.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Bytes of tables that sled may keep in memory; its default of a gigabyte is more than a small node has.
const CACHE: u64 = 64 * 1024 * 1024;

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// They are not what the ledger says, or sled cannot read them. They are left as they are.
    #[error("the tables in {} are damaged ({what}); run `tombolo repair` to build them again from the ledger", dir.display())]
    Damaged {
        /// Where they are.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// They have seen batches that the ledger has not: the ledger lost its end, or is an older copy.
    #[error(
        "the tables in {} are ahead of the ledger ({applied} against {ledger}): put the whole ledger back if you have \
         it, or run `tombolo repair` to build the tables again from the ledger as it is", dir.display()
    )]
    Ahead {
        /// Where the tables are.
        dir: PathBuf,
        /// The last batch applied.
        applied: Seq,
        /// The last batch in the ledger.
        ledger: Seq,
    },
    /// A later version of this program wrote them.
    #[error(
        "the tables in {} have version {version}, which is newer than this program: use a newer tombolo", dir.display()
    )]
    Newer {
        /// Where they are.
        dir: PathBuf,
        /// The version found.
        version: u8,
    },
    /// The disk refused something.
    #[error("cannot use the tables in {}; if the disk is well, `tombolo repair` builds them again", dir.display())]
    Io {
        /// Where they are.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Where the tables that were there are now, if there were any.
    pub aside: Option<PathBuf>,
    /// Rows in the new tables.
    pub rows: usize,
}

/// The open tables. Clones are the same tables: one writes, any may read.
#[derive(Clone)]
pub struct Store {
    db: sled::Db,
    dir: PathBuf,
}

impl Store {
    /// Opens the tables of a data directory, or begins them.
    ///
    /// # Errors
    /// When they are damaged, as far as sled can tell, or newer. sled's own recovery may write to its files.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let dir = data_dir.join(TABLES);
        let db = open_patiently(&dir)?;
        let store = Self { db, dir };
        match store.guarded(|db| db.get(VERSION))?.as_deref() {
            Some([CURRENT]) => {}
            Some([version]) if *version > CURRENT => {
                return Err(StoreError::Newer { dir: store.dir, version: *version });
            }
            None if store.guarded(|db| Ok(db.is_empty()))? => {
                store.guarded(|db| db.insert(VERSION, &[CURRENT]))?;
            }
            _ => return Err(store.damaged("their version is not readable")),
        }
        Ok(store)
    }

    /// The last batch applied; 0 before the first, and while the tables are being filled.
    ///
    /// # Errors
    /// When sled cannot read it.
    pub fn applied(&self) -> Result<Seq, StoreError> {
        let bytes = self.guarded(|db| db.get(APPLIED))?;
        match bytes.as_deref().map(<[u8; 8]>::try_from) {
            None => Ok(Seq(0)),
            Some(Ok(bytes)) => Ok(Seq(u64::from_be_bytes(bytes))),
            Some(Err(_)) => Err(self.damaged("the applied sequence is not readable")),
        }
    }

    /// Applies the rows of all batches up to `seq` since the last ones applied, together with `seq`: all or nothing.
    ///
    /// # Errors
    /// When sled fails; what it then holds is made good by [`Store::catch_up`].
    pub fn apply<'a>(&self, seq: Seq, rows: impl IntoIterator<Item = &'a Row>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for row in rows {
            match &row.value {
                Some(value) => batch.insert(place(row.table, &row.key), value.as_slice()),
                None => batch.remove(place(row.table, &row.key)),
            }
        }
        batch.insert(APPLIED, &seq.0.to_be_bytes());
        self.guarded(|db| db.apply_batch(batch))
    }

    /// The rows of a table as (key, value), in the order of their keys.
    ///
    /// # Errors
    /// When sled cannot read them all.
    pub fn iter(&self, table: Table) -> Result<impl Iterator<Item = (Vec<u8>, Vec<u8>)>, StoreError> {
        // Read here to the end: sled may panic in the middle, and only in here that is caught.
        let rows = self.guarded(|db| {
            db.scan_prefix([ROW, table.0])
                .map(|row| row.map(|(key, value)| (key.get(2..).unwrap_or_default().to_vec(), value.to_vec())))
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(rows.into_iter())
    }

    /// The value of a row, if there is one.
    ///
    /// # Errors
    /// When sled cannot read it.
    pub fn value(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.guarded(|db| db.get(place(table, key)))?.map(|value| value.to_vec()))
    }

    /// Brings the tables to where the ledger is, once, at start. What differs is written; that they do differ although
    /// they claim to be as far as the ledger is damage.
    ///
    /// # Errors
    /// When the tables are ahead of the ledger, disagree with it, or cannot be read. They are left as they are.
    pub fn catch_up(&self, opened: &Opened) -> Result<(), StoreError> {
        let applied = self.applied()?;
        if applied > opened.last_seq {
            return Err(StoreError::Ahead { dir: self.dir.clone(), applied, ledger: opened.last_seq });
        }
        let differences = self.differences(&opened.rows)?;
        if applied == opened.last_seq {
            return match differences.len() {
                0 => Ok(()),
                rows => Err(self.damaged(&format!("{rows} rows are not what the ledger says, at batch {applied}"))),
            };
        }
        tracing::info!(%applied, ledger = %opened.last_seq, rows = differences.len(), "the tables are caught up");
        self.write_many(&differences, opened.last_seq)
    }

    /// Makes the tables hold exactly these rows.
    ///
    /// # Errors
    /// When sled fails.
    pub fn clear_and_fill(&self, rows: &Tables, seq: Seq) -> Result<(), StoreError> {
        let differences = self.differences(rows)?;
        self.write_many(&differences, seq)
    }

    /// Asks sled to write what it has in memory. Nothing depends on when; the less is left, the less there is to catch
    /// up after a crash.
    ///
    /// # Errors
    /// When sled fails.
    pub fn flush_lazily(&self) -> Result<(), StoreError> {
        self.guarded(|db| db.flush().map(drop))
    }

    /// The rows that turn the tables into `wanted`.
    fn differences(&self, wanted: &Tables) -> Result<Vec<Row>, StoreError> {
        let mut wanted = wanted.all().peekable();
        let differences = self.guarded(|db| {
            let mut differences = Vec::new();
            for row in db.scan_prefix([ROW]) {
                let (place, value) = row?;
                // A row without a table cannot have been written here; it counts as one of table 0 and goes.
                let (table, key) = match place.get(1..) {
                    Some([table, key @ ..]) => (Table(*table), key),
                    _ => (Table(0), &[][..]),
                };
                while let Some((t, k, v)) = wanted.next_if(|(t, k, _)| (*t, *k) < (table, key)) {
                    differences.push(Row::put(t, k, v));
                }
                match wanted.next_if(|(t, k, _)| (*t, *k) == (table, key)) {
                    Some((_, _, v)) if v == &*value => {}
                    Some((_, _, v)) => differences.push(Row::put(table, key, v)),
                    None => differences.push(Row::removed(table, key)),
                }
            }
            Ok(differences)
        });
        let mut differences = differences?;
        differences.extend(wanted.map(|(table, key, value)| Row::put(table, key, value)));
        Ok(differences)
    }

    fn write_many(&self, rows: &[Row], seq: Seq) -> Result<(), StoreError> {
        steps(rows, seq).try_for_each(|(seq, rows)| self.apply(seq, rows))
    }

    fn guarded<T>(&self, ask: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        guarded(&self.dir, || ask(&self.db))
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { dir: self.dir.clone(), what: what.to_owned() }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Rows in chunks, and what the tables say of themselves behind each: until the last that they are at 0, so that a crash
/// in between is made good at the next start.
fn steps(rows: &[Row], seq: Seq) -> impl Iterator<Item = (Seq, &[Row])> {
    let (chunks, last) = rows.split_at(rows.len() - rows.len() % CHUNK);
    chunks.chunks(CHUNK).map(|chunk| (Seq(0), chunk)).chain([(seq, last)])
}

/// Builds the tables of a data directory again from its ledger, which the caller has open and so locked. What was there
/// is moved aside to `tables.damaged-N`, and lost is nothing.
///
/// # Errors
/// When the old tables cannot be moved, or the new ones not written.
pub fn repair(data_dir: &Path, opened: &Opened) -> Result<Repaired, StoreError> {
    let dir = data_dir.join(TABLES);
    let aside = move_aside(data_dir, &dir).map_err(|source| StoreError::Io { dir: dir.clone(), source })?;
    let store = Store::open(data_dir)?;
    store.clear_and_fill(&opened.rows, opened.last_seq)?;
    store.flush_lazily()?;
    Ok(Repaired { aside, rows: opened.rows.len() })
}

fn move_aside(data_dir: &Path, dir: &Path) -> io::Result<Option<PathBuf>> {
    if !dir.try_exists()? {
        return Ok(None);
    }
    let mut n: u32 = 1;
    loop {
        let aside = data_dir.join(format!("{TABLES}.damaged-{n}"));
        if !aside.try_exists()? {
            fs::rename(dir, &aside)?;
            return Ok(Some(aside));
        }
        n += 1;
    }
}

fn place(table: Table, key: &[u8]) -> Vec<u8> {
    [&[ROW, table.0], key].concat()
}

/// Opens sled, and waits a moment for its lock: the data directory is ours, so whoever has the lock is a thread of sled
/// that has not yet noticed that the last store in this process was dropped.
fn open_patiently(dir: &Path) -> Result<sled::Db, StoreError> {
    let mut tries_left = LOCK_TRIES;
    loop {
        // No timer: who applies also decides when to flush.
        let config = sled::Config::new().path(dir).flush_every_ms(None).cache_capacity(CACHE);
        match guarded(dir, || config.open()) {
            Err(StoreError::Io { source, .. }) if tries_left > 0 && source.to_string().contains("acquire lock") => {
                tries_left -= 1;
                thread::park_timeout(LOCK_PAUSE);
            }
            other => return other,
        }
    }
}

/// Asks sled something. sled asserts what it reads from its files, so damage there may be a panic, on a code path that
/// no check of ours can foresee. It is caught here, and only here, so that the user gets one clear sentence. What the
/// panic left behind is not used again: whoever gets the error gives the store up.
fn guarded<T>(dir: &Path, ask: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    let dir = dir.to_owned();
    match quietly(|| catch_unwind(AssertUnwindSafe(ask))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(source))) => Err(StoreError::Io { dir, source }),
        Ok(Err(error)) => Err(StoreError::Damaged { dir, what: error.to_string() }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            tracing::debug!(panic = text, "sled gave up");
            Err(StoreError::Damaged { dir, what: "sled cannot make sense of its files".to_owned() })
        }
    }
}
