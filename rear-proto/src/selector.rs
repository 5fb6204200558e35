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
        for filter in &self.filters {
            filter.check(flavour, round_trip_ms)?;
        }
        let need = self.need();
        let partition = partition::covering(flavour, &need)
            .map_err(|refusal| Mismatch { wanted: format!("a partition of {need}"), has: refusal.text() })?;
        if let Err(shortage) = flavour.available.holds(&partition) {
            return Err(Mismatch { wanted: format!("a partition of {partition}"), has: shortage.to_string() });
        }
        let price = flavour.price.of(&partition, &flavour.base).ok_or_else(|| Mismatch {
            wanted: "a price that can be counted".to_owned(),
            has: format!("{}{}", flavour.price.amount, flavour.price.currency),
        })?;
        for filter in &self.filters {
            filter.check_price(&price)?;
        }
        Ok(Fit { partition, price })
    }
}

impl Filter {
    fn check(&self, flavour: &Flavour, round_trip_ms: Option<u32>) -> Result<(), Mismatch> {
        let mismatch = |has: String| Err(Mismatch { wanted: self.to_string(), has });
        match self {
            Self::Price(_) => Ok(()),
            Self::Amount(resource, bounds) => {
                let available = flavour.available.of(*resource);
                if bounds.hold(&available) { Ok(()) } else { mismatch(format!("{available} available")) }
            }
            Self::Latency(bounds) => match round_trip_ms.or(flavour.properties.latency_ms) {
                Some(latency) if bounds.hold(&latency) => Ok(()),
                Some(latency) => mismatch(format!("{latency} ms")),
                None => mismatch("no latency known".to_owned()),
            },
            Self::Word(field, test) => {
                let words = field.words(flavour);
                let among = |list: &[String]| list.iter().any(|word| field.has(flavour, &words, word));
                let holds = match test {
                    Test::Is(word) => field.has(flavour, &words, word),
                    Test::In(list) => among(list),
                    Test::NotIn(list) => !among(list),
                };
                if holds {
                    return Ok(());
                }
                mismatch(if words.is_empty() { "none".to_owned() } else { words.join(", ") })
            }
        }
    }

    fn check_price(&self, price: &Rate) -> Result<(), Mismatch> {
        let Self::Price(bounds) = self else { return Ok(()) };
        let within = |low: Option<&Rate>, high: Option<&Rate>| {
            high.is_none_or(|high| price.within(high) == Some(true))
                && low.is_none_or(|low| low.within(price) == Some(true))
        };
        let holds = match bounds {
            Bounds::Match(rate) => within(Some(rate), Some(rate)),
            Bounds::AtLeast(low) => within(Some(low), None),
            Bounds::AtMost(high) => within(None, Some(high)),
            Bounds::Between(low, high) => within(Some(low), Some(high)),
        };
        if holds { Ok(()) } else { Err(Mismatch { wanted: self.to_string(), has: price.to_string() }) }
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
    fn words(&self, flavour: &Flavour) -> Vec<String> {
        let properties = &flavour.properties;
        match self {
            Self::Kind => vec![flavour.kind.name().to_owned()],
            Self::Architecture => flavour.kind.architecture().map(str::to_owned).into_iter().collect(),
            Self::Location => flavour
                .location
                .iter()
                .flat_map(|place| [&place.country, &place.city, &place.notes])
                .flatten()
                .cloned()
                .collect(),
            Self::Domain => vec![flavour.domain.name.clone()],
            Self::Tags => properties.tags.clone(),
            Self::Runtime => match &flavour.kind {
                Kind::K8Slice(slice) => slice.runtimes.clone(),
                Kind::Vm(_) | Kind::Service(_) | Kind::Sensor(_) => Vec::new(),
            },
            Self::Property(name) if name.eq_ignore_ascii_case("security") => properties.security_standards.clone(),
            Self::Property(name) => properties.additional.get(name).cloned().into_iter().collect(),
        }
    }

    fn has(&self, flavour: &Flavour, words: &[String], word: &str) -> bool {
        words.iter().any(|has| has.eq_ignore_ascii_case(word))
            || (*self == Self::Domain && flavour.domain.key.to_string().eq_ignore_ascii_case(word))
    }
}
