//! The trace: all that happens, in order, with its virtual time, as one digest; and as text for whoever wants to see where
//! two runs part.

use std::{
    fmt::{self, Write as _},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

/// What a run writes its trace to, where somebody wants to read it.
pub type Text = Box<dyn io::Write + Send>;

/// The trace of a run; each machine has a handle that says who speaks.
#[derive(Clone)]
pub(crate) struct Trace {
    who: Arc<str>,
    all: Arc<Mutex<All>>,
}

struct All {
    digest: Sha256,
    text: Option<Text>,
    line: String,
    lines: u64,
}

impl Trace {
    /// Begins a trace.
    pub(crate) fn new(text: Option<Text>) -> Self {
        let all = All { digest: Sha256::new(), text, line: String::new(), lines: 0 };
        Self { who: "world".into(), all: Arc::new(Mutex::new(all)) }
    }

    /// Returns the handle of a machine.
    pub(crate) fn of(&self, who: &str) -> Self {
        Self { who: who.into(), all: Arc::clone(&self.all) }
    }

    /// Notes that something happens, at the virtual time at which it does.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.note_at(turmoil::sim_elapsed().unwrap_or_default(), what);
    }

    /// Notes something that no machine does.
    pub(crate) fn note_at(&self, at: Duration, what: fmt::Arguments<'_>) {
        let mut all = self.lock();
        let All { digest, text, line, lines } = &mut *all;
        line.clear();
        // Writing to a string can't fail.
        let _ = writeln!(line, "{} {} {what}", at.as_micros(), self.who);
        digest.update(line.as_bytes());
        *lines += 1;
        if let Some(out) = text
            && out.write_all(line.as_bytes()).is_err()
        {
            // Who reads has gone; the digest is what counts.
            *text = None;
        }
    }

    /// Returns the digest of all so far.
    pub(crate) fn hash(&self) -> String {
        hex::encode(self.lock().digest.clone().finalize())
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
