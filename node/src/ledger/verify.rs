//! Reading a ledger for audit, without changing it: one's own while it is written, or a copy of another node's.
//!
//! Checks frames and chain. What the rows say, signatures among it, is for the caller to check.

use std::fs;
use std::path::Path;

use super::file::File;
use super::scan::{Scanner, Step};
use super::{Frame, Hash, Kind, ReadError, Seq, TornTail};

/// What is known of a ledger after reading it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether every frame is whole and continues the chain.
    pub ok: bool,
    /// Frames that check out.
    pub frames: u64,
    /// Rows in them, removals included.
    pub rows: u64,
    /// The last batch that checks out.
    pub last_seq: Seq,
    /// The hash of the last frame that checks out: two copies that agree on it agree on everything before it.
    pub head: Hash,
    /// The hash of the last frame of the chain that this file's snapshot replaced, if it begins with one.
    pub anchor: Option<Hash>,
    /// An unfinished write at the end: no problem, since nothing in it was ever promised.
    pub torn: Option<TornTail>,
    /// The first frame that does not check out.
    pub first_bad: Option<FirstBad>,
    /// Everything that is wrong, in sentences.
    pub problems: Vec<String>,
}

/// A place in a ledger that does not check out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstBad {
    /// Where in the file.
    pub offset: u64,
    /// The batch that should be there.
    pub seq: Seq,
    /// What is wrong.
    pub what: String,
}

/// Verifies the ledger in a file.
///
/// # Errors
/// Only when the file cannot be read at all; what is wrong with what was read is in the report.
pub fn verify(path: &Path) -> Result<Report, ReadError> {
    let mut report = Report {
        ok: true,
        frames: 0,
        rows: 0,
        last_seq: Seq(0),
        head: [0; 32],
        anchor: None,
        torn: None,
        first_bad: None,
        problems: Vec::new(),
    };
    let bad = |error| match error {
        ReadError::Io(error) => Err(ReadError::Io(error)),
        wrong @ (ReadError::Foreign | ReadError::Newer { .. } | ReadError::Damaged { .. }) => Ok(wrong),
    };
    let mut frames = match Frames::open(path) {
        Ok(frames) => frames,
        Err(error) => {
            report.note(bad(error)?);
            return Ok(report);
        }
    };
    for next in frames.by_ref() {
        match next {
            Ok(frame) => {
                if report.frames == 0 && frame.kind != Kind::Batch {
                    report.anchor = Some(frame.previous);
                }
                report.frames += 1;
                report.rows += frame.rows.len() as u64;
            }
            Err(error) => report.note(bad(error)?),
        }
    }
    report.last_seq = frames.scanner.last();
    report.head = frames.scanner.head();
    report.torn = frames.torn;
    Ok(report)
}

impl Report {
    fn note(&mut self, wrong: ReadError) {
        let (offset, seq) = match &wrong {
            ReadError::Damaged { offset, seq, .. } => (*offset, *seq),
            ReadError::Newer { offset, .. } => (*offset, Seq(0)),
            ReadError::Io(_) | ReadError::Foreign => (0, Seq(0)),
        };
        self.ok = false;
        self.problems.push(wrong.to_string());
        self.first_bad.get_or_insert(FirstBad { offset, seq, what: wrong.to_string() });
    }
}

/// The frames of a ledger, each checked against the ones before it. Ends at the file's end, at an unfinished write
/// there, or after the first error.
pub struct Frames {
    scanner: Scanner<Box<dyn File>>,
    torn: Option<TornTail>,
    is_over: bool,
}

impl Frames {
    /// Opens the ledger in a file for reading. What is appended from here on is not read.
    ///
    /// # Errors
    /// When the file cannot be read, or does not begin as a ledger that this program knows.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file: Box<dyn File> = Box::new(fs::File::open(path)?);
        let len = file.size()?;
        Ok(Self { scanner: Scanner::new(file, len)?, torn: None, is_over: false })
    }

    /// The unfinished write at the end, once the iterator has got there.
    #[must_use]
    pub fn torn(&self) -> Option<TornTail> {
        self.torn
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.scanner.next() {
            Ok(Step::Frame(found)) => Some(Ok(found.frame)),
            Ok(step) => {
                self.is_over = true;
                if let Step::Torn(tail) = step {
                    self.torn = Some(tail);
                }
                None
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}
