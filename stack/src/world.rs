//! A world: machines, lines between them, what befalls them; run from its beginning until all is quiet again.
//!
//! ```text
//!  0 ────────── settle ──────────────────── settle + length ──────────── + quiet ─────────── end
//!    domains meet,       intents come and go,      all is healed and         nodes end in
//!    partners agree      faults strike             deleted                   order; audit
//! ```

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use agent::Identity;
use anyhow::Context as _;
use kernel::{Digest, DomainKey, IntentId, Rng, Span, Time};
use node::{clock::Stopwatch, config::Config};
use rear_proto::membership::Role;
use simulations::{
    outcome::{Measures, Outcome, Tally, Violation},
    plan::{NodeNo, Plan, PlanError, Trim},
    scenario::{Disks, Links, Scenario},
};

use crate::{
    audit,
    disk::Disk,
    founding,
    machine::{BEGIN, Machine},
    strikes::{Due, Strikes},
    trace::{Text, Trace},
    users::{Match, Order, Wish},
    works::Shelf,
};

/// The port that every node listens on.
const PORT: u16 = 4001;
/// Connections that may wait to be taken in, and segments on each: with less, turmoil gives up.
const TCP_CAPACITY: usize = 4096;
/// How long nodes may take to end in order.
const END_WITHIN: Duration = Duration::from_secs(15);
/// The component that every workload is of.
const COMPONENT: &[u8] = b"a component that a simulated driver takes for one";

/// How a world is run.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long nodes have to find each other before anything is wanted of them.
    pub settle: Span,
    /// How long, after all is healed and deleted, until nothing must be held any more.
    pub quiet: Span,
    /// How much virtual time passes between one look at the network and the next. Nothing on a line is faster.
    pub tick: Span,
}

impl Default for Pace {
    /// Ticks of 10 ms: finer ones show nothing more and take longer.
    fn default() -> Self {
        Self { settle: Span::secs(6), quiet: Span::secs(30), tick: Span::millis(10) }
    }
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What it is called.
    pub name: String,
    /// The nodes, the intents, the faults.
    pub plan: Plan,
    /// The lines.
    pub links: Links,
    /// The disks.
    pub disks: Disks,
    /// How long its phases take.
    pub pace: Pace,
    /// The least share of the intents that must come to run, from 0 to 1.
    pub running: f64,
    /// The longest that an intent may live without having run, failed, or been refused.
    pub stated_within: Span,
}

/// What is enough for a few tries where clocks run out within seconds.
const STATED_WITHIN: Span = Span::secs(60);

impl Setting {
    /// Makes the setting of a scenario for a seed; `trim` says what of it is left out.
    ///
    /// # Errors
    /// What the scenario asks for and can't have.
    pub fn of(scenario: &Scenario, seed: u64, trim: &Trim) -> Result<Self, PlanError> {
        Ok(Self {
            name: scenario.name.clone(),
            plan: Plan::new(scenario, seed, trim)?,
            links: scenario.links,
            disks: scenario.disks,
            pace: Pace { quiet: scenario.quiet, ..Pace::default() },
            running: scenario.hold.running,
            stated_within: scenario.hold.stated_within.unwrap_or(STATED_WITHIN),
        })
    }
}

/// What became of a run.
pub struct Report {
    /// As the simulator tells it.
    pub outcome: Outcome,
    /// Each intent.
    pub wishes: Vec<Wish>,
    /// What of the plan has no meaning below TCP, or is not done here, and so was left out.
    pub left_out: Vec<String>,
}

