//! One node of the world: its mind while it is up, and what outlives the mind: the disk, the clock, the components.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use agent::{
    Agent, Config, Identity, Output, Response,
    invariants::{Grants, Queries},
};
use kernel::{ContractId, Digest, Key, NodeId, QueryId, Rng, Span, Ticket, Time};
use network::mail::{Junction, Route};
use rear_proto::{Refusal, Row, Table};
use vfabric::mail::Instance;

use super::{Waiter, hops::Way};

/// A node.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) me: Identity,
    /// Which of the world's domains it is of, by number.
    pub(crate) domain: usize,
    /// Where it can be dialled; empty for one that can only dial out, and in worlds where everybody can reach everybody.
    pub(crate) addresses: Vec<String>,
    pub(crate) config: Config,
    pub(crate) agent: Option<Agent>,
    pub(crate) starts: u32,
    pub(crate) clock: Clock,
    pub(crate) disk: Disk,
    /// Whether the disk has no room for promises.
    pub(crate) full: bool,
    pub(crate) grants: Grants,
    pub(crate) queries: Queries,
    /// Which query each ticket of this life is about, and whose.
    pub(crate) listing: BTreeMap<Ticket, (QueryId, NodeId)>,
    pub(crate) routes: BTreeMap<ContractId, Route>,
    /// Each under both of the contracts that it joins.
    pub(crate) junctions: BTreeMap<ContractId, Junction>,
    /// What runs here; it dies with the node.
    pub(crate) instances: BTreeSet<Instance>,
    pub(crate) modules: BTreeSet<Digest>,
    /// Whom this life of the node lets in no more.
    pub(crate) blocked: BTreeSet<NodeId>,
    tickets: u64,
    /// Who waits for the answer to a ticket of this life.
    pub(crate) asked: BTreeMap<Ticket, Waiter>,
    pub(crate) heard: BTreeMap<Ticket, (Waiter, Way)>,
    /// Which order each RELEASE of this life was about, who said it, and when.
    pub(crate) releases: BTreeMap<Ticket, ((NodeId, Key), NodeId, Time)>,
    /// Commands of this life that were not answered.
    pub(crate) commands: BTreeMap<Ticket, String>,
    pub(crate) responses: BTreeMap<Ticket, Result<Response, Refusal>>,
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
    pub(crate) rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pub(crate) waiting: VecDeque<(Vec<Row>, Vec<Output>)>,
    /// How many batches the sync that is under way covers.
    pub(crate) syncing: Option<usize>,
}

impl Node {
    pub(crate) fn new(me: Identity, config: Config, rows: Vec<Row>) -> Self {
        let mut disk = Disk::default();
        rows.into_iter().for_each(|row| disk.keep(row));
        Self {
            id: me.signer.id(),
            me,
            domain: 0,
            addresses: Vec::new(),
            config,
            agent: None,
            starts: 0,
            clock: Clock::default(),
            disk,
            full: false,
            grants: Grants::default(),
            queries: Queries::default(),
            listing: BTreeMap::new(),
            routes: BTreeMap::new(),
            junctions: BTreeMap::new(),
            instances: BTreeSet::new(),
            modules: BTreeSet::new(),
            blocked: BTreeSet::new(),
            tickets: 0,
            asked: BTreeMap::new(),
            heard: BTreeMap::new(),
            releases: BTreeMap::new(),
            commands: BTreeMap::new(),
            responses: BTreeMap::new(),
        }
    }

    /// Makes a mind that remembers what these rows say.
    pub(crate) fn remember<'a>(
        &self,
        rows: impl IntoIterator<Item = (&'a (Table, Vec<u8>), &'a Vec<u8>)>,
        seed: u64,
    ) -> Agent {
        let mut agent = Agent::new(self.config.clone(), self.me.clone(), Rng::from_number(seed));
        for ((table, key), value) in rows {
            agent.restore(*table, key, value).expect("a node reads what it wrote");
        }
        agent
    }

    /// Ends the mind, and with it all that is not on the disk; of what waits for a sync the first `kept` are there.
    pub(crate) fn end(&mut self, kept: usize) {
        self.agent = None;
        self.disk.syncing = None;
        for (rows, _) in std::mem::take(&mut self.disk.waiting).into_iter().take(kept) {
            rows.into_iter().for_each(|row| self.disk.keep(row));
        }
        self.grants = Grants::default();
        self.queries = Queries::default();
        self.listing.clear();
        self.routes.clear();
        self.junctions.clear();
        self.instances.clear();
        self.blocked.clear();
        self.asked.clear();
        self.heard.clear();
        self.releases.clear();
        self.commands.clear();
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
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

    /// Returns when, by the world's time, this clock will show `at`.
    pub(crate) fn world_time(&self, at: Time, world: Time) -> Time {
        if at <= self.told {
            return world;
        }
        world.max(Time(at.0.saturating_add_signed(self.ahead.saturating_neg())))
    }

    /// Jumps ahead, or back (then it stands still for that long).
    pub(crate) fn jump(&mut self, by: Span, back: bool) {
        let by = i64::try_from(by.0).expect("a sensible span");
        self.ahead += if back { -by } else { by };
    }
}

impl Disk {
    pub(crate) fn keep(&mut self, row: Row) {
        match row.value {
            Some(value) => self.rows.insert((row.table, row.key), value),
            None => self.rows.remove(&(row.table, row.key)),
        };
    }

    /// Returns what will be on the disk when all that waits has been written.
    pub(crate) fn all(&self) -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
        let mut all = Self { rows: self.rows.clone(), ..Self::default() };
        for (rows, _) in &self.waiting {
            rows.iter().cloned().for_each(|row| all.keep(row));
        }
        all.rows
    }
}
