//! The trace: a digest of all that happens, to the byte, and on demand the text of it.

use std::fmt;

use kernel::Time;
use sha2::{Digest as _, Sha256};

/// Who reads the text of what happens, a line at a time.
pub type Reader = Box<dyn FnMut(&str) + Send>;

/// All that has happened.
pub(crate) struct Trace {
    digest: Sha256,
    reader: Option<Reader>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("read", &self.reader.is_some()).finish_non_exhaustive()
    }
}

/// What a word of the digest is about; only ever appended to, so that hashes can be compared over versions.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Mark {
    /// A mind took in an event: node, and how many rows and outputs came of it.
    Event = 1,
    /// A mind woke.
    Wake = 2,
    /// A row was kept: its bytes.
    Row = 3,
    /// A message was sent: from, to, its bytes.
    Sent = 4,
    /// A node came to life, or died.
    Life = 5,
    /// A fault struck.
    Struck = 6,
    /// Under which key a row is kept that follows, or is no more.
    Key = 7,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { digest: Sha256::new(), reader: None }
    }

    pub(crate) fn set_reader(&mut self, reader: Reader) {
        self.reader = Some(reader);
    }

    pub(crate) fn is_read(&self) -> bool {
        self.reader.is_some()
    }

    /// Takes note of something.
    pub(crate) fn mix(&mut self, mark: Mark, at: Time, numbers: [u32; 2], bytes: &[u8]) {
        let mut head = [0; 21];
        head[0] = mark as u8;
        head[1..9].copy_from_slice(&at.0.to_le_bytes());
        head[9..13].copy_from_slice(&numbers[0].to_le_bytes());
        head[13..17].copy_from_slice(&numbers[1].to_le_bytes());
        head[17..21].copy_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.digest.update(head);
        self.digest.update(bytes);
    }

    /// Writes a line, where somebody reads them.
    pub(crate) fn note(&mut self, age: kernel::Span, what: impl FnOnce() -> String) {
        if let Some(reader) = &mut self.reader {
            reader(&format!("{:>9.3} {}", age.0 as f64 / 1000.0, what()));
        }
    }

    /// Returns the digest of all that has happened so far.
    pub(crate) fn hash(&self) -> String {
        hex::encode(&self.digest.clone().finalize()[..16])
    }
}
