//! Amounts of the five resources that are counted: cpu, memory, pods, storage, gpu.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Quantity;

/// A resource that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resource {
    /// Cores.
    Cpu,
    /// Bytes of memory.
    Memory,
    /// Number of workloads.
    Pods,
    /// Bytes of storage.
    Storage,
    /// Number of accelerators.
    Gpu,
}

impl Resource {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Memory, Self::Pods, Self::Storage, Self::Gpu];

    /// Returns the name used in selectors and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pods => "pods",
            Self::Storage => "storage",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An amount of each resource; what is not named is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Resources {
    /// Cores.
    pub cpu: Quantity,
    /// Bytes of memory.
    pub memory: Quantity,
    /// Number of workloads.
    pub pods: Quantity,
    /// Bytes of storage.
    pub storage: Quantity,
    /// Number of accelerators.
    pub gpu: Quantity,
}

/// What is missing of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{resource}: {wanted} wanted, {available} available")]
pub struct Shortage {
    /// Which resource.
    pub resource: Resource,
    /// How much was asked for.
    pub wanted: Quantity,
    /// How much there is.
    pub available: Quantity,
}

impl Resources {
    /// Returns the amount of one resource.
    pub const fn of(&self, resource: Resource) -> Quantity {
        match resource {
            Resource::Cpu => self.cpu,
            Resource::Memory => self.memory,
            Resource::Pods => self.pods,
            Resource::Storage => self.storage,
            Resource::Gpu => self.gpu,
        }
    }

    /// Returns the amount of one resource, to be changed.
    pub const fn of_mut(&mut self, resource: Resource) -> &mut Quantity {
        match resource {
            Resource::Cpu => &mut self.cpu,
            Resource::Memory => &mut self.memory,
            Resource::Pods => &mut self.pods,
            Resource::Storage => &mut self.storage,
            Resource::Gpu => &mut self.gpu,
        }
    }

    /// Says whether there is nothing of anything.
    pub fn is_zero(&self) -> bool {
        Resource::ALL.iter().all(|&resource| self.of(resource).is_zero())
    }

