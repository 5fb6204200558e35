//! Gathering offers into few groups: like to like, in as much detail as there is room for.

use super::group::{Detail, Group};
use crate::{
    price::{Currency, Period},
    wire::codec,
};

/// The most groups of a digest that is made here.
pub const MOST_GROUPS: usize = 16;
/// The most bytes of its groups: with the rest, a digest stays under a kilobyte, which is one packet or two.
pub const MOST_BYTES: usize = 896;

/// Groups of offers, and how coarse they have become.
#[derive(Debug, Clone, Default)]
pub struct Gathering {
    groups: Vec<Group>,
    level: usize,
}

/// What keeps groups apart, and how much is said of each.
struct Level {
    by_runtime: bool,
    by_architecture: bool,
    by_kind: bool,
    by_currency: bool,
    detail: Detail,
}

/// What is given up first is what is asked for least: which of many tags, then which driver, which processor; the price
/// and the kind last.
const LEVELS: [Level; 6] = [
    Level { by_runtime: true, by_architecture: true, by_kind: true, by_currency: true, detail: FULL },
    Level { by_runtime: true, by_architecture: true, by_kind: true, by_currency: true, detail: SHORT },
    Level { by_runtime: false, by_architecture: true, by_kind: true, by_currency: true, detail: SHORT },
    Level { by_runtime: false, by_architecture: false, by_kind: true, by_currency: true, detail: SHORT },
    Level { by_runtime: false, by_architecture: false, by_kind: true, by_currency: true, detail: NONE },
    Level { by_runtime: false, by_architecture: false, by_kind: false, by_currency: false, detail: NONE },
];
const FULL: Detail = Detail { words: 16, properties: 16 };
const SHORT: Detail = Detail { words: 4, properties: 4 };
const NONE: Detail = Detail { words: 0, properties: 0 };

impl Gathering {
    /// Takes offers in; what was said of others stays true.
    pub fn add(&mut self, group: Group) {
        self.put(group);
        while self.groups.len() > MOST_GROUPS && self.coarsen() {}
    }

    /// Makes it as small as a digest is to be; in whichever order the offers came, it comes to the same.
    pub fn fit(&mut self) {
        while codec::encode(&self.groups).len() > MOST_BYTES && self.coarsen() {}
        self.groups.sort_by_cached_key(|group| {
            let Group { kinds, architectures, runtimes, .. } = group;
            codec::encode(&(kinds, architectures, runtimes, currency(group)))
        });
    }

    /// Says whether whatever may match of these offers has been said to be there.
    pub fn covers(&self, group: &Group) -> bool {
        self.groups.iter().any(|known| known.covers(group))
    }

    /// Says whether it says the same as another, but for how many offers there are.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.groups.iter().map(uncounted).eq(other.groups.iter().map(uncounted))
    }

    /// Returns the groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    fn put(&mut self, group: Group) {
        let Some(level) = LEVELS.get(self.level) else { return };
        let group = group.coarser(level.detail);
        match self.groups.iter_mut().find(|known| level.is_one(known, &group)) {
            // Most are like those before, and there may be many.
            Some(known) if known.covers(&group) => known.count = known.count.saturating_add(group.count),
            Some(known) => *known = known.merged(&group, level.detail),
            None => self.groups.push(group),
        }
    }

    /// Says less; `false` where nothing less can be said.
    fn coarsen(&mut self) -> bool {
        if self.level + 1 >= LEVELS.len() {
            return false;
        }
        self.level += 1;
        std::mem::take(&mut self.groups).into_iter().for_each(|group| self.put(group));
        true
    }
}

impl Level {
    /// Says whether two groups are to be one.
    fn is_one(&self, a: &Group, b: &Group) -> bool {
        (!self.by_runtime || a.runtimes == b.runtimes)
            && (!self.by_architecture || a.architectures == b.architectures)
            && (!self.by_kind || a.kinds == b.kinds)
            && (!self.by_currency || currency(a) == currency(b))
    }
}

fn currency(group: &Group) -> Option<(Currency, Period)> {
    group.price.as_ref().map(|least| (least.currency, least.period))
}

fn uncounted(group: &Group) -> Group {
    Group { count: 0, ..group.clone() }
}
