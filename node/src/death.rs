//! Ending or standing still on purpose, at a step that is named: how tests learn what is left when a node vanishes just
//! there.
//!
//! `TOMBOLO_DIE` names a file. When there is one, it says `before DEED`, `after DEED` or `stop DEED` (a deed as
//! `rear-proto/src/story.rs` spells it), once: it is removed when it has been followed. *Before*: the mind has done it, and
//! nothing of that is kept or said. *After*: it is kept and said, and nothing that follows is heard. *Stop*: as before,
//! but the process only stands still (SIGSTOP), so that another can be ended meanwhile. The end is SIGKILL, so nothing is
//! tidied up. Debug builds alone look at it.

use std::{fs, path::PathBuf};

use rear_proto::story::Deed;
use rustix::process::{Signal, getpid, kill_process};

/// When to die.
#[derive(Debug, Default)]
pub struct Death {
    /// Where the wish stands.
    file: Option<PathBuf>,
    /// How many batches were handed over to be kept, and how many of them are.
    submitted: u64,
    kept: u64,
    /// The deed is done: when so many batches are kept, the next that happens is the end.
    due: Option<u64>,
}

impl Death {
    /// Finds out from the environment where a wish may stand; none is looked for where nothing is said there.
    pub fn from_env() -> Self {
        let file = if cfg!(debug_assertions) { std::env::var_os("TOMBOLO_DIE").map(PathBuf::from) } else { None };
        Self { file, ..Self::default() }
    }

    /// Something happens: whoever was to die after the last deed does so here.
    pub(crate) fn happens(&self) {
        if self.due.is_some_and(|due| self.kept >= due) {
            raise(Signal::KILL);
        }
    }

    /// The mind has done these deeds; nothing of them is kept or said yet.
    pub(crate) fn done(&mut self, deeds: &[Deed], is_to_be_kept: bool) {
        self.submitted += u64::from(is_to_be_kept);
        let Some(file) = self.file.as_ref().filter(|_| !deeds.is_empty()) else { return };
        let Ok(wish) = fs::read_to_string(file) else { return };
        let Some((when, deed)) = wish.trim().split_once(' ') else { return };
        if !deeds.iter().any(|done| format!("{done:?}") == deed) {
            return;
        }
        // One that stays would be followed again after a restart; whoever wished it sees that it is gone.
        let _ = fs::remove_file(file);
        match when {
            "after" => self.due = Some(self.submitted),
            "stop" => raise(Signal::STOP),
            _ => raise(Signal::KILL),
        }
    }

    /// One more batch is kept, and what it promised is said.
    pub(crate) const fn kept(&mut self) {
        self.kept += 1;
    }
}

fn raise(signal: Signal) {
    // What the system refuses here it refuses to everybody: then the node lives on, and its test says so.
    let _ = kill_process(getpid(), signal);
}
