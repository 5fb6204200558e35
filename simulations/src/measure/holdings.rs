//! What each node has, has given away, and has of others: taken from the minds' own accounts whenever those change.

use agent::Managers;
use kernel::{NodeId, Quantity};
use rear::{Allocation, Role, Status};

/// What a node has, in thousandths of a core but for the contracts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Holding {
    /// What it offers, taken or not.
    pub(super) base: i64,
    /// What of that is taken: by others, by itself, or by what is not gone yet.
    pub(super) taken: i64,
    /// What other domains have of it, or by way of it of another node of its domain.
    pub(super) sold: i64,
    /// What it has of other domains, or by way of it another node of its domain.
    pub(super) bought: i64,
    /// How many contracts it uses as a consumer.
    pub(super) contracts: i64,
}

impl Holding {
    /// Reads a node's accounts; `is_abroad` says whether a node is of another domain.
    pub(super) fn of(managers: &Managers, is_abroad: impl Fn(&NodeId) -> bool) -> Self {
        let mut holding = Self::default();
        for book in managers.rear.books() {
            holding.base += millis(book.base.cpu);
            holding.taken += millis(book.taken.cpu);
        }
        for allocation in managers.rear.living() {
            holding.add(allocation, &is_abroad);
        }
        holding
    }

    fn add(&mut self, allocation: &Allocation, is_abroad: impl Fn(&NodeId) -> bool) {
        // A hold is no sale yet, and what is over is none any more.
        if allocation.contract.is_none() || allocation.status == Status::Released {
            return;
        }
        let cpu = millis(allocation.resources.cpu);
        match &allocation.role {
            Role::Node { buyer, .. } if is_abroad(buyer) => self.sold += cpu,
            Role::Node { .. } | Role::Local { .. } => {}
            Role::VirtualNode { seller, .. } => {
                self.contracts += 1;
                if is_abroad(seller) {
                    self.bought += cpu;
                }
            }
            Role::Forwarding { buyer, seller } => match (is_abroad(buyer), is_abroad(seller)) {
                (true, false) => self.sold += cpu,
                (false, true) => self.bought += cpu,
                // What only passes through is neither.
                (true, true) | (false, false) => {}
            },
        }
    }
}

/// Returns what a virtual node costs, in millionths of a euro for a core and an hour; nothing for other allocations.
pub(super) fn price(allocation: &Allocation) -> Option<u32> {
    let Role::VirtualNode { price, .. } = &allocation.role else { return None };
    let cores = u128::from(allocation.resources.cpu.to_millis());
    let hourly = u128::from(price.amount.0) * 3600 * 1000;
    let price = hourly.checked_div(u128::from(price.period.seconds()) * cores)?;
    Some(u32::try_from(price).unwrap_or(u32::MAX))
}

fn millis(quantity: Quantity) -> i64 {
    i64::try_from(quantity.to_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kernel::{AllocationId, ContractId, Key, Resources};

    use super::*;

    const HOME: NodeId = NodeId([1; 32]);
    const ABROAD: NodeId = NodeId([2; 32]);

    fn bought(seller: NodeId, cpu: &str, price: &str) -> Allocation {
        Allocation {
            id: AllocationId([0; 16]),
            role: Role::VirtualNode { key: Key([0; 16]), seller, price: price.parse().unwrap(), origin: None },
            status: Status::Active,
            contract: Some(ContractId([0; 16])),
            resources: Resources { cpu: cpu.parse().unwrap(), ..Resources::default() },
        }
    }

    #[test]
    fn prices_are_for_a_core_and_an_hour() {
        assert_eq!(price(&bought(HOME, "500m", "0.05EUR/h")), Some(100_000));
        assert_eq!(price(&bought(HOME, "2", "0.01EUR/min")), Some(300_000));
        assert_eq!(price(&bought(HOME, "0", "0.01EUR/min")), None);
    }

    #[test]
    fn what_crosses_the_border_is_sold_on_one_side_and_bought_on_the_other() {
        let is_abroad = |node: &NodeId| *node == ABROAD;
        let of = |role: Role| {
            let mut holding = Holding::default();
            holding.add(&Allocation { role, ..bought(HOME, "2", "1EUR/h") }, is_abroad);
            (holding.sold, holding.bought, holding.contracts)
        };
        let forwarding = |buyer, seller| Role::Forwarding { buyer, seller };
        assert_eq!(of(forwarding(ABROAD, HOME)), (2000, 0, 0));
        assert_eq!(of(forwarding(HOME, ABROAD)), (0, 2000, 0));
        assert_eq!(of(forwarding(ABROAD, ABROAD)), (0, 0, 0));
        assert_eq!(of(bought(HOME, "2", "1EUR/h").role), (0, 0, 1));
        assert_eq!(of(bought(ABROAD, "2", "1EUR/h").role), (0, 2000, 1));
    }
}
