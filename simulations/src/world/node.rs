//! One node: its mind while it is up, and what outlives the mind: the disk, the clock, the components.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use agent::{Agent, Identity, Output};
use kernel::{ContractId, Digest, NodeId, Span, Ticket, Time};
use network::mail::{Junction, Route};
use rear_proto::Row;
use vfabric::mail::Instance;

use super::{
    channel::Way,
    found::Setup,
    links::Link,
    rows::{Rows, Shared},
};
use crate::{
    plan::NodeNo,
    scenario::{Between, Line},
};

/// Who waits for an answer: which node, in which life, with which question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) node: NodeNo,
    pub(crate) life: u32,
    pub(crate) question: u64,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) me: Identity,
    /// Where it can be dialled; empty for one that can only dial out.
    pub(crate) addresses: Vec<String>,
    pub(crate) agent: Option<Box<Agent>>,
    /// How often it has come to life.
    pub(crate) life: u32,
    /// Which version of the program it runs.
    pub(crate) version: u8,
    pub(crate) clock: Clock,
    pub(crate) disk: Disk,
    /// When, by the world's time, its mind is planned to wake.
    pub(crate) wakes: Option<Time>,
    /// When its line out is free again.
    pub(crate) line_free: Time,
    /// What its lines are like for now, and by which act.
    pub(crate) line: Option<(u32, Line)>,
    /// How many of a hundred of its answers are lies.
    pub(crate) lies: u64,
    tickets: u64,
    /// What this life of it has and wants.
    pub(crate) now: Box<Life>,
    /// Components that are stored here.
    pub(crate) modules: BTreeSet<Digest>,
    /// Whether it has left for good.
    pub(crate) gone: bool,
}

/// What a life of a node has: all of it ends with the mind.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// To whom it is connected.
    pub(crate) peers: BTreeMap<NodeNo, Link>,
    /// To whom it wants to stay connected, and whether it is trying to get there.
    pub(crate) wanted: BTreeMap<NodeNo, bool>,
    /// Whom it is dialling: over which connection, and when that will be there.
    pub(crate) dialling: BTreeMap<NodeNo, (u64, Time)>,
    /// Whom it lets in no more.
    pub(crate) blocked: BTreeSet<NodeNo>,
    /// Its questions that were not answered, and whom it asked.
    pub(crate) open: BTreeMap<u64, NodeNo>,
    /// Those that it put inside channels.
    pub(crate) open_inside: BTreeMap<u64, NodeNo>,
    /// Others' questions, and over which connection they came.
    pub(crate) asked: BTreeMap<Ticket, (Waiter, u64)>,
    /// Far ends' questions, the way that they came, and from which neighbour.
    pub(crate) heard: BTreeMap<Ticket, (Waiter, Way, NodeNo)>,
    /// The operator's commands, and what the world waits for with them.
    pub(crate) commands: BTreeMap<Ticket, Option<Setup>>,
    pub(crate) routes: BTreeMap<ContractId, Route>,
    /// Each under both of the contracts that it joins.
    pub(crate) junctions: BTreeMap<ContractId, Junction>,
    /// What runs here.
    pub(crate) instances: BTreeSet<Instance>,
}

/// A clock that may be wrong, and never runs backwards.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// By how many milliseconds it is ahead of the world.
    pub(crate) ahead: i64,
    told: Time,
    /// When it last jumped, by itself.
    pub(crate) jumped: Time,
}

/// A disk: what is durable, and the batches that wait for a sync, with what they promise.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) rows: Rows,
    pub(crate) waiting: VecDeque<(Vec<Row>, Vec<Output>)>,
    /// How many batches the sync that is under way covers.
    pub(crate) syncing: Option<usize>,
    /// Whether there is no room for promises.
    pub(crate) full: bool,
    /// How long a sync takes for now, and by which act.
    pub(crate) sync: Option<(u32, Between<Span>)>,
}

impl Node {
    pub(crate) fn new(me: Identity, addresses: Vec<String>, rows: &[Row], shared: &mut Shared) -> Self {
        let mut disk = Disk::default();
        rows.iter().for_each(|row| disk.rows.keep(row, shared));
        Self {
            id: me.signer.id(),
            me,
            addresses,
            agent: None,
            life: 0,
            version: 1,
            clock: Clock::default(),
            disk,
            wakes: None,
            line_free: Time::default(),
            line: None,
            lies: 0,
            tickets: 0,
            now: Box::default(),
            modules: BTreeSet::new(),
            gone: false,
        }
    }

    /// Returns whom a question was put to that waits for its answer, once.
    pub(crate) fn answer_to(&mut self, question: u64) -> Option<NodeNo> {
        once(&mut self.now.open, &question)
    }

    /// Returns who waits for the answer to a question of others, and over which connection it came, once.
    pub(crate) fn asker(&mut self, ticket: Ticket) -> Option<(Waiter, u64)> {
        once(&mut self.now.asked, &ticket)
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// It is connected to a node, or will not be.
    pub(crate) fn dialled(&mut self, to: NodeNo) {
        once(&mut self.now.dialling, &to);
    }

    pub(crate) fn waiter(&self, node: NodeNo, question: u64) -> Waiter {
        Waiter { node, life: self.life, question }
    }

    /// Ends the mind, and with it all that is not on the disk; of what waits for a sync the first `kept` are there.
    pub(crate) fn end(&mut self, kept: usize, shared: &mut Shared) {
        self.agent = None;
        self.wakes = None;
        self.disk.syncing = None;
        for (rows, _) in std::mem::take(&mut self.disk.waiting).into_iter().take(kept) {
            rows.iter().for_each(|row| self.disk.rows.keep(row, shared));
        }
        *self.now = Life::default();
    }
}

/// Takes something out of a map, which keeps no room when it is empty: of itself it would.
fn once<K: Ord, V>(map: &mut BTreeMap<K, V>, key: &K) -> Option<V> {
    let value = map.remove(key);
    if map.is_empty() {
        *map = BTreeMap::new();
    }
    value
}

impl Clock {
    /// Tells the time.
    pub(crate) fn tell(&mut self, world: Time) -> Time {
        self.told = self.shows(world);
        self.told
    }

    /// Returns what it would tell.
    pub(crate) fn shows(&self, world: Time) -> Time {
        self.told.max(Time(world.0.saturating_add_signed(self.ahead)))
    }

    /// Returns when, by the world's time, it will show `at`.
    pub(crate) fn world_time(&self, at: Time, world: Time) -> Time {
        if at <= self.told {
            return world;
        }
        world.max(Time(at.0.saturating_add_signed(self.ahead.saturating_neg())))
    }
}

impl Disk {
    /// Returns what will be on it when all that waits has been written.
    pub(crate) fn all(&self) -> Rows {
        let (mut all, mut shared) = (self.rows.clone(), Shared::default());
        self.waiting.iter().flat_map(|(rows, _)| rows).for_each(|row| all.keep(row, &mut shared));
        all
    }
}
