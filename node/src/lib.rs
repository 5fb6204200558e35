//! The node: hosts the agent, keeps its records and does what it decides.

pub mod commit;
pub mod ledger;
pub mod row;
pub mod store;
