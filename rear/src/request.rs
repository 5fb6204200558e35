//! Requests: how far each has come on its way to room, and what it has left to try.
//!
//! ```text
//! LookUp ──► Local
//! Acquire ─► Finding ─► Reserving ─► Peering ─► Ready ─► Over
//!             ▲  │         │ ▲         │          │
//!             │  ▼         │ └ Held ─► Purchasing │      Held, Purchasing: mode hold only
//!         Discovering ◄────┴───────────┘          │      refused or lost on the way: the next, or ask again
//! Use ────────────────────────────────► Peering   │      by a contract made by hand
//! Adopt ─► Adopting ──────────────────► Peering   │      after a restart
//! Release, from anywhere ─────────────────────────┴──► Released, once all is given back
//! ```
//! These are the states; what moves between them is in `acquire.rs`, `virtual_node.rs` and `release.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{AllocationId, ContractId, FlavourId, Key, NodeId, Resources, Span, Time};
use rear_proto::{
    Code, Epoch, Mode, Refusal, Selector, Trace, flavour::Party, local::Candidate, price::Rate, story::Deed,
};

use crate::{capacity::tell, mail::Effect};

/// How many reasons a summed-up refusal repeats: what a person reads.
const REASONS: usize = 3;

/// One request of the orchestrator.
#[derive(Debug)]
pub(crate) struct Request {
    /// Names it over restarts; none where it uses a contract made by hand.
    pub(crate) origin: Option<Key>,
    pub(crate) trace: Trace,
    pub(crate) stage: Stage,
    /// What is left to try, until it is ready.
    pub(crate) search: Option<Search>,
    /// What was bought, held or asked for, is being ended, and has not ended yet.
    pub(crate) ending: BTreeSet<Key>,
    /// The orchestrator wants all of it given back.
    pub(crate) releasing: bool,
    /// It rested on what it has before the last restart: the orchestrator thinks of it as placed.
    pub(crate) adopted: bool,
    told: BTreeSet<Deed>,
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waits for the index.
    Finding,
    /// Waits for what is asked outside.
    Discovering,
    /// Waits for a seller.
    Reserving(Key),
    /// A seller holds it.
    Held(Key),
    /// Waits for a seller to sell what it holds.
    Purchasing(Key),
    /// Waits for the Contract Manager to say that this lives.
    Adopting(ContractId),
    /// Waits for the peering of this virtual node.
    Peering(AllocationId),
    /// Has this virtual node; and whether the orchestrator was told that it will not last.
    Ready(AllocationId, Ending),
    /// Has this part of an own flavour.
    Local(AllocationId),
    /// Has nothing.
    Over,
}

/// Whether what is used is known to end soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    NotKnown,
    Told,
}

/// What is wanted, and what is left to try.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) selector: Selector,
    pub(crate) mode: Mode,
    pub(crate) term: Span,
    pub(crate) ceiling: Option<Rate>,
    /// What to try, best first.
    pub(crate) queue: VecDeque<Choice>,
    /// What was tried, and with whom.
    pub(crate) tried: BTreeSet<(NodeId, FlavourId)>,
    /// When what was tried and was not there any more had been heard of; heard of later, it is tried again.
    old: BTreeMap<(NodeId, FlavourId), Time>,
    /// What need not be shown again when asking wider.
    excluded: BTreeSet<FlavourId>,
    /// The capacity that its owner itself has said is not to be had: no way leads to it.
    gone: BTreeSet<(NodeId, FlavourId)>,
    /// How often it was asked outside.
    pub(crate) rounds: u32,
    /// Whether something was tried since: only then can asking again be of use.
    pub(crate) fresh: bool,
    /// How many endpoints said nothing, the last time.
    pub(crate) silent: u32,
    /// What the order is for that waits for its answer.
    pub(crate) current: Option<Choice>,
    refusals: Vec<(NodeId, Refusal)>,
}

