//! The world: agents with disks and clocks of their own, lines between them, and time that passes only when nothing
//! is left to do at it.
//!
//! ```text
//!  queue ──► event ──► agent ──► batch ─┬─ what promises nothing ──► letters, doers ──► queue
//!                        │              └─ rows ─► disk ─ synced ──► what promises ────► queue
//!                        └──► observers: after each event
//! ```
//! One seed gives one run. Nodes crash between any two events, and are reborn from what was synced.

mod channel;
mod cuts;
mod doers;
mod found;
mod letters;
mod links;
mod look;
mod node;
mod queue;
mod rows;
mod strike;
mod trace;

use std::collections::{BTreeMap, VecDeque};

use agent::{Agent, Batch, Command, Event, Output};
use federation::CatalogueAddress;
use kernel::{NodeId, Rng, Span, Time};
use rear_proto::{Answer, Code, membership::Role, partner::PartnerToken, signed::cheap};

use self::{
    cuts::Cut,
    found::Setup,
    letters::Letter,
    links::Connected,
    node::{Node, Waiter},
    queue::Queue,
    rows::Shared,
    trace::{Mark, Trace},
};
use crate::{
    observe::{Observer, Seen},
    outcome::Violation,
    plan::{NodeNo, Plan, PlanError},
    scenario::{Disks, Links, Scenario, Signing, Wire},
};

pub use self::{rows::Rows, trace::Reader};

/// When worlds begin, by their own clock.
pub const START: Time = Time(1_700_000_000_000);

/// Up to how many nodes a world signs and speaks as daemons do, where its scenario says nothing else.
const SMALL: usize = 64;
/// So many wakes at one moment are a mind that keeps itself busy.
const MOST_WAKES: u32 = 1000;
/// How much of an event is written into the text of a trace, in characters.
const WIDTH: usize = 400;
/// How many things may be wrong before a run stops.
const MOST_VIOLATIONS: usize = 1;

/// A world.
pub struct World {
    now: Time,
    /// When the plan's times begin: when everybody has found everybody.
    begun: Time,
    rng: Rng,
    plan: Plan,
    nodes: Vec<Node>,
    ids: BTreeMap<NodeId, NodeNo>,
    queue: Queue<Due>,
    links: Links,
    disks: Disks,
    /// The rows that many disks have.
    shared: Shared,
    cuts: Vec<Cut>,
    last_conn: u64,
    as_bytes: bool,
    has_liars: bool,
    /// What operators were given to make a pair of the plan partners.
    tokens: BTreeMap<usize, Box<PartnerToken>>,
    /// The catalogues that supernodes use.
    catalogues: Vec<CatalogueAddress>,
    /// What was answered lately, where there are liars.
    said: VecDeque<Answer>,
    observers: Vec<Box<dyn Observer>>,
    violations: Vec<Violation>,
    trace: Trace,
    events: u64,
    /// How often a mind has woken at this moment.
    wakes: (Time, NodeNo, u32),
    /// While it is held, cheap signatures verify.
    _cheap: Option<cheap::Scope>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("age", &self.age()).field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

/// What is to happen.
#[derive(Debug)]
enum Due {
    Wake { node: NodeNo },
    Letter(Box<Letter>),
    Local { node: NodeNo, life: u32, event: Box<Event> },
    Synced { node: NodeNo, life: u32 },
    Deadline { waiter: Waiter, inside: bool },
    Refused { waiter: Waiter, inside: bool },
    Birth { node: NodeNo },
    Connected(Box<Connected>),
    Broken { at: NodeNo, of: NodeNo, conn: u64 },
    Notice { at: NodeNo, of: NodeNo, conn: u64, act: u32 },
    Redial { node: NodeNo, life: u32, to: NodeNo, tries: u32 },
    Idle { a: NodeNo, b: NodeNo, conn: u64 },
    Partner { place: usize, tries: u32 },
    Accept { place: usize, accepter: NodeNo, tries: u32 },
    Arrival { number: u32 },
    Delete { number: u32 },
    Remove { node: NodeNo, tries: u32 },
    Act { number: u32 },
    End { act: u32 },
    Heal,
}

impl World {
    // -- making -----------------------------------------------------------------------------------------

