//! Stands for `web-time` in this workspace: its instants are tokio's, so that virtual time moves them.

pub use std::time::{Duration, SystemTime, SystemTimeError, UNIX_EPOCH};

pub use tokio::time::Instant;
