//! The node's whole mind: all managers, their mailboxes and one route table, without clock, socket or disk.
//!
//! ```text
//!  event ──► mailbox ──► manager ──► effects ──► route ──┬──► another manager's mailbox
//!                ▲                                       ├──► a row to keep     ┐
//!                └───────────── until no mail is left ◄──┘    an output to do   ┘ one batch
//! ```
//!
//! One event goes in, the managers run until no mail is left, and one [`Batch`] comes out: rows to keep first,
//! then messages to send and things to do. Whoever hosts an [`Agent`] (the daemon, a test, a simulation) keeps
//! the rows before it lets out the outputs that promise ([`Output::promises`]).

mod agent;
mod config;
mod event;
pub mod invariants;
mod route;
mod trace;

pub use agent::{Agent, Batch, Managers};
pub use config::Config;
pub use event::{Command, Event, Output, Response, Watch};
pub use rear_proto::local::Me as Identity;
