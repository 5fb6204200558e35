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

use std::collections::{BTreeSet, VecDeque};

use kernel::{AllocationId, ContractId, FlavourId, Key, NodeId, Resources, Span};
use rear_proto::{Code, Epoch, Mode, Refusal, Selector, Trace, flavour::Party, price::Rate, story::Deed};

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
    /// What was tried.
    pub(crate) tried: BTreeSet<(NodeId, FlavourId)>,
    /// How often it was asked outside.
    pub(crate) rounds: u32,
    /// Whether something was tried since: only then can asking again be of use.
    pub(crate) fresh: bool,
    /// How many endpoints said nothing, the last time.
    pub(crate) silent: u32,
    /// The price in the order that waits for its answer.
    pub(crate) current: Option<Choice>,
    refusals: Vec<(NodeId, Refusal)>,
}

/// A candidate to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) seller: Party,
    pub(crate) flavour: FlavourId,
    pub(crate) epoch: Epoch,
    pub(crate) partition: Resources,
    pub(crate) price: Rate,
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

    /// Returns the flavours that were tried, in any way.
    pub(crate) fn excluded(&self) -> Vec<FlavourId> {
        self.tried.iter().map(|(_, flavour)| *flavour).collect::<BTreeSet<_>>().into_iter().collect()
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
