//! One data directory, one daemon: the lock that says so. The kernel drops it when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The lock's name in the data directory.
const LOCK: &str = "lock";
/// How long to wait before the lock is tried again: short against the start of a node.
const PAUSE: Duration = Duration::from_millis(50);

/// Why the data directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by another tombolo{}", dir.display(), holder(*pid))]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The other process, as far as it is known.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", dir.display())]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The exclusive use of a data directory, until dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock, or says at once who has it.
    ///
    /// # Errors
    /// [`LockError::InUse`] when another process, or another part of this one, holds it.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { dir: dir.to_owned(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(dir.join(LOCK)).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The number only makes the message better: none is fine.
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(LockError::InUse { dir: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        // Written through the very file that is locked; a full disk must not keep a node from starting.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

impl DirLock {
    /// Takes the lock, and where another process has it tries again for about so long: one that was killed may take a
    /// moment to be gone.
    ///
    /// # Errors
    /// As [`DirLock::take`], when that time is over.
    pub fn take_within(dir: &Path, patience: Duration) -> Result<Self, LockError> {
        let mut said = false;
        let tries = patience.as_millis().div_ceil(PAUSE.as_millis());
        Self::take_again(dir, tries, |in_use| {
            if !std::mem::replace(&mut said, true) {
                tracing::warn!("{in_use}: waiting for at most {patience:?}");
            }
            std::thread::sleep(PAUSE);
        })
    }

    /// Tries so many times more, after a pause each.
    pub(super) fn take_again(dir: &Path, tries: u128, mut pause: impl FnMut(&LockError)) -> Result<Self, LockError> {
        for _ in 0..tries {
            match Self::take(dir) {
                Err(in_use @ LockError::InUse { .. }) => pause(&in_use),
                other => return other,
            }
        }
        Self::take(dir)
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
