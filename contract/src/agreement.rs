//! A contract in memory: what its record says, opened, and how it stands.

use kernel::{
    AllocationId, AskId, ContractId, Digest, Key, NodeId, Span, Ticket, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Endorsement, Order, Renewal, RenewalAsk, Row, Signed, Table,
    local::{Bought, Side, SignedContract},
    price::Rate,
};

use crate::{
    mail::Router,
    record::{ContractRecord, Name},
    relay::forwarding,
};

/// A contract, at one of its parties.
#[derive(Debug)]
pub(crate) struct Agreement {
    pub(crate) record: ContractRecord,
    pub(crate) id: ContractId,
    pub(crate) digest: Digest,
    pub(crate) order: Order,
    pub(crate) price: Rate,
    pub(crate) start: Time,
    pub(crate) term: Span,
    pub(crate) activate_within: Span,
    pub(crate) backed_by: Option<Digest>,
    /// The seller's public key in the channel.
    pub(crate) tunnel_key: [u8; 32],
    endorsement: Endorsement,
    /// The renewals so far, the first first.
    pub(crate) renewals: Vec<Signed<Renewal>>,
    /// By how much they make it longer.
    renewed: Span,
    /// The length of the newest of them, or of the term.
    latest_term: Span,
    /// Whether a peering is open on it.
    pub(crate) active: bool,
    /// At a relay, since it restarted: whether the other party has named it.
    pub(crate) heard: bool,
    /// A renewal that is being asked for.
    pub(crate) renewing: Option<Renewing>,
    /// Whether the seller has said that it will not renew.
    pub(crate) renewal_refused: bool,
}

/// A renewal that is being asked for.
#[derive(Debug)]
pub(crate) struct Renewing {
    pub(crate) ask: Signed<RenewalAsk>,
    pub(crate) inflight: Option<AskId>,
    /// Who waits for it, by hand.
    pub(crate) waiters: Vec<Ticket>,
}

impl Agreement {
    /// Opens a record whose signatures were verified before it was kept; `None` where it is no contract.
    pub(crate) fn new(record: ContractRecord) -> Option<Self> {
        let contract = record.contract.claimed()?;
        let order = contract.order.claimed()?.clone();
        let digest = record.contract.digest();
        Some(Self {
            id: digest.into(),
            digest,
            order,
            price: contract.price,
            start: contract.start,
            term: contract.term,
            activate_within: contract.activate_within,
            backed_by: contract.backed_by,
            tunnel_key: contract.tunnel_key,
            endorsement: contract.endorsement.clone(),
            renewals: Vec::new(),
            renewed: Span::ZERO,
            latest_term: contract.term,
            active: false,
            heard: false,
            renewing: None,
            renewal_refused: false,
            record,
        })
    }

    /// Returns who vouches for the seller's key in the channel.
    pub(crate) const fn endorsement(&self) -> &Endorsement {
        &self.endorsement
    }

    /// Returns the name of the order.
    pub(crate) fn name(&self) -> Name {
        Name { buyer: self.order.buyer, key: self.order.key }
    }

    /// Says whether it has not ended.
    pub(crate) fn is_live(&self) -> bool {
        self.record.end.is_none()
    }

    /// Returns when its term ends, by this node's clock.
    pub(crate) fn ends(&self) -> Time {
        self.record.since + self.term + self.renewed
    }

    /// Returns when its term ends, by the seller's clock, as both parties show it.
    pub(crate) fn end(&self) -> Time {
        self.start + self.term + self.renewed
    }

    /// Returns for how long it lasts in all.
    pub(crate) fn total_term(&self) -> Span {
        self.term.plus(self.renewed)
    }

    /// Returns the number of the next renewal.
    pub(crate) fn next_renewal(&self) -> u32 {
        u32::try_from(self.renewals.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Returns when to renew it: once this part of the newest term has passed.
    pub(crate) fn renew_at(&self, percent: u64) -> Time {
        let left = self.latest_term.times(100u64.saturating_sub(percent)).divided(100);
        Time(self.ends().0.saturating_sub(left.0))
    }

    /// Adds a renewal.
    pub(crate) fn renew(&mut self, renewal: Signed<Renewal>, term: Span) {
        self.renewals.push(renewal);
        self.renewed = self.renewed.plus(if planted::is(Bug::RenewTwice) { term.times(2) } else { term });
        self.latest_term = term;
    }

    /// Returns the row that keeps it.
    pub(crate) fn row(&self) -> Row {
        Row::put(Table::Contracts, self.id.as_bytes(), &self.record)
    }

    /// Returns the allocation that belongs to it at this party.
    pub(crate) fn allocation(&self) -> AllocationId {
        match self.record.side {
            Side::Consumer => virtual_node(&self.order.buyer, &self.order.key),
            Side::Provider if self.record.link.is_some() => forwarding(&self.name()),
            Side::Provider => node(&self.order.buyer, &self.order.key),
        }
    }

    /// Returns this party's end of the channel.
    pub(crate) fn router(&self) -> Router {
        let remote_key = match self.record.side {
            Side::Consumer => self.tunnel_key,
            Side::Provider => self.order.tunnel_key,
        };
        Router {
            contract: self.id,
            side: self.record.side,
            peer: self.record.peer.clone(),
            key: self.order.key,
            remote_key,
        }
    }

    /// Returns what REAR is told of a contract that was bought.
    pub(crate) fn bought(&self) -> Bought {
        Bought {
            id: self.id,
            allocation: self.allocation(),
            seller: self.order.seller,
            partition: self.order.partition,
            price: self.price,
        }
    }

    /// Returns what the Virtual Fabric is told of a contract that was sold.
    pub(crate) fn sold(&self) -> SignedContract {
        SignedContract {
            id: self.id,
            allocation: self.allocation(),
            customer: self.order.buyer,
            partition: self.order.partition,
            abroad: self.record.abroad,
        }
    }
}

/// Returns the name of the allocation of type Node that an order leads to at its seller.
pub(crate) fn node(buyer: &NodeId, key: &Key) -> AllocationId {
    AllocationId::derive("tombolo node 1", &[buyer.as_bytes(), key.as_bytes()])
}

/// Returns the name of the allocation of type VirtualNode that an order leads to at its buyer.
pub(crate) fn virtual_node(buyer: &NodeId, key: &Key) -> AllocationId {
    AllocationId::derive("tombolo virtual node 1", &[buyer.as_bytes(), key.as_bytes()])
}
