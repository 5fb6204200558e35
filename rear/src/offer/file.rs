//! An offer as people write it (YAML, TOML, JSON), field by field.
//!
//! ```yaml
//! name: edge
//! kind: K8Slice                       # or VM, Service, Sensor
//! expiresIn: 60s
//! characteristics: { architecture: amd64, cpu: 4, memory: 8Gi, pods: 16 }
//! policies:
//!   partitionable:
//!     min:  { cpu: 250m, memory: 64Mi, pods: 1 }
//!     step: { cpu: 250m, memory: 64Mi, pods: 1 }
//! price: { amount: 0.80, currency: EUR, period: hour, priced: [cpu, memory] }
//! location: { country: IT, city: Torino }
//! properties: { latencyMs: 12, tags: [ssd] }
//! ```

use std::collections::BTreeMap;

use kernel::{Quantity, Resource, Resources, Span};
use rear_proto::{
    flavour::{
        Aggregatable, Carbon, Hosting, K8Slice, Kind, Location, NetworkIntent, NetworkRules, Partitionable, Policies,
        Properties, Sensor, Service, Vm,
    },
    price::{Currency, Money, Period, Price},
};
use serde::{Deserialize, Serialize};

use super::{BadOffer, EXPIRES_IN, Offer};

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    name: String,
    #[serde(default)]
    kind: KindName,
    #[serde(default = "expires_in")]
    expires_in: Span,
    characteristics: Characteristics,
    #[serde(default)]
    policies: PoliciesText,
    price: PriceText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    #[serde(default)]
    properties: PropertiesText,
}