/// A candidate to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) seller: Party,
    pub(crate) flavour: FlavourId,
    /// Who has it, as the seller says, and under which name all ways to it are known.
    pub(crate) capacity: (NodeId, FlavourId),
    /// Whether the seller is who has it, and no relay.
    pub(crate) direct: bool,
    /// Whether the seller was not heard of since it was asked.
    pub(crate) silent: bool,
    /// When the offer was heard of.
    pub(crate) seen: Time,
    pub(crate) epoch: Epoch,
    pub(crate) partition: Resources,
    pub(crate) price: Rate,
}

impl Choice {
    pub(crate) fn new(candidate: Candidate, direct: bool, partition: Resources, price: Rate) -> Self {
        let Candidate { flavour, seen, .. } = candidate;
        Self {
            seen,
            seller: flavour.provider,
            flavour: flavour.id,
            capacity: (flavour.owner, flavour.origin),
            direct,
            silent: false,
            epoch: flavour.epoch,
            partition,
            price,
        }
    }
}

impl Request {
    pub(crate) const fn new(origin: Option<Key>, trace: Trace, stage: Stage) -> Self {
        Self {
            origin,
            trace,
            stage,
            search: None,
            ending: BTreeSet::new(),
            releasing: false,
            adopted: false,
            told: BTreeSet::new(),
        }
    }

    /// Records a step of this request's story, the first time that it is done.
    pub(crate) fn tell(&mut self, deed: Deed, out: &mut Vec<Effect>) {
        if self.told.insert(deed) {
            tell(self.trace, deed, out);
        }
    }

    /// Returns the key of the order that it waits for or holds.
    pub(crate) const fn order(&self) -> Option<Key> {
        match self.stage {
            Stage::Reserving(key) | Stage::Held(key) | Stage::Purchasing(key) => Some(key),
            Stage::Finding
            | Stage::Discovering
            | Stage::Adopting(_)
            | Stage::Peering(_)
            | Stage::Ready(..)
            | Stage::Local(_)
            | Stage::Over => None,
        }
    }

    /// Returns the allocation that it rests on.
    pub(crate) const fn allocation(&self) -> Option<AllocationId> {
        match self.stage {
            Stage::Peering(allocation) | Stage::Ready(allocation, _) | Stage::Local(allocation) => Some(allocation),
            Stage::Finding
            | Stage::Discovering
            | Stage::Reserving(_)
            | Stage::Held(_)
            | Stage::Purchasing(_)
            | Stage::Adopting(_)
            | Stage::Over => None,
        }
    }
}

impl Search {
    pub(crate) const fn new(selector: Selector, mode: Mode, term: Span, ceiling: Option<Rate>) -> Self {
        Self {
            selector,
            mode,
            term,
            ceiling,
            queue: VecDeque::new(),
            tried: BTreeSet::new(),
            old: BTreeMap::new(),
            excluded: BTreeSet::new(),
            gone: BTreeSet::new(),
            rounds: 0,
            fresh: false,
            silent: 0,
            current: None,
            refusals: Vec::new(),
        }
    }

    pub(crate) fn note_refusal(&mut self, seller: NodeId, refusal: Refusal) {
        self.refusals.push((seller, refusal));
    }

    /// Puts a way at the end of what is to be tried, unless it was tried or leads to what is not to be had.
    pub(crate) fn line_up(&mut self, choice: Choice) {
        if self.is_of_use(&choice) {
            self.queue.push_back(choice);
        }
    }

    pub(crate) fn is_of_use(&self, choice: &Choice) -> bool {
        let name = (choice.seller.node, choice.flavour);
        let is_news = self.old.get(&name).is_some_and(|seen| choice.seen > *seen);
        (is_news || !self.tried.contains(&name)) && !self.gone.contains(&choice.capacity)
    }

