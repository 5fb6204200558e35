//! The daemon: opens what the data directory holds, brings the parts to life, serves, and ends cleanly.

use std::{net::SocketAddr, path::Path, sync::Arc};

use agent::{Agent, Identity, invariants::Grants};
use anyhow::{Context as _, anyhow, bail};
use kernel::{NodeId, Rng, Time};
use rear_proto::{Record, Row, Signer, Table, flavour::Domain, membership::Role, record};
use runtime::{Cache, CacheLimits, Driver as _, Wasm};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api,
    clock::{Clock, JumpWatch},
    commit::{Committer, Settings},
    config::Config,
    data_dir::DataDir,
    death::Death,
    doers::Outside,
    expose::Expose,
    host::{self, Host, Mind},
    ledger::{Ledger, Opened, Options},
    net::Net,
    store::Store,
    tunnel::Tunnels,
    works::{Names, Policy, Works},
};

/// How many reports of the driver may wait for the mind.
const DRIVER_QUEUE: usize = 1024;
const MIB: u64 = 1 << 20;

/// How often this node has started, and the latest time that it has told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Starts {
    count: u32,
    told: Time,
}

impl Record for Starts {
    const VERSION: u16 = 1;
}

/// The key of the one row in the table of starts.
const STARTS_KEY: &[u8] = b"starts";

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
    stop: CancellationToken,
    host: tokio::task::JoinHandle<Result<(), host::HostError>>,
    end: End,
}

/// What must be ended, in order.
struct End {
    tasks: TaskTracker,
    transport: transport::Handle,
    driver: Arc<Wasm>,
    expose: Expose,
    tunnels: Tunnels,
    address_file: std::path::PathBuf,
}

impl Daemon {
    /// Starts a daemon on a data directory.
    ///
    /// # Errors
    /// One sentence that says what can't be had, and what to do.
    pub async fn start(data: &DataDir, config: Config) -> anyhow::Result<Self> {
        let secret = data.node_secret()?;
        let signer = data.signer()?;
        let id = signer.id();
        let (ledger, store, opened) = open(data.path())?;
        let (starts, clock) = begin(&opened)?;
        let clock = Arc::new(clock);
        let (domain, role) = standing(&config, &signer, &opened, clock.now())?;
        if role != config.role {
            bail!(
                "this node's certificate in domain {} makes it a {}, not a {}: set `role` so, or join again with a token for the other role",
                domain.name,
                role.name(),
                config.role.name()
            );
        }

        let identity = Identity { signer, domain: domain.key, role };
        let mut agent = Agent::new(config.agent(), identity, Rng::from_seed(rand::random()));
        for table in Table::ALL {
            for (key, value) in opened.rows.iter(table.into()) {
                agent.restore(table, key, value)?;
            }
        }
        drop(opened);

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (mind, inbox) = host::channel();
        let limits = CacheLimits {
            module_bytes: config.runtime.max_module_mib.saturating_mul(MIB),
            total_bytes: config.runtime.modules_mib.saturating_mul(MIB),
        };
        let cache = Arc::new(Cache::open(data.modules(), limits)?);
        let (reports, driver_events) = mpsc::channel(DRIVER_QUEUE);
        let driver_clock = Arc::clone(&clock);
        let driver_config = runtime::Config {
            scratch: config.runtime.scratch.then(|| data.scratch()),
            clock: Some(Arc::new(move || driver_clock.now().0)),
            ..runtime::Config::default()
        };
        let driver = Arc::new(Wasm::new(driver_config, Arc::clone(&cache), reports)?);

        let (handle, events) = transport::start(transport_config(&config, *secret)).await?;
        let net = Net::new(handle.clone(), mind.clone(), tasks.clone(), config.announce);
        let policy = Policy { reach: config.runtime.reach.clone(), scratch: config.runtime.scratch };
        let names = Names { node: id, domain: domain.name.clone() };
        let works = Works::new(names, driver.clone(), mind.clone(), tasks.clone(), policy);
        let largest = limits.module_bytes;
        let tunnels = Tunnels::with_module_limit(
            handle.clone(),
            mind.clone(),
            driver.clone(),
            Arc::clone(&cache),
            tasks.clone(),
            largest,
        );
        let expose = Expose::new(config.expose, Arc::new(tunnels.clone()), mind.clone(), tasks.clone());

        let listener = tokio::net::TcpListener::bind(config.api)
            .await
            .with_context(|| format!("can not listen on {} for the local API", config.api))?;
        let api = listener.local_addr()?;
        let token = data.token()?.to_string();

        let settings = Settings { floor: config.storage.floor_mib.saturating_mul(MIB), ..Settings::default() };
        let (committer, durable) = Committer::start(ledger, store, settings, data.path())?;
        let doers = Outside { net: net.clone(), tunnels: tunnels.clone(), works, expose: expose.clone() };
        let told = Box::new(move |told| Row::put(Table::Starts, STARTS_KEY, &Starts { count: starts, told }));
        let host = Host {
            agent,
            clock: Arc::clone(&clock),
            jumps: JumpWatch::new(),
            committer,
            durable,
            doers,
            mind: mind.clone(),
            told,
            grants: Grants::default(),
            death: Death::from_env(),
        };
        let host = tokio::spawn(host.run(inbox, starts, stop.child_token()));

        tasks.spawn(Works::listen(mind.clone(), driver_events, stop.child_token()));
        tasks.spawn(net.listen(events, tunnels.clone(), stop.child_token()));
        let max_module = usize::try_from(config.runtime.max_module_mib.saturating_mul(MIB)).unwrap_or(usize::MAX);
        let state = api::State::new(mind.clone(), cache, id, domain.key, starts, token, max_module, stop.child_token());
        tasks.spawn(api::serve(listener, state, stop.child_token()));
        std::fs::write(data.api_address(), format!("http://{api}\n"))
            .with_context(|| format!("can not write {}", data.api_address().display()))?;

        let addresses = handle.listening().await.into_iter().map(|address| format!("{address}/p2p/{id}")).collect();
        let end = End { tasks, transport: handle, driver, expose, tunnels, address_file: data.api_address() };
        Ok(Self { id, addresses, api, mind, stop, host, end })
    }

