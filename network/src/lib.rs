//! The network manager.

pub mod mail;

pub use mail::{Effect, Input};
