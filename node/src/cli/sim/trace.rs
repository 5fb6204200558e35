//! The text of all that happens in a run, in a file.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use simulations::world::Reader;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Trace(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    file: BufWriter<File>,
    /// The first thing that went wrong.
    error: Option<io::Error>,
}

impl Trace {
    /// Makes the file, empty.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("can not write {}", path.display()))?;
        Ok(Self(Arc::new(Mutex::new(State { file: BufWriter::new(file), error: None }))))
    }

    /// Returns who writes each line down.
    pub(super) fn reader(&self) -> Reader {
        let state = Arc::clone(&self.0);
        Box::new(move |line| {
            let mut state = open(&state);
            if state.error.is_none() {
                state.error = writeln!(state.file, "{line}").err();
            }
        })
    }

    /// Writes what is left, and says whether all could be written.
    pub(super) fn end(&self) -> anyhow::Result<()> {
        let mut state = open(&self.0);
        let error = state.error.take().map_or_else(|| state.file.flush(), Err);
        error.context("can not write the trace")
    }
}

fn open(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
