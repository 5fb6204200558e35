//! The manager: what it knows, and which of its parts each input goes to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{AllocationId, ContractId, DomainKey, FlavourId, Key, NodeId, RequestId, Ticket, Time, Wake};
use rear_proto::{
    DamagedRecord, Flavour, Selector, Table,
    flavour::Domain,
    local::{Candidate, Outcome},
    record,
};

use crate::{
    allocation::{Allocation, Role, Status},
    by_hand::HandOrder,
    capacity::{Book, Capacity},
    config::Config,
    mail::{Effect, Input},
    rank::Ranked,
    rating::{Rating, Ratings},
    request::Request,
};

/// The hub for capacity and for a request's progress.
#[derive(Debug)]
pub struct Manager {
    pub(crate) config: Config,
    pub(crate) me: NodeId,
    /// How often the node has started, this time included.
    pub(crate) starts: u32,
    pub(crate) capacity: Capacity,
    pub(crate) ratings: Ratings,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    /// Which requests rest on which allocations.
    pub(crate) users: BTreeSet<(AllocationId, RequestId)>,
    /// Whose order a key is, for as long as something may come of it.
    pub(crate) orders: BTreeMap<Key, RequestId>,
    /// How many orders and local uses there were in this life: their names follow from it.
    pub(crate) count: u64,
    /// The allocations of type VirtualNode, by the key of the order.
    pub(crate) bought: BTreeMap<Key, AllocationId>,
    /// And by their contract.
    pub(crate) by_contract: BTreeMap<ContractId, AllocationId>,
    /// Orders by hand that wait for something.
    pub(crate) by_hand: BTreeMap<RequestId, HandOrder>,
    /// Operators that wait for the end of what they have released.
    pub(crate) releasing: BTreeMap<Key, Vec<Ticket>>,
    /// Who waits for the capacity of an allocation that the operator has ended.
    pub(crate) evicting: BTreeMap<AllocationId, Vec<Ticket>>,
    /// After a start: the virtual nodes, and what is relayed, that no contract has confirmed yet.
    pub(crate) unconfirmed: BTreeSet<AllocationId>,
    /// After a start: when what nobody has claimed is given back.
    pub(crate) settles_at: Option<Time>,
    /// Nodes that were removed, the last of them last: of what was found before that, nothing is ordered.
    pub(crate) removed: VecDeque<NodeId>,
}

impl Manager {
    /// Makes a manager without a memory, of node `me` in a domain whose name [`Input::Named`] tells.
    pub fn new(config: Config, me: NodeId, domain: DomainKey) -> Self {
        let domain = Domain { key: domain, name: String::new() };
        Self {
            me,
            starts: 0,
            capacity: Capacity::new(me, domain, config.released_shown),
            ratings: Ratings::new(&config),
            config,
            requests: BTreeMap::new(),
            users: BTreeSet::new(),
            orders: BTreeMap::new(),
            count: 0,
            bought: BTreeMap::new(),
            by_contract: BTreeMap::new(),
            by_hand: BTreeMap::new(),
            releasing: BTreeMap::new(),
            evicting: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            settles_at: None,
            removed: VecDeque::new(),
        }
    }

