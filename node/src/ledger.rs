//! The ledger: the node's write-ahead log, and the only thing that gates an answer.
//!
//! One append-only file of framed, checksummed, hash-chained batches of rows. A batch counts when [`Ledger::sync`] has
//! returned after its [`Ledger::append`]. It knows nothing of what rows mean, and reads no clock.
//!
//! ```text
//! append ─► append ─► sync ─► (answers may leave) ─► … ─► compact: ledger.new ─► sync ─► rename ─► sync dir
//! ```

mod compact;
mod file;
mod frame;
mod lock;
mod scan;
mod verify;

#[cfg(test)]
pub(crate) mod fault;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

pub use self::compact::{CompactError, Compacted};
pub use self::frame::{Frame, Hash, Kind};
pub use self::lock::{DirLock, LockError};
pub use self::scan::ReadError;
pub use self::verify::{FirstBad, Frames, Report, verify};

use self::compact::Fold;
use self::file::{Disk, File, RealDisk, write_all};
use self::frame::Head;
use self::scan::{Scanner, Step};
use crate::row::{Row, Table, Tables};

/// The ledger's name in the data directory.
pub const LEDGER: &str = "ledger";
/// The name of a ledger that is not whole yet.
const LEDGER_NEW: &str = "ledger.new";

/// A batch's number: 1 for the first, and no gaps. 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a ledger is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tables whose rows stay in the ledger when they are removed: compaction keeps the last value of each.
    pub kept: BTreeSet<Table>,
    /// The most bytes that one batch may take; at most 64 MiB.
    pub max_frame: usize,
    /// No ledger smaller than this, in bytes, is worth compacting.
    pub compact_above: u64,
    /// For how long another process may still have the data directory: one that is ending, as a rule.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        // 16 MiB: a batch is what one event changes, kilobytes as a rule. 64 MiB: read again in about a second.
        let (max_frame, compact_above) = (16 * 1024 * 1024, 64 * 1024 * 1024);
        Self { kept: BTreeSet::new(), max_frame, compact_above, patience: Duration::ZERO }
    }
}

/// What was found when a ledger was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The state that the ledger's batches add up to.
    pub rows: Tables,
    /// The last whole batch.
    pub last_seq: Seq,
    /// What was cut off the end, if a crash had left an unfinished write there.
    pub torn: Option<TornTail>,
}

