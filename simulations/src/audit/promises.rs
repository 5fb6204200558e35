//! Save, then speak: what promises leaves only when it is on the disk; and over one order there is one promise.

use std::collections::{BTreeMap, BTreeSet};

use agent::{Batch, Output};
use kernel::{ContractId, Digest, Key, NodeId, Span, Ticket, Time};
use rear_proto::{Answer, Order, Request, Table};

use super::{
    Checked,
    recent::{Recent, TURN},
    wrong,
};
use crate::{
    plan::{Act, NodeNo},
    world::World,
};

/// How much longer than it says a contract may stay without being used: a moment, for it is nobody else's to end it.
const USED_WITHIN: Span = Span::millis(500);

/// What was promised.
#[derive(Debug, Default)]
pub(super) struct Promises {
    held: Recent<(NodeId, Key), Digest>,
    signed: Recent<(NodeId, Key), Digest>,
    renewed: Recent<(Digest, u32), Digest>,
    /// Which order each RELEASE is about.
    releases: BTreeMap<(NodeNo, Ticket), (NodeId, Key)>,
    /// Which order was sent under each key.
    ordered: Recent<(NodeId, Key), Digest>,
    /// Until when each contract was promised at first, by its seller's clock, and by how much each renewal makes it longer.
    terms: Recent<Digest, (Time, BTreeMap<u32, Span>)>,
    /// Until when each contract must be in use, by the world's time, at its seller.
    unused: BTreeSet<(Time, ContractId, NodeNo)>,
    /// What each node has decided to promise, and has not said yet: when it dies, nobody will hear of it.
    unsaid: BTreeSet<(NodeNo, Digest)>,
    /// Nodes whose disks forgot what they had promised.
    forgetful: Vec<NodeNo>,
    /// Whether a clock was ever off.
    clocks_off: bool,
}

impl Promises {
    /// What is asked: under one key there is one order.
    pub(super) fn asked(&mut self, node: NodeNo, from: NodeNo, ticket: Ticket, request: &Request) -> Checked {
        if let Request::Release(release) = request {
            self.releases.insert((node, ticket), (release.buyer, release.key));
        }
        if let Request::Reserve(reserve) = request
            && let Some(order) = reserve.order.claimed()
            && !self.forgetful.contains(&from)
        {
            let digest = reserve.order.digest();
            let before = *self.ordered.or_insert(name(order), digest);
            if before != digest {
                return wrong(
                    "idempotency",
                    from,
                    format!("it orders {before} and then {digest} under key {}", order.key),
                );
            }
        }
        Ok(())
    }

    pub(super) fn died(&mut self, node: NodeNo) {
        self.releases.retain(|(at, _), _| *at != node);
        let unsaid: BTreeSet<Digest> =
            self.unsaid.extract_if(.., |(at, _)| *at == node).map(|(_, digest)| digest).collect();
        if !unsaid.is_empty() {
            // Asked again, it may promise something else.
            self.held.retain(|_, digest| !unsaid.contains(digest));
            self.signed.retain(|_, digest| !unsaid.contains(digest));
            self.renewed.retain(|_, digest| !unsaid.contains(digest));
        }
        // What comes back gives everything a fresh lease.
        self.unused.retain(|(_, _, at)| *at != node);
    }

    pub(super) fn struck(&mut self, act: &Act) {
        match act {
            Act::LostDisk { node, .. } => self.forgetful.push(*node),
            Act::Skew { .. } => self.clocks_off = true,
            _ => {}
        }
    }