    /// Remembers a row that was kept.
    ///
    /// # Errors
    /// When the row can't be read.
    pub fn restore(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DamagedRecord> {
        let wrong = || DamagedRecord { table: table.name(), why: format!("its key has {} bytes", key.len()) };
        match table {
            Table::Flavours => {
                let id = FlavourId(key.try_into().map_err(|_| wrong())?);
                self.capacity.restore_flavour(id, record::decode(table, value)?);
            }
            Table::Allocations => {
                let allocation: Allocation = record::decode(table, value)?;
                self.index(&allocation);
                self.capacity.restore_allocation(allocation);
            }
            Table::Ratings => {
                let peer = NodeId(key.try_into().map_err(|_| wrong())?);
                self.ratings.restore(peer, record::decode::<Rating>(table, value)?);
            }
            other => {
                let why = "it is no table of REAR".to_owned();
                return Err(DamagedRecord { table: other.name(), why });
            }
        }
        Ok(())
    }

    /// Comes to life: announces own flavours, and reconciles what is remembered.
    ///
    /// What had been released is freed at once: its workloads are gone, because before the node opens its doors
    /// each driver removes what no live contract owns. All else goes on taking capacity, inactive. Virtual nodes,
    /// local uses and what is relayed wait a moment ([`Config::settle`]) to be claimed.
    pub fn start(&mut self, now: Time, starts: u32, out: &mut Vec<Effect>) {
        self.starts = starts;
        let offers = std::mem::take(&mut self.config.offers);
        self.capacity.start(starts, &offers, out);
        self.config.offers = offers;
        let kept: Vec<Allocation> = self.capacity.living().cloned().collect();
        for allocation in kept {
            match (&allocation.role, allocation.status) {
                (Role::Node { .. }, Status::Released) => self.freed(allocation.id, out),
                (Role::Local { .. }, Status::Released) => {
                    self.capacity.free(&allocation.id, out);
                }
                (Role::VirtualNode { .. } | Role::Forwarding { .. }, _) => {
                    self.unconfirmed.insert(allocation.id);
                    self.capacity.set_status(&allocation.id, Status::Inactive);
                }
                (Role::Node { .. }, _) => {
                    self.capacity.set_status(&allocation.id, Status::Inactive);
                }
                (Role::Local { .. }, Status::Inactive | Status::Active) => {}
            }
        }
        self.settles_at = Some(now + self.config.settle);
    }

    // -- the tables -------------------------------------------------------------------------------------

    /// Returns the own flavours, with what is left of each.
    pub fn flavours(&self) -> impl Iterator<Item = Flavour> {
        self.capacity.flavours()
    }

    /// Returns the allocations; those that were freed lately come last, as `Released`.
    pub fn allocations(&self) -> impl Iterator<Item = &Allocation> {
        self.capacity.allocations()
    }

    /// Returns the ratings.
    pub fn ratings(&self) -> impl Iterator<Item = (NodeId, &Rating)> {
        self.ratings.all()
    }

    /// Ranks candidates as a request would, best first: those that do not meet the selector are left out.
    pub fn rank(&self, selector: &Selector, candidates: Vec<Candidate>) -> Vec<Ranked> {
        self.ranked(selector, candidates)
    }

    /// Returns how the account of each own flavour stands, for checking invariants.
    pub fn books(&self) -> impl Iterator<Item = Book> {
        self.capacity.books()
    }

    /// Returns the allocations that are not freed, for checking invariants.
    pub fn living(&self) -> impl Iterator<Item = &Allocation> {
        self.capacity.living()
    }

    /// Returns how many requests and orders are not over.
    pub fn pending(&self) -> usize {
        self.requests.len() + self.by_hand.len()
    }

    /// Finds virtual nodes by what names them.
    pub(crate) fn index(&mut self, allocation: &Allocation) {
        if let Role::VirtualNode { key, .. } = allocation.role {
            self.bought.insert(key, allocation.id);
            if let Some(contract) = allocation.contract {
                self.by_contract.insert(contract, allocation.id);
            }
        }
    }
}

impl kernel::Manager for Manager {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Offer { ticket, offer } => self.offer_by_hand(ticket, *offer, out),
            Input::Withdraw { ticket, flavour } => self.withdraw_by_hand(ticket, flavour, out),
            Input::ReserveByHand { ticket, flavour, provider, need, exactly, mode, term, activate_within, key } => {
                let order = HandOrder::new(ticket, flavour, need, exactly, mode, term, activate_within, key);
                self.reserve_by_hand(order, provider, out);
            }
            Input::PurchaseByHand { ticket, key } => self.purchase_by_hand(ticket, key, out),
            Input::ReleaseByHand { ticket, id } => self.release_by_hand(ticket, id, out),

            Input::LookUp { request, selector, origin, trace } => self.look_up(request, &selector, origin, trace, out),
            Input::Acquire { request, selector, mode, term, ceiling, origin, trace } => {
                self.acquire(request, selector, mode, term, ceiling, origin, trace, out);
            }
            Input::Use { request, contract, trace } => self.use_contract(request, contract, trace, out),
            Input::AdoptLocal { request, allocation, origin } => self.adopt_local(request, allocation, origin, out),
            Input::AdoptRemote { request, contract, origin } => self.adopt_remote(request, contract, origin, out),
            Input::Purchase { request } => self.purchase(request, out),
            Input::Release { request } => self.release(request, out),

            Input::Found { request, candidates } => self.found(request, candidates, out),
            Input::Discovered { request, partial: _, silent } => self.discovered(request, silent, out),

            Input::Reserve { allocation, buyer, flavour, partition, ceiling, trace } => {
                self.reserve(allocation, buyer, flavour, partition, ceiling, trace, out);
            }
            Input::Bind { allocation, contract } => self.bind(now, allocation, contract, out),
            Input::Close { allocation, reason: _ } => self.close(allocation, out),

            Input::Forward { allocation, buyer, seller, resources } => {
                self.forward(allocation, buyer, seller, resources, out);
            }
            Input::Forwarding { allocation } => self.forwarding(allocation),

            Input::Held { request, key, price, purchase_within } => {
                self.held(request, key, price, purchase_within, out);
            }
            Input::Signed { request, key, contract, trace: _ } => self.signed(now, request, key, contract, out),
            Input::Refused { request, key, refusal } => self.refused(request, key, refusal, out),
            Input::Ended { key, allocation: _, reason } => self.ended(key, reason, out),
            Input::NotRenewed { key, refusal } => self.not_renewed(key, &refusal, out),
            Input::Restored { key, contract } => self.restored(key, contract, out),
            Input::Rated { peer, outcome } => {
                if outcome == Outcome::Silent {
                    self.note_silence(peer);
                }
                self.ratings.note_outcome(now, peer, outcome, out);
            }

            Input::Peered { allocation, trace } => self.peered(allocation, trace, out),
            Input::Unpeered { allocation, refusal } => self.unpeered(allocation, refusal, out),
            Input::Gone { allocation } => self.gone(allocation, out),
            Input::MemberGone { node, removed } => self.member_gone(node, removed),

            Input::Named { domain, addresses } => self.capacity.name(domain, addresses, out),
            Input::RoundTrip { peer, span } => self.ratings.note_round_trip(now, peer, span, out),
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        let settles = self.settles_at.map(|at| (at, "what nobody claims after a start"));
        let rating = self.ratings.next_wake().map(|at| (at, "rating to write down"));
        settles.into_iter().chain(rating).min()
    }

    fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.ratings.wake(now, out);
        if self.settles_at.is_some_and(|at| at <= now) {
            self.settles_at = None;
            self.settle(out);
        }
    }
}
