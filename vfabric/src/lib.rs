//! The Virtual Fabric Manager: peerings, virtual nodes, and the life of workloads at both ends of a contract.
//!
//! ```text
//!        consumer                                              provider
//!  REAR ── Peer ──► peering ── ResourceRequest ──────────────► look-up in Contract ── Peered ──► REAR
//!  REAR ◄─ Peered ─ peering ◄── ResourceOffer ──────────────── lodging ◄── Activated ─────────── REAR
//!
//!  orchestrator ─ Deploy ─► replica ── Deploy ───────────────► hosted ── Start ──► runtime
//!                           replica ◄─ Missing ─── (Ship) ──── hosted ◄─ missing ─ runtime
//!  orchestrator ◄─ Status ─ replica ◄─ Deployed, Status ────── hosted ◄─ status ── runtime
//! ```
//!
//! A replica that runs on this very node takes the same way without the line between. Whatever is said over that line
//! may be lost, repeated or overtaken: what must be done is said until it is answered, says the same when said twice,
//! and carries a stamp, so that what comes late is known to be old (`stamp.rs`).
//!
//! It decides neither whether a contract lives nor what a replica is for, and counts no capacity but what one
//! partition holds. **It keeps no rows.** After a restart nothing runs here (the runtime sweeps), and everything that
//! this manager knows is said to it again by those who keep it: contracts by Contract, peerings by REAR, replicas by
//! the orchestrator, and, at a provider, peerings and workloads by the consumers, as soon as they see it again or are told (`returning.rs`). A row
//! could only contradict them.

mod check;
pub mod config;
mod hosting;
mod lodging;
mod logs;
pub mod mail;
mod manager;
mod peering;
mod push;
mod replica;
mod returning;
mod serve;
mod stamp;
mod timers;
mod view;

pub use config::Config;
pub use mail::{Effect, Input};
pub use manager::Manager;
pub use view::{PeeringState, PeeringView, StuckView, WorkloadView};