    /// Makes the world of a plan; nothing has happened in it yet.
    ///
    /// # Errors
    /// When a domain can't be founded as the plan wants it.
    pub fn new(scenario: &Scenario, plan: Plan, seed: u64) -> Result<Self, PlanError> {
        let mut rng = Rng::from_number(seed);
        let small = plan.nodes.len() <= SMALL;
        let cheaply = match scenario.signing {
            Signing::Auto => !small,
            Signing::Ed25519 => false,
            Signing::Cheap => true,
        };
        let as_bytes = match scenario.wire {
            Wire::Auto => small,
            Wire::Bytes => true,
            Wire::Values => false,
        };
        let cheap = cheaply.then(cheap::Scope::enter);
        let mut shared = Shared::default();
        let nodes = found::nodes(&plan, &mut rng, cheaply, &mut shared)?;
        let ids = nodes.iter().zip(0..).map(|(node, number)| (node.id, number)).collect();
        // Whoever is called a catalogue is one for all domains.
        let catalogues = nodes
            .iter()
            .filter(|node| node.me.role == Role::Catalogue)
            .filter_map(|node| Some(CatalogueAddress { node: node.id, address: node.addresses.first()?.clone() }))
            .collect();
        let has_liars = plan.acts.iter().any(|acted| matches!(acted.act, crate::plan::Act::Lie { .. }));
        let mut world = Self {
            now: START,
            begun: START,
            rng,
            plan,
            nodes,
            ids,
            queue: Queue::new(START),
            links: scenario.links,
            disks: scenario.disks,
            shared,
            cuts: Vec::new(),
            last_conn: 0,
            as_bytes,
            has_liars,
            tokens: BTreeMap::new(),
            catalogues,
            said: VecDeque::new(),
            observers: Vec::new(),
            violations: Vec::new(),
            trace: Trace::new(),
            events: 0,
            wakes: (START, 0, 0),
            _cheap: cheap,
        };
        world.plan_all();
        Ok(world)
    }

    /// Plans all that the plan says: nodes come to life, domains become partners, and then intents and faults come.
    fn plan_all(&mut self) {
        for node in 0..self.count() {
            // Supernodes first, so that the others find them.
            let first = self.plan.nodes[node as usize].role != Role::Node;
            let at = if first { self.rng.below(50) } else { 100 + self.rng.below(900) };
            self.after(Span::millis(at), Due::Birth { node });
        }
        let warm = self.plan_partners(Span::secs(2));
        self.begun = START + warm;
        for number in 0..self.plan.arrivals.len() {
            let at = warm.plus(self.plan.arrivals[number].at);
            self.after(at, Due::Arrival { number: number as u32 });
        }
        for number in 0..self.plan.acts.len() {
            let at = warm.plus(self.plan.acts[number].at);
            self.after(at, Due::Act { number: number as u32 });
        }
        self.after(warm.plus(self.plan.length), Due::Heal);
    }

    /// Adds somebody who is shown all that happens from now on.
    pub fn add_observer(&mut self, observer: Box<dyn Observer>) {
        self.observers.push(observer);
    }

    /// Lets somebody read the text of all that happens from now on.
    pub fn set_reader(&mut self, reader: Reader) {
        self.trace.set_reader(reader);
    }

    // -- time -------------------------------------------------------------------------------------------

    /// Lets things happen until then, at most so many of them; says whether there is more to come by then.
    pub fn run(&mut self, until: Time, most: u64) -> bool {
        let last = self.events.saturating_add(most);
        while self.events < last {
            if self.violations.len() >= MOST_VIOLATIONS {
                return false;
            }
            let Some((at, due)) = self.queue.pop(until) else {
                self.now = until;
                return false;
            };
            self.now = at;
            self.perform(due);
        }
        true
    }

    /// Says that the run is over: what must hold when all is quiet must hold now.
    pub fn finish(&mut self) {
        self.show(&Seen::Over);
    }

