//! Capacity digests: what a domain has to offer one viewer, in a kilobyte, so that the viewer asks only those domains
//! that may have what it wants.
//!
//! ```text
//!  offers as the viewer sees them ─► Group::of each ─► Gathering: like to like, merged until it is small ─► digest
//!                                                           selector ─► may_have: no, or perhaps ◄────────────┘
//! ```
//! A digest errs on one side: it says no only where no offer that went into it can match. Nothing here knows who may
//! see what, when to tell, or for how long to believe.

mod gathering;
mod group;
mod least;
mod words;

use kernel::Span;
use serde::{Deserialize, Serialize};

pub use gathering::{Gathering, MOST_BYTES, MOST_GROUPS};
pub use group::Group;
pub use least::{Least, Share};
pub use words::Words;

use crate::{
    flavour::{Domain, Epoch},
    message::Extensions,
    selector::{Field, Filter, Selector},
};

/// CAPACITY_DIGEST: all that the sender's domain may show the receiver's, summarised. It replaces what was said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityDigest {
    /// Which of the sender's digests: a later one has a larger number, over restarts too.
    pub number: Epoch,
    /// The domain in whose name all of it is offered.
    pub domain: Domain,
    /// What there is; each offer is in one of them.
    pub groups: Vec<Group>,
    /// Whether there may be anything at all, whatever the groups say.
    pub everything: bool,
    /// For how long it may be relied on, if nothing more is heard.
    pub expires_in: Span,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl CapacityDigest {
    /// Says whether an offer that was summarised may match; what it says `false` to, none can.
    ///
    /// Latency is not looked at: it is the asker's to judge, for whom it was not measured by the one who made this.
    pub fn may_have(&self, selector: &Selector) -> bool {
        self.everything || self.fitting(selector).next().is_some()
    }

    /// Returns how many offers may match at most, as far as is known.
    pub fn most(&self, selector: &Selector) -> u32 {
        if self.everything {
            return u32::MAX;
        }
        self.fitting(selector).fold(0, |most, group| most.saturating_add(group.count))
    }

    fn fitting<'a>(&'a self, selector: &'a Selector) -> impl Iterator<Item = &'a Group> {
        let need = selector.need();
        let is_here = self.is_of(selector);
        self.groups.iter().filter(move |group| is_here && group.may_have(selector, &need))
    }

    /// Says whether what a selector asks of the domain is true of this one.
    fn is_of(&self, selector: &Selector) -> bool {
        let names = Words::alike([self.domain.name.clone(), self.domain.key.to_string()]);
        selector.filters.iter().all(|filter| match filter {
            Filter::Word(Field::Domain, test) => names.may_meet(test),
            Filter::Word(..) | Filter::Amount(..) | Filter::Price(_) | Filter::Latency(_) => true,
        })
    }
}