/// An unfinished write at the end of a ledger. Nothing in it was ever promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where it begins.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory is in use, or cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The ledger is damaged, newer than this program, or unreadable; it is as it was.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk refused something.
    #[error("cannot {doing} the ledger")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a batch was not appended. What was appended before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A batch is longer than [`Options::max_frame`]; nothing was written.
    #[error("a batch is longer than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The write failed, and what it left behind was cut off again.
    #[error("cannot write to the ledger")]
    Io(#[source] io::Error),
    /// An earlier failure left the file's end unknown, or this one did.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

impl AppendError {
    /// Whether all that is missing is room on the disk: the same can be appended once there is some.
    #[must_use]
    pub fn is_want_of_room(&self) -> bool {
        match self {
            Self::Io(error) => matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
            Self::TooLarge { .. } | Self::Poisoned(_) => false,
        }
    }
}

/// The ledger can say no more: what of it is on the disk is unknown until it is opened again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is closed since it failed to {0}")]
pub struct Poisoned(String);

/// An open ledger.
pub struct Ledger {
    disk: Box<dyn Disk>,
    file: Box<dyn File>,
    options: Options,
    /// Bytes of whole frames; what is behind them is cut off.
    len: u64,
    last: Seq,
    durable: Seq,
    head: Hash,
    /// The size from which compaction is worth its while.
    compact_at: u64,
    poisoned: Option<Poisoned>,
    _lock: Option<DirLock>,
}

impl Ledger {
    /// Opens the ledger of a data directory, or begins one, and takes the directory's lock.
    ///
    /// # Errors
    /// When another process has the directory, and when the ledger is damaged, newer or unreadable: then it is left as
    /// it is. An unfinished write at the end is no error; it is cut off.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Opened), OpenError> {
        let lock = DirLock::take_within(dir, options.patience)?;
        let (mut ledger, opened) = Self::open_on(Box::new(RealDisk::new(dir)), options)?;
        ledger._lock = Some(lock);
        Ok((ledger, opened))
    }

    /// Opens the ledger on any disk, without a lock.
    pub(crate) fn open_on(disk: Box<dyn Disk>, options: Options) -> Result<(Self, Opened), OpenError> {
        let io = |doing| move |source| OpenError::Io { doing, source };
        let mut file = match disk.open(LEDGER).map_err(io("open"))? {
            Some(file) => file,
            None => create(&*disk).map_err(io("create"))?,
        };
        // Left by a compaction that did not get to its end.
        disk.remove(LEDGER_NEW).map_err(io("remove what is left of"))?;
        // A rename that was seen may yet be undone by a power cut; nothing may be built on it before.
        disk.sync().map_err(io("sync the directory of"))?;
        let size = file.size().map_err(io("measure"))?;

        let mut scanner = Scanner::new(&*file, size)?;
        let mut fold = Fold::new(&options.kept);
        // The frames that a later one does not call durable: offset and number.
        let mut unsure: Vec<(u64, Seq)> = Vec::new();
        let torn = loop {
            match scanner.next()? {
                Step::Frame(found) => {
                    let durable = found.frame.durable;
                    unsure.retain(|(_, seq)| *seq > durable);
                    if found.frame.kind == Kind::Batch {
                        unsure.push((found.offset, found.frame.seq));
                    }
                    found.frame.rows.into_iter().for_each(|row| fold.apply(row));
                }
                Step::End => break None,
                Step::Torn(tail) => break Some(tail),
            }
        };
        let (len, last, head) = (scanner.offset(), scanner.last(), scanner.head());
        drop(scanner);

        if let Some(TornTail { offset, bytes }) = torn {
            tracing::warn!(offset, bytes, "the ledger ends in an unfinished write, which is cut off");
            file.truncate(len).map_err(io("cut off the end of"))?;
        }
        if let Some(&(offset, _)) = unsure.first() {
            rewrite(&mut *file, offset, len).map_err(io("write again the end of"))?;
        }
        if torn.is_some() || !unsure.is_empty() {
            file.sync().map_err(io("sync"))?;
        }
        let compact_at = options.compact_above.max(fold.bytes().saturating_mul(2));
        let opened = Opened { rows: fold.into_tables(), last_seq: last, torn };
        let ledger =
            Self { disk, file, options, len, last, durable: last, head, compact_at, poisoned: None, _lock: None };
        Ok((ledger, opened))
    }

    /// Writes batches behind each other, in one write and without a sync, and returns the last one's number. An empty
    /// batch is a batch like any other. None of them counts before [`Ledger::sync`].
    ///
    /// # Errors
    /// All batches are appended or none. After [`AppendError::Io`] the ledger can go on; after
    /// [`AppendError::Poisoned`] it cannot.
    pub fn append<'a>(&mut self, batches: impl IntoIterator<Item = &'a [Row]>) -> Result<Seq, AppendError> {
        self.usable()?;
        let (mut last, mut head, mut bytes) = (self.last, self.head, Vec::new());
        let max = self.options.max_frame;
        for rows in batches {
            last = Seq(last.0 + 1);
            let this = Head { kind: Kind::Batch, seq: last, durable: self.durable, previous: head };
            let rows = rows.iter().map(|row| (row.table, row.key.as_slice(), row.value.as_deref()));
            head = frame::encode(&mut bytes, max, &this, rows).ok_or(AppendError::TooLarge { max })?;
        }
        if let Err(error) = write_all(&mut *self.file, self.len, &bytes) {
            self.cut_off()?;
            return Err(AppendError::Io(error));
        }
        self.len += bytes.len() as u64;
        (self.last, self.head) = (last, head);
        Ok(last)
    }

    /// Returns when everything appended is on the disk.
    ///
    /// # Errors
    /// A failed sync is never tried again: the system may have dropped the very pages that it could not write, and
    /// would then report success. The ledger is closed for good.
    pub fn sync(&mut self) -> Result<Seq, Poisoned> {
        self.usable()?;
        if self.durable < self.last {
            self.file.sync().map_err(|error| self.poison(format!("sync: {error}")))?;
            self.durable = self.last;
        }
        Ok(self.durable)
    }

    /// The number of the last batch appended.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.last
    }

    /// The file's length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.len
    }

    /// Removes what a failed write left behind its last whole frame.
    fn cut_off(&mut self) -> Result<(), Poisoned> {
        let cut = self.file.truncate(self.len);
        // What was cut off must not come back after a crash, behind batches that took its place.
        cut.and_then(|()| self.file.sync()).map_err(|error| self.poison(format!("cut off a failed write: {error}")))?;
        self.durable = self.last;
        Ok(())
    }

    fn usable(&self) -> Result<(), Poisoned> {
        self.poisoned.clone().map_or(Ok(()), Err)
    }

    fn poison(&mut self, what: String) -> Poisoned {
        self.poisoned.get_or_insert(Poisoned(what)).clone()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("len", &self.len).field("last", &self.last).finish_non_exhaustive()
    }
}

/// Begins a ledger: under another name first, so that one that is there is always whole.
fn create(disk: &dyn Disk) -> io::Result<Box<dyn File>> {
    let mut file = disk.create(LEDGER_NEW)?;
    write_all(&mut *file, 0, &frame::header(false))?;
    file.sync()?;
    disk.rename(LEDGER_NEW, LEDGER)?;
    disk.sync()?;
    Ok(file)
}

/// Writes what is there once more. After a sync that failed, a restarted process reads pages that are in memory alone
/// and that the system takes for written: a second sync would do nothing for them.
fn rewrite(file: &mut dyn File, from: u64, to: u64) -> io::Result<()> {
    // 1 MiB at a time: the tail after a crash is one group of batches, usually a few kilobytes.
    let mut buffer = vec![0; 1024 * 1024];
    let mut offset = from;
    while offset < to {
        let want = buffer.len().min(usize::try_from(to - offset).unwrap_or(usize::MAX));
        let read = file::read_full(file, offset, &mut buffer[..want])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all(file, offset, &buffer[..read])?;
        offset += read as u64;
    }
    Ok(())
}
