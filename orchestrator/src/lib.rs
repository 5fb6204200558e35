//! The orchestrator: Service Handler's parse and Node Orchestrator. It decides what an intent asks for, and where
//! each of its replicas runs; it keeps looking for a place for as long as the intent lives.
//!
//! ```text
//!  a YAML text ─ parse ─► Intent ─ Submit ─► one request for each replica
//!
//!   Waiting ─► LookingUp ─┬─ room here ─────────────────────────────────────► Placed ─► Deployed
//!      ▲                  └─ none ─► Seeking ─┬─ agreed at once ─────────────►  ▲          │
//!      │                             (REAR)   └─ Held ─ all are held ─► Buying ─┘          │
//!      └───────────────────────────── ended, or (once it ran) no room ◄────────────────────┘
//! ```
//!
//! An intent with several replicas is all or nothing: nothing is purchased before everything is held, nothing runs
//! before everything is purchased, and where one finds no room, all is given back. From then on each replica is
//! replaced by itself.
//!
//! It never talks to another node, never counts capacity (REAR does), never starts or stops an instance (the
//! Virtual Fabric does), and reads no files: a component's bytes are uploaded before the intent comes.

pub mod config;
pub mod intent;
mod life;
pub mod mail;
mod manager;
pub mod parse;
mod record;
mod selector;
pub mod story;
mod turn;
pub mod view;

pub use config::Config;
pub use intent::Intent;
pub use mail::{Effect, Input};
pub use manager::Manager;
pub use parse::{ParseError, Parsed, parse, parse_many};
pub use story::check_story;
pub use view::{IntentView, Phase};
