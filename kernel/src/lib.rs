//! The words every part of Tombolo shares: ids, time, quantities, randomness, and what a manager is.
//!
//! Nothing here reads a clock, opens a file or a socket, or asks the system for randomness: time and the
//! seeded generator are values that the caller hands in.

mod id;
mod manager;
pub mod planted;
mod quantity;
mod random;
mod resources;
mod time;

pub use id::{
    AllocationId, AskId, ContractId, Digest, DomainKey, FederationId, FlavourId, IntentId, Key, NodeId, ParseIdError,
    QueryId, RequestId, Ticket,
};
pub use manager::{Manager, Wake};
pub use quantity::{ParseQuantityError, Quantity};
pub use random::Rng;
pub use resources::{Resource, Resources, Shortage};
pub use time::{ParseSpanError, Span, Time};
