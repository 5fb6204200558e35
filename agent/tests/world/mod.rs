//! A small world for tests: agents with disks, clocks and workloads of their own, a network that loses, repeats and
//! reorders, and nodes that crash between any two events and are reborn from what they kept.
//!
//! ```text
//!  due ──► event ──► agent ──► batch ─┬─ what promises nothing ──► net.rs, doers.rs ──► due
//!               watch.rs: after each  └─ rows ─► disk ─ synced ──► what promises ─────► due
//! ```
//! One seed gives one run. A check that does not hold ends the run with what happened until then.

#![allow(dead_code, reason = "each test uses a part of the world")]

mod again;
mod doers;
pub(crate) mod domains;
mod hops;
mod links;
pub(crate) mod make;
mod net;
mod node;
pub(crate) mod quiet;
mod secrets;
pub(crate) mod seeds;
pub(crate) mod tamper;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use agent::{Batch, Command, Config, Event, Output};
use kernel::{IntentId, NodeId, Rng, Span, Ticket, Time};
use orchestrator::intent::Intent;
use rear::offer::Offer;

use self::{again::Again, links::Links, node::Node, secrets::Secrets, tamper::Tamper, watch::Watch};

/// When worlds begin.
const START: Time = Time(1_000_000);

/// How cruel the world is by itself: each is a chance in a thousand, at each message or batch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A message is lost.
    pub(crate) lose: u64,
    /// A message comes twice.
    pub(crate) repeat: u64,
    /// A node crashes when it has made a batch.
    pub(crate) crash: u64,
    /// An instance fails.
    pub(crate) fail: u64,
}

/// The world.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) nodes: Vec<Node>,
    /// What is to happen, by time and then by order.
    due: BTreeMap<(Time, u64), Due>,
    sequence: u64,
    links: Links,
    watch: Watch,
    pub(crate) again: Again,
    /// What was done, for a person who repeats a seed.
    pub(crate) trace: Vec<String>,
    pub(crate) crashes: u32,
    /// How long a sync of a disk takes at most, in milliseconds.
    pub(crate) sync: u64,
    /// How long a workload takes to stop at most, in milliseconds.
    pub(crate) stop: u64,
    /// Whether grants get lost on their way back.
    pub(crate) lose_grants: bool,
    /// Which node crashes after how many batches more.
    pub(crate) crash_after: Option<(usize, usize)>,
    /// A node whose word is worth nothing: what it says to others is drawn from what anybody has said.
    pub(crate) liar: Option<usize>,
    /// Which node ends for ever after how many batches more.
    pub(crate) kill_after: Option<(usize, usize)>,
    /// Who changes what nodes say on its way out.
    pub(crate) tamper: Option<Box<dyn Tamper>>,
    /// What must not cross a border.
    secrets: Option<Secrets>,
    /// Which nodes have answered LIST_FLAVOURS with a list, in the order of their answers.
    pub(crate) lists: Vec<usize>,
    /// Whether there are several domains.
    many: bool,
    /// Which domains are partners of which.
    partners: BTreeSet<(usize, usize)>,
    /// What was answered so far, where there is a liar.
    said: Vec<rear_proto::Answer>,
    /// Whether each mind serves its mailboxes in a drawn order.
    shuffles: bool,
    verbose: bool,
}

/// Who waits: which node, in which life, with which question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    node: usize,
    life: u32,
    question: u64,
}

/// What is to happen.
enum Due {
    Net(net::Arrival),
    Local { node: usize, life: u32, event: Event },
    Synced { node: usize, life: u32 },
    Rebirth { node: usize, unseen: bool },
    Notice { cut: u64 },
    Mend { cut: u64 },
}

/// How a node ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// The others see its connections break.
    Seen,
    /// It is back before anybody has noticed, and what was said to it meanwhile is lost.
    Unseen,
}

impl World {
    /// Makes a world of one domain: its first node is the issuer; each node offers what is given for it.
    pub(crate) fn new(seed: u64, faults: Faults, offers: Vec<Vec<Offer>>, config: &Config) -> Self {
        Self::made(seed, faults, offers, config, true)
    }

