//! Reading a ledger from its first frame to its last, and telling a torn tail from damage.
//!
//! A frame that does not check out is *torn*, and may be cut off with all that follows it, if nothing says that it
//! ever was on disk: a crash during a write leaves any mixture of old and written pages behind, so intact frames may
//! follow a hole. It is *damaged* if an intact frame further on says that it had been synced, or if it checks out but
//! does not belong where it is.

use std::io;
use std::ops::Deref;

use super::file::{File, read_full};
use super::frame::{self, BadBody, BadHeader, Frame, Hash, Kind};
use super::{Seq, TornTail};

/// Bytes read from the disk at once.
const CHUNK: usize = 256 * 1024;

/// Why a ledger cannot be read. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk would not say.
    #[error("cannot read the ledger")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("this is no ledger: it does not begin as one")]
    Foreign,
    /// A later version of this program wrote it.
    #[error(
        "the ledger, at byte {offset}, has version {version}, which is newer than this program: use a newer tombolo"
    )]
    Newer {
        /// Where in the file.
        offset: u64,
        /// The version found there.
        version: u16,
    },
    /// What was synced once is not there any more.
    #[error("the ledger is damaged at byte {offset}, batch {seq}: {what}; it was left untouched")]
    Damaged {
        /// Where in the file.
        offset: u64,
        /// The batch that should be there.
        seq: Seq,
        /// What is wrong with it.
        what: String,
    },
}

/// A frame and where it stands.
pub(super) struct Found {
    pub(super) offset: u64,
    pub(super) frame: Frame,
}

/// What comes next in a ledger.
pub(super) enum Step {
    Frame(Found),
    End,
    Torn(TornTail),
}

/// Reads one frame after another, each checked against the ones before it.
pub(super) struct Scanner<F> {
    window: Window<F>,
    /// Where the next frame begins.
    offset: u64,
    /// The last frame's number and hash; zeros before the first.
    last: Seq,
    head: Hash,
    /// Whether the next frame has to be a snapshot's part.
    in_snapshot: bool,
    /// Whether a frame has been read.
    begun: bool,
}

impl<F: Deref<Target = dyn File>> Scanner<F> {
    /// Reads the header of what is in the file's first `len` bytes.
    pub(super) fn new(file: F, len: u64) -> Result<Self, ReadError> {
        let mut window = Window { file, len, start: 0, bytes: Vec::new() };
        let damaged = |what: &str| ReadError::Damaged { offset: 0, seq: Seq(0), what: what.to_owned() };
        let bytes = window.array(0)?.ok_or_else(|| damaged("the file ends inside its header"))?;
        let in_snapshot = frame::read_header(&bytes).map_err(|bad| match bad {
            BadHeader::Foreign => ReadError::Foreign,
            BadHeader::Newer(version) => ReadError::Newer { offset: 0, version },
            BadHeader::Damaged => damaged("the header's checksum is wrong"),
        })?;
        let offset = frame::HEADER as u64;
        Ok(Self { window, offset, last: Seq(0), head: [0; 32], in_snapshot, begun: false })
    }

    /// Where the next frame begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The last frame's number.
    pub(super) fn last(&self) -> Seq {
        self.last
    }

    /// The last frame's hash.
    pub(super) fn head(&self) -> Hash {
        self.head
    }

    /// Reads the next frame. After an error or the end there is no more.
    pub(super) fn next(&mut self) -> Result<Step, ReadError> {
        let offset = self.offset;
        if offset == self.window.len && !self.in_snapshot {
            return Ok(Step::End);
        }
        let Some(body) = self.window.intact_body(offset)? else {
            return self.torn_or_damaged();
        };
        let hash = frame::hash(body);
        let end = offset + (frame::PREFIX + body.len()) as u64;
        let frame = match frame::decode(body) {
            Ok(frame) => frame,
            Err(BadBody::Newer(version)) => return Err(ReadError::Newer { offset, version: version.into() }),
            Err(bad) => return Err(self.damaged(bad.to_string())),
        };
        if let Some(what) = self.misplaced(&frame) {
            return Err(self.damaged(what));
        }
        self.in_snapshot = frame.kind == Kind::Snapshot { last: false };
        self.begun = true;
        self.offset = end;
        self.last = frame.seq;
        self.head = hash;
        Ok(Step::Frame(Found { offset, frame }))
    }

