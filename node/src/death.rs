//! Dying on purpose, at a step that is named: how tests learn what is left when a node vanishes just there.
//!
//! `TOMBOLO_DIE` is `before:DEED` or `after:DEED` (a deed as `rear-proto/src/story.rs` spells it). *Before*: the mind has
//! done it, and nothing of that is kept or said. *After*: it is kept and said, and nothing that follows is heard. The end
//! is SIGKILL, so nothing is tidied up. Debug builds alone look at it.

use rear_proto::story::Deed;

/// When to die.
#[derive(Debug, Default)]
pub struct Death {
    /// The deed, and whether what it led to is to be kept and said.
    at: Option<(String, bool)>,
    /// How many batches were handed over to be kept, and how many of them are.
    submitted: u64,
    kept: u64,
    /// The deed is done: when so many batches are kept, the next that happens is the end.
    due: Option<u64>,
}

impl Death {
    /// Reads from the environment when to die; never, where nothing is said there.
    pub fn from_env() -> Self {
        let wish = if cfg!(debug_assertions) { std::env::var("TOMBOLO_DIE").ok() } else { None };
        let at = wish.as_deref().and_then(|wish| wish.split_once(':'));
        Self { at: at.map(|(when, deed)| (deed.to_owned(), when == "after")), ..Self::default() }
    }

    /// Something happens: whoever was to die after the last deed does so here.
    pub(crate) fn happens(&self) {
        if self.due.is_some_and(|due| self.kept >= due) {
            die();
        }
    }

    /// The mind has done these deeds; nothing of them is kept or said yet.
    pub(crate) fn done(&mut self, deeds: &[Deed], is_to_be_kept: bool) {
        self.submitted += u64::from(is_to_be_kept);
        let Some((deed, is_after)) = &self.at else { return };
        if self.due.is_none() && deeds.iter().any(|done| format!("{done:?}") == *deed) {
            if !is_after {
                die();
            }
            self.due = Some(self.submitted);
        }
    }

    /// One more batch is kept, and what it promised is said.
    pub(crate) const fn kept(&mut self) {
        self.kept += 1;
    }
}

fn die() {
    // What the system refuses here it refuses to everybody: then the node lives on, and its test says so.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}