    /// Makes one in which mailboxes are served in the order in which they are filled, so that one more letter does not
    /// change the order of all others.
    pub(crate) fn in_order(seed: u64, offers: Vec<Vec<Offer>>, config: &Config) -> Self {
        Self::made(seed, Faults::default(), offers, config, false)
    }

    fn made(seed: u64, faults: Faults, offers: Vec<Vec<Offer>>, config: &Config, shuffles: bool) -> Self {
        let mut rng = Rng::from_number(seed);
        let nodes = make::domain(&mut rng, START, offers, config);
        Self::of_nodes(rng, faults, nodes, shuffles, false)
    }

    /// Brings these nodes to life.
    fn of_nodes(rng: Rng, faults: Faults, nodes: Vec<Node>, shuffles: bool, many: bool) -> Self {
        let mut world = Self {
            now: START,
            rng,
            faults,
            nodes,
            due: BTreeMap::new(),
            sequence: 0,
            links: Links::default(),
            watch: Watch::default(),
            again: Again::default(),
            trace: Vec::new(),
            crashes: 0,
            sync: 4,
            stop: 8,
            lose_grants: false,
            crash_after: None,
            liar: None,
            kill_after: None,
            tamper: None,
            secrets: None,
            many,
            lists: Vec::new(),
            partners: BTreeSet::new(),
            said: Vec::new(),
            shuffles,
            verbose: std::env::var_os("TOMBOLO_TRACE").is_some(),
        };
        (0..world.nodes.len()).for_each(|node| world.bear(node, false));
        world
    }

    // -- what a test does -------------------------------------------------------------------------------

    /// Submits an intent at a node and returns the ticket.
    pub(crate) fn submit(&mut self, node: usize, id: IntentId, intent: Intent) -> Ticket {
        self.nodes[node].modules.extend(make::digests(&intent));
        self.command(node, Command::Submit { id, intent, contract: None })
    }

    /// Puts a command to a node; one that is down does not hear it.
    pub(crate) fn command(&mut self, node: usize, command: Command) -> Ticket {
        let ticket = self.nodes[node].ticket();
        let what = format!("{command:?}");
        self.note(|| format!("{node} is told {}", &what[..what.len().min(90)]));
        if self.nodes[node].agent.is_some() {
            self.nodes[node].commands.insert(ticket, what);
        }
        self.event(node, Event::Command { ticket, command: Box::new(command) });
        ticket
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, span: Span) {
        let until = self.now + span;
        while self.step(until) {}
        self.now = until;
    }

    /// Ends a node at once, with all that was not kept.
    pub(crate) fn crash(&mut self, node: usize, death: Death) {
        if self.nodes[node].agent.is_none() {
            return;
        }
        let waiting = self.nodes[node].disk.waiting.len() as u64;
        let kept = usize::try_from(self.rng.below(waiting + 1)).unwrap();
        self.note(|| format!("{node} crashes ({death:?}), {kept} of {waiting} batches kept"));
        self.crashes += 1;
        self.nodes[node].end(kept);
        self.forget_wishes(node);
        let unseen = death == Death::Unseen;
        if !unseen {
            self.peer_lost(node);
        }
        let wait = 10 + self.rng.below(if unseen { 500 } else { 3000 });
        self.after(Span::millis(wait), Due::Rebirth { node, unseen });
    }

    /// Ends a node until it is [revived](Self::revive); the others see its connections break.
    pub(crate) fn kill(&mut self, node: usize) {
        if self.nodes[node].agent.is_none() {
            return;
        }
        let waiting = self.nodes[node].disk.waiting.len() as u64;
        let kept = usize::try_from(self.rng.below(waiting + 1)).unwrap();
        self.note(|| format!("{node} is killed, {kept} of {waiting} batches kept"));
        self.crashes += 1;
        self.nodes[node].end(kept);
        self.forget_wishes(node);
        self.peer_lost(node);
    }

    /// Brings a node that was killed to life again.
    pub(crate) fn revive(&mut self, node: usize) {
        if self.nodes[node].agent.is_none() {
            self.bear(node, false);
        }
    }

