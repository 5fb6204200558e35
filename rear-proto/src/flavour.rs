//! Flavours: what a node offers, of four kinds, with what is left of it and on what terms.

use std::{collections::BTreeMap, fmt};

use kernel::{DomainKey, FlavourId, NodeId, Resources, Span};
use serde::{Deserialize, Serialize};

use crate::price::Price;

/// An offer.
///
/// `available` is the base less what is held, agreed or used at the time of the epoch; the fields are those of
/// REAR's data models (FLUIDOS, `REAR-data-models`), with resources counted alike for every kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flavour {
    /// The same for as long as it is offered.
    pub id: FlavourId,
    /// Grows with every change.
    pub epoch: Epoch,
    /// The node whose capacity this is; behind a border, the node that answers for it.
    pub owner: NodeId,
    /// The owner's domain.
    pub domain: Domain,
    /// The party to reserve with.
    pub provider: Party,
    /// What it is, with what is particular to its kind.
    pub kind: Kind,
    /// The whole of it.
    pub base: Resources,
    /// What is left of it.
    pub available: Resources,
    /// What else is true of it.
    pub properties: Properties,
    /// How it may be divided and multiplied.
    pub policies: Policies,
    /// What the whole base costs.
    pub price: Price,
    /// Where it is.
    pub location: Option<Location>,
    /// Groups the ways to the same capacity, without telling whose it is.
    pub origin: FlavourId,
    /// For how long this may be relied on without hearing of it again.
    pub expires_in: Span,
}

/// The age of an offer: never repeats, over restarts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// How many times its node had started.
    pub starts: u32,
    /// How many changes there were since that start.
    pub changes: u64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.starts, self.changes)
    }
}

/// A domain, by the key that it is and the name that it goes by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Domain {
    /// The domain's key.
    pub key: DomainKey,
    /// The name its members use; not proven, and not unique.
    pub name: String,
}

/// A party to reserve with, and where to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The node.
    pub node: NodeId,
    /// Its multiaddresses; may be empty where it is connected already.
    pub addresses: Vec<String>,
}

/// The four kinds of flavour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A slice of a cluster or machine that runs workloads.
    K8Slice(K8Slice),
    /// A virtual machine.
    Vm(Vm),
    /// A service, ready to be used.
    Service(Service),
    /// A sensor's readings.
    Sensor(Sensor),
}

impl Kind {
    /// Returns the kind's name, as it stands in JSON and selectors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::K8Slice(_) => "K8Slice",
            Self::Vm(_) => "VM",
            Self::Service(_) => "Service",
            Self::Sensor(_) => "Sensor",
        }
    }

    /// Returns the processor architecture, where the kind has one (`amd64`, `arm64`).
    pub fn architecture(&self) -> Option<&str> {
        match self {
            Self::K8Slice(slice) => Some(&slice.architecture),
            Self::Vm(vm) => Some(&vm.architecture),
            Self::Service(_) | Self::Sensor(_) => None,
        }
    }
}

/// What is particular to a slice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct K8Slice {
    /// Processor architecture, as Kubernetes names it (`amd64`).
    pub architecture: String,
    /// Model of its accelerators, where there are some.
    pub gpu_model: Option<String>,
    /// Names of the drivers that it runs workloads with (`wasm`, `oci`, `kubernetes`).
    pub runtimes: Vec<String>,
}

/// What is particular to a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vm {
    /// Processor architecture, as Kubernetes names it (`amd64`).
    pub architecture: String,
    /// Operating system.
    pub os: String,
    /// Model of its accelerators, where there are some.
    pub gpu_model: Option<String>,
}

/// What is particular to a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its category (`database`, `message-queue`).
    pub category: String,
    /// Who may host it.
    pub hosting: Vec<Hosting>,
    /// JSON Schema of its configuration, as text.
    pub configuration_template: Option<String>,
}

/// Who hosts a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hosting {
    /// The provider's side.
    Provider,
    /// The consumer's side.
    Consumer,
    /// Both.
    Shared,
}

/// What is particular to a sensor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sensor {
    /// What it senses (`temperature`).
    pub sensor_type: String,
    /// Its model.
    pub model: String,
    /// Who made it.
    pub manufacturer: String,
    /// Which market it is for.
    pub market: String,
    /// Readings per second, in thousandths.
    pub sampling_rate_millis: u64,
    /// Its accuracy, in the unit's own words.
    pub accuracy: String,
    /// How its readings are fetched (`http`, `mqtt`).
    pub access: String,
}

/// What else is true of a flavour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Properties {
    /// The latency that its owner states, in milliseconds.
    pub latency_ms: Option<u32>,
    /// Security standards it meets (`ISO27001`, `GDPR`).
    pub security_standards: Vec<String>,
    /// Its carbon footprint.
    pub carbon: Option<Carbon>,
    /// Which traffic is denied, and which is required.
    pub network: NetworkRules,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Anything else, by name.
    pub additional: BTreeMap<String, String>,
}

/// A carbon footprint, in grams of CO₂ equivalent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Carbon {
    /// In the making, per hour of its life.
    pub embodied: u32,
    /// In running, per kilowatt-hour, forecast for the hours to come.
    pub operational: Vec<u32>,
}

/// Traffic that a provider denies or requires.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkRules {
    /// Traffic that is denied.
    pub denied: Vec<NetworkIntent>,
    /// Traffic that must be let through.
    pub mandatory: Vec<NetworkIntent>,
}

/// One kind of traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkIntent {
    /// Its name.
    pub name: String,
    /// From where (a CIDR or a label selector).
    pub source: String,
    /// To where (a CIDR or a label selector).
    pub destination: String,
    /// To which port or ports.
    pub port: String,
    /// Over which protocol (`TCP`, `UDP`).
    pub protocol: String,
}

/// How a flavour may be divided and multiplied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policies {
    /// The parts it may be taken in; without, it goes whole.
    pub partitionable: Option<Partitionable>,
    /// How many of it may be taken together.
    pub aggregatable: Option<Aggregatable>,
}

/// The parts that a flavour may be taken in: per resource `min + k·step`.
///
/// Where a step is zero, any amount from the minimum on will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Partitionable {
    /// The least that may be taken.
    pub min: Resources,
    /// The steps beyond it.
    pub step: Resources,
}

/// How many of a flavour may be taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregatable {
    /// At least so many.
    pub min_count: u32,
    /// At most so many.
    pub max_count: u32,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Location {
    /// Degrees north, as a decimal text, so that it stays exact.
    pub latitude: Option<String>,
    /// Degrees east, as a decimal text.
    pub longitude: Option<String>,
    /// Country, as its two letters (ISO 3166).
    pub country: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Anything else.
    pub notes: Option<String>,
}

impl Location {
    /// Says whether a word names this place: its country, city or note, in any case.
    pub fn is(&self, word: &str) -> bool {
        let same = |field: &Option<String>| field.as_ref().is_some_and(|text| text.eq_ignore_ascii_case(word));
        same(&self.country) || same(&self.city) || same(&self.notes)
    }
}