    /// What is decided: over one order one hold and one contract, and of each renewal one.
    pub(super) fn decided(&mut self, world: &World, node: NodeNo, batch: &Batch) -> Checked {
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
                    let ends = contract.start + contract.term;
                    self.terms.or_insert(signed.digest(), (ends, BTreeMap::new()));
                    if self.signed.get(&name(order)).is_none() {
                        let due = world.now() + contract.activate_within + USED_WITHIN;
                        self.unused.insert((due, signed.digest().into(), node));
                    }
                    (self.signed.insert(name(order), signed.digest()), signed.digest())
                }
                Answer::Reserved(signed) => {
                    let Some(order) = signed.claimed().and_then(|reserved| reserved.order.claimed()) else { continue };
                    (self.held.insert(name(order), signed.digest()), signed.digest())
                }
                Answer::Renewed(signed) => {
                    let Some(renewal) = signed.claimed() else { continue };
                    let Some(ask) = renewal.ask.claimed() else { continue };
                    if let Some((_, longer)) = self.terms.get_mut(&ask.contract) {
                        longer.insert(ask.n, renewal.term);
                    }
                    (self.renewed.insert((ask.contract, ask.n), signed.digest()), signed.digest())
                }
                _ => continue,
            };
            if let (Some(before), now) = before
                && before != now
            {
                return wrong("idempotency", node, format!("it promises {before} over an order, and then {now}"));
            }
            if before.0.is_none() {
                self.unsaid.insert((node, before.1));
            }
            if before.0.is_none() && world.is_full(node) {
                return wrong("full disk", node, format!("it promises {} all the same", before.1));
            }
        }
        Ok(())
    }

    /// A contract lasts as long as was promised, by whoever counts.
    pub(super) fn touched(&self, world: &World, node: NodeNo, batch: &Batch) -> Checked {
        let Some(managers) = world.managers(node) else { return Ok(()) };
        for row in batch.rows.iter().filter(|row| row.table == Table::Renewals) {
            let id = row.key.first_chunk().copied().map(ContractId);
            let Some(contract) = id.and_then(|id| managers.contract.contract(&id)) else { continue };
            let Some((end, longer)) = self.terms.get(&contract.digest) else { continue };
            let of_it = longer.iter().take_while(|(n, _)| usize::try_from(**n).is_ok_and(|n| n <= contract.renewals));
            let end = of_it.fold(*end, |end, (_, term)| end + *term);
            if contract.end != end {
                let detail = format!("contract {} ends at {:?}, and {end:?} was promised", contract.id, contract.end);
                return wrong("term", node, detail);
            }
        }
        Ok(())
    }

    /// Forgets what was promised long ago, but for the terms of what may live.
    pub(super) fn turn(&mut self, now: Time) {
        self.held.turn(|_, _| false);
        self.signed.turn(|_, _| false);
        self.renewed.turn(|_, _| false);
        self.ordered.turn(|_, _| false);
        let end = |(end, longer): &(Time, BTreeMap<u32, Span>)| longer.values().fold(*end, |end, term| end + *term);
        // Sellers' clocks may be off, by less than that.
        self.terms.turn(|_, term| end(term) + TURN > now);
    }

    /// A contract that nobody uses in time is over.
    pub(super) fn sweep(&mut self, world: &World) -> Checked {
        while let Some(&(due, id, node)) = self.unused.first().filter(|(due, ..)| *due <= world.now()) {
            self.unused.remove(&(due, id, node));
            let contract = world.managers(node).and_then(|managers| managers.contract.contract(&id));
            if contract.is_some_and(|it| it.state == contract::ContractState::Signed) && !self.clocks_off {
                return wrong(
                    "activation",
                    node,
                    format!("contract {id} lives, and nobody has come to use it in time"),
                );
            }
        }
        Ok(())
    }

    /// What leaves: it is on the disk.
    pub(super) fn left(&mut self, world: &World, node: NodeNo, output: &Output) -> Checked {
        let Output::Reply { ticket, reply } = output else { return Ok(()) };
        let released = self.releases.remove(&(node, *ticket));
        let said = match &reply.answer {
            Answer::Contract(signed) => Some(signed.digest()),
            Answer::Reserved(signed) => Some(signed.digest()),
            Answer::Renewed(signed) => Some(signed.digest()),
            _ => None,
        };
        said.map(|digest| self.unsaid.remove(&(node, digest)));
        let is_kept = |table, key: Vec<u8>| world.disk(node).has(table, &key);
        let kept = match &reply.answer {
            Answer::Contract(signed) => {
                // At a relay, both that it sold and that behind it.
                let backed_by = signed.claimed().and_then(|contract| contract.backed_by);
                let mut both = std::iter::once(signed.digest()).chain(backed_by);
                both.all(|digest| is_kept(Table::Contracts, ContractId::from(digest).0.to_vec()))
            }
            Answer::Reserved(signed) => {
                // A repeat may be answered when the hold is forgotten already.
                let order = signed.claimed().and_then(|reserved| reserved.order.claimed());
                order.is_none_or(|order| {
                    let key = [order.buyer.as_bytes(), order.key.as_bytes()].concat();
                    is_kept(Table::Reservations, key) || self.held.get(&name(order)).is_some()
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
