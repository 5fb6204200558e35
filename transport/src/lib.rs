//! Moves opaque bytes between nodes over libp2p; the only crate that names it. It knows nothing of REAR.
//!
//! ```text
//!  Handle ──commands──►┌────────┐──one-way events──► Events
//!                      │ driver │                      ▲
//!  other nodes ◄──────►│ Swarm  │──streams──► serving ─┘   (one task for each inbound ask)
//!                      └────────┘
//! ```
//! One task (`driver`) owns the swarm and does nothing but poll it: no disk, no reading, no waiting. An ask is
//! one stream: the asker writes one frame, closes its side, and reads one frame or one marker. That happens in
//! the asker's own future, so dropping it cancels the ask and its deadline is exact; and in one task of its own
//! at the answering side, so the swarm never waits for an answer. On the wire this is what libp2p's
//! request-response does.
//!
//! Whoever speaks is proven: each `peer` is the key that Noise or TLS has verified. Nothing is ever repeated
//! here: an ask that failed is repeated, if at all, by who asked.

mod ask;
#[cfg(feature = "bare")]
pub mod bare;
mod behaviour;
mod book;
mod carrier;
mod config;
mod driver;
mod event;
mod frame;
mod handle;
mod id;
mod listen;
mod redial;
mod serve;
mod streams;
mod swarm;
mod tunnel;

pub use ask::AskError;
pub use carrier::{Carrier, Incoming, Wire};
pub use config::{Config, Limits};
pub use event::{Answer, AnswerError, Event, Events};
pub use frame::FrameError;
pub use handle::{DialError, Handle, start, start_over};
pub use listen::StartError;
pub use streams::{OpenError, Protocol};
pub use tunnel::Tunnel;
