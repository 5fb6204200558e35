//! Partitions: which parts of a flavour may be asked for, and the smallest that covers a need.

use kernel::{Quantity, Resource, Resources};

use crate::{
    flavour::{Flavour, Partitionable},
    refusal::{Code, Refusal},
};

/// Checks that `partition` is a part that this flavour may be taken in, whatever is left of it.
///
/// # Errors
/// `BelowMinimum`, `NotAStep` or `TooLarge`, naming the resource and the amounts.
pub fn check(flavour: &Flavour, partition: &Resources) -> Result<(), Refusal> {
    if partition.is_zero() {
        return Err(Refusal::new(Code::BelowMinimum, format!("flavour {}: a partition of nothing", flavour.id)));
    }
    let Some(rule) = &flavour.policies.partitionable else {
        return if *partition == flavour.base {
            Ok(())
        } else {
            Err(Refusal::new(
                Code::NotAStep,
                format!("flavour {} goes whole ({}), not in parts ({partition})", flavour.id, flavour.base),
            ))
        };
    };
    for resource in Resource::ALL {
        let (amount, whole) = (partition.of(resource), flavour.base.of(resource));
        if amount > whole {
            let text = format!("flavour {}: {resource} {amount} is over its {whole}", flavour.id);
            return Err(Refusal::new(Code::TooLarge, text));
        }
        check_resource(flavour, rule, resource, amount)?;
    }
    Ok(())
}

fn check_resource(
    flavour: &Flavour,
    rule: &Partitionable,
    resource: Resource,
    amount: Quantity,
) -> Result<(), Refusal> {
    let (min, step) = (rule.min.of(resource), rule.step.of(resource));
    let Some(beyond) = amount.checked_sub(min) else {
        let text = format!("flavour {}: {resource} {amount} is below its minimum of {min}", flavour.id);
        return Err(Refusal::new(Code::BelowMinimum, text));
    };
    if step.is_zero() || beyond.nanos().is_multiple_of(step.nanos()) {
        return Ok(());
    }
    let text = format!("flavour {}: {resource} {amount} is not {min} plus whole steps of {step}", flavour.id);
    Err(Refusal::new(Code::NotAStep, text))
}

/// Returns the smallest partition of this flavour that covers `need`, whatever is left of it.
///
/// Where nothing is needed and the minimum is nothing, that is nothing: covered, but not to be had.
///
/// # Errors
/// `TooLarge` where the whole base does not cover the need or no valid step does, naming the resource.
pub fn covering(flavour: &Flavour, need: &Resources) -> Result<Resources, Refusal> {
    let too_large = |resource: Resource| {
        let (wanted, whole) = (need.of(resource), flavour.base.of(resource));
        let text = format!("flavour {}: no part of its {resource} {whole} covers {wanted}", flavour.id);
        Refusal::new(Code::TooLarge, text)
    };
    if let Err(shortage) = flavour.base.holds(need) {
        return Err(too_large(shortage.resource));
    }
    let Some(rule) = &flavour.policies.partitionable else {
        return Ok(flavour.base);
    };
    let mut partition = flavour.base;
    for resource in Resource::ALL {
        let (min, step, wanted) = (rule.min.of(resource), rule.step.of(resource), need.of(resource));
        let amount = match wanted.checked_sub(min) {
            None => Some(min),
            Some(beyond) if beyond.is_zero() || step.is_zero() => Some(wanted),
            Some(beyond) => {
                let steps = beyond.nanos().div_ceil(step.nanos());
                u64::try_from(steps).ok().and_then(|steps| step.checked_mul(steps)).and_then(|rest| {
                    // In the family in which the need was written, so that people read what they wrote.
                    wanted.checked_sub(beyond).and_then(|start| start.checked_add(rest))
                })
            }
        };
        *partition.of_mut(resource) =
            amount.filter(|amount| *amount <= flavour.base.of(resource)).ok_or_else(|| too_large(resource))?;
    }
    Ok(partition)
}
