//! The world that one instance sees: its arguments, environment, output, scratch directory and limits; nothing else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::Semaphore;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::outgoing::Outgoing;
use super::ticker::{Ticker, Ticking};
use crate::cpu::Account;
use crate::logs::{Lines, LogStream, Logs, lock};
use crate::memory::{Budget, Share};
use crate::spec::Spec;

/// What WASI calls the program's name: the same for all, since a module has none.
const PROGRAM: &str = "workload";
/// Bytes that a guest may hand to the host in one call; the host's own streams take at most 1 MiB at once.
const MAX_HANDED_OVER: usize = 4 << 20;
/// Handles that a guest may have open at once: requests, headers, streams, timers, files. What is behind a handle is the
/// host's memory and stands in no budget, so there are few and each is small: the most that 1024 sets of headers take is
/// 16 MiB, as much as a small partition. A request under way takes about seven.
const MAX_HANDLES: usize = 1024;
/// Bytes of one set of headers, with what the host keeps beside them: what servers usually take is half of it.
const MAX_HEADERS: usize = 16 * 1024;
/// Random bytes that a guest may take in one call.
const MAX_RANDOM: u64 = 1 << 20;
/// Bytes that a guest may print in one call.
const MAX_PRINTED: usize = 64 * 1024;
/// Where the scratch directory appears.
const SCRATCH: &str = "/scratch";

/// All that instances of one workload have in common.
pub(crate) struct Setup {
    pub(crate) spec: Spec,
    pub(crate) logs: Arc<Logs>,
    pub(crate) account: Account,
    pub(crate) budget: Arc<Budget>,
    pub(crate) scratch: Option<PathBuf>,
    /// Connections to other hosts that its instances may have, all together.
    pub(crate) connections: Arc<Semaphore>,
}

/// One instance's state in its store.
pub(crate) struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outgoing: Outgoing,
    pub(crate) share: Share,
    _ticking: Ticking,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

impl Setup {
    /// A store for one instance, with every limit in place. Fails where the scratch directory cannot be opened.
    pub(crate) fn store(&self, engine: &Engine, ticker: &Ticker) -> wasmtime::Result<Store<Guest>> {
        let mut wasi = WasiCtx::builder();
        wasi.arg(PROGRAM).args(&self.spec.args);
        for (name, value) in &self.spec.env {
            wasi.env(name, value);
        }
        wasi.stdout(self.output(LogStream::Stdout)).stderr(self.output(LogStream::Stderr));
        // Hosts are allowed by name, and only wasi:http has names: sockets are for nobody.
        wasi.max_random_size(MAX_RANDOM);
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        if let Some(scratch) = &self.scratch {
            wasi.preopened_dir(scratch, SCRATCH, FsPerms::ReadWrite)?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_HEADERS);
        let guest = Guest {
            wasi: wasi.build(),
            http,
            table,
            outgoing: Outgoing::new(self.spec.allow.network.clone(), Arc::clone(&self.connections)),
            share: Share::new(Arc::clone(&self.budget)),
            _ticking: ticker.ticking(),
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.share);
        store.set_hostcall_fuel(MAX_HANDED_OVER);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok(store)
    }

    fn output(&self, stream: LogStream) -> Output {
        Output(Arc::new(Mutex::new(Lines::new(Arc::clone(&self.logs), stream))))
    }
}

/// What a guest prints to goes into the log at once: the ring is bounded, so there is nothing to wait for.
#[derive(Clone)]
struct Output(Arc<Mutex<Lines>>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Only WASI 0.3 asks for this, which is not linked.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.0).write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_PRINTED)
    }
}

/// Why an instance failed, in one sentence without the host's inner details.
pub(crate) fn reason(error: &wasmtime::Error, share: &Share) -> String {
    let cause = error.root_cause().to_string();
    match share.blame() {
        Some(memory) => format!("{memory} ({cause})"),
        None => cause,
    }
}