    /// Lets a node's clock jump; by more than half a minute it is noticed.
    pub(crate) fn jump(&mut self, node: usize, by: Span, back: bool) {
        self.note(|| format!("{node}'s clock jumps by {by}, back: {back}"));
        self.nodes[node].clock.jump(by, back);
        let told = self.nodes[node].clock.tell(self.now);
        self.nodes[node].clock.jumped = told;
        self.watch.jumped(node);
        if by > Span::secs(30) || back {
            self.event(node, Event::ClockJumped);
        }
    }

    /// Lets a node's disk be full, or not.
    pub(crate) fn fill_disk(&mut self, node: usize, full: bool) {
        self.note(|| format!("{node}'s disk is full: {full}"));
        self.nodes[node].full = full;
        self.event(node, Event::Storage { ok: !full });
    }

    /// Stops all faults: what happens from here on is what the survivors make of it.
    pub(crate) fn heal(&mut self) {
        self.note(|| "all faults end".to_owned());
        self.faults = Faults::default();
        self.sync = 4;
        self.stop = 8;
        self.mend_all();
        for node in 0..self.nodes.len() {
            self.nodes[node].clock.ahead = 0;
            self.nodes[node].clock.jumped = self.nodes[node].clock.tell(self.now);
            self.nodes[node].full = false;
            self.event(node, Event::ClockJumped);
            self.event(node, Event::Storage { ok: true });
            self.watch.jumped(node);
        }
    }

    /// Returns the managers of all nodes; every node must be up.
    pub(crate) fn managers(&self) -> Vec<&agent::Managers> {
        self.nodes.iter().map(|node| node.agent.as_ref().expect("every node is up").managers()).collect()
    }

    /// Returns what was answered so far.
    pub(crate) fn said(&self) -> &[rear_proto::Answer] {
        &self.said
    }