/// Runs a setting for a seed; writes the trace to `text`, where there is one.
///
/// # Errors
/// When the world can't be made, or a node fails for a reason that is no fault of its world.
pub fn run(setting: &Setting, seed: u64, text: Option<Text>) -> anyhow::Result<Report> {
    let stopwatch = Stopwatch::start();
    let mut world = World::new(setting, seed, text)?;
    let (settle, quiet) = (setting.pace.settle.to_std(), setting.pace.quiet.to_std());
    let length = settle + setting.plan.length.to_std();
    let mut violations = Vec::new();
    let mut strikes = Strikes::new(&setting.plan, settle, length);
    while world.age() < length + quiet {
        while let Some(due) = strikes.due(world.age()) {
            world.strike(&due, setting);
        }
        world.step()?;
        if world.age().as_millis() % 1000 == 0 {
            audit::along_the_way(&world.machines, world.age(), &mut violations)?;
        }
    }
    world.end()?;
    audit::at_the_end(&world.machines, world.age(), &mut violations);
    let wishes = world.wishes();
    audit::liveness(&wishes, world.age(), setting, &mut violations);
    violations.extend(world.machines.iter().flat_map(|machine| {
        let state = std::mem::take(&mut machine.state().violations);
        state.into_iter().map(|(at, number, detail)| Violation {
            what: format!("invariant {number}"),
            at_ms: at.since(Time(BEGIN)).0,
            node: machine.name.clone(),
            detail,
        })
    }));
    let outcome = Outcome {
        scenario: setting.name.clone(),
        seed,
        nodes: u32::try_from(world.machines.len()).unwrap_or(u32::MAX),
        virtual_s: world.age().as_secs_f64(),
        wall_s: stopwatch.elapsed().as_secs_f64(),
        events: world.events.load(Ordering::Relaxed),
        trace_hash: world.trace.hash(),
        violations,
        intents: tally(&wishes),
        measures: Measures::default(),
    };
    Ok(Report { outcome, wishes, left_out: strikes.left_out })
}

/// The machines and what connects them.
struct World {
    sim: turmoil::Sim<'static>,
    machines: Vec<Arc<Machine>>,
    trace: Trace,
    events: Arc<AtomicU64>,
}

impl World {
    fn new(setting: &Setting, seed: u64, text: Option<Text>) -> anyhow::Result<Self> {
        let Setting { plan, links, disks, pace, .. } = setting;
        let mut rng = Rng::from_number(seed);
        let mut sim = turmoil::Builder::new()
            .rng_seed(rng.number())
            .epoch(UNIX_EPOCH + Duration::from_millis(BEGIN))
            .simulation_duration(Duration::MAX)
            .tick_duration(pace.tick.to_std())
            .min_message_latency(links.inside.latency.least.min(links.between.latency.least).to_std())
            .max_message_latency(links.inside.latency.most.to_std())
            .tcp_capacity(TCP_CAPACITY)
            .enable_random_order()
            .build();
        let trace = Trace::new(text);
        let events = Arc::new(AtomicU64::new(0));
        let machines = machines(plan, disks, pace.settle.to_std(), &trace, &events, &mut rng)?;
        for machine in &machines {
            let machine = Arc::clone(machine);
            sim.host(machine.ip, move || Arc::clone(&machine).live());
        }
        let world = Self { sim, machines, trace, events };
        for (a, b) in world.pairs() {
            let line = world.line(a, b, setting);
            world.sim.set_link_max_message_latency(a.ip, b.ip, line.latency.most.to_std());
        }
        Ok(world)
    }

    fn age(&self) -> Duration {
        self.sim.elapsed()
    }

    fn step(&mut self) -> anyhow::Result<()> {
        self.sim.step().map_err(|error| anyhow::anyhow!("{error}")).context("a node has failed")?;
        Ok(())
    }

    /// Every two machines, once.
    fn pairs(&self) -> impl Iterator<Item = (&Machine, &Machine)> {
        self.machines
            .iter()
            .enumerate()
            .flat_map(|(number, a)| self.machines[..number].iter().map(move |b| (&**b, &**a)))
    }

