//! The Discovery Manager: who offers what, here and elsewhere.
//!
//! It decides what a LIST_FLAVOURS is answered with, whom to ask when this node runs short, and which of the
//! offers that come back are believed and for how long. It owns one index over this node's own offers (told by
//! REAR at each change) and over candidates, the offers of others.
//!
//! It never ranks (REAR does, with its ratings), never reserves, and never asks REAR anything: the index may be a
//! moment old, since RESERVE checks again at the provider. An offer is believed of the party that makes it alone.
//!
//! ```text
//!  REAR ── OwnChanged, OwnGone ──► index ◄── offers taken ── answers ◄── endpoints
//!   │                               ▲ │                                      ▲
//!   ├── Find ───────────────────────┘ └──► Found                             │
//!   └── Discover ──► fan-out ── Ask{List} to each, all at once ──────────────┘
//!                       └── all have answered, enough was found, or time is over ──► Discovered
//!
//!  another node ── Asked{List} ──► own offers that match, cheapest first ──► Reply
//!
//!  what changes in the index ──► feeds ── ADVERTISE, REFRESH, WITHDRAW ──► supernodes, catalogues, subscribers
//!  another node ── Told{ADVERTISE …} ──► inbox ──► index, or at a catalogue the shelf of whom it is signed for
//!
//!  what partners may see of the index ──► digests ── CAPACITY_DIGEST ──► their supernodes, which ask only where it may fit
//! ```

mod answering;
mod believing;
mod border;
mod catalogue;
pub mod config;
mod digests;
mod early;
mod endpoints;
mod fan_out;
mod feeds;
mod inbox;
mod index;
pub mod mail;
mod manager;
mod publishing;
pub mod pulls;
mod record;
mod saving;
pub mod subscriptions;
mod view;

pub use config::Config;
pub use mail::{Effect, Input};
pub use manager::{Manager, PartnerLists};
pub use view::{CandidateView, EndpointView};
