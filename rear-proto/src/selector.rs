//! Selectors: what is wanted of a flavour, as an AND of filters, each a match, a range or a list.

mod print;
mod text;

use kernel::{Quantity, Resource, Resources};
use serde::{Deserialize, Serialize};

use crate::{
    flavour::{Flavour, Kind},
    partition,
    price::Rate,
};

pub use text::ParseSelectorError;

/// The most filters that one selector has.
pub const MAX_FILTERS: usize = 64;
/// The longest text form, in bytes.
pub const MAX_TEXT: usize = 4 << 10;

/// What is wanted: every filter must hold. The empty selector wants anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selector {
    /// The filters, in the order in which they were written.
    pub filters: Vec<Filter>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// On an amount that is available: `cpu>=2`, `memory=4Gi`, `cpu in 1..4`.
    Amount(Resource, Bounds<Quantity>),
    /// On the price of the smallest partition that covers the amounts asked for: `price<=0.10EUR/h`.
    Price(Bounds<Rate>),
    /// On the latency, in milliseconds: the measured one where there is one, otherwise the one stated.
    Latency(Bounds<u32>),
    /// On a word: `arch=amd64`, `domain not in (a, b)`.
    Word(Field, Test),
}

/// A match or a range; both ends belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bounds<T> {
    /// Exactly this.
    Match(T),
    /// At least this.
    AtLeast(T),
    /// At most this.
    AtMost(T),
    /// From the first to the second.
    Between(T, T),
}

/// A field that holds a word, or several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Field {
    /// The kind: `K8Slice`, `VM`, `Service`, `Sensor`.
    Kind,
    /// The architecture.
    Architecture,
    /// Country, city or note of the place.
    Location,
    /// The domain's name or key.
    Domain,
    /// The tags.
    Tags,
    /// A named property: `property.compliance=GDPR`; security standards are the property `security`.
    Property(String),
    /// The drivers that a slice runs workloads with: `wasm`, `oci`, `kubernetes`.
    Runtime,
}

/// What must be true of a word; case does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// It is this one.
    Is(String),
    /// It is one of these.
    In(Vec<String>),
    /// It is none of these.
    NotIn(Vec<String>),
}

/// How a flavour meets a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// The smallest partition that covers what is wanted.
    pub partition: Resources,
    /// What that costs.
    pub price: Rate,
}

/// The filter that ruled a flavour out, and what the flavour has instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wanted}: it has {has}")]
pub struct Mismatch {
    /// The filter, in text form.
    pub wanted: String,
    /// What there is.
    pub has: String,
}

impl Selector {
    /// Returns the least of each resource that the filters ask for.
    pub fn need(&self) -> Resources {
        let mut need = Resources::default();
        for filter in &self.filters {
            match filter {
                Filter::Amount(resource, bounds) => {
                    let least = match bounds {
                        Bounds::Match(amount) | Bounds::AtLeast(amount) | Bounds::Between(amount, _) => *amount,
                        Bounds::AtMost(_) => Quantity::ZERO,
                    };
                    let wanted = need.of_mut(*resource);
                    *wanted = least.max(*wanted);
                }
                Filter::Price(_) | Filter::Latency(_) | Filter::Word(..) => {}
            }
        }
        need
    }

    /// Returns the lowest ceiling that the filters set on the price, where they do.
    ///
    /// Of ceilings in several currencies it is the first: nothing can be within them all.
    pub fn ceiling(&self) -> Option<Rate> {
        let ceilings = self.filters.iter().filter_map(|filter| match filter {
            Filter::Price(Bounds::AtMost(rate) | Bounds::Match(rate) | Bounds::Between(_, rate)) => Some(*rate),
            Filter::Price(Bounds::AtLeast(_)) | Filter::Amount(..) | Filter::Latency(_) | Filter::Word(..) => None,
        });
        ceilings.reduce(|lowest, rate| if rate.within(&lowest) == Some(true) { rate } else { lowest })
    }

    /// Checks a flavour; `round_trip_ms` is the latency that was measured to its provider, where it was.
    ///
    /// # Errors
    /// The first filter that does not hold, and what the flavour has instead.
    pub fn check(&self, flavour: &Flavour, round_trip_ms: Option<u32>) -> Result<Fit, Mismatch> {
        self.fit(flavour, round_trip_ms).ok_or_else(|| self.mismatch(flavour, round_trip_ms))
    }

    /// Says why a flavour does not fit.
    fn mismatch(&self, flavour: &Flavour, round_trip_ms: Option<u32>) -> Mismatch {
        if let Some(filter) = self.filters.iter().find(|filter| !filter.holds(flavour, round_trip_ms)) {
            return Mismatch { wanted: filter.to_string(), has: filter.has(flavour, round_trip_ms) };
        }
        let need = self.need();
        let partition = match partition::covering(flavour, &need) {
            Ok(partition) => partition,
            Err(refusal) => return Mismatch { wanted: format!("a partition of {need}"), has: refusal.text() },
        };
        if let Err(shortage) = flavour.available.holds(&partition) {
            return Mismatch { wanted: format!("a partition of {partition}"), has: shortage.to_string() };
        }
        let Some(price) = flavour.price.of(&partition, &flavour.base) else {
            let has = format!("{}{}", flavour.price.amount, flavour.price.currency);
            return Mismatch { wanted: "a price that can be counted".to_owned(), has };
        };
        let filter = self.filters.iter().find(|filter| !filter.holds_price(&price));
        Mismatch { wanted: filter.map(Filter::to_string).unwrap_or_default(), has: price.to_string() }
    }

