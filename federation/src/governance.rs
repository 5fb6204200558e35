//! What a federation of domains has decided, and what follows: who is a member, and under which statute.
//!
//! ```text
//!  create ──► add beta ──┬──► remove alpha ──┬──► …      each names the decisions that it builds on
//!                        └──► add gamma  ────┘           two that did not know of each other both stand
//! ```
//! Everybody who has heard the same decisions, in whatever order, derives the same membership: it is what they come to
//! one after the other, those first that others build on, and of two that did not know of each other that proposed earlier.

mod chronicle;
mod flaw;
mod hall;
mod membership;

pub use chronicle::{Chronicle, Learnt};
pub use flaw::Flaw;
pub use hall::{Changed, GRACE, Hall, Spokesman, State};
pub use membership::{Member, Membership, Parting, Standing};
