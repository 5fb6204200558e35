//! The Contract Manager: agrees contracts with other nodes, keeps what was signed, and ends it in time.
//!
//! It decides, on both sides, about RESERVE, PURCHASE, RENEW, RELEASE and KEEPALIVE; it makes and checks every
//! signature on a promise; and it watches the three clocks that end a contract. It never decides about capacity
//! (REAR does, and is asked), about channels (Network) or workloads (Virtual Fabric), it has no clock, socket or disk,
//! but at a supernode a contract may rest on one that it has bought one hop on (`relay`).
//!
//! ```text
//!      buyer                                   seller
//!      Start ──► RESERVE{order} ─────────────► checks ──► Reserve ──► REAR
//!                                 Reserved ◄── hold ◄──────────────── Granted
//!   Purchase ──► PURCHASE ───────────────────► │
//!   verified ◄── Contract ◄──────────────────── signed, kept, bound
//!      │                                       │
//!      └─ activate within, lease (KEEPALIVE), term (RENEW) ─┘
//!        End ──► RELEASE ────────────────────► Close ──► REAR
//!      Ended ◄── Released ◄──────────────────── Freed ◄──┘
//! ```

mod admit;
mod agreement;
pub mod audit;
mod buyer;
mod close;
mod config;
mod keepalive;
mod keys;
pub mod mail;
mod manager;
mod purchase;
mod quota;
mod record;
mod relay;
mod release;
mod renew;
mod restore;
mod seller;
mod take;
mod timers;
mod view;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use mail::{Effect, Input};
pub use manager::Manager;
pub use view::{ContractState, ContractView, Part, ReservationState, ReservationView};
