//! Offers that pass through a third party: signed by the party to reserve with, each for the eyes of one domain.
//!
//! A catalogue carries them and can neither change nor invent one; whom an offer is for is part of what is signed, so
//! that it can't be shown to another domain as if it were for that one.

use kernel::{DomainKey, NodeId, Time};
use serde::{Deserialize, Serialize};

use crate::{flavour::Flavour, message::Extensions, refusal::Refusal, signed::Signable};

/// An offer for one domain, signed by the party to reserve with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Who signs it: the party to reserve with, a supernode of the flavour's domain.
    pub by: NodeId,
    /// Whose eyes it is for.
    pub viewer: DomainKey,
    /// When it was signed, by the signer's clock; the later of two is the one that holds.
    pub at: Time,
    /// The offer, under the id that it has for that domain. Its time to live counts from `at`.
    pub flavour: Flavour,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Published {
    const TAG: &'static str = "tombolo published 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}
