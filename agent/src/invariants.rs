//! The invariants, each written once.
