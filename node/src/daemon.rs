//! The daemon: opens what the data directory holds, puts a body on it, serves its API, and ends cleanly.

use std::{net::SocketAddr, path::Path, path::PathBuf, sync::Arc, time::Duration};

use agent::invariants::Grants;
use anyhow::Context as _;
use kernel::NodeId;
use rear_proto::Table;
use runtime::{Cache, CacheLimits, Wasm};
use tokio::sync::mpsc;

use crate::{
    api,
    body::{Body, Ground, Life, transport_config},
    clock::Machine,
    commit::{Committer, Settings},
    config::Config,
    data_dir::DataDir,
    death::Death,
    door::Desk,
    expose::Local,
    host::{Mind, Witness},
    ledger::{Ledger, Opened, Options},
    store::Store,
};

/// How many reports of the driver may wait for the mind.
const DRIVER_QUEUE: usize = 1024;
const MIB: u64 = 1 << 20;

/// A daemon that serves.
pub struct Daemon {
    /// Its id.
    pub id: NodeId,
    /// The addresses that it listens on for other nodes, each with its peer id.
    pub addresses: Vec<String>,
    /// Where its local API is.
    pub api: SocketAddr,
    /// The handle to its mind.
    pub mind: Mind,
    body: Body,
    address_file: PathBuf,
}

impl Daemon {
    /// Starts a daemon on a data directory.
    ///
    /// # Errors
    /// One sentence that says what can't be had, and what to do.
    pub async fn start(data: &DataDir, config: Config) -> anyhow::Result<Self> {
        let secret = data.node_secret()?;
        let signer = data.signer()?;
        let (ledger, store, opened) = open(data.path())?;
        let kept = opened.rows;
        let life = Life::next(&kept, Arc::new(Machine::new()))?;

        let limits = CacheLimits {
            module_bytes: config.runtime.max_module_mib.saturating_mul(MIB),
            total_bytes: config.runtime.modules_mib.saturating_mul(MIB),
        };
        let cache = Arc::new(Cache::open(data.modules(), limits)?);
        let (events, reports) = mpsc::channel(DRIVER_QUEUE);
        let driver_clock = Arc::clone(&life.clock);
        let driver_config = runtime::Config {
            scratch: config.runtime.scratch.then(|| data.scratch()),
            clock: Some(Arc::new(move || driver_clock.now().0)),
            ..runtime::Config::default()
        };
        let driver = Arc::new(Wasm::new(driver_config, Arc::clone(&cache), events)?);

        let transport = transport::start(transport_config(&config, *secret)).await?;
        let listener = tokio::net::TcpListener::bind(config.api)
            .await
            .with_context(|| format!("can not listen on {} for the local API", config.api))?;
        let api = listener.local_addr()?;
        let token = data.token()?.to_string();

        let settings = Settings { floor: config.storage.floor_mib.saturating_mul(MIB), ..Settings::default() };
        let (committer, durable) = Committer::start(ledger, store, settings, data.path())?;
        let number = life.number;
        // In debug builds a broken promise must not go unnoticed.
        let witness: Box<dyn Witness> = if cfg!(debug_assertions) { Box::new(Grants::default()) } else { Box::new(()) };
        let ground = Ground {
            signer,
            life,
            kept,
            keeper: Box::new(committer),
            durable,
            transport,
            driver,
            reports,
            modules: Arc::new(Arc::clone(&cache)),
            doorstep: Arc::new(Local(config.expose)),
            desk: Desk::default(),
            chance: rand::random(),
            witness,
            death: Death::from_env(),
        };
        let body = Body::start(ground, &config).await?;

        let mind = body.mind.clone();
        let (id, domain) = (body.id, body.domain.key);
        let max_module = usize::try_from(limits.module_bytes).unwrap_or(usize::MAX);
        let state = api::State::new(mind.clone(), cache, id, domain, number, token, max_module, body.stop());
        body.tasks.spawn(api::serve(listener, state, body.stop()));
        std::fs::write(data.api_address(), format!("http://{api}\n"))
            .with_context(|| format!("can not write {}", data.api_address().display()))?;
        Ok(Self { id, addresses: body.addresses.clone(), api, mind, body, address_file: data.api_address() })
    }

    /// Serves until `shutdown` is done or the node can't go on; then ends everything in order.
    ///
    /// # Errors
    /// Why the node could not go on.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { mut body, address_file, .. } = self;
        body.until(shutdown).await;
        // First of all, so that nobody is led here, and a successor's file is not removed.
        let _ = std::fs::remove_file(&address_file);
        body.end().await.map(drop)
    }
}

/// How long a daemon that was killed may take to let go of its data directory: the system has to end what it was doing with
/// the disk, and to take back its memory.
const PREDECESSOR_ENDS_WITHIN: Duration = Duration::from_secs(3);

/// Opens ledger and tables and brings the tables up to the ledger.
///
/// # Errors
/// When either is damaged, newer than this program, or in use.
pub fn open(dir: &Path) -> anyhow::Result<(Ledger, Store, Opened)> {
    let options = Options { patience: PREDECESSOR_ENDS_WITHIN, ..ledger_options() };
    let (ledger, opened) = Ledger::open(dir, options)?;
    if let Some(torn) = opened.torn {
        tracing::warn!(offset = torn.offset, bytes = torn.bytes, "an unfinished write at the ledger's end was cut off");
    }
    let store = Store::open(dir)?;
    store.catch_up(&opened)?;
    Ok((ledger, store, opened))
}

/// Returns how this program keeps its ledger.
pub fn ledger_options() -> Options {
    let kept = [Table::Contracts, Table::Renewals].map(Into::into).into();
    Options { kept, ..Options::default() }
}