    /// What the line between two machines is like when nothing befalls it.
    fn line<'a>(&self, a: &Machine, b: &Machine, setting: &'a Setting) -> &'a simulations::scenario::Line {
        let domain = |machine: &Machine| setting.plan.nodes[machine.number as usize].domain;
        if domain(a) == domain(b) { &setting.links.inside } else { &setting.links.between }
    }

    /// The machines of one side and those of the other.
    fn sides(&self, side: &[NodeNo]) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let of = |inside: bool| {
            let machines = self.machines.iter().filter(move |machine| side.contains(&machine.number) == inside);
            machines.map(|machine| machine.ip).collect()
        };
        (of(true), of(false))
    }

    fn strike(&mut self, due: &Due, setting: &Setting) {
        self.trace.note_at(self.age(), format_args!("{due:?}"));
        let age = self.age();
        match due {
            Due::Cut(side) => {
                let (these, those) = self.sides(side);
                each(&these, &those, |a, b| self.sim.partition(a, b));
            }
            Due::Mend(side) => {
                let (these, those) = self.sides(side);
                each(&these, &those, |a, b| self.sim.repair(a, b));
            }
            Due::Hold(side) => {
                let (these, those) = self.sides(side);
                each(&these, &those, |a, b| self.sim.hold(a, b));
            }
            Due::Release(side) => {
                let (these, those) = self.sides(side);
                each(&these, &those, |a, b| self.sim.release(a, b));
            }
            Due::Slow(nodes, latency) => {
                for (a, b) in self.pairs().filter(|(a, b)| nodes.contains(&a.number) || nodes.contains(&b.number)) {
                    let most = latency.unwrap_or(self.line(a, b, setting).latency).most;
                    self.sim.set_link_max_message_latency(a.ip, b.ip, most.to_std());
                }
            }
            Due::Crash { node, forgets } => {
                let machine = Arc::clone(&self.machines[*node as usize]);
                self.sim.crash(machine.ip);
                machine.disk.crash();
                if *forgets {
                    machine.disk.lose(machine.membership.clone());
                }
            }
            Due::End(node) => self.machines[*node as usize].end(),
            Due::Start(node) => {
                let machine = Arc::clone(&self.machines[*node as usize]);
                if !self.sim.is_host_running(machine.ip) {
                    self.sim.bounce(machine.ip);
                }
            }
            Due::Ahead(node, millis) => self.machines[*node as usize].ahead.store(*millis, Ordering::Relaxed),
            Due::Full(node, full) => self.machines[*node as usize].disk.set_full(*full),
            Due::Sync(node, sync) => {
                self.machines[*node as usize].disk.set_sync(sync.unwrap_or(setting.disks.sync));
            }
        }
        tracing::info!(?age, ?due, "struck");
    }

    /// Lets all nodes end in order.
    fn end(&mut self) -> anyhow::Result<()> {
        self.machines.iter().for_each(|machine| machine.end());
        let until = self.age() + END_WITHIN;
        while self.machines.iter().any(|machine| machine.state().rest.is_none()) && self.age() < until {
            self.step()?;
        }
        Ok(())
    }

    fn wishes(&self) -> Vec<Wish> {
        let orders = self.machines.iter().flat_map(|machine| &machine.orders);
        let mut wishes: Vec<_> = orders.map(|order| order.note(|wish| wish.clone())).collect();
        wishes.sort_by_key(|wish| wish.number);
        wishes
    }
}

fn each(these: &[IpAddr], those: &[IpAddr], act: impl Fn(IpAddr, IpAddr)) {
    for a in these {
        for b in those {
            act(*a, *b);
        }
    }
}

