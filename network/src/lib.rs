//! The Network Manager: keeps one virtual router for each live contract, and lets pass what a router stands for. A
//! relay has one for the two contracts that it joins.
//!
//! ```text
//!  Contract ── Deploy ─►┌─────────┐── Install ─► the door of the tunnel
//!           ── Join ───►│         │── Join ────►
//!           ── Closed ─►│ routers │── Remove ──►
//!           ◄── Opened ─│         │◄── Metered ──
//!                       │         │
//!  Virtual  ── Send ───►│ one per │── Transmit ─►  the far end of the contract,
//!  Fabric   ── Ship ───►│ live    │── Ship ─────►  inside its encrypted channel
//!           ◄── Heard ──│ contract│◄── Heard ────
//!                       └─────────┘
//! ```
//!
//! What names a contract without a router is refused, in both directions; so is what would be said under a joined
//! contract, since a relay says nothing in the channel. The manager never looks into what passes,
//! never decides whether a contract lives, and keeps no rows: after a restart Contract deploys the routers again,
//! each with the same keys, since they are derived.

pub mod config;
pub mod mail;
mod manager;

pub use config::Config;
pub use mail::{Effect, Input};
pub use manager::{Manager, RouterView};
