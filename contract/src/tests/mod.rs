//! The Contract Manager at its boundary: inputs in, effects out; alone, in pairs, and in pairs that crash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod border;
mod buyer;
mod chain;
mod chaos;
mod clocks;
mod hops;
mod moments;
mod relay;
mod relay_ends;
mod restart;
mod samples;
mod seller;
mod story;
mod world;
