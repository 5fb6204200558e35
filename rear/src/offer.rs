//! Offers: what an operator offers, as a file or the configuration says it, before it becomes a flavour.
//!
//! People write it as `offer/file.rs` has it; rows keep it as plain bytes. Whatever is read from people was
//! checked on the way in, and an offer made by a program is checked before it is taken.

mod file;

use std::fmt;

use kernel::{FlavourId, NodeId, Resource, Resources, Span};
use rear_proto::flavour::{Kind, Location, Policies, Properties};
use rear_proto::price::{Money, Price};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// For how long an offer may be relied on when nothing else is said: two missed advertisements of 30 s.
pub const EXPIRES_IN: Span = Span::secs(60);
/// The longest that an offer may be relied on: past a day, nobody would notice that its node is gone.
const LONGEST: Span = Span::secs(86_400);
/// The longest name, in bytes: it has to fit a column.
const MAX_NAME: usize = 64;
/// The longest word or text of an offer, in bytes; one is a whole JSON schema.
const MAX_TEXT: usize = 16 << 10;
/// The most words in one list, so that a flavour stays small on the wire.
const MAX_WORDS: usize = 64;

/// What an operator offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name, unlike that of every other offer of this node; the flavour's id follows from it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The whole of it.
    pub base: Resources,
    /// How it may be divided and multiplied.
    pub policies: Policies,
    /// What the whole base costs.
    pub price: Price,
    /// What else is true of it.
    pub properties: Properties,
    /// Where it is.
    pub location: Option<Location>,
    /// For how long it may be relied on without hearing of it again.
    pub expires_in: Span,
}

/// An offer that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("offer '{name}' {why}")]
pub struct BadOffer {
    /// The offer's name.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl Offer {
    /// Returns the id of the flavour that this offer becomes at a node: the same for as long as its name is.
    pub fn flavour(&self, node: &NodeId) -> FlavourId {
        FlavourId::derive("flavour", &[node.as_bytes(), self.name.as_bytes()])
    }

    /// Checks that the offer makes sense.
    ///
    /// # Errors
    /// The first thing that does not, in one sentence.
    pub fn check(&self) -> Result<(), BadOffer> {
        self.wrong().map_or(Ok(()), |why| Err(BadOffer { name: self.name.chars().take(MAX_NAME).collect(), why }))
    }