    fn perform(&mut self, due: Due) {
        match due {
            Due::Wake { node } => self.wake(node),
            Due::Letter(letter) => self.arrive(*letter),
            Due::Local { node, life, event } => {
                if self.node(node).agent.is_some() && self.node(node).life == life {
                    self.happened_here(node, &event);
                    self.event(node, *event);
                }
            }
            Due::Synced { node, life } => self.synced(node, life),
            Due::Deadline { waiter, inside } => self.unanswered(waiter, inside, Code::Timeout),
            Due::Refused { waiter, inside } => self.refused(waiter, inside),
            Due::Birth { node } => self.bear(node),
            Due::Connected(connected) => self.connected(*connected),
            Due::Broken { at, of, conn } => self.broken(at, of, conn),
            Due::Notice { at, of, conn, act } => self.notice(at, of, conn, act),
            Due::Redial { node, life, to, tries } => {
                if self.node(node).life == life {
                    self.redial(node, to, tries);
                }
            }
            Due::Idle { a, b, conn } => self.idle(a, b, conn),
            Due::Partner { place, tries } => self.invite(place, tries),
            Due::Accept { place, accepter, tries } => self.accept(place, accepter, tries),
            Due::Arrival { number } => self.submit(number),
            Due::Delete { number } => self.delete(number),
            Due::Remove { node, tries } => self.remove(node, tries),
            Due::Act { number } => self.strike(number),
            Due::End { act } => self.end_act(act),
            Due::Heal => self.heal(),
        }
    }

    fn after(&mut self, span: Span, due: Due) {
        self.queue.push(self.now + span, due);
    }

    fn lives(&self, waiter: Waiter) -> bool {
        let node = self.node(waiter.node);
        node.agent.is_some() && node.life == waiter.life
    }

    fn node(&self, node: NodeNo) -> &Node {
        &self.nodes[node as usize]
    }

    fn node_mut(&mut self, node: NodeNo) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    // -- minds ------------------------------------------------------------------------------------------

    /// Hands one event to a node's mind, and what follows to the world.
    fn event(&mut self, node: NodeNo, event: Event) {
        if self.node(node).agent.is_none() {
            return;
        }
        if self.trace.is_read() {
            let text: String = format!("{event:?}").chars().take(WIDTH).collect();
            self.note(|world| format!("  {} ◄ {text}", world.name(node)));
        }
        self.show(&Seen::Coming { node, event: &event });
        let name = name(&event);
        let now = self.now;
        let it = self.node_mut(node);
        let now = it.clock.tell(now);
        let Some(agent) = &mut it.agent else { return };
        let batch = agent.handle(now, event);
        self.settle(node, name, batch);
    }

    fn wake(&mut self, node: NodeNo) {
        let now = self.now;
        let it = self.node_mut(node);
        if it.wakes != Some(now) {
            return;
        }
        it.wakes = None;
        let told = it.clock.tell(now);
        let Some(agent) = &mut it.agent else { return };
        if agent.next_wake().is_none_or(|(at, _)| at > told) {
            return self.plan_wake(node);
        }
        let why = agent.next_wake().map(|(_, why)| why);
        let batch = agent.wake(told);
        let again = self.wakes.0 == now && self.wakes.1 == node;
        self.wakes = (now, node, if again { self.wakes.2 + 1 } else { 0 });
        if self.wakes.2 > MOST_WAKES {
            return self.violate("liveness", node, format!("it wakes again and again: {why:?}"));
        }
        self.settle(node, "wake", batch);
    }

    /// Plans when a node's mind wakes, if it is not planned for then or sooner.
    fn plan_wake(&mut self, node: NodeNo) {
        let now = self.now;
        let it = self.node_mut(node);
        let Some((at, _)) = it.agent.as_ref().and_then(|agent| agent.next_wake()) else { return };
        let at = it.clock.world_time(at, now);
        if it.wakes.is_none_or(|planned| at < planned || planned < now) {
            it.wakes = Some(at);
            self.queue.push(at, Due::Wake { node });
        }
    }