    /// What is wrong with an intact frame at this place.
    fn misplaced(&self, frame: &Frame) -> Option<String> {
        let is_snapshot = frame.kind != Kind::Batch;
        if is_snapshot != self.in_snapshot {
            return Some("a snapshot's part and a batch have changed places".to_owned());
        }
        // A snapshot's first frame names the end of the chain that it replaces.
        let is_anchor = is_snapshot && !self.begun;
        if !is_anchor && frame.previous != self.head {
            return Some("it does not continue the chain of the frame before it".to_owned());
        }
        let expected = if is_snapshot { self.last } else { Seq(self.last.0.saturating_add(1)) };
        if !is_anchor && frame.seq != expected {
            return Some(format!("it says that it is batch {}", frame.seq));
        }
        None
    }

    fn damaged(&self, what: String) -> ReadError {
        ReadError::Damaged { offset: self.offset, seq: Seq(self.last.0.saturating_add(1)), what }
    }

    fn torn_or_damaged(&mut self) -> Result<Step, ReadError> {
        // A snapshot is whole and synced before it gets the ledger's name.
        if self.in_snapshot {
            return Err(self.damaged("the snapshot's checksum is wrong, or it is cut short".to_owned()));
        }
        let bad = Seq(self.last.0.saturating_add(1));
        for offset in self.offset + 1..self.window.len {
            if self.window.vouches_for(offset, bad)? {
                return Err(self.damaged(format!("its checksum is wrong, yet the frame at byte {offset} follows it")));
            }
        }
        Ok(Step::Torn(TornTail { offset: self.offset, bytes: self.window.len - self.offset }))
    }
}

/// A part of the file in memory, moved along as it is read.
struct Window<F> {
    file: F,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<F: Deref<Target = dyn File>> Window<F> {
    /// The bytes from `offset` on, `None` where the file ends before them.
    fn get(&mut self, offset: u64, len: usize) -> io::Result<Option<&[u8]>> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        let have = self.start..self.start + self.bytes.len() as u64;
        if !have.contains(&offset) || offset + len as u64 > have.end {
            let more = len.max(CHUNK).min((self.len - offset) as usize);
            self.bytes.resize(more, 0);
            let filled = read_full(&*self.file, offset, &mut self.bytes)?;
            self.bytes.truncate(filled);
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(self.bytes.get(from..from + len))
    }

    fn array<const N: usize>(&mut self, offset: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.get(offset, N)?.and_then(|bytes| bytes.try_into().ok()))
    }

    /// The body of the frame at `offset`, if it is all there and its checksum holds.
    fn intact_body(&mut self, offset: u64) -> io::Result<Option<&[u8]>> {
        let Some(prefix) = self.array(offset)? else { return Ok(None) };
        let (length, crc) = frame::read_prefix(prefix);
        if !(frame::BODY_MIN..=frame::BODY_MAX).contains(&length) {
            return Ok(None);
        }
        let body = self.get(offset + frame::PREFIX as u64, length)?;
        Ok(body.filter(|body| frame::is_intact(body, crc)))
    }

    /// Whether an intact frame begins at `offset` that says that batch `seq` had been synced.
    fn vouches_for(&mut self, offset: u64, seq: Seq) -> io::Result<bool> {
        let start = self.get(offset, frame::PREFIX + frame::BODY_MIN)?;
        let Some(Ok((head, _))) = start.map(|bytes| frame::decode_head(&bytes[frame::PREFIX..])) else {
            return Ok(false);
        };
        // Cheap checks first: this is asked of every byte behind a bad frame.
        let plausible = head.kind == Kind::Batch && head.durable >= seq && head.seq > head.durable;
        Ok(plausible && self.intact_body(offset)?.is_some())
    }
}