    fn wrong(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Some(format!("needs a name of 1 to {MAX_NAME} printable bytes"));
        }
        if self.base.is_zero() {
            return Some("has nothing in it: every resource is zero".to_owned());
        }
        if self.expires_in == Span::ZERO || self.expires_in > LONGEST {
            return Some(format!("expires in {}: it must be over 0s and at most {LONGEST}", self.expires_in));
        }
        self.wrong_policies()
            .or_else(|| self.wrong_price())
            .or_else(|| self.wrong_kind())
            .or_else(|| self.wrong_words())
    }

    fn wrong_policies(&self) -> Option<String> {
        if let Some(rule) = &self.policies.partitionable {
            for resource in Resource::ALL {
                let (whole, min, step) = (self.base.of(resource), rule.min.of(resource), rule.step.of(resource));
                if min > whole {
                    return Some(format!("has a minimum of {resource} {min}, which is over its {whole}"));
                }
                if step > whole {
                    return Some(format!("has steps of {resource} {step}, which is over its {whole}"));
                }
            }
        }
        let counts = self.policies.aggregatable?;
        (counts.min_count == 0 || counts.min_count > counts.max_count).then(|| {
            format!("may be taken {} to {} times: that must be from 1 on upwards", counts.min_count, counts.max_count)
        })
    }

    fn wrong_price(&self) -> Option<String> {
        let counts = self.price.priced.iter().any(|&resource| !self.base.of(resource).is_zero());
        (self.price.amount > Money(0) && !counts)
            .then(|| "has a price, but none of the resources that it is priced by".to_owned())
    }

    fn wrong_kind(&self) -> Option<String> {
        match &self.kind {
            Kind::K8Slice(slice) if slice.architecture.is_empty() => Some("names no architecture".to_owned()),
            Kind::K8Slice(slice) if slice.runtimes.is_empty() => Some("names no runtime to run workloads".to_owned()),
            Kind::Vm(vm) if vm.architecture.is_empty() => Some("names no architecture".to_owned()),
            Kind::Service(service) if service.name.is_empty() => Some("does not name its service".to_owned()),
            Kind::Sensor(sensor) if sensor.sensor_type.is_empty() => Some("names no sensor type".to_owned()),
            Kind::K8Slice(_) | Kind::Vm(_) | Kind::Service(_) | Kind::Sensor(_) => None,
        }
    }

    fn wrong_words(&self) -> Option<String> {
        let Properties { security_standards, carbon, network, tags, additional, latency_ms: _ } = &self.properties;
        let lists = [
            ("tags", tags.len()),
            ("security standards", security_standards.len()),
            ("additional properties", additional.len()),
            ("denied networks", network.denied.len()),
            ("mandatory networks", network.mandatory.len()),
            ("hours of carbon forecast", carbon.as_ref().map_or(0, |carbon| carbon.operational.len())),
        ];
        if let Some((what, count)) = lists.into_iter().find(|(_, count)| *count > MAX_WORDS) {
            return Some(format!("has {count} {what}, at most {MAX_WORDS} are allowed"));
        }
        let networks = network.denied.iter().chain(&network.mandatory);
        let words =
            tags.iter().chain(security_standards).chain(additional.iter().flat_map(|(name, word)| [name, word]));
        let words = words.chain(networks.flat_map(|n| [&n.name, &n.source, &n.destination, &n.port, &n.protocol]));
        if words.chain(self.kind_words()).any(|word| word.len() > MAX_TEXT) {
            return Some(format!("has a text of over {MAX_TEXT} bytes"));
        }
        let place = self.location.as_ref()?;
        let off = |text: &Option<String>, most: f64| {
            text.as_ref().is_some_and(|text| !text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= most))
        };
        if off(&place.latitude, 90.0) {
            return Some("has a latitude that is no number from -90 to 90".to_owned());
        }
        off(&place.longitude, 180.0).then(|| "has a longitude that is no number from -180 to 180".to_owned())
    }

    fn kind_words(&self) -> Vec<&String> {
        match &self.kind {
            Kind::K8Slice(slice) => {
                slice.runtimes.iter().chain(&slice.gpu_model).chain([&slice.architecture]).take(MAX_WORDS).collect()
            }
            Kind::Vm(vm) => vm.gpu_model.iter().chain([&vm.architecture, &vm.os]).collect(),
            Kind::Service(service) => {
                let texts = [&service.name, &service.description, &service.category];
                service.configuration_template.iter().chain(texts).collect()
            }
            Kind::Sensor(s) => {
                vec![&s.sensor_type, &s.model, &s.manufacturer, &s.market, &s.accuracy, &s.access]
            }
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}: {})", self.name, self.kind.name(), self.base)
    }
}

/// The offer as rows keep it: field by field, since that encoding can't skip anything.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Offer")]
struct Bytes {
    name: String,
    kind: Kind,
    base: Resources,
    policies: Policies,
    price: Price,
    properties: Properties,
    location: Option<Location>,
    expires_in: Span,
}

impl Serialize for Offer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            file::File::from(self.clone()).serialize(serializer)
        } else {
            Bytes::serialize(self, serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Offer {
    /// Reads an offer; from people it is checked, and the error is the sentence that [`Offer::check`] gives.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Bytes::deserialize(deserializer);
        }
        let offer = Self::try_from(file::File::deserialize(deserializer)?).map_err(de::Error::custom)?;
        offer.check().map_err(de::Error::custom)?;
        Ok(offer)
    }
}

#[cfg(test)]
mod tests;