    /// Returns the sum, or `None` where one would be larger than a quantity can be.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let mut sum = *self;
        for resource in Resource::ALL {
            *sum.of_mut(resource) = self.of(resource).checked_add(other.of(resource))?;
        }
        Some(sum)
    }

    /// Returns what is left after taking `part` away.
    ///
    /// # Errors
    /// The first resource of which there is not enough.
    pub fn checked_sub(&self, part: &Self) -> Result<Self, Shortage> {
        let mut left = *self;
        for resource in Resource::ALL {
            let (available, wanted) = (self.of(resource), part.of(resource));
            *left.of_mut(resource) = available.checked_sub(wanted).ok_or(Shortage { resource, wanted, available })?;
        }
        Ok(left)
    }

    /// Checks that `part` fits.
    ///
    /// # Errors
    /// The first resource of which there is not enough.
    pub fn holds(&self, part: &Self) -> Result<(), Shortage> {
        self.checked_sub(part).map(|_| ())
    }

    /// Returns the smaller amount of each resource.
    pub fn min(&self, other: &Self) -> Self {
        let mut least = *self;
        for resource in Resource::ALL {
            *least.of_mut(resource) = self.of(resource).min(other.of(resource));
        }
        least
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for resource in Resource::ALL {
            let amount = self.of(resource);
            if !amount.is_zero() {
                write!(f, "{separator}{resource} {amount}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

/// How resources travel: as text for people (accelerators only where there are some), in full on the wire.
mod as_serde {
    use super::{Quantity, Resources};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Text {
        #[serde(default)]
        cpu: Quantity,
        #[serde(default)]
        memory: Quantity,
        #[serde(default)]
        pods: Quantity,
        #[serde(default)]
        storage: Quantity,
        #[serde(default, skip_serializing_if = "Quantity::is_zero")]
        gpu: Quantity,
    }

    type Bytes = (Quantity, Quantity, Quantity, Quantity, Quantity);

    impl Serialize for Resources {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Self { cpu, memory, pods, storage, gpu } = *self;
            if serializer.is_human_readable() {
                Text { cpu, memory, pods, storage, gpu }.serialize(serializer)
            } else {
                (cpu, memory, pods, storage, gpu).serialize(serializer)
            }
        }
    }

    impl<'de> Deserialize<'de> for Resources {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            if deserializer.is_human_readable() {
                let Text { cpu, memory, pods, storage, gpu } = Text::deserialize(deserializer)?;
                Ok(Self { cpu, memory, pods, storage, gpu })
            } else {
                let (cpu, memory, pods, storage, gpu) = Bytes::deserialize(deserializer)?;
                Ok(Self { cpu, memory, pods, storage, gpu })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(cpu: &str, memory: &str) -> Resources {
        Resources { cpu: cpu.parse().unwrap(), memory: memory.parse().unwrap(), ..Resources::default() }
    }

    #[test]
    fn taking_and_giving_back_restores_exactly() {
        let base = of("4", "3735836Ki");
        let part = of("1947481697n", "1e3");
        assert_eq!(base.checked_sub(&part).unwrap().checked_add(&part).unwrap(), base);
    }

    #[test]
    fn a_shortage_names_the_resource() {
        let shortage = of("1", "1Gi").checked_sub(&of("500m", "2Gi")).unwrap_err();
        assert_eq!(shortage.to_string(), "memory: 2Gi wanted, 1Gi available");
    }

    #[test]
    fn the_first_shortage_in_order_is_told() {
        let shortage = of("1", "1Gi").holds(&of("2", "2Gi")).unwrap_err();
        assert_eq!((shortage.resource, shortage.to_string().as_str()), (Resource::Cpu, "cpu: 2 wanted, 1 available"));
        assert!(of("1", "1Gi").holds(&of("1", "1024Mi")).is_ok());
        assert!(of("1", "1Gi").holds(&Resources::default()).is_ok());
    }

    #[test]
    fn each_resource_is_read_and_changed_by_its_name() {
        let mut resources = Resources::default();
        for (at, resource) in Resource::ALL.into_iter().enumerate() {
            assert!(resources.of(resource).is_zero());
            *resources.of_mut(resource) = Quantity::units(at as u64 + 1);
        }
        assert_eq!(resources.to_string(), "cpu 1, memory 2, pods 3, storage 4, gpu 5");
        assert_eq!(resources.min(&of("9", "1")).to_string(), "cpu 1, memory 1");
        assert_eq!(Resources::default().to_string(), "nothing");
        assert!(Resources::default().is_zero() && !resources.is_zero());
    }

    #[test]
    fn sums_that_are_too_large_are_none() {
        let most = Resources { gpu: Quantity::units(u64::MAX), ..Resources::default() };
        let one = Resources { gpu: Quantity::units(1), ..Resources::default() };
        assert_eq!(most.checked_add(&one), None);
        assert_eq!(most.checked_add(&of("1", "1")).map(|sum| sum.gpu), Some(most.gpu));
    }

    #[test]
    fn people_name_what_they_want_and_read_accelerators_where_there_are_some() {
        let read = |json: &str| serde_json::from_str::<Resources>(json);
        assert_eq!(read(r#"{"cpu":"500m","memory":"64Mi"}"#).unwrap(), of("500m", "64Mi"));
        assert_eq!(read("{}").unwrap(), Resources::default());
        assert!(read(r#"{"ram":"64Mi"}"#).is_err());
        let text = |resources: &Resources| serde_json::to_string(resources).unwrap();
        assert_eq!(text(&of("1", "1Gi")), r#"{"cpu":"1","memory":"1Gi","pods":"0","storage":"0"}"#);
        let accelerated = Resources { gpu: Quantity::units(1), ..Resources::default() };
        assert_eq!(text(&accelerated), r#"{"cpu":"0","memory":"0","pods":"0","storage":"0","gpu":"1"}"#);
        assert_eq!(read(&text(&accelerated)).unwrap(), accelerated);
        assert_eq!(serde_json::to_string(&Resource::Cpu).unwrap(), "\"cpu\"");
    }
}
