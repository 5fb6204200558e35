//! A group of offers: what is true of each of them, or of all together.

use std::collections::BTreeMap;

use kernel::{Resource, Resources};
use serde::{Deserialize, Serialize};

use super::{Least, Words};
use crate::{
    flavour::{Flavour, Kind},
    partition,
    selector::{Field, Filter, Selector},
};

/// The name under which selectors ask for security standards.
const SECURITY: &str = "security";

/// Some offers as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How many they are.
    pub count: u32,
    /// Their kinds.
    pub kinds: Words,
    /// Their architectures.
    pub architectures: Words,
    /// The drivers that they run workloads with.
    pub runtimes: Words,
    /// Where they are: countries, cities and notes.
    pub locations: Words,
    /// Their tags.
    pub tags: Words,
    /// Their named properties, the security standards among them; a name that is missing none of them has. Without,
    /// nothing is known of them.
    pub properties: Option<BTreeMap<String, Words>>,
    /// The most of each resource that is left of one of them, though not of the same one.
    pub available: Resources,
    /// The least that a part of one costs; without, anything.
    pub price: Option<Least>,
}

/// How many words are kept of a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail {
    /// Of each field.
    pub(super) words: usize,
    /// How many properties are kept by name.
    pub(super) properties: usize,
}

impl Group {
    /// Returns the group of one offer.
    pub fn of(flavour: &Flavour) -> Self {
        let properties = &flavour.properties;
        let place = flavour.location.iter().flat_map(|place| [&place.country, &place.city, &place.notes]).flatten();
        let runtimes: &[String] = match &flavour.kind {
            Kind::K8Slice(slice) => &slice.runtimes,
            Kind::Vm(_) | Kind::Service(_) | Kind::Sensor(_) => &[],
        };
        let additional = properties.additional.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(SECURITY));
        let mut named: BTreeMap<String, Words> =
            additional.map(|(name, word)| (name.clone(), Words::alike([word.clone()]))).collect();
        if !properties.security_standards.is_empty() {
            named.insert(SECURITY.to_owned(), Words::alike(properties.security_standards.iter().cloned()));
        }
        Self {
            count: 1,
            kinds: Words::alike([flavour.kind.name().to_owned()]),
            architectures: Words::alike(flavour.kind.architecture().map(str::to_owned)),
            runtimes: Words::alike(runtimes.iter().cloned()),
            locations: Words::alike(place.cloned()),
            tags: Words::alike(properties.tags.iter().cloned()),
            properties: Some(named),
            available: to_be_had(flavour),
            price: Some(Least::of(flavour)),
        }
    }

    /// Says whether one of the offers may match; `need` is what the selector needs.
    pub(super) fn may_have(&self, selector: &Selector, need: &Resources) -> bool {
        // To who asks for nothing in particular, offers are shown of which nothing is left.
        self.available.holds(need).is_ok() && selector.filters.iter().all(|filter| self.may_meet(filter, need))
    }

    fn may_meet(&self, filter: &Filter, need: &Resources) -> bool {
        match filter {
            // The least that a filter wants is in the need; how little there may be is not known.
            Filter::Amount(..) | Filter::Latency(_) => true,
            Filter::Price(wanted) => self.price.as_ref().is_none_or(|least| least.may_be(wanted, need)),
            Filter::Word(field, test) => match field {
                Field::Kind => self.kinds.may_meet(test),
                Field::Architecture => self.architectures.may_meet(test),
                Field::Runtime => self.runtimes.may_meet(test),
                Field::Location => self.locations.may_meet(test),
                Field::Tags => self.tags.may_meet(test),
                // It is the digest's, not the group's.
                Field::Domain => true,
                Field::Property(name) => {
                    let name = if name.eq_ignore_ascii_case(SECURITY) { SECURITY } else { name.as_str() };
                    self.properties.as_ref().is_none_or(|named| {
                        named.get(name).map_or_else(|| Words::alike([]).may_meet(test), |words| words.may_meet(test))
                    })
                }
            },
        }
    }

    /// Returns these offers and others as one group.
    pub(super) fn merged(&self, other: &Self, detail: Detail) -> Self {
        let words = |mine: &Words, theirs: &Words| mine.merged(theirs, detail.words);
        let mut available = self.available;
        for resource in Resource::ALL {
            *available.of_mut(resource) = self.available.of(resource).max(other.available.of(resource));
        }
        Self {
            count: self.count.saturating_add(other.count),
            kinds: words(&self.kinds, &other.kinds),
            architectures: words(&self.architectures, &other.architectures),
            runtimes: words(&self.runtimes, &other.runtimes),
            locations: words(&self.locations, &other.locations),
            tags: words(&self.tags, &other.tags),
            properties: self.properties.as_ref().zip(other.properties.as_ref()).and_then(|(mine, theirs)| {
                let none = Words::alike([]);
                let names = mine.keys().chain(theirs.keys());
                let of = |named: &BTreeMap<String, Words>, name| named.get(name).unwrap_or(&none).clone();
                let named = names.map(|name| (name.clone(), words(&of(mine, name), &of(theirs, name)))).collect();
                at_most(named, detail.properties)
            }),
            available,
            price: self.price.as_ref().zip(other.price.as_ref()).and_then(|(mine, theirs)| mine.merged(theirs)),
        }
    }

    /// Returns the same, said in less detail.
    pub(super) fn coarser(self, detail: Detail) -> Self {
        let words = |words: Words| words.at_most(detail.words);
        Self {
            kinds: words(self.kinds),
            architectures: words(self.architectures),
            runtimes: words(self.runtimes),
            locations: words(self.locations),
            tags: words(self.tags),
            properties: self.properties.and_then(|named| {
                let named = named.into_iter().map(|(name, known)| (name, words(known))).collect();
                at_most(named, detail.properties)
            }),
            ..self
        }
    }

    /// Says whether all that may match of other offers may match of these.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let properties = || match (&self.properties, &other.properties) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => {
                let none = Words::alike([]);
                let of = |named: &BTreeMap<String, Words>, name| named.get(name).unwrap_or(&none).clone();
                mine.keys().chain(theirs.keys()).all(|name| of(mine, name).covers(&of(theirs, name)))
            }
        };
        self.available.holds(&other.available).is_ok()
            && self.kinds.covers(&other.kinds)
            && self.architectures.covers(&other.architectures)
            && self.runtimes.covers(&other.runtimes)
            && self.locations.covers(&other.locations)
            && self.tags.covers(&other.tags)
            && match (&self.price, &other.price) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(theirs)) => mine.covers(theirs),
            }
            && properties()
    }
}

/// Returns what is left of an offer, or nothing where that is too little for its smallest part.
fn to_be_had(flavour: &Flavour) -> Resources {
    match partition::covering(flavour, &Resources::default()) {
        Ok(least) if flavour.available.holds(&least).is_ok() => flavour.available,
        Ok(_) | Err(_) => Resources::default(),
    }
}

fn at_most(named: BTreeMap<String, Words>, most: usize) -> Option<BTreeMap<String, Words>> {
    (named.len() <= most).then_some(named)
}
