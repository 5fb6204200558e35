//! The body around a mind: its host and its doers, brought to life on whatever ground there is, and ended in order.
//!
//! The daemon stands on the ground of a machine; a simulation puts another under the very same body.

use std::sync::Arc;

use agent::{Agent, Identity, Output};
use anyhow::{anyhow, bail};
use kernel::{NodeId, Rng, Time};
use rear_proto::{Record, Row, Signer, Table, flavour::Domain, membership::Role, record};
use runtime::Driver;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::{Clock, Source},
    commit::Keeper,
    config::Config,
    death::Death,
    doers::Outside,
    door::Desk,
    expose::{Doorstep, Expose},
    host::{self, Host, HostError, Mind, Witness},
    modules::Modules,
    net::Net,
    row::Tables,
    tunnel::Tunnels,
    works::{Names, Policy, Works},
};

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

/// This life of a node: which it is, and its clock.
#[derive(Clone)]
pub struct Life {
    /// The count of starts, this one among them.
    pub number: u32,
    /// The clock, which goes on where the last life ended.
    pub clock: Arc<Clock>,
}

impl Life {
    /// Begins the next life of a node of which these rows are kept.
    ///
    /// # Errors
    /// When the row is damaged, or the node has started too often.
    pub fn next(kept: &Tables, source: Arc<dyn Source>) -> anyhow::Result<Self> {
        let last = match kept.value(Table::Starts.into(), STARTS_KEY) {
            Some(value) => record::decode::<Starts>(Table::Starts, value)?,
            None => Starts { count: 0, told: Time::default() },
        };
        let Some(number) = last.count.checked_add(1) else { bail!("this node has started too often") };
        Ok(Self { number, clock: Arc::new(Clock::starting_after(last.told, source)) })
    }

    /// Returns the row that keeps what time it is, and which life this is.
    fn told(&self, told: Time) -> Row {
        Row::put(Table::Starts, STARTS_KEY, &Starts { count: self.number, told })
    }
}

/// What a body stands on: all that it uses of the machine.
pub struct Ground {
    /// The node's key.
    pub signer: Signer,
    /// Which life this is.
    pub life: Life,
    /// The rows that are kept.
    pub kept: Tables,
    /// What keeps further ones.
    pub keeper: Box<dyn Keeper<Vec<Output>>>,
    /// What comes out of it.
    pub durable: mpsc::UnboundedReceiver<Vec<Output>>,
    /// The node's transport, which listens.
    pub transport: (transport::Handle, transport::Events),
    /// What runs workloads.
    pub driver: Arc<dyn Driver>,
    /// What that reports.
    pub reports: mpsc::Receiver<runtime::Event>,
    /// The components.
    pub modules: Arc<dyn Modules>,
    /// Where workloads' ports are made reachable.
    pub doorstep: Arc<dyn Doorstep>,
    /// Where other nodes' messages are read.
    pub desk: Desk,
    /// The seed of all that the mind draws.
    pub chance: [u8; 32],
    /// Who watches the mind.
    pub witness: Box<dyn Witness>,
    /// When to die on purpose.
    pub death: Death,
}

/// A node that lives.
pub struct Body {
    /// Its id.
    pub id: NodeId,
    /// Its domain.
    pub domain: Domain,
    /// The handle to its mind.
    pub mind: Mind,
    /// What it opens streams to replicas with.
    pub tunnels: Tunnels,
    /// The addresses that it listens on for other nodes, each with its peer id.
    pub addresses: Vec<String>,
    /// Tasks that are to be waited for when it ends.
    pub tasks: TaskTracker,
    stop: CancellationToken,
    host: tokio::task::JoinHandle<Result<Box<Agent>, HostError>>,
    /// How the host ended, where it did by itself.
    ended: Option<Result<Result<Box<Agent>, HostError>, tokio::task::JoinError>>,
    transport: transport::Handle,
    driver: Arc<dyn Driver>,
    expose: Expose,
}

