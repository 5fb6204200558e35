//! The contract manager.

pub mod mail;

pub use mail::{Effect, Input};
