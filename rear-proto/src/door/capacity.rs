//! Capacity digests, at the door.

use super::{MAX_DIGEST, MAX_GROUPS, MAX_LIFETIME, MAX_WORDS, at_most, extensions, longest, malformed, name, word};
use crate::{
    capacity::{CapacityDigest, Group, Least, Words},
    price::Rate,
    refusal::Refusal,
    wire::codec,
};

impl CapacityDigest {
    pub(super) fn validate(&self) -> Result<(), Refusal> {
        self.domain.validate()?;
        at_most("groups", self.groups.len(), MAX_GROUPS)?;
        at_most("bytes of the digest", codec::encode(self).len(), MAX_DIGEST)?;
        self.groups.iter().try_for_each(Group::validate)?;
        longest("digest's time to live", self.expires_in, MAX_LIFETIME)?;
        extensions(&self.extensions)
    }
}

impl Group {
    fn validate(&self) -> Result<(), Refusal> {
        let Self { count: _, kinds, architectures, runtimes, locations, tags, properties, available: _, price } = self;
        [kinds, architectures, runtimes, locations, tags].into_iter().try_for_each(Words::validate)?;
        let named = properties.iter().flatten();
        at_most("properties", named.clone().count(), MAX_WORDS)?;
        named.into_iter().try_for_each(|(key, words)| {
            name("property's name", key)?;
            words.validate()
        })?;
        price.as_ref().map_or(Ok(()), Least::validate)
    }
}

impl Words {
    fn validate(&self) -> Result<(), Refusal> {
        at_most("words", self.known().count(), MAX_WORDS)?;
        self.known().try_for_each(|one| word("word", one))
    }
}

impl Least {
    fn validate(&self) -> Result<(), Refusal> {
        let Self { currency, period, amount, shares } = self;
        let of = |amount| Rate { amount, currency: *currency, period: *period }.validate();
        of(*amount)?;
        let mut named = std::collections::BTreeSet::new();
        shares.iter().try_for_each(|share| {
            if !named.insert(share.resource) {
                return Err(malformed("a price", "names a resource twice"));
            }
            of(share.amount)
        })
    }
}