const fn expires_in() -> Span {
    EXPIRES_IN
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum KindName {
    #[default]
    K8Slice,
    #[serde(rename = "VM")]
    Vm,
    Service,
    Sensor,
}

/// The base, and what is particular to one kind: what belongs to another kind is refused by its name.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Characteristics {
    cpu: Quantity,
    memory: Quantity,
    pods: Quantity,
    storage: Quantity,
    #[serde(skip_serializing_if = "Quantity::is_zero")]
    gpu: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtimes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosting: Option<Vec<Hosting>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration_template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sensor_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    market: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling_rate_millis: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct PoliciesText {
    #[serde(skip_serializing_if = "Option::is_none")]
    partitionable: Option<PartitionableText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregatable: Option<AggregatableText>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PartitionableText {
    min: Resources,
    step: Resources,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AggregatableText {
    min_count: u32,
    max_count: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceText {
    amount: Money,
    currency: Currency,
    #[serde(default = "hour")]
    period: Period,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priced: Option<Vec<Resource>>,
}

const fn hour() -> Period {
    Period::Hour
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct PropertiesText {
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    security_standards: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carbon: Option<Carbon>,
    #[serde(skip_serializing_if = "NetworkText::is_empty")]
    network: NetworkText,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    additional: BTreeMap<String, String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NetworkText {
    denied: Vec<NetworkIntent>,
    mandatory: Vec<NetworkIntent>,
}

impl NetworkText {
    fn is_empty(&self) -> bool {
        self.denied.is_empty() && self.mandatory.is_empty()
    }
}

/// The processor of the machine that this program was built for, as Kubernetes names it.
fn own_architecture() -> String {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}

impl Characteristics {
    /// Takes out what belongs to one kind.
    fn take(&mut self, kind: KindName) -> Kind {
        let architecture = |field: &mut Option<String>| field.take().unwrap_or_else(own_architecture);
        match kind {
            KindName::K8Slice => Kind::K8Slice(K8Slice {
                architecture: architecture(&mut self.architecture),
                gpu_model: self.gpu_model.take(),
                runtimes: self.runtimes.take().unwrap_or_else(|| vec!["wasm".to_owned()]),
            }),
            KindName::Vm => Kind::Vm(Vm {
                architecture: architecture(&mut self.architecture),
                os: self.os.take().unwrap_or_else(|| "linux".to_owned()),
                gpu_model: self.gpu_model.take(),
            }),
            KindName::Service => Kind::Service(Service {
                name: self.name.take().unwrap_or_default(),
                description: self.description.take().unwrap_or_default(),
                category: self.category.take().unwrap_or_default(),
                hosting: self.hosting.take().unwrap_or_else(|| vec![Hosting::Provider]),
                configuration_template: self.configuration_template.take(),
            }),
            KindName::Sensor => Kind::Sensor(Sensor {
                sensor_type: self.sensor_type.take().unwrap_or_default(),
                model: self.model.take().unwrap_or_default(),
                manufacturer: self.manufacturer.take().unwrap_or_default(),
                market: self.market.take().unwrap_or_default(),
                sampling_rate_millis: self.sampling_rate_millis.take().unwrap_or_default(),
                accuracy: self.accuracy.take().unwrap_or_default(),
                access: self.access.take().unwrap_or_default(),
            }),
        }
    }

    /// Returns the name of a field that is still filled.
    fn left_over(&self) -> Option<&'static str> {
        let fields = [
            ("architecture", self.architecture.is_some()),
            ("gpuModel", self.gpu_model.is_some()),
            ("runtimes", self.runtimes.is_some()),
            ("os", self.os.is_some()),
            ("name", self.name.is_some()),
            ("description", self.description.is_some()),
            ("category", self.category.is_some()),
            ("hosting", self.hosting.is_some()),
            ("configurationTemplate", self.configuration_template.is_some()),
            ("sensorType", self.sensor_type.is_some()),
            ("model", self.model.is_some()),
            ("manufacturer", self.manufacturer.is_some()),
            ("market", self.market.is_some()),
            ("samplingRateMillis", self.sampling_rate_millis.is_some()),
            ("accuracy", self.accuracy.is_some()),
            ("access", self.access.is_some()),
        ];
        fields.into_iter().find_map(|(name, filled)| filled.then_some(name))
    }

    fn fill(&mut self, kind: Kind) -> KindName {
        match kind {
            Kind::K8Slice(K8Slice { architecture, gpu_model, runtimes }) => {
                (self.architecture, self.gpu_model, self.runtimes) = (Some(architecture), gpu_model, Some(runtimes));
                KindName::K8Slice
            }
            Kind::Vm(Vm { architecture, os, gpu_model }) => {
                (self.architecture, self.os, self.gpu_model) = (Some(architecture), Some(os), gpu_model);
                KindName::Vm
            }
            Kind::Service(Service { name, description, category, hosting, configuration_template }) => {
                (self.name, self.description, self.category) = (Some(name), Some(description), Some(category));
                (self.hosting, self.configuration_template) = (Some(hosting), configuration_template);
                KindName::Service
            }
            Kind::Sensor(sensor) => {
                (self.sensor_type, self.model) = (Some(sensor.sensor_type), Some(sensor.model));
                (self.manufacturer, self.market) = (Some(sensor.manufacturer), Some(sensor.market));
                self.sampling_rate_millis = Some(sensor.sampling_rate_millis);
                (self.accuracy, self.access) = (Some(sensor.accuracy), Some(sensor.access));
                KindName::Sensor
            }
        }
    }
}

/// What a price is counted by when nothing is said: cpu, memory and accelerators, or where there are none of
/// these, whatever there is.
fn usually_priced(base: &Resources) -> Vec<Resource> {
    let there = |resource: &Resource| !base.of(*resource).is_zero();
    let usual: Vec<_> = [Resource::Cpu, Resource::Memory, Resource::Gpu].into_iter().filter(there).collect();
    if usual.is_empty() { Resource::ALL.into_iter().filter(there).collect() } else { usual }
}

impl TryFrom<File> for Offer {
    type Error = BadOffer;

    fn try_from(file: File) -> Result<Self, BadOffer> {
        let File { name, kind: kind_name, expires_in, mut characteristics, policies, price, location, properties } =
            file;
        let kind = characteristics.take(kind_name);
        if let Some(field) = characteristics.left_over() {
            let why = format!("is of kind {}, which has no '{field}'", kind.name());
            return Err(BadOffer { name, why });
        }
        let Characteristics { cpu, memory, pods, storage, gpu, .. } = characteristics;
        let base = Resources { cpu, memory, pods, storage, gpu };
        let PriceText { amount, currency, period, priced } = price;
        let priced = priced.unwrap_or_else(|| usually_priced(&base));
        Ok(Self {
            name,
            kind,
            base,
            policies: Policies {
                partitionable: policies
                    .partitionable
                    .map(|PartitionableText { min, step }| Partitionable { min, step }),
                aggregatable: policies
                    .aggregatable
                    .map(|AggregatableText { min_count, max_count }| Aggregatable { min_count, max_count }),
            },
            price: Price { amount, currency, period, priced },
            properties: Properties {
                latency_ms: properties.latency_ms,
                security_standards: properties.security_standards,
                carbon: properties.carbon,
                network: NetworkRules { denied: properties.network.denied, mandatory: properties.network.mandatory },
                tags: properties.tags,
                additional: properties.additional,
            },
            location,
            expires_in,
        })
    }
}

impl From<Offer> for File {
    fn from(offer: Offer) -> Self {
        let Offer { name, kind, base, policies, price, properties, location, expires_in } = offer;
        let Resources { cpu, memory, pods, storage, gpu } = base;
        let mut characteristics = Characteristics { cpu, memory, pods, storage, gpu, ..Characteristics::default() };
        let kind = characteristics.fill(kind);
        Self {
            name,
            kind,
            expires_in,
            characteristics,
            policies: PoliciesText {
                partitionable: policies
                    .partitionable
                    .map(|Partitionable { min, step }| PartitionableText { min, step }),
                aggregatable: policies
                    .aggregatable
                    .map(|Aggregatable { min_count, max_count }| AggregatableText { min_count, max_count }),
            },
            price: PriceText {
                amount: price.amount,
                currency: price.currency,
                period: price.period,
                priced: Some(price.priced),
            },
            location,
            properties: PropertiesText {
                latency_ms: properties.latency_ms,
                security_standards: properties.security_standards,
                carbon: properties.carbon,
                network: NetworkText { denied: properties.network.denied, mandatory: properties.network.mandatory },
                tags: properties.tags,
                additional: properties.additional,
            },
        }
    }
}
