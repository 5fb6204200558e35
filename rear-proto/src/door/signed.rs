//! What is signed, at the door: it is checked as it is opened.

use kernel::{Resources, Span};

use super::{MAX_ISSUERS, MAX_REVOKED, MAX_SUPERNODES, MAX_TERM, at_most, extensions, longest, malformed, party};
use crate::{
    contract::{Contract, Order, Purchase, Renewal, RenewalAsk, Reserved, TunnelKey},
    membership::{Certificate, Descriptor, IssuerList},
    published::Published,
    refusal::Refusal,
};

impl IssuerList {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.domain.validate()?;
        at_most("issuers", self.issuers.len(), MAX_ISSUERS)?;
        extensions(&self.extensions)
    }
}

impl Certificate {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        extensions(&self.extensions)
    }
}

impl Descriptor {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        at_most("supernodes", self.supernodes.len(), MAX_SUPERNODES)?;
        self.supernodes.iter().try_for_each(party)?;
        at_most("removed nodes", self.revoked.len(), MAX_REVOKED)?;
        extensions(&self.extensions)
    }
}

impl Order {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.buyer == self.seller {
            return Err(malformed("the order", "has one node for both parties"));
        }
        if self.partition == Resources::default() {
            return Err(malformed("the order", "is for nothing"));
        }
        term(self.term)?;
        longest("time to activate", self.activate_within, MAX_TERM)?;
        self.ceiling.validate()?;
        extensions(&self.extensions)
    }
}

impl Reserved {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.price.validate()?;
        longest("term", self.term, MAX_TERM)?;
        longest("time to purchase", self.purchase_within, MAX_TERM)?;
        extensions(&self.extensions)
    }
}

impl Purchase {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        extensions(&self.extensions)
    }
}

impl Contract {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.price.validate()?;
        longest("term", self.term, MAX_TERM)?;
        longest("time to activate", self.activate_within, MAX_TERM)?;
        extensions(&self.extensions)
    }
}

impl TunnelKey {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        extensions(&self.extensions)
    }
}

impl Published {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.flavour.validate()?;
        if self.flavour.provider.node != self.by {
            return Err(malformed("the offer", "names another party to reserve with than the one that signs it"));
        }
        extensions(&self.extensions)
    }
}

impl RenewalAsk {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        term(self.term)?;
        self.ceiling.validate()?;
        extensions(&self.extensions)
    }
}

impl Renewal {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.price.validate()?;
        longest("term", self.term, MAX_TERM)?;
        extensions(&self.extensions)
    }
}

fn term(span: Span) -> Result<(), Refusal> {
    if span == Span::ZERO { Err(malformed("the term", "is no time at all")) } else { longest("term", span, MAX_TERM) }
}
