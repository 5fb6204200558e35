//! Flavours, at the door.

use kernel::Resource;

use super::{
    MAX_LIFETIME, MAX_MONEY, MAX_TEMPLATE, MAX_TEXT, MAX_WORDS, at_most, longest, malformed, name, part, party, text,
    word, words,
};
use crate::{
    flavour::{Domain, Flavour, Kind, Location, NetworkIntent, Policies, Properties},
    price::{Price, Rate},
    refusal::Refusal,
};

/// The most hours that a forecast of the carbon footprint covers: a week.
const MAX_FORECAST: usize = 168;

impl Flavour {
    /// Checks every size in an offer, and that it does not contradict itself.
    ///
    /// # Errors
    /// `TooLarge` or `Malformed`, with a sentence that says what.
    pub fn validate(&self) -> Result<(), Refusal> {
        self.domain.validate()?;
        party(&self.provider)?;
        self.kind.validate()?;
        part("what is available", &self.available, &self.base)?;
        self.properties.validate()?;
        self.policies.validate(self)?;
        self.price.validate()?;
        self.location.as_ref().map_or(Ok(()), Location::validate)?;
        longest("flavour's time to live", self.expires_in, MAX_LIFETIME)
    }
}

impl Domain {
    pub(super) fn validate(&self) -> Result<(), Refusal> {
        name("domain's name", &self.name)
    }
}

impl Kind {
    fn validate(&self) -> Result<(), Refusal> {
        match self {
            Self::K8Slice(slice) => {
                word("architecture", &slice.architecture)?;
                word("model", slice.gpu_model.as_deref().unwrap_or_default())?;
                words("runtimes", &slice.runtimes)
            }
            Self::Vm(vm) => {
                word("architecture", &vm.architecture)?;
                word("operating system", &vm.os)?;
                word("model", vm.gpu_model.as_deref().unwrap_or_default())
            }
            Self::Service(service) => {
                word("service's name", &service.name)?;
                text("description", &service.description, MAX_TEXT)?;
                word("category", &service.category)?;
                at_most("ways of hosting", service.hosting.len(), MAX_WORDS)?;
                text("template", service.configuration_template.as_deref().unwrap_or_default(), MAX_TEMPLATE)
            }
            Self::Sensor(sensor) => {
                word("type", &sensor.sensor_type)?;
                word("model", &sensor.model)?;
                word("manufacturer", &sensor.manufacturer)?;
                word("market", &sensor.market)?;
                word("accuracy", &sensor.accuracy)?;
                word("access", &sensor.access)
            }
        }
    }
}

impl Properties {
    fn validate(&self) -> Result<(), Refusal> {
        words("security standards", &self.security_standards)?;
        words("tags", &self.tags)?;
        at_most("hours of forecast", self.carbon.as_ref().map_or(0, |carbon| carbon.operational.len()), MAX_FORECAST)?;
        at_most("network rules", self.network.denied.len() + self.network.mandatory.len(), MAX_WORDS)?;
        self.network.denied.iter().chain(&self.network.mandatory).try_for_each(NetworkIntent::validate)?;
        at_most("properties", self.additional.len(), MAX_WORDS)?;
        self.additional.iter().try_for_each(|(key, value)| {
            name("property's name", key)?;
            word("property", value)
        })
    }
}

impl NetworkIntent {
    fn validate(&self) -> Result<(), Refusal> {
        [&self.name, &self.source, &self.destination, &self.port, &self.protocol]
            .into_iter()
            .try_for_each(|one| word("network rule", one))
    }
}

impl Policies {
    fn validate(&self, flavour: &Flavour) -> Result<(), Refusal> {
        if let Some(rule) = &self.partitionable {
            part("the least partition", &rule.min, &flavour.base)?;
        }
        match &self.aggregatable {
            Some(rule) if rule.min_count == 0 || rule.min_count > rule.max_count => {
                Err(malformed("the aggregation", "needs a minimum from 1 up to its maximum"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Price {
    fn validate(&self) -> Result<(), Refusal> {
        at_most("priced resources", self.priced.len(), Resource::ALL.len())?;
        amount(self.amount.0)
    }
}

impl Rate {
    pub(super) fn validate(&self) -> Result<(), Refusal> {
        amount(self.amount.0)
    }
}

fn amount(micros: u64) -> Result<(), Refusal> {
    if micros <= MAX_MONEY { Ok(()) } else { Err(malformed("the price", "is over 10^12 of its currency")) }
}

impl Location {
    fn validate(&self) -> Result<(), Refusal> {
        [&self.latitude, &self.longitude, &self.country, &self.city, &self.notes]
            .into_iter()
            .try_for_each(|field| word("location", field.as_deref().unwrap_or_default()))
    }
}
