//! Questions and answers between nodes, at the door.

use super::{
    MAX_EXCLUDED, MAX_HOPS, MAX_KEEPALIVE, MAX_LIFETIME, MAX_LIST, MAX_PARTNERS, MAX_PEERS, MAX_TEXT, MAX_WITHDRAWN,
    MAX_WORDS, addresses, at_most, deadline, extensions, longest, malformed, name, partner_name, party, steps, text,
    word,
};
use crate::{
    message::{
        Accept, Accepted, Advertise, Answer, Ask, Buy, Flavours, Hello, Join, Joined, Keepalive, List, Offered,
        Partners, PublishedFlavours, Refresh, Release, Renew, Reply, Request, Reserve, Subscribe, Withdraw,
    },
    refusal::Refusal,
    selector::{self, Bounds, Field, Filter, Selector, Test},
};

impl Ask {
    /// Checks every size and plain contradiction in a question; what is signed in it is checked when opened.
    ///
    /// # Errors
    /// `TooLarge` or `Malformed`, with a sentence that says what.
    pub fn validate(&self) -> Result<(), Refusal> {
        extensions(&self.extensions)?;
        match &self.request {
            Request::Hello(hello) => hello.validate(),
            Request::Join(Join { extensions: more, .. }) | Request::Release(Release { extensions: more, .. }) => {
                extensions(more)
            }
            Request::List(list) => list.validate(),
            Request::Reserve(Reserve { deadline: time, extensions: more, .. })
            | Request::Purchase(Buy { deadline: time, extensions: more, .. })
            | Request::Renew(Renew { deadline: time, extensions: more, .. }) => {
                deadline(*time)?;
                extensions(more)
            }
            Request::Keepalive(Keepalive { contracts, extensions: more }) => {
                at_most("contracts", contracts.len(), MAX_KEEPALIVE)?;
                extensions(more)
            }
            Request::Accept(Accept { addresses: list, extensions: more, .. }) => {
                addresses(list)?;
                extensions(more)
            }
            Request::Partners(Partners { partners, extensions: more }) => {
                at_most("partners", partners.len(), MAX_PARTNERS)?;
                partners.iter().try_for_each(|partner| partner_name(&partner.name))?;
                extensions(more)
            }
            Request::Advertise(advertise) => advertise.validate(),
            Request::Refresh(Refresh { offers, extensions: more, .. }) => {
                offered(offers)?;
                extensions(more)
            }
            Request::Withdraw(Withdraw { offers, extensions: more, .. }) => {
                at_most("flavours withdrawn", offers.len(), MAX_WITHDRAWN)?;
                extensions(more)
            }
            Request::Subscribe(Subscribe { selector, within, extensions: more }) => {
                selector.validate()?;
                longest("time to subscribe for", *within, MAX_LIFETIME)?;
                extensions(more)
            }
            Request::CapacityDigest(digest) => digest.validate(),
        }
    }
}

impl Reply {
    /// Checks every size and plain contradiction in an answer; what is signed in it is checked when opened.
    ///
    /// # Errors
    /// `TooLarge` or `Malformed`, with a sentence that says what.
    pub fn validate(&self) -> Result<(), Refusal> {
        steps(&self.steps)?;
        extensions(&self.extensions)?;
        match &self.answer {
            Answer::Hello(hello) => hello.validate(),
            Answer::Joined(Joined { peers, extensions: more, .. }) => {
                at_most("peers", peers.len(), MAX_PEERS)?;
                peers.iter().try_for_each(party)?;
                extensions(more)
            }
            Answer::Flavours(Flavours { flavours, extensions: more, .. }) => {
                at_most("flavours", flavours.len(), MAX_LIST as usize)?;
                flavours.iter().try_for_each(|flavour| flavour.validate())?;
                extensions(more)
            }
            Answer::Dead(contracts) => at_most("contracts", contracts.len(), MAX_KEEPALIVE),
            Answer::Refused(refusal) => refusal.validate(),
            Answer::Accepted(Accepted { addresses: list, extensions: more, .. }) => {
                addresses(list)?;
                extensions(more)
            }
            Answer::Snapshot(advertise) => advertise.validate(),
            Answer::Published(PublishedFlavours { offers, extensions: more, .. }) => {
                at_most("flavours", offers.len(), MAX_LIST as usize)?;
                extensions(more)
            }
            Answer::Reserved(_)
            | Answer::Contract(_)
            | Answer::Renewed(_)
            | Answer::Released
            | Answer::Noted
            | Answer::Taken(_) => Ok(()),
        }
    }
}

impl Advertise {
    fn validate(&self) -> Result<(), Refusal> {
        offered(&self.offers)?;
        extensions(&self.extensions)
    }
}

/// Checks the offers of a feed; those that are signed are checked when they are opened.
fn offered(offers: &[Offered]) -> Result<(), Refusal> {
    at_most("flavours", offers.len(), MAX_LIST as usize)?;
    offers.iter().try_for_each(|offer| match offer {
        Offered::Direct(flavour) => flavour.validate(),
        Offered::Signed(_) => Ok(()),
    })
}

impl Refusal {
    pub(super) fn validate(&self) -> Result<(), Self> {
        text("refusal", self.raw_text(), MAX_TEXT)
    }
}

impl Hello {
    fn validate(&self) -> Result<(), Refusal> {
        addresses(&self.addresses)?;
        extensions(&self.extensions)
    }
}

impl List {
    fn validate(&self) -> Result<(), Refusal> {
        self.selector.validate()?;
        if self.limit == 0 {
            return Err(malformed("the limit", "is 0, and no answer would do"));
        }
        at_most("flavours asked for", self.limit as usize, MAX_LIST as usize)?;
        at_most("flavours excluded", self.exclude.len(), MAX_EXCLUDED)?;
        at_most("hops left", self.hops_left.into(), MAX_HOPS)?;
        at_most("hops made", self.trail.len(), MAX_HOPS)?;
        deadline(self.deadline)?;
        extensions(&self.extensions)
    }
}

impl Selector {
    /// Checks the number of filters, the lengths of words and lists, and that each filter could hold.
    ///
    /// What was read from text is always valid.
    ///
    /// # Errors
    /// `TooLarge` or `Malformed`, with a sentence that says what.
    pub fn validate(&self) -> Result<(), Refusal> {
        at_most("filters", self.filters.len(), selector::MAX_FILTERS)?;
        self.filters.iter().try_for_each(Filter::validate)
    }
}

impl Filter {
    fn validate(&self) -> Result<(), Refusal> {
        let in_order = match self {
            Self::Amount(_, Bounds::Between(low, high)) => low <= high,
            Self::Price(Bounds::Between(low, high)) => low.within(high) == Some(true),
            Self::Latency(Bounds::Between(low, high)) => low <= high,
            Self::Amount(..) | Self::Price(_) | Self::Latency(_) => true,
            Self::Word(field, test) => {
                if let Field::Property(property) = field {
                    name("property's name", property)?;
                }
                return test.validate();
            }
        };
        if in_order { Ok(()) } else { Err(malformed("a range", "ends before it begins")) }
    }
}

impl Test {
    fn validate(&self) -> Result<(), Refusal> {
        let list = match self {
            Self::Is(one) => return word("selector's word", one),
            Self::In(list) | Self::NotIn(list) => list,
        };
        if list.is_empty() {
            return Err(malformed("a list of words", "is empty"));
        }
        at_most("words of a filter", list.len(), MAX_WORDS)?;
        list.iter().try_for_each(|one| word("selector's word", one))
    }
}