/// Makes the machines of a plan.
fn machines(
    plan: &Plan,
    disks: &Disks,
    settle: Duration,
    trace: &Trace,
    events: &Arc<AtomicU64>,
    rng: &mut Rng,
) -> anyhow::Result<Vec<Arc<Machine>>> {
    let ips: Vec<IpAddr> = (0..plan.nodes.len()).map(ip).collect();
    let addresses: Vec<Vec<String>> = plan
        .nodes
        .iter()
        .zip(&ips)
        .map(|(node, ip)| if node.dials_only { Vec::new() } else { vec![format!("/ip4/{ip}/tcp/{PORT}")] })
        .collect();
    let founded = founding::found(plan, &addresses, Time(BEGIN), rng)?;
    let keys = domains(plan, &founded)?;
    let catalogues: Vec<String> = plan
        .nodes
        .iter()
        .zip(founded.iter().zip(&addresses))
        .filter(|(node, (_, addresses))| node.role == Role::Catalogue && !addresses.is_empty())
        .map(|(_, (founded, addresses))| format!("{}/p2p/{}", addresses[0], founded.id()))
        .collect();
    let first = |domain: u32| {
        let mut nodes = plan.nodes.iter().enumerate();
        nodes.find(|(_, node)| node.domain == domain && node.role == Role::Supernode).map(|(number, _)| number)
    };
    let matches: Vec<_> = plan
        .partners
        .iter()
        .filter_map(|&(a, b)| {
            let name = |domain: u32| plan.domains[domain as usize].name.clone();
            Some((first(a)?, first(b)?, Match::new(name(a), name(b))))
        })
        .collect();

    let mut machines = Vec::new();
    for (number, (founded, node)) in founded.into_iter().zip(&plan.nodes).enumerate() {
        let settings = &plan.domains[node.domain as usize].config;
        let mut config = Config {
            role: node.role,
            listen: addresses[number].clone(),
            announce: !node.dials_only,
            mdns: false,
            offer: node.offers.clone(),
            orchestrator: settings.orchestrator.clone(),
            rear: settings.rear.clone(),
            discovery: settings.discovery.clone(),
            contract: settings.contract.clone(),
            network: settings.network.clone(),
            vfabric: settings.vfabric.clone(),
            federation: settings.federation.clone(),
            ..Config::default()
        };
        if node.role == Role::Supernode {
            let parsed = catalogues.iter().map(|address| address.parse());
            config.federation.catalogues =
                parsed.collect::<Result<_, _>>().map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        let orders = orders(plan, number, settle);
        let shelf = Shelf::default();
        if !orders.is_empty() {
            shelf.put(COMPONENT.to_vec());
        }
        let identity = Identity { signer: founded.signer.clone(), domain: keys[node.domain as usize], role: node.role };
        machines.push(Arc::new(Machine {
            number: u32::try_from(number).context("there are too many nodes")?,
            name: node.name.clone(),
            ip: ips[number],
            secret: founded.secret,
            identity,
            config,
            disk: Disk::new(founded.rows.clone(), disks.sync, rng.fork()),
            membership: founded.rows,
            signer: founded.signer,
            shelf: Arc::new(shelf),
            ahead: Arc::new(AtomicI64::new(0)),
            chance: rng.bytes(),
            orders,
            invites: matches.iter().filter(|(from, _, _)| *from == number).map(|it| Arc::clone(&it.2)).collect(),
            accepts: matches.iter().filter(|(_, to, _)| *to == number).map(|it| Arc::clone(&it.2)).collect(),
            trace: trace.of(&node.name),
            state: Mutex::default(),
            events: Arc::clone(events),
        }));
    }
    Ok(machines)
}

/// Returns the keys of the domains, as their first nodes have them.
fn domains(plan: &Plan, founded: &[founding::Founded]) -> anyhow::Result<Vec<DomainKey>> {
    let mut keys: BTreeMap<u32, DomainKey> = BTreeMap::new();
    for (node, founded) in plan.nodes.iter().zip(founded) {
        keys.entry(node.domain).or_insert(founded.domain);
    }
    let of = |domain: usize| keys.get(&u32::try_from(domain).ok()?).copied();
    (0..plan.domains.len()).map(|domain| of(domain).context("a domain has no nodes")).collect()
}

/// Returns the intents that come to a node.
fn orders(plan: &Plan, node: usize, settle: Duration) -> Vec<Order> {
    let here = plan.arrivals.iter().filter(|arrival| arrival.node as usize == node);
    here.map(|arrival| {
        let (number, home) = (arrival.number, &plan.domains[plan.nodes[node].domain as usize].name);
        let name = format!("wish-{number}");
        let intent = arrival.intent_for(&name, home, Digest::of(COMPONENT), COMPONENT.len() as u64);
        let at = settle + arrival.at.to_std();
        let until = (at + arrival.lives.to_std()).min(settle + plan.length.to_std());
        let wish = Wish {
            number,
            node: plan.nodes[node].name.clone(),
            taken: false,
            reason: None,
            ran_at_ms: None,
            story: None,
            page: None,
            phase: None,
            lives: until.saturating_sub(at),
            deleted: false,
        };
        let id = IntentId::derive("stack", &[&number.to_le_bytes()]);
        Order { at, until, id, intent, wish: Arc::new(Mutex::new(wish)) }
    })
    .collect()
}

fn ip(number: usize) -> IpAddr {
    let number = u32::try_from(number).unwrap_or(u32::MAX - 0x0a00_0001);
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + number))
}

fn tally(wishes: &[Wish]) -> Tally {
    let count = |what: &dyn Fn(&Wish) -> bool| wishes.iter().filter(|wish| what(wish)).count() as u64;
    let ran = |wish: &Wish| wish.ran_at_ms.is_some();
    Tally {
        total: wishes.len() as u64,
        running: count(&ran),
        refused: count(&|wish| !ran(wish) && wish.reason.is_some()),
        failed: count(&|wish| !ran(wish) && wish.reason.is_none()),
    }
}
