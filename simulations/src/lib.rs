//! The simulator: the same minds that the daemon hosts, in a world of virtual time, links and disks.
//!
//! ```text
//!  scenario.toml ──► Scenario ──┐
//!                               ├─► plan ──► World ──► what happened ──► audit, measures ──► Outcome
//!                      seed ────┘             │  ▲
//!                                             └──┘ events, one after the other, by virtual time
//! ```
//! A run is a function of (scenario, seed): the same two give the same run, to the byte. Nothing here reads a clock,
//! opens a socket, or asks the system for randomness; only the search and the report use threads and a stopwatch.

pub mod audit;
pub mod measure;
pub mod observe;
pub mod outcome;
pub mod plan;
#[cfg(feature = "planted")]
pub mod planted;
pub mod regressions;
pub mod report;
pub mod run;
pub mod scenario;
pub mod search;
pub mod shipped;
pub mod world;