    /// Takes note of why the way that was being tried came to nothing, and of what follows for others to the same
    /// capacity. The word of a relay is no word of whoever it relays for, and who is silent has said nothing: the
    /// others are tried. They are of no use only where they lead, by the word of whoever sells them, to the very
    /// node that has just refused; so nobody can spoil another's offer by copying it.
    pub(crate) fn came_to_nothing(&mut self, me: NodeId, refusal: Refusal) {
        let Some(choice) = self.current.take() else { return self.note_refusal(me, refusal) };
        let heard = !choice.silent && !blames_the_way(refusal.code());
        // What was known from before may be out of date, at a relay above all: its other side comes and goes. Shown again
        // when it is asked for, it is worth another try.
        let is_old = match refusal.code() {
            Code::NotFound => true,
            Code::Unavailable | Code::Closed | Code::Expired => self.rounds == 0 && !choice.direct,
            _ => false,
        };
        if is_old {
            self.old.insert((choice.seller.node, choice.flavour), choice.seen);
        } else if choice.direct || heard {
            // Another relay may show the same offer under the same id.
            self.excluded.insert(choice.flavour);
        }
        if choice.direct && heard && refusal.code() == Code::Unavailable {
            self.gone.insert(choice.capacity);
            self.queue.retain(|other| other.capacity != choice.capacity);
        }
        self.note_refusal(choice.seller.node, refusal);
    }

    /// Returns the flavours that need not be shown again.
    pub(crate) fn excluded(&self) -> Vec<FlavourId> {
        self.excluded.iter().copied().collect()
    }

    /// Sums up why there is no room: the most telling code, how many were asked, and the last reasons.
    pub(crate) fn refusal(&self) -> Refusal {
        let silent = match self.silent {
            0 => String::new(),
            1 => "; one endpoint said nothing".to_owned(),
            n => format!("; {n} endpoints said nothing"),
        };
        if self.refusals.is_empty() {
            let text = format!("no offer was found for '{}'{silent}", self.selector);
            return Refusal::new(Code::Unavailable, text);
        }
        let code = self.refusals.iter().map(|(_, refusal)| refusal.code()).min_by_key(|code| blandness(*code));
        let last = self.refusals.iter().rev().take(REASONS);
        let reasons: Vec<_> = last.map(|(seller, refusal)| format!("{}: {}", seller.short(), refusal.text())).collect();
        let asked = match self.tried.len() {
            0 => "no offer would do".to_owned(),
            1 => "the one offer that was tried was refused".to_owned(),
            n => format!("all {n} offers that were tried were refused"),
        };
        let text = format!("{asked}: {}{silent}", reasons.join("; "));
        let mut refusal = Refusal::new(code.unwrap_or(Code::Unavailable), text);
        refusal.retry_after = self.refusals.iter().filter_map(|(_, refusal)| refusal.retry_after).min();
        refusal
    }
}

/// Whether a refusal says something of the seller and the way to it, and nothing of what is offered.
const fn blames_the_way(code: Code) -> bool {
    match code {
        Code::Timeout
        | Code::Overloaded
        | Code::Storage
        | Code::ClockSkew
        | Code::UnsupportedVersion
        | Code::Malformed
        | Code::LoopDetected
        | Code::HopLimit
        | Code::KeyReused
        | Code::NotAMember
        | Code::Closed
        | Code::Expired => true,
        Code::Unavailable
        | Code::NotFound
        | Code::BelowMinimum
        | Code::NotAStep
        | Code::TooLarge
        | Code::PriceTooLow
        | Code::CurrencyMismatch
        | Code::NotShared
        | Code::QuotaExceeded => false,
    }
}

/// How little a code tells whoever has to do something about it: least first.
const fn blandness(code: Code) -> u8 {
    match code {
        // The wish can be changed.
        Code::PriceTooLow | Code::CurrencyMismatch => 0,
        Code::BelowMinimum | Code::NotAStep | Code::TooLarge => 1,
        // Somebody has to be asked.
        Code::NotAMember | Code::NotShared | Code::QuotaExceeded => 2,
        // Something is broken.
        Code::ClockSkew | Code::Storage | Code::UnsupportedVersion | Code::Malformed => 3,
        Code::LoopDetected | Code::HopLimit | Code::KeyReused => 4,
        // It may be better later.
        Code::Overloaded | Code::Expired | Code::Closed | Code::NotFound => 5,
        Code::Timeout => 6,
        Code::Unavailable => 7,
    }
}
