//! What this machine had free when it was measured: the base of what a node offers by default.

use std::path::Path;

use kernel::{Quantity, Resource, Resources};
use rear::offer::{EXPIRES_IN, Offer};
use rear_proto::{
    Currency, Kind, Money, Period, Policies, Price, Properties,
    flavour::{K8Slice, Partitionable},
};
use sysinfo::System;

use crate::commit::free_space;

/// The part of what is free that is kept back for the machine itself and the node: a quarter.
const RESERVE_PARTS: u64 = 4;
/// Workloads per core that are offered: many small ones fit, and it bounds the bookkeeping.
const PODS_PER_CORE: u64 = 32;
/// Amounts are rounded down to these, so that people can read them.
const CPU_STEP_MILLIS: u64 = 100;
const MEMORY_STEP: u64 = 64 << 20;
const STORAGE_STEP: u64 = 1 << 30;
/// The parts that memory and storage are offered in: what the smallest workloads need.
const PART_MEMORY: u64 = 16 << 20;
const PART_STORAGE: u64 = 1 << 20;
/// The currency of an offer that costs nothing yet.
const DEFAULT_CURRENCY: Currency = Currency::EUR;

/// A machine as it was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its architecture, as Kubernetes names it.
    pub architecture: &'static str,
    /// What it had free, less the reserve.
    pub free: Resources,
}

/// A machine that can't be measured.
#[derive(Debug, thiserror::Error)]
#[error("can not measure what this machine has free ({what}): use --no-offer, and describe an offer yourself")]
pub struct MeasureError {
    what: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Measures this machine; storage is that of the disk that holds `data_dir`.
///
/// # Errors
/// When the system does not tell.
pub fn machine(data_dir: &Path) -> Result<Machine, MeasureError> {
    let error = |what| move |source: sysinfo::Error| MeasureError { what, source: source.into() };
    let mut system = System::new().map_err(error("memory"))?;
    system.refresh_memory();
    // The load of a minute says more than a moment's use, and needs no waiting for a second sample.
    let load = System::load_average().map_err(error("load"))?.one.max(0.0);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let busy = (load * 1000.0) as u64;
    // A machine that is building something, as one often is just before this, is not always so busy.
    let cpu = (cores * 1000).saturating_sub(busy).max(cores * 500);
    let storage = free_space(data_dir).map_err(|source| MeasureError { what: "storage", source: source.into() })?;
    let less = |amount: u64, step: u64| (amount - amount / RESERVE_PARTS) / step * step;
    Ok(Machine {
        architecture: architecture(),
        free: Resources {
            cpu: Quantity::millis(less(cpu, CPU_STEP_MILLIS)),
            memory: Quantity::bytes(less(system.available_memory(), MEMORY_STEP)),
            pods: Quantity::units(cores * PODS_PER_CORE),
            storage: Quantity::bytes(less(storage, STORAGE_STEP)),
            gpu: Quantity::ZERO,
        },
    })
}

impl Machine {
    /// Returns the offer of what was free: in parts, small ones too, and free of charge until somebody sets a price.
    pub fn offer(&self) -> Offer {
        let least = Resources {
            cpu: Quantity::millis(CPU_STEP_MILLIS),
            memory: Quantity::bytes(PART_MEMORY),
            pods: Quantity::units(1),
            ..Resources::default()
        };
        let mut step = Resources { storage: Quantity::bytes(PART_STORAGE), ..least };
        // There are no parts of nothing.
        for resource in Resource::ALL {
            if self.free.of(resource).is_zero() {
                *step.of_mut(resource) = Quantity::ZERO;
            }
        }
        Offer {
            name: "machine".to_owned(),
            kind: Kind::K8Slice(K8Slice {
                architecture: self.architecture.to_owned(),
                gpu_model: None,
                runtimes: vec!["wasm".to_owned()],
            }),
            base: self.free,
            policies: Policies { partitionable: Some(Partitionable { min: least, step }), aggregatable: None },
            price: Price {
                amount: Money(0),
                currency: DEFAULT_CURRENCY,
                period: Period::Hour,
                priced: vec![Resource::Cpu, Resource::Memory, Resource::Storage],
            },
            properties: Properties::default(),
            location: None,
            expires_in: EXPIRES_IN,
        }
    }
}

/// Returns the architecture as Kubernetes names it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}
