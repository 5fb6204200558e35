//! The node: hosts the agent, keeps its records and does what it decides.

pub mod api;
pub mod audit;
pub mod body;
pub mod cli;
pub mod clock;
pub mod commit;
pub mod config;
pub mod daemon;
pub mod data_dir;
pub mod death;
pub mod demo;
pub mod doers;
pub mod door;
pub mod expose;
pub mod host;
pub mod init;
pub mod ledger;
pub mod measure;
pub mod modules;
pub mod net;
pub mod open_files;
pub mod row;
pub mod sandbox;
pub mod store;
pub mod tunnel;
pub mod works;