    /// Returns how a flavour fits: what [`check`](Self::check) does, without finding words for why it does not.
    pub fn fit(&self, flavour: &Flavour, round_trip_ms: Option<u32>) -> Option<Fit> {
        if !self.filters.iter().all(|filter| filter.holds(flavour, round_trip_ms)) {
            return None;
        }
        let partition = partition::covering(flavour, &self.need()).ok()?;
        flavour.available.holds(&partition).ok()?;
        let price = flavour.price.of(&partition, &flavour.base)?;
        self.filters.iter().all(|filter| filter.holds_price(&price)).then_some(Fit { partition, price })
    }
}

impl Filter {
    fn holds(&self, flavour: &Flavour, round_trip_ms: Option<u32>) -> bool {
        match self {
            Self::Price(_) => true,
            Self::Amount(resource, bounds) => bounds.hold(&flavour.available.of(*resource)),
            Self::Latency(bounds) => {
                round_trip_ms.or(flavour.properties.latency_ms).is_some_and(|latency| bounds.hold(&latency))
            }
            Self::Word(field, test) => {
                let words = field.words(flavour);
                let among = |list: &[String]| list.iter().any(|word| field.has(flavour, &words, word));
                match test {
                    Test::Is(word) => field.has(flavour, &words, word),
                    Test::In(list) => among(list),
                    Test::NotIn(list) => !among(list),
                }
            }
        }
    }

    /// Returns what the flavour has where this asks for something else.
    fn has(&self, flavour: &Flavour, round_trip_ms: Option<u32>) -> String {
        match self {
            Self::Price(_) => format!("{}{}", flavour.price.amount, flavour.price.currency),
            Self::Amount(resource, _) => format!("{} available", flavour.available.of(*resource)),
            Self::Latency(_) => match round_trip_ms.or(flavour.properties.latency_ms) {
                Some(latency) => format!("{latency} ms"),
                None => "no latency known".to_owned(),
            },
            Self::Word(field, _) => match field.words(flavour).as_slice() {
                [] => "none".to_owned(),
                words => words.join(", "),
            },
        }
    }

    fn holds_price(&self, price: &Rate) -> bool {
        let Self::Price(bounds) = self else { return true };
        let within = |low: Option<&Rate>, high: Option<&Rate>| {
            high.is_none_or(|high| price.within(high) == Some(true))
                && low.is_none_or(|low| low.within(price) == Some(true))
        };
        match bounds {
            Bounds::Match(rate) => within(Some(rate), Some(rate)),
            Bounds::AtLeast(low) => within(Some(low), None),
            Bounds::AtMost(high) => within(None, Some(high)),
            Bounds::Between(low, high) => within(Some(low), Some(high)),
        }
    }
}

impl<T: PartialOrd> Bounds<T> {
    fn hold(&self, value: &T) -> bool {
        match self {
            Self::Match(wanted) => value == wanted,
            Self::AtLeast(low) => value >= low,
            Self::AtMost(high) => value <= high,
            Self::Between(low, high) => value >= low && value <= high,
        }
    }
}

impl Field {
    /// Returns what the flavour has in this field.
    fn words<'a>(&self, flavour: &'a Flavour) -> Vec<&'a str> {
        let properties = &flavour.properties;
        let all = |words: &'a [String]| words.iter().map(String::as_str).collect();
        match self {
            Self::Kind => vec![flavour.kind.name()],
            Self::Architecture => flavour.kind.architecture().into_iter().collect(),
            Self::Location => flavour
                .location
                .iter()
                .flat_map(|place| [&place.country, &place.city, &place.notes])
                .flatten()
                .map(String::as_str)
                .collect(),
            Self::Domain => vec![&flavour.domain.name],
            Self::Tags => all(&properties.tags),
            Self::Runtime => match &flavour.kind {
                Kind::K8Slice(slice) => all(&slice.runtimes),
                Kind::Vm(_) | Kind::Service(_) | Kind::Sensor(_) => Vec::new(),
            },
            Self::Property(name) if name.eq_ignore_ascii_case("security") => all(&properties.security_standards),
            Self::Property(name) => properties.additional.get(name).map(String::as_str).into_iter().collect(),
        }
    }

    fn has(&self, flavour: &Flavour, words: &[&str], word: &str) -> bool {
        words.iter().any(|has| has.eq_ignore_ascii_case(word))
            || (*self == Self::Domain && flavour.domain.key.to_string().eq_ignore_ascii_case(word))
    }
}
