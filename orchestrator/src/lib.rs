//! The orchestrator.

pub mod intent;
pub mod mail;

pub use mail::{Effect, Input};
