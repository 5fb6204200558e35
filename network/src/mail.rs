//! Everything that can happen to the Network Manager, and everything it can ask for.

use kernel::{ContractId, Digest, Key, NodeId, Span, Ticket};
use rear_proto::{Refusal, Trace, fabric::FabricAsk, fabric::FabricReply, flavour::Party, local::Side, story::Deed};

/// Everything that can happen to the Network Manager.
#[derive(Debug, Clone)]
pub enum Input {
    /// From Contract: deploy the virtual router of this contract.
    Deploy {
        /// The contract.
        contract: ContractId,
        /// Which end this node is.
        side: Side,
        /// The other party, and where it was last seen.
        peer: Party,
        /// The order's key, from which this end's secret is derived.
        key: Key,
        /// The other end's public key, proven.
        remote_key: [u8; 32],
        /// The story.
        trace: Trace,
    },
    /// From Contract, at a relay: deploy the virtual router that joins these two contracts.
    Join {
        /// The contract that this node sold.
        front: ContractId,
        /// Who bought it.
        buyer: Party,
        /// The contract that backs it.
        back: ContractId,
        /// Who sold that.
        seller: Party,
        /// The story.
        trace: Trace,
    },
    /// From Contract: this contract is over; at a relay, so is the router that joins it to another.
    Closed {
        /// Which contract.
        contract: ContractId,
    },
    /// From the Virtual Fabric: say this to the far end of a contract.
    Send {
        /// The number of the question; it comes back with the answer.
        id: u64,
        /// Which contract.
        contract: ContractId,
        /// What to say.
        ask: Box<FabricAsk>,
        /// In which time an answer is of use.
        deadline: Span,
    },
    /// From the Virtual Fabric: send a component to the far end of a contract.
    Ship {
        /// The number of the question; it comes back with the answer.
        id: u64,
        /// Which contract.
        contract: ContractId,
        /// Which component.
        digest: Digest,
    },
    /// From outside: the far end of a contract said this, inside the channel.
    Heard {
        /// Who waits for the answer.
        ticket: Ticket,
        /// Which contract, as it is named here.
        contract: ContractId,
        /// What it said.
        ask: Box<FabricAsk>,
        /// The story.
        trace: Trace,
    },
    /// From outside: the far end answered, or did not.
    Answered {
        /// Which question.
        id: u64,
        /// The answer.
        reply: Result<FabricReply, Refusal>,
    },
    /// From outside: bytes that went through a contract's router since the last report.
    Metered {
        /// Which contract.
        contract: ContractId,
        /// Towards the provider.
        up: u64,
        /// Towards the consumer.
        down: u64,
        /// Streams that are open.
        streams: u32,
    },
}

/// Everything the Network Manager can ask for.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Admit streams of this contract, under these keys.
    Install(Route),
    /// Carry on streams of either of two contracts under the other.
    Join(Junction),
    /// To Contract, at a relay: something has passed through the router of this contract (the one that was sold).
    Opened {
        /// Which contract.
        contract: ContractId,
    },
    /// Admit them no longer, and close those that are open.
    Remove {
        /// Which contract.
        contract: ContractId,
    },
    /// Say this at the far end, inside the channel.
    Transmit {
        /// The number of the question.
        id: u64,
        /// Which contract.
        contract: ContractId,
        /// What to say.
        ask: Box<FabricAsk>,
        /// In which time an answer is of use.
        deadline: Span,
    },
    /// Send this component to the far end, inside the channel.
    Ship {
        /// The number of the question.
        id: u64,
        /// Which contract.
        contract: ContractId,
        /// Which component.
        digest: Digest,
    },
    /// To the Virtual Fabric: the far end said this.
    Heard {
        /// Who waits for the answer.
        ticket: Ticket,
        /// Which contract.
        contract: ContractId,
        /// Who the other party is.
        peer: NodeId,
        /// What it said.
        ask: Box<FabricAsk>,
        /// The story.
        trace: Trace,
    },
    /// To the Virtual Fabric: the far end answered, or did not.
    Answered {
        /// Which question.
        id: u64,
        /// The answer.
        reply: Result<FabricReply, Refusal>,
    },
    /// To whoever said it: it came over no router of ours.
    Turn {
        /// Who waits.
        ticket: Ticket,
        /// Why.
        refusal: Refusal,
    },
    /// A step that was just done.
    Did(Trace, Deed),
}

/// What the door of the tunnel needs to know of two contracts that a relay joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Junction {
    /// The contract that this node sold; what passes is counted under it.
    pub front: ContractId,
    /// Who bought it: the only peer whose streams are admitted under it.
    pub buyer: Party,
    /// The contract that backs it.
    pub back: ContractId,
    /// Who sold that: the only peer whose streams are admitted under it.
    pub seller: Party,
    /// The most streams that may be open at once, both directions together.
    pub streams: u32,
}

/// What the door of the tunnel needs to know of one contract.
#[derive(Clone, PartialEq, Eq)]
pub struct Route {
    /// The contract.
    pub contract: ContractId,
    /// Which end this node is.
    pub side: Side,
    /// The other party: the only peer whose streams are admitted.
    pub peer: Party,
    /// This end's secret X25519 key.
    pub secret: [u8; 32],
    /// The other end's public X25519 key.
    pub remote_key: [u8; 32],
    /// The most streams that it may have open at once.
    pub streams: u32,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route")
            .field("contract", &self.contract)
            .field("side", &self.side)
            .field("peer", &self.peer.node)
            .finish_non_exhaustive()
    }
}
