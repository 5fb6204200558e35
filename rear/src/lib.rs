//! The REAR Manager: the hub for capacity, and for a request's progress from wish to virtual node.
//!
//! It decides what is granted of this node's own flavours, all through one function; which candidate to try and
//! when to give up; what each peer is worth. It never asks another node anything itself (Discovery and Contract
//! do), signs nothing, and knows neither workloads nor channels; it has no clock, socket or disk.
//!
//! ```text
//!                       ┌───────────────────────── rear ─────────────────────────┐
//!   orchestrator ─────► │ LookUp ───────────────► capacity ◄──── Reserve, Close  │ ◄──── Contract (as a seller)
//!        ▲              │ forward ◄────────────────────────────── Forward, Close │ ◄──── Contract (as a relay)
//!        │              │                            │ OwnChanged                │
//!        │              │ Acquire ─ Find ────────────┼────────────────────────►  │ ────► Discovery
//!        │              │    rank ◄─ Found, Discovered ◄──────────────────────── │ ◄────
//!        │              │    │ Start ────────────────────────────────────────►   │ ────► Contract (as a buyer)
//!        │              │    ▼                                                   │
//!        │              │ virtual node ◄─ Signed ◄────────────────────────────── │ ◄────
//!        │              │    │ Peer, Clear ──────────────────────────────────►   │ ────► Virtual Fabric
//!        └── Ready ──── │    ▼ Peered, Gone ◄─────────────────────────────────── │ ◄────
//!                       └────────────────────────────────────────────────────────┘
//! ```

mod acquire;
mod allocation;
mod by_hand;
mod capacity;
mod config;
mod forward;
pub mod mail;
mod manager;
pub mod offer;
mod provide;
mod rank;
mod rating;
mod release;
mod request;
mod virtual_node;

#[cfg(test)]
mod tests;

pub use allocation::{Allocation, Role, Status};
pub use capacity::Book;
pub use config::{Config, Weights};
pub use mail::{Effect, Input};
pub use manager::Manager;
pub use rank::{Ranked, Why};
pub use rating::Rating;
