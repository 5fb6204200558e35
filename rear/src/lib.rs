//! The rear manager.

pub mod mail;

pub use mail::{Effect, Input};

pub mod offer;