impl Body {
    /// Brings a node to life.
    ///
    /// # Errors
    /// When what is kept can't be read, or is of another node than the configuration says.
    pub async fn start(ground: Ground, config: &Config) -> anyhow::Result<Self> {
        let Ground { signer, life, kept, keeper, durable, transport, driver, reports, .. } = ground;
        let id = signer.id();
        let (domain, role) = standing(config, &signer, &kept, life.clock.now())?;
        let identity = Identity { signer, domain: domain.key, role };
        let mut agent = Agent::new(config.agent(), identity, Rng::from_seed(ground.chance));
        for table in Table::ALL {
            for (key, value) in kept.iter(table.into()) {
                agent.restore(table, key, value)?;
            }
        }
        drop(kept);

        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (mind, inbox) = host::channel();
        let (handle, events) = transport;
        let net = Net::new(handle.clone(), mind.clone(), tasks.clone(), ground.desk, config.announce);
        let policy = Policy { reach: config.runtime.reach.clone(), scratch: config.runtime.scratch };
        let names = Names { node: id, domain: domain.name.clone() };
        let works = Works::new(names, Arc::clone(&driver), mind.clone(), tasks.clone(), policy);
        let tunnels = Tunnels::new(
            handle.clone(),
            mind.clone(),
            Arc::clone(&driver),
            ground.modules,
            tasks.clone(),
            config.runtime.max_module_mib.saturating_mul(MIB),
        );
        let expose = Expose::new(ground.doorstep, Arc::new(tunnels.clone()), mind.clone(), tasks.clone());

        let doers = Outside { net: net.clone(), tunnels: tunnels.clone(), works, expose: expose.clone() };
        let number = life.number;
        let host = Host {
            agent: Box::new(agent),
            clock: Arc::clone(&life.clock),
            jumps: life.clock.watch(),
            keeper,
            durable,
            doers,
            mind: mind.clone(),
            told: Box::new(move |told| life.told(told)),
            witness: ground.witness,
            death: ground.death,
        };
        let host = tokio::spawn(host.run(inbox, number, stop.child_token()));
        tasks.spawn(Works::listen(mind.clone(), reports, stop.child_token()));
        tasks.spawn(net.listen(events, tunnels.clone(), stop.child_token()));

        let addresses = handle.listening().await.into_iter().map(|address| format!("{address}/p2p/{id}")).collect();
        Ok(Self {
            id,
            domain,
            mind,
            tunnels,
            addresses,
            tasks,
            stop,
            host,
            ended: None,
            transport: handle,
            driver,
            expose,
        })
    }

    /// Returns what is called when the node is to end; whoever serves beside the mind ends then.
    pub fn stop(&self) -> CancellationToken {
        self.stop.child_token()
    }

    /// Waits until `shutdown` is done or the node can't go on.
    pub async fn until(&mut self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            ended = &mut self.host => self.ended = Some(ended),
            () = shutdown => {}
        }
    }

    /// Ends everything in order, and gives the mind back, at rest.
    ///
    /// # Errors
    /// Why the node could not go on.
    pub async fn end(self) -> anyhow::Result<Box<Agent>> {
        let Self { tunnels, tasks, stop, host, ended, transport, driver, expose, .. } = self;
        stop.cancel();
        let ended = match ended {
            Some(ended) => ended,
            None => host.await,
        };
        expose.close();
        tunnels.close();
        driver.shutdown().await;
        transport.stop().await;
        tasks.close();
        // Whatever does not end by itself within a moment waits for somebody who has gone.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), tasks.wait()).await;
        match ended {
            Ok(result) => result.map_err(anyhow::Error::from),
            Err(error) => Err(anyhow!(error).context("the mind's task ended")),
        }
    }
}

/// Returns the domain that the kept rows say this node is of, and what it is there.
///
/// # Errors
/// When they say of none, or of another role than the configuration.
fn standing(config: &Config, signer: &Signer, kept: &Tables, now: Time) -> anyhow::Result<(Domain, Role)> {
    let mut membership = federation::Manager::new(config.federation.clone(), signer.clone(), Rng::from_number(0));
    for table in [Table::Membership, Table::Members, Table::Tokens] {
        for (key, value) in kept.iter(table.into()) {
            membership.restore(table, key, value)?;
        }
    }
    let Some(status) = membership.status(now) else {
        bail!("the ledger holds no membership of a domain: this node was not made by `tombolo init`");
    };
    if status.role != config.role {
        bail!(
            "this node's certificate in domain {} makes it a {}, not a {}: set `role` so, or join again with a token for the other role",
            status.domain.name,
            status.role.name(),
            config.role.name()
        );
    }
    Ok((status.domain, status.role))
}

/// Returns the settings of the transport of a node with this key.
pub fn transport_config(config: &Config, secret: [u8; 32]) -> transport::Config {
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
