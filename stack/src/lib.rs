//! The real stack in virtual time: the daemon's own loop and doers over libp2p (Noise, Yamux), many nodes in one thread.
//!
//! ```text
//!  plan, seed ──► world ──► machines, each: disk · shelf · clock · network   (simulated)
//!                   │                          └── body: host, mind, doers, transport   (what ships)
//!                   └──► trace, audit ──► report
//! ```
//! turmoil carries the bytes and moves the time. A run is a function of (plan, seed). What is not here: QUIC, mDNS, sled,
//! wasmtime, the local API. This is a workspace of its own, since libp2p keeps time by two crates that stand replaced here
//! (`shims/`); what is shipped is built without them.

mod audit;
mod clock;
mod disk;
mod founding;
mod machine;
mod strikes;
mod trace;
mod users;
mod wire;
mod works;
mod world;

pub use trace::Text;
pub use users::Wish;
pub use world::{Pace, Report, Setting, run};