    /// Lets go of what promises nothing, and puts the rest on the way to the disk.
    fn settle(&mut self, node: NodeNo, event: &'static str, batch: Batch) {
        self.events += 1;
        let mark = if event == "wake" { Mark::Wake } else { Mark::Event };
        let counts = [node, (batch.rows.len() << 16 | batch.outputs.len() & 0xffff) as u32];
        self.trace.mix(mark, self.now, counts, event.as_bytes());
        for row in &batch.rows {
            self.trace.mix(Mark::Key, self.now, [node, u32::from(row.value.is_some())], &row.key);
            self.trace.mix(Mark::Row, self.now, [node, row.table as u32], row.value.as_deref().unwrap_or_default());
        }
        self.show(&Seen::Settled { node, event, batch: &batch });
        let Batch { rows, outputs, deeds: _ } = batch;
        let life = self.node(node).life;
        let (promises, free): (Vec<_>, Vec<_>) = outputs.into_iter().partition(Output::promises);
        free.into_iter().for_each(|output| self.output(node, output));
        let disk = &mut self.node_mut(node).disk;
        if rows.is_empty() && disk.waiting.is_empty() {
            // What waits for nothing leaves at once.
            promises.into_iter().for_each(|output| self.output(node, output));
        } else if !rows.is_empty() || !promises.is_empty() {
            disk.waiting.push_back((rows, promises));
            self.sync(node, life);
        }
        self.plan_wake(node);
    }

    /// Begins a sync of all that waits, unless one is under way.
    fn sync(&mut self, node: NodeNo, life: u32) {
        let usual = self.disks.sync;
        let disk = &mut self.node_mut(node).disk;
        if disk.syncing.is_some() || disk.waiting.is_empty() {
            return;
        }
        disk.syncing = Some(disk.waiting.len());
        let takes = disk.sync.map_or(usual, |(_, sync)| sync).draw(&mut self.rng);
        self.after(takes, Due::Synced { node, life });
    }

    fn synced(&mut self, node: NodeNo, life: u32) {
        if self.node(node).agent.is_none() || self.node(node).life != life {
            return;
        }
        let disk = &mut self.nodes[node as usize].disk;
        let Some(count) = disk.syncing.take() else { return };
        let done: Vec<_> = disk.waiting.drain(..count).collect();
        let mut said = Vec::new();
        for (rows, promises) in done {
            rows.iter().for_each(|row| disk.rows.keep(row, &mut self.shared));
            said.extend(promises);
        }
        self.sync(node, life);
        said.into_iter().for_each(|output| self.output(node, output));
    }

    // -- lives ------------------------------------------------------------------------------------------

    fn remember(&self, node: NodeNo, rows: &Rows, rng: Rng) -> Result<Agent, rear_proto::DamagedRecord> {
        let (it, plan) = (self.node(node), &self.plan.nodes[node as usize]);
        let mut config = self.plan.domains[plan.domain as usize].config.clone();
        // Not cloned into what is there: that would make room for more.
        config.rear.offers = plan.offers.clone();
        if plan.role == Role::Supernode {
            config.federation.catalogues.extend(self.catalogues.iter().cloned());
        }
        let mut agent = Agent::new(config, it.me.clone(), rng);
        for (table, key, value) in rows.iter() {
            agent.restore(table, key, value)?;
        }
        Ok(agent)
    }

    /// Brings a node to life from what it kept.
    fn bear(&mut self, node: NodeNo) {
        if self.node(node).agent.is_some() || self.node(node).gone {
            return;
        }
        let (rng, shuffle) = (self.rng.fork(), self.rng.fork());
        let mut agent = match self.remember(node, &self.node(node).disk.rows, rng) {
            Ok(agent) => agent,
            Err(error) => return self.violate("disk", node, format!("it can't read what it wrote: {error}")),
        };
        agent.shuffle(shuffle);
        let now = self.now;
        let it = self.node_mut(node);
        it.life += 1;
        let (life, told) = (it.life, it.clock.tell(now));
        let batch = agent.start(told, life);
        it.agent = Some(Box::new(agent));
        self.note(|world| format!("{} starts", world.name(node)));
        self.trace.mix(Mark::Life, now, [node, life], &[]);
        self.show(&Seen::Born { node, life });
        self.settle(node, "start", batch);
        let addresses = self.node(node).addresses.clone();
        if !addresses.is_empty() {
            self.event(node, Event::Addresses(addresses));
        }
        // Whether there is room is looked at before anything is promised.
        if self.node(node).disk.full {
            self.event(node, Event::Storage { ok: false });
        }
    }

