//! The tables as people and programs see them.

use kernel::{ContractId, Digest, FlavourId, Key, NodeId, Resources, Span, Time};
use rear_proto::{local::Side, message::EndReason, price::Rate};

use crate::{agreement::Agreement, manager::Manager, seller::Phase};

/// Which part a node has in a contract or a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// It uses what it buys.
    Consumer,
    /// It sells what it has.
    Provider,
    /// It passes on: it has sold this and bought what backs it, or bought this to back what it sold.
    Forwarder,
}

impl Part {
    const fn of(side: Side, linked: bool) -> Self {
        match side {
            _ if linked => Self::Forwarder,
            Side::Consumer => Self::Consumer,
            Side::Provider => Self::Provider,
        }
    }

    /// Returns the part's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Provider => "provider",
            Self::Forwarder => "forwarder",
        }
    }
}

/// A hold, as the table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationView {
    /// The order's key.
    pub id: Key,
    /// Of which flavour.
    pub flavour: FlavourId,
    /// Which part.
    pub partition: Resources,
    /// Who holds it.
    pub buyer: NodeId,
    /// Who has given it.
    pub seller: NodeId,
    /// What it will cost.
    pub price: Rate,
    /// Within which time it must be purchased, from now.
    pub purchase_within: Span,
    /// How it stands.
    pub state: ReservationState,
    /// Which part this node has in it.
    pub part: Part,
}

/// How a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReservationState {
    /// It can be purchased.
    Held,
    /// It was, and is a contract.
    Purchased,
    /// It was given back.
    Released,
    /// It was not purchased in time.
    Expired,
}

impl ReservationState {
    /// Returns the state's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "Held",
            Self::Purchased => "Purchased",
            Self::Released => "Released",
            Self::Expired => "Expired",
        }
    }
}

/// A contract, as the table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractView {
    /// Its id.
    pub id: ContractId,
    /// The digest of its bytes, the same at both parties.
    pub digest: Digest,
    /// The key of its order.
    pub key: Key,
    /// Who buys.
    pub buyer: NodeId,
    /// Who sells.
    pub seller: NodeId,
    /// Of which flavour.
    pub flavour: FlavourId,
    /// Which part.
    pub partition: Resources,
    /// What it costs.
    pub price: Rate,
    /// From when, by the seller's clock.
    pub start: Time,
    /// Until when, with all renewals, by the seller's clock.
    pub end: Time,
    /// How often it was renewed.
    pub renewals: usize,
    /// How it stands.
    pub state: ContractState,
    /// Why it ended, once it has.
    pub reason: Option<EndReason>,
    /// Digest of what backs it.
    pub backed_by: Option<Digest>,
    /// Which end this node is.
    pub role: Side,
    /// Which part this node has in it.
    pub part: Part,
}

/// How a contract stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContractState {
    /// It is agreed, and no peering is open on it.
    Signed,
    /// A peering is open on it.
    Active,
    /// A party has ended it.
    Released,
    /// Its time ran out: its term, or the time to activate it.
    Expired,
    /// The other party was lost.
    Lost,
}

impl ContractState {
    /// Returns the state's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signed => "Signed",
            Self::Active => "Active",
            Self::Released => "Released",
            Self::Expired => "Expired",
            Self::Lost => "Lost",
        }
    }

    /// Says whether the contract has not ended.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Signed | Self::Active)
    }
}

impl From<EndReason> for ContractState {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Released | EndReason::Removed => Self::Released,
            EndReason::Expired | EndReason::NotActivated => Self::Expired,
            EndReason::Lost | EndReason::Forgotten => Self::Lost,
        }
    }
}

impl From<&Agreement> for ContractView {
    fn from(agreement: &Agreement) -> Self {
        let (order, reason) = (&agreement.order, agreement.record.end.map(|end| end.reason));
        let state = match reason {
            Some(reason) => reason.into(),
            None if agreement.active => ContractState::Active,
            None => ContractState::Signed,
        };
        Self {
            id: agreement.id,
            digest: agreement.digest,
            key: order.key,
            buyer: order.buyer,
            seller: order.seller,
            flavour: order.flavour,
            partition: order.partition,
            price: agreement.price,
            start: agreement.start,
            end: agreement.end(),
            renewals: agreement.renewals.len(),
            state,
            reason,
            backed_by: agreement.backed_by,
            role: agreement.record.side,
            part: Part::of(agreement.record.side, agreement.record.link.is_some()),
        }
    }
}

impl Manager {
    /// Returns the contracts that live and those that ended last, by id.
    pub fn contracts(&self) -> impl Iterator<Item = ContractView> + '_ {
        self.contracts.values().map(ContractView::from)
    }

    /// Returns one contract.
    pub fn contract(&self, id: &ContractId) -> Option<ContractView> {
        self.contracts.get(id).map(ContractView::from)
    }

    /// Returns the holds given and taken, and those that ended in the last hour.
    pub fn reservations(&self, now: Time) -> impl Iterator<Item = ReservationView> + '_ {
        self.holds.iter().filter_map(move |(name, hold)| {
            let reserved = hold.reserved.claimed()?;
            let order = reserved.order.claimed()?;
            let state = match (hold.purchased, hold.end.map(|end| end.reason)) {
                (Some(_), _) => ReservationState::Purchased,
                (None, Some(EndReason::Expired)) => ReservationState::Expired,
                (None, Some(_)) => ReservationState::Released,
                (None, None) => ReservationState::Held,
            };
            let left = if state == ReservationState::Held { now.until(hold.lapses) } else { Span::ZERO };
            Some(ReservationView {
                id: name.key,
                flavour: order.flavour,
                partition: order.partition,
                buyer: name.buyer,
                seller: order.seller,
                price: reserved.price,
                purchase_within: left,
                state,
                part: Part::of(hold.side, hold.link.is_some()),
            })
        })
    }

    /// Returns how many questions, sales that are ending and untold ends are under way: nothing, when all is quiet.
    pub fn unsettled(&self) -> usize {
        let ending = self.sales.values().filter(|sale| match sale.phase {
            Phase::Asked(_) | Phase::Purchasing(_) | Phase::Ending { .. } => true,
            Phase::Held | Phase::Live(_) => false,
        });
        let asking = self
            .buys
            .values()
            .filter(|buy| matches!(buy.stage, crate::buyer::Stage::Asking(_) | crate::buyer::Stage::Purchasing(..)));
        ending.count() + asking.count() + self.tellings.len() + self.renewing.len()
    }
}
