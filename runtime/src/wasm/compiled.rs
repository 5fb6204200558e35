//! Modules made ready to run, kept in memory so that a second start takes milliseconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OnceCell, Semaphore};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::guest::Guest;
use crate::cache::{Cache, CacheError};
use crate::inspect::{Kind, NotAComponent, inspect};
use crate::logs::lock;
use crate::spec::Digest;

/// A component, compiled and linked.
#[derive(Clone)]
pub(crate) enum Program {
    Service(ProxyPre<Guest>),
    Command(CommandPre<Guest>),
}

/// Why a module cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    NotAComponent(#[from] NotAComponent),
    #[error("the component does not compile: {0}")]
    Compile(String),
    #[error("the component needs what is not here: {0}")]
    Link(String),
    #[error("compiling was cut short")]
    CutShort,
}

/// Compiles, links, remembers.
pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<Guest>,
    cache: Arc<Cache>,
    limit: usize,
    ready: Mutex<Ready>,
    /// Compiling takes a whole core and much memory: half of the cores are left to what runs.
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct Ready {
    programs: BTreeMap<Digest, Slot>,
    uses: u64,
}

struct Slot {
    last_use: u64,
    program: Arc<OnceCell<Program>>,
}

impl Compiler {
    /// Keeps at most `limit` programs.
    pub(crate) fn new(cache: Arc<Cache>, limit: usize) -> wasmtime::Result<Arc<Self>> {
        let mut config = wasmtime::Config::new();
        config.wasm_component_model(true).epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new((cores / 2).max(1)));
        let ready = Mutex::default();
        Ok(Arc::new(Self { engine, linker, cache, limit: limit.max(1), ready, turns }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The program of a module, compiled once however many ask at the same time.
    pub(crate) async fn program(self: &Arc<Self>, digest: Digest) -> Result<Program, CompileError> {
        let slot = self.slot(digest);
        let program = slot.get_or_try_init(|| self.compile(digest)).await.cloned();
        if program.is_err() {
            lock(&self.ready).programs.remove(&digest);
        }
        program
    }

    fn slot(&self, digest: Digest) -> Arc<OnceCell<Program>> {
        let mut ready = lock(&self.ready);
        ready.uses += 1;
        let last_use = ready.uses;
        let slot = ready.programs.entry(digest).or_insert_with(|| Slot { last_use, program: Arc::default() });
        slot.last_use = last_use;
        let program = Arc::clone(&slot.program);
        while ready.programs.len() > self.limit {
            let oldest = ready.programs.iter().min_by_key(|(_, slot)| slot.last_use).map(|(digest, _)| *digest);
            let Some(oldest) = oldest else { break };
            ready.programs.remove(&oldest);
        }
        program
    }

    async fn compile(self: &Arc<Self>, digest: Digest) -> Result<Program, CompileError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| CompileError::CutShort)?;
        let this = Arc::clone(self);
        let compiled = tokio::task::spawn_blocking(move || {
            // Held until the compiler is done, also when nobody waits for it any more.
            let _turn = turn;
            this.compile_now(digest)
        });
        compiled.await.map_err(|_| CompileError::CutShort)?
    }

    fn compile_now(&self, digest: Digest) -> Result<Program, CompileError> {
        let bytes = self.cache.get(digest)?;
        let kind = inspect(&bytes)?;
        let compile = |error: wasmtime::Error| CompileError::Compile(error.root_cause().to_string());
        let link = |error: wasmtime::Error| CompileError::Link(format!("{error:#}"));
        let component = Component::from_binary(&self.engine, &bytes).map_err(compile)?;
        let linked = self.linker.instantiate_pre(&component).map_err(link)?;
        Ok(match kind {
            Kind::Service => Program::Service(ProxyPre::new(linked).map_err(link)?),
            Kind::Command => Program::Command(CommandPre::new(linked).map_err(link)?),
        })
    }
}