    // -- users ------------------------------------------------------------------------------------------

    /// Puts a command to a node; one that is down does not hear it.
    fn command(&mut self, node: NodeNo, command: Command, setup: Option<Setup>) {
        if self.node(node).agent.is_none() {
            return;
        }
        let it = self.node_mut(node);
        let ticket = it.ticket();
        it.now.commands.insert(ticket, setup);
        self.event(node, Event::Command { ticket, command: Box::new(command) });
    }

    fn submit(&mut self, number: u32) {
        let Some(arrival) = self.plan.arrivals.get(number as usize) else { return };
        let (node, lives, id) = (arrival.node, arrival.lives, Self::intent(number));
        let intent = arrival.intent(&format!("intent-{number}"), self.plan.domain_of(node));
        let taken = self.node(node).agent.is_some();
        self.show(&Seen::Submitted { node, arrival: number, intent: id, taken });
        if taken {
            let digests = intent.workloads.iter().filter_map(|it| match it.workload.image {
                rear_proto::workload::Image::Wasm { digest, .. } => Some(digest),
                rear_proto::workload::Image::Oci(_) => None,
            });
            self.node_mut(node).modules.extend(digests);
            self.command(node, Command::Submit { id, intent, contract: None }, None);
            let left = self.plan.length.minus(self.age());
            self.after(lives.min(left.plus(Span::secs(5))), Due::Delete { number });
        }
    }

    /// A user deletes an intent, waits with it while the node is down, and says so again where it died without an answer.
    fn delete(&mut self, number: u32) {
        let Some(arrival) = self.plan.arrivals.get(number as usize) else { return };
        let (node, intent) = (arrival.node, Self::intent(number));
        if self.node(node).gone {
            return;
        }
        if self.node(node).agent.is_none() {
            return self.after(Span::secs(1), Due::Delete { number });
        }
        self.show(&Seen::Deleted { node, intent });
        self.command(node, Command::Delete(intent), Some(Setup::Deleted { number }));
    }

    // -- telling ----------------------------------------------------------------------------------------

    /// Shows the observers something.
    fn show(&mut self, seen: &Seen<'_>) {
        let mut observers = std::mem::take(&mut self.observers);
        for observer in &mut observers {
            if let Some(violation) = observer.see(self, seen) {
                self.note(|_| format!("VIOLATION {}: {}", violation.what, violation.detail));
                self.violations.push(violation);
            }
        }
        self.observers = observers;
    }

    /// Says that something must not be.
    fn violate(&mut self, what: &str, node: NodeNo, detail: String) {
        self.note(|world| format!("VIOLATION {what} at {}: {detail}", world.name(node)));
        let violation = self.violation(what, Some(node), detail);
        self.violations.push(violation);
    }

    /// Makes a violation of something that must hold, found at this moment.
    pub fn violation(&self, what: &str, node: Option<NodeNo>, detail: String) -> Violation {
        let node = node.map(|node| self.name(node).to_owned()).unwrap_or_default();
        Violation { what: what.to_owned(), at_ms: self.age().0, node, detail }
    }

    fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.trace.is_read() {
            let (age, text) = (self.now.since(START), what(self));
            self.trace.note(age, || text);
        }
    }
}

const fn name(event: &Event) -> &'static str {
    match event {
        Event::PeerUp { .. } => "peer up",
        Event::PeerDown { .. } => "peer down",
        Event::RoundTrip { .. } => "round trip",
        Event::Addresses(_) => "addresses",
        Event::Asked { .. } => "asked",
        Event::Answered { .. } => "answered",
        Event::Heard { .. } => "heard",
        Event::FabricAnswered { .. } => "far end answered",
        Event::Metered { .. } => "metered",
        Event::InstanceStatus { .. } => "instance status",
        Event::InstanceMissing { .. } => "instance missing",
        Event::InstanceGone { .. } => "instance gone",
        Event::LogsRead { .. } => "logs read",
        Event::Exposed { .. } => "exposed",
        Event::Command { .. } => "command",
        Event::Storage { .. } => "storage",
        Event::ClockJumped => "clock jumped",
    }
}