    /// Returns the number of a node.
    pub(crate) fn index(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == *id)
    }

    /// Ends the run with what happened until now.
    #[track_caller]
    pub(crate) fn fail(&self, what: impl std::fmt::Display) -> ! {
        panic!("{}\nat {}: {what}", self.trace.join("\n"), self.now.0)
    }

    /// Writes down what happens.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        self.trace.push(format!("{} {}", self.now.0, what()));
    }

    // -- time -------------------------------------------------------------------------------------------

    /// Does the next thing that is due; says whether there was one.
    fn step(&mut self, until: Time) -> bool {
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        let wake = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| {
                let (at, _) = node.agent.as_ref()?.next_wake()?;
                Some((node.clock.world_time(at, self.now), index))
            })
            .min();
        let next = [due, wake.map(|(at, _)| at)].into_iter().flatten().min().filter(|next| *next <= until);
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        // Each with each in a crowd takes its time: what is apart is so for longer than that.
        if self.nodes.len() < 16 || self.sequence.is_multiple_of(16) {
            self.check_parties();
        }
        match wake {
            Some((at, node)) if due.is_none_or(|due| at < due) => {
                let now = self.nodes[node].clock.tell(self.now);
                let why = self.nodes[node].agent.as_ref().and_then(agent::Agent::next_wake);
                if let Some(batch) = self.nodes[node].agent.as_mut().map(|agent| agent.wake(now)) {
                    self.watch_wakes(node, now, why);
                    self.settle(node, batch);
                }
            }
            _ => {
                if let Some((_, due)) = self.due.pop_first() {
                    self.perform(due);
                }
            }
        }
        true
    }

    fn perform(&mut self, due: Due) {
        match due {
            Due::Net(arrival) => self.arrive(arrival),
            Due::Local { node, life, event } => {
                if self.lives(node, life) {
                    self.happened_here(node, &event);
                    self.event(node, event);
                }
            }
            Due::Synced { node, life } => self.synced(node, life),
            Due::Rebirth { node, unseen } => self.bear(node, unseen),
            Due::Notice { cut } => self.notice(cut),
            Due::Mend { cut } => self.mend(cut),
        }
    }

    pub(crate) fn lives(&self, node: usize, life: u32) -> bool {
        self.nodes[node].agent.is_some() && self.nodes[node].starts == life
    }

    fn after(&mut self, span: Span, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now + span, self.sequence), due);
    }

    pub(crate) fn chance(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.rng.below(1000) < thousandths
    }

    // -- nodes ------------------------------------------------------------------------------------------

    /// Hands one event to a node's mind, and what follows to the world.
    pub(crate) fn event(&mut self, node: usize, event: Event) {
        let now = self.nodes[node].clock.tell(self.now);
        if self.verbose && self.nodes[node].agent.is_some() {
            let text = format!("{event:?}");
            self.note(|| format!("  {node} ◄ {}", text.chars().take(seeds::width()).collect::<String>()));
        }
        let Some(agent) = &mut self.nodes[node].agent else { return };
        let batch = agent.handle(now, event);
        self.settle(node, batch);
    }

    /// Lets go of what promises nothing, and puts the rest on the way to the disk; the node may crash instead.
    fn settle(&mut self, node: usize, batch: Batch) {
        self.watch_node(node);
        if self.verbose {
            for row in &batch.rows {
                let text =
                    format!("  {node} row {} {}", row.table.name(), if row.value.is_some() { "put" } else { "drop" });
                self.note(|| text);
            }
        }
        let Batch { rows, outputs, deeds: _ } = batch;
        outputs.iter().for_each(|output| self.again.answers(node, output));
        self.watch_promises(node, &outputs);
        let (promises, free): (Vec<_>, Vec<_>) = outputs.into_iter().partition(Output::promises);
        free.into_iter().for_each(|output| self.output(node, output));
        let disk = &mut self.nodes[node].disk;
        if rows.is_empty() && disk.waiting.is_empty() {
            // What waits for nothing leaves at once.
            promises.into_iter().for_each(|output| self.output(node, output));
        } else if !rows.is_empty() || !promises.is_empty() {
            disk.waiting.push_back((rows, promises));
            self.watch_memory(node);
            self.sync(node);
        }
        if let Some((at, left)) = &mut self.kill_after
            && *at == node
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.kill_after = None;
                return self.kill(node);
            }
        }
        if let Some((at, left)) = &mut self.crash_after
            && *at == node
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.crash_after = None;
                return self.crash(node, Death::Seen);
            }
        }
        if self.chance(self.faults.crash) {
            let death = if self.chance(250) { Death::Unseen } else { Death::Seen };
            self.crash(node, death);
        }
    }

    /// Begins a sync of all that waits, unless one is under way.
    fn sync(&mut self, node: usize) {
        let life = self.nodes[node].starts;
        let disk = &mut self.nodes[node].disk;
        if disk.syncing.is_some() || disk.waiting.is_empty() {
            return;
        }
        disk.syncing = Some(disk.waiting.len());
        let takes = 1 + self.rng.below(self.sync);
        self.after(Span::millis(takes), Due::Synced { node, life });
    }

    fn synced(&mut self, node: usize, life: u32) {
        if !self.lives(node, life) {
            return;
        }
        let Some(count) = self.nodes[node].disk.syncing.take() else { return };
        let done: Vec<_> = self.nodes[node].disk.waiting.drain(..count).collect();
        let mut said = Vec::new();
        for (rows, promises) in done {
            rows.into_iter().for_each(|row| self.nodes[node].disk.keep(row));
            said.extend(promises);
        }
        self.sync(node);
        said.into_iter().for_each(|output| self.output(node, output));
    }

    /// Brings a node to life from what it kept.
    fn bear(&mut self, index: usize, unseen: bool) {
        let seed = self.rng.number();
        self.nodes[index].starts += 1;
        let node = &self.nodes[index];
        let mut agent = node.remember(&node.disk.rows, seed);
        if self.shuffles {
            agent.shuffle(Rng::from_number(seed ^ 1));
        }
        let now = self.nodes[index].clock.tell(self.now);
        let batch = agent.start(now, self.nodes[index].starts);
        self.nodes[index].agent = Some(agent);
        self.note(|| format!("{index} starts"));
        self.watch.reborn(index);
        self.settle(index, batch);
        if !self.nodes[index].addresses.is_empty() {
            let addresses = self.nodes[index].addresses.clone();
            self.event(index, Event::Addresses(addresses));
        }
        // Whether there is room is looked at before anything is promised.
        if self.nodes[index].full {
            self.event(index, Event::Storage { ok: false });
        }
        self.peer_found(index, unseen);
    }

    /// Says which nodes are up.
    pub(crate) fn up(&self) -> BTreeSet<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].agent.is_some()).collect()
    }
}
