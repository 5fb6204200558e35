//! Save, then speak: what promises leaves only when it is on the disk; and over one order there is one promise.

use std::collections::BTreeMap;

use agent::{Batch, Output};
use kernel::{ContractId, Digest, Key, NodeId, Ticket};
use rear_proto::{Answer, Order, Request, Table};

use super::{Checked, wrong};
use crate::{
    plan::{Act, NodeNo},
    world::World,
};

/// What was promised.
#[derive(Debug, Default)]
pub(super) struct Promises {
    held: BTreeMap<(NodeId, Key), Digest>,
    signed: BTreeMap<(NodeId, Key), Digest>,
    renewed: BTreeMap<(Digest, u32), Digest>,
    /// Which order each RELEASE is about.
    releases: BTreeMap<(NodeNo, Ticket), (NodeId, Key)>,
    /// Nodes whose disks forgot what they had promised.
    forgetful: Vec<NodeNo>,
}

impl Promises {
    pub(super) fn asked(&mut self, node: NodeNo, _from: NodeNo, ticket: Ticket, request: &Request) {
        if let Request::Release(release) = request {
            self.releases.insert((node, ticket), (release.buyer, release.key));
        }
    }

    pub(super) fn died(&mut self, node: NodeNo) {
        self.releases.retain(|(at, _), _| *at != node);
    }

    pub(super) fn struck(&mut self, act: &Act) {
        if let Act::LostDisk { node, .. } = act {
            self.forgetful.push(*node);
        }
    }

    /// What is decided: over one order one hold and one contract, and of each renewal one.
    pub(super) fn decided(&mut self, _world: &World, node: NodeNo, batch: &Batch) -> Checked {
        if self.forgetful.contains(&node) {
            return Ok(());
        }
        for output in &batch.outputs {
            let Output::Reply { reply, .. } = output else { continue };
            let before = match &reply.answer {
                Answer::Contract(signed) => {
                    let Some(contract) = signed.claimed() else { continue };
                    let Some(order) = contract.order.claimed() else { continue };
                    if contract.price.within(&order.ceiling) != Some(true) {
                        let detail = format!("sells at {}, over the ceiling of {}", contract.price, order.ceiling);
                        return wrong("price", node, detail);
                    }
                    (self.signed.insert(name(&order), signed.digest()), signed.digest())
                }
                Answer::Reserved(signed) => {
                    let Some(order) = signed.claimed().and_then(|reserved| reserved.order.claimed()) else { continue };
                    (self.held.insert(name(&order), signed.digest()), signed.digest())
                }
                Answer::Renewed(signed) => {
                    let Some(ask) = signed.claimed().and_then(|renewal| renewal.ask.claimed()) else { continue };
                    (self.renewed.insert((ask.contract, ask.n), signed.digest()), signed.digest())
                }
                _ => continue,
            };
            if let (Some(before), now) = before
                && before != now
            {
                return wrong("idempotency", node, format!("it promises {before} over an order, and then {now}"));
            }
        }
        Ok(())
    }

    /// What leaves: it is on the disk.
    pub(super) fn left(&mut self, world: &World, node: NodeNo, output: &Output) -> Checked {
        let Output::Reply { ticket, reply } = output else { return Ok(()) };
        let released = self.releases.remove(&(node, *ticket));
        if world.is_liar(node) {
            return Ok(());
        }
        let is_kept = |table, key: Vec<u8>| world.disk(node).contains_key(&(table, key));
        let kept = match &reply.answer {
            Answer::Contract(signed) => is_kept(Table::Contracts, ContractId::from(signed.digest()).0.to_vec()),
            Answer::Reserved(signed) => {
                // A repeat may be answered when the hold is forgotten already.
                let order = signed.claimed().and_then(|reserved| reserved.order.claimed());
                order.is_none_or(|order| {
                    let key = [order.buyer.as_bytes(), &order.key.as_bytes()[..]].concat();
                    is_kept(Table::Reservations, key) || self.held.contains_key(&name(&order))
                })
            }
            Answer::Renewed(signed) => {
                let ask = signed.claimed().and_then(|renewal| renewal.ask.claimed());
                ask.is_none_or(|ask| {
                    let contract = ContractId::from(ask.contract);
                    is_kept(Table::Renewals, [contract.as_bytes(), &ask.n.to_be_bytes()[..]].concat())
                })
            }
            Answer::Released => released.is_none_or(|order| is_over(world, node, order)),
            _ => true,
        };
        if kept {
            Ok(())
        } else {
            wrong("save, then speak", node, format!("it says what is not on its disk: {:?}", reply.answer))
        }
    }
}

fn name(order: &Order) -> (NodeId, Key) {
    (order.buyer, order.key)
}

/// Says whether the disk, too, has it that a contract which was released lives no more.
fn is_over(world: &World, node: NodeNo, order: (NodeId, Key)) -> bool {
    let lives = |managers: &agent::Managers| {
        managers.contract.contracts().any(|it| (it.buyer, it.key) == order && it.state.is_live())
    };
    if world.managers(node).is_none_or(lives) {
        return false;
    }
    // Only where there was a contract is there anything to be read back.
    let known = world.managers(node).is_some_and(|it| it.contract.contracts().any(|it| (it.buyer, it.key) == order));
    !known || world.count() > 64 || world.reborn(node, false).is_ok_and(|agent| !lives(agent.managers()))
}