    /// Serves until `shutdown` is done or the node can't go on; then ends everything in order.
    ///
    /// # Errors
    /// Why the node could not go on.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { mut host, stop, end, .. } = self;
        let result = tokio::select! {
            result = &mut host => Some(result),
            () = shutdown => None,
        };
        // First of all, so that nobody is led here, and a successor's file is not removed.
        let _ = std::fs::remove_file(&end.address_file);
        stop.cancel();
        let result = match result {
            Some(result) => result,
            None => host.await,
        };
        let End { tasks, transport, driver, expose, tunnels, .. } = end;
        expose.close();
        tunnels.close();
        driver.shutdown().await;
        transport.stop().await;
        tasks.close();
        // Whatever does not end by itself within a moment waits for somebody who has gone.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), tasks.wait()).await;
        match result {
            Ok(result) => result.map_err(anyhow::Error::from),
            Err(error) => Err(anyhow!(error).context("the mind's task ended")),
        }
    }
}

/// Opens ledger and tables and brings the tables up to the ledger.
///
/// # Errors
/// When either is damaged, newer than this program, or in use.
pub fn open(dir: &Path) -> anyhow::Result<(Ledger, Store, Opened)> {
    let (ledger, opened) = Ledger::open(dir, ledger_options())?;
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

/// Returns the domain that the ledger says this node is of, and what it is there.
fn standing(config: &Config, signer: &Signer, opened: &Opened, now: Time) -> anyhow::Result<(Domain, Role)> {
    let mut membership = federation::Manager::new(config.federation.clone(), signer.clone(), Rng::from_number(0));
    for table in [Table::Membership, Table::Members, Table::Tokens] {
        for (key, value) in opened.rows.iter(table.into()) {
            membership.restore(table, key, value)?;
        }
    }
    let status = membership
        .status(now)
        .context("the ledger holds no membership of a domain: this node was not made by `tombolo init`")?;
    Ok((status.domain, status.role))
}

/// Counts this start, and makes a clock that goes on where the last one ended.
fn begin(opened: &Opened) -> anyhow::Result<(u32, Clock)> {
    let last = match opened.rows.value(Table::Starts.into(), STARTS_KEY) {
        Some(value) => record::decode::<Starts>(Table::Starts, value)?,
        None => Starts { count: 0, told: Time::default() },
    };
    let Some(count) = last.count.checked_add(1) else { bail!("this node has started too often") };
    Ok((count, Clock::starting_after(last.told)))
}

fn transport_config(config: &Config, secret: [u8; 32]) -> transport::Config {
    let mut transport = transport::Config::new(secret);
    transport.listen.clone_from(&config.listen);
    transport.bootstrap.clone_from(&config.bootstrap);
    // To look for others there is to tell them where this node is.
    transport.mdns = config.mdns && config.announce;
    transport.ping_every = config.transport.ping_every;
    transport.ping_failures = config.transport.ping_failures;
    transport.redial_most = config.transport.redial_most;
    transport.limits.connections = config.transport.max_connections;
    transport
}
