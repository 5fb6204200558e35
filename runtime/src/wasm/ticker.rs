//! Advances the engine's epoch while guests run, so that each yields after a slice.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

use crate::logs::lock;

/// The longest that a guest keeps a worker thread: well below what a person or a keepalive notices, well above what the
/// switch costs.
const SLICE: Duration = Duration::from_millis(5);

/// A thread that ticks while there is a [`Ticking`], and sleeps otherwise.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    guests: usize,
    over: bool,
}

/// Keeps the ticker going; held by each guest's store.
pub(crate) struct Ticking(Arc<Shared>);

impl Ticker {
    pub(crate) fn new(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let (engine, theirs) = (engine.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("wasm-ticker".into()).spawn(move || run(&engine, &theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(crate) fn ticking(&self) -> Ticking {
        lock(&self.shared.state).guests += 1;
        self.shared.changed.notify_one();
        Ticking(Arc::clone(&self.shared))
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        lock(&self.0.state).guests -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        lock(&self.shared.state).over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(engine: &Engine, shared: &Shared) {
    loop {
        {
            let idle = |state: &mut State| state.guests == 0 && !state.over;
            let state = shared.changed.wait_while(lock(&shared.state), idle).unwrap_or_else(PoisonError::into_inner);
            if state.over {
                return;
            }
        }
        std::thread::sleep(SLICE);
        engine.increment_epoch();
    }
}
