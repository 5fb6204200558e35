//! A shelf: the offers of one side, findable by their words and by what is available of cpu and memory.
//!
//! A question takes the narrowest of the ways that its filters open, and checks what it finds there; so what it
//! costs depends on how many come close to matching, not on how many there are.

use std::{
    collections::{BTreeMap, BTreeSet, btree_set},
    iter,
};

use kernel::{Quantity, Resource};
use rear_proto::{
    Flavour, Kind, Selector,
    selector::{Bounds, Field, Filter, Test},
};

use super::{Slot, toil::EXHAUSTED};

/// Offers by what selectors ask for most.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    all: BTreeSet<Slot>,
    /// By each word of each field, in lower case.
    words: BTreeMap<(Field, String), BTreeSet<Slot>>,
    /// By what is available.
    cpu: BTreeSet<(Quantity, Slot)>,
    memory: BTreeSet<(Quantity, Slot)>,
}

/// A way to the offers that may match.
enum Way<'a> {
    /// All of them.
    All,
    /// Those with one of some words.
    Words(Vec<&'a BTreeSet<Slot>>),
    /// Those within a range of cpu or memory.
    Range(&'a BTreeSet<(Quantity, Slot)>, Bound),
}

/// The least and the most of a resource, both belonging to it.
#[derive(Clone, Copy)]
struct Bound {
    low: Quantity,
    high: Option<Quantity>,
}

impl Shelf {
    pub(super) fn add(&mut self, slot: Slot, flavour: &Flavour) {
        self.all.insert(slot);
        for word in words(flavour) {
            self.words.entry(word).or_default().insert(slot);
        }
        self.cpu.insert((flavour.available.cpu, slot));
        self.memory.insert((flavour.available.memory, slot));
    }

    pub(super) fn remove(&mut self, slot: Slot, flavour: &Flavour) {
        self.all.remove(&slot);
        for word in words(flavour) {
            if let Some(slots) = self.words.get_mut(&word) {
                slots.remove(&slot);
                if slots.is_empty() {
                    self.words.remove(&word);
                }
            }
        }
        self.cpu.remove(&(flavour.available.cpu, slot));
        self.memory.remove(&(flavour.available.memory, slot));
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Slot> {
        self.all.iter().copied()
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Returns every offer that may match, each once, and as few others as the narrowest way allows.
    pub(super) fn narrowed<'a>(&'a self, selector: &Selector) -> Box<dyn Iterator<Item = Slot> + 'a> {
        match self.narrowest(selector) {
            Way::All => Box::new(self.all()),
            Way::Range(range, bound) => Box::new(bound.of(range).map(|(_, slot)| *slot)),
            Way::Words(sets) => match sets.as_slice() {
                [one] => Box::new(one.iter().copied()),
                // An offer may have several of the words.
                sets => Box::new(merged(sets)),
            },
        }
    }

    fn narrowest(&self, selector: &Selector) -> Way<'_> {
        let (mut best, mut width) = (Way::All, self.all.len());
        for filter in &selector.filters {
            let Filter::Word(field, test) = filter else { continue };
            let wanted: BTreeSet<String> = match test {
                Test::Is(word) => iter::once(word.to_ascii_lowercase()).collect(),
                Test::In(list) => list.iter().map(|word| word.to_ascii_lowercase()).collect(),
                Test::NotIn(_) => continue,
            };
            let field = indexed(field);
            let sets: Vec<_> = wanted.into_iter().filter_map(|word| self.words.get(&(field.clone(), word))).collect();
            let size = sets.iter().map(|set| set.len()).sum();
            if size < width {
                (best, width) = (Way::Words(sets), size);
            }
        }
        self.race(selector, width).unwrap_or(best)
    }

    /// Runs both ranges side by side and returns the one that ends first, if it does before `width` steps: so
    /// that to find the narrower one costs no more than to walk it twice. Where everything is wider than what would
    /// be looked at anyway, a range is still better than nothing: more of it matches.
    fn race(&self, selector: &Selector, width: usize) -> Option<Way<'_>> {
        let mut ranges: Vec<_> = [(Resource::Cpu, &self.cpu), (Resource::Memory, &self.memory)]
            .into_iter()
            .filter_map(|(resource, set)| {
                let bound = Bound::asked(selector, resource)?;
                Some((bound.of(set), set, bound))
            })
            .collect();
        if ranges.is_empty() {
            return None;
        }
        for _ in 0..width.min(EXHAUSTED) {
            for (range, set, bound) in &mut ranges {
                if range.next().is_none() {
                    return Some(Way::Range(set, *bound));
                }
            }
        }
        ranges.first().filter(|_| width > EXHAUSTED).map(|(_, set, bound)| Way::Range(set, *bound))
    }
}

