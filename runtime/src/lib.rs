//! Runs workloads on this machine: one trait, [`Driver`], and its implementations.
//!
//! [`Wasm`] is the driver that needs nothing installed: WebAssembly components for WASI 0.2, each held to the memory,
//! processor time, files and network of its [`Spec`]. [`Cache`] keeps their modules by content. What to run, for whom and
//! when to stop it is decided elsewhere; this crate reads no contract and knows no peer.

mod cache;
mod cpu;
mod driver;
mod inspect;
mod logs;
mod memory;
mod spec;
mod wasm;

pub use cache::{Cache, CacheError, CacheLimits, InUse};
pub use driver::{ConnectError, Driver, Event, StartError, Status, Stream, Usage};
pub use inspect::{Kind, NotAComponent, inspect};
pub use logs::{LogChunk, LogLine, LogStream};
pub use spec::{Allow, Digest, Limits, Restart, Spec};
pub use wasm::{Clock, Config, OpenError, Wasm};