/// Walks several sets as one, in order and each member once; nothing is gathered that nobody looks at.
fn merged<'a>(sets: &[&'a BTreeSet<Slot>]) -> impl Iterator<Item = Slot> + use<'a> {
    let mut walks: Vec<_> = sets.iter().map(|set| set.iter().copied().peekable()).collect();
    iter::from_fn(move || {
        let next = walks.iter_mut().filter_map(|walk| walk.peek().copied()).min()?;
        for walk in &mut walks {
            walk.next_if_eq(&next);
        }
        Some(next)
    })
}

impl Bound {
    /// Returns what all filters together ask of a resource, where they ask anything.
    fn asked(selector: &Selector, resource: Resource) -> Option<Self> {
        let low = selector.need().of(resource);
        let high = selector
            .filters
            .iter()
            .filter_map(|filter| match filter {
                Filter::Amount(of, Bounds::Match(most) | Bounds::AtMost(most) | Bounds::Between(_, most))
                    if *of == resource =>
                {
                    Some(*most)
                }
                Filter::Amount(..) | Filter::Price(_) | Filter::Latency(_) | Filter::Word(..) => None,
            })
            .min();
        (!low.is_zero() || high.is_some()).then_some(Self { low, high })
    }

    fn of(self, set: &BTreeSet<(Quantity, Slot)>) -> Ranged<'_> {
        match self.high {
            // A range that ends before it begins holds nothing; the set would panic at it.
            Some(high) if high < self.low => Ranged(None),
            Some(high) => Ranged(Some(set.range((self.low, Slot::MIN)..=(high, Slot::MAX)))),
            None => Ranged(Some(set.range((self.low, Slot::MIN)..))),
        }
    }
}

/// A walk over a range, which may be of nothing.
struct Ranged<'a>(Option<btree_set::Range<'a, (Quantity, Slot)>>);

impl<'a> Iterator for Ranged<'a> {
    type Item = &'a (Quantity, Slot);
    fn next(&mut self) -> Option<Self::Item> {
        self.0.as_mut()?.next()
    }
}

/// The field as the shelf has it: the security standards answer to their name in any case.
fn indexed(field: &Field) -> Field {
    match field {
        Field::Property(name) if name.eq_ignore_ascii_case("security") => Field::Property("security".to_owned()),
        Field::Property(_)
        | Field::Kind
        | Field::Architecture
        | Field::Location
        | Field::Domain
        | Field::Tags
        | Field::Runtime => field.clone(),
    }
}

/// Every word by which a flavour may be found, in lower case, as `Selector::check` reads it.
fn words(flavour: &Flavour) -> BTreeSet<(Field, String)> {
    let properties = &flavour.properties;
    let place = flavour.location.iter().flat_map(|place| [&place.country, &place.city, &place.notes]).flatten();
    let additional = properties
        .additional
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("security"))
        .map(|(name, value)| (Field::Property(name.clone()), value.as_str()));
    let runtimes: &[String] = match &flavour.kind {
        Kind::K8Slice(slice) => &slice.runtimes,
        Kind::Vm(_) | Kind::Service(_) | Kind::Sensor(_) => &[],
    };
    iter::once((Field::Kind, flavour.kind.name()))
        .chain(flavour.kind.architecture().map(|word| (Field::Architecture, word)))
        .chain(place.map(|word| (Field::Location, word.as_str())))
        .chain(iter::once((Field::Domain, flavour.domain.name.as_str())))
        .chain(properties.tags.iter().map(|word| (Field::Tags, word.as_str())))
        .chain(runtimes.iter().map(|word| (Field::Runtime, word.as_str())))
        .chain(properties.security_standards.iter().map(|word| (Field::Property("security".to_owned()), word.as_str())))
        .chain(additional)
        .map(|(field, word)| (field, word.to_ascii_lowercase()))
        .chain(iter::once((Field::Domain, flavour.domain.key.to_string())))
        .collect()
}
