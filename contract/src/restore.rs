//! Being reborn: rows are read back, then what lives is put to work again and what is over is ended.
//!
//! Questions that were under way are in no row: what they asked for lapses at the seller, or is found dead by its
//! first KEEPALIVE.

use kernel::{
    ContractId, Manager as _, Time,
    planted::{self, Bug},
};
use rear_proto::{DamagedRecord, Mode, Table, Trace, local::Side, message::EndReason, record::decode};

use crate::{
    agreement::{Agreement, node},
    buyer::{Buy, Stage},
    close::Tell,
    mail::Effect,
    manager::{Expiry, Manager},
    record::{ContractRecord, End, HoldRecord, KeyRecord, Name, RenewalRecord},
    relay::{Relay, forwarding},
    release::About,
    seller::{Phase, Sale},
};

impl Manager {
    /// Reads back a row that was kept, of any of this manager's tables and in any order, before the start.
    ///
    /// # Errors
    /// When it is no such row, or was written by a later version.
    pub fn restore(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DamagedRecord> {
        let damaged = |why: &str| DamagedRecord { table: table.name(), why: why.to_owned() };
        let name = || Name::from_bytes(key).ok_or_else(|| damaged("its key is not an order's name"));
        match table {
            Table::Contracts => {
                let record: ContractRecord = decode(table, value)?;
                let agreement = Agreement::new(record).ok_or_else(|| damaged("it holds no contract"))?;
                if agreement.id.as_bytes() != key {
                    return Err(damaged("its key is another contract's"));
                }
                let (id, end) = (agreement.id, agreement.record.end);
                self.contracts.insert(id, agreement);
                if let Some(end) = end {
                    self.ended.insert((end.at, id));
                    self.bound_ended();
                }
            }
            Table::Renewals => {
                let RenewalRecord { renewal } = decode(table, value)?;
                let wrong = || damaged("its key is not a contract's id and a number");
                let (id, n) = key.split_first_chunk::<16>().ok_or_else(wrong)?;
                let n = u32::from_be_bytes(n.try_into().map_err(|_| wrong())?);
                self.restored.entry(ContractId(*id)).or_default().insert(n, renewal);
            }
            Table::Reservations => {
                let hold: HoldRecord = decode(table, value)?;
                let name = name()?;
                if let Some(at) = hold.purchased.or(hold.end.map(|end| end.at)) {
                    self.ended_holds.insert((at, name));
                }
                self.holds.insert(name, hold);
            }
            Table::Keys => {
                let record: KeyRecord = decode(table, value)?;
                self.keys.restore(name()?, record);
            }
            _ => return Err(damaged("the Contract Manager keeps no such table")),
        }
        Ok(())
    }

    /// Comes to life: what lives gets one fresh lease to be heard of and to become active again.
    pub fn start(&mut self, now: Time, _starts: u32, out: &mut Vec<Effect>) {
        self.started = now;
        for (id, renewals) in std::mem::take(&mut self.restored) {
            let Some(agreement) = self.contracts.get_mut(&id) else { continue };
            for renewal in renewals.into_values().filter(|_| !planted::is(Bug::ForgetRenewals)) {
                let term = renewal.claimed().map_or(kernel::Span::ZERO, |renewal| renewal.term);
                agreement.renew(renewal, term);
            }
        }
        let ids: Vec<ContractId> = self.contracts.keys().copied().collect();
        for id in ids {
            self.revive_contract(now, id, out);
        }
        let names: Vec<Name> = self.holds.keys().copied().collect();
        for name in names {
            self.revive_hold(now, name, out);
        }
        self.rejoin(now, out);
        // Whatever ended while the node was down ends here.
        self.wake(now, out);
    }

    fn revive_contract(&mut self, now: Time, id: ContractId, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.remove(&id) else { return };
        let (name, side, peer) = (agreement.name(), agreement.record.side, agreement.record.peer.clone());
        if let Some(end) = agreement.record.end {
            let link = agreement.record.link.filter(|_| side == Side::Consumer);
            self.contracts.insert(id, agreement);
            if end.untold {
                if let Some(link) = link
                    && let Some(front) = self.contracts.get(&link.other).map(Agreement::name)
                {
                    self.revive_ending(now, front, name.key, link.margin, link.leaves);
                }
                self.tell(now, name, peer, end.reason, end.awaited, About::Contract(id), out);
            }
            return;
        }
        let order = agreement.record.contract.claimed().map(|contract| contract.order.clone());
        let Some(order) = order else { return };
        match side {
            Side::Provider => {
                let (allocation, relay) = (agreement.allocation(), self.revived_relay(&agreement));
                self.sales.insert(name, Sale { order: order.digest(), allocation, phase: Phase::Live(id), relay });
                self.allocations.insert(allocation, name);
                if !agreement.record.was_active {
                    self.pending.insert(name);
                }
            }
            Side::Consumer => {
                let buy = Buy {
                    request: None,
                    trace: Trace::None,
                    seller: peer,
                    mode: agreement.order.mode,
                    order,
                    endorsement: None,
                    renew: agreement.record.renew,
                    stage: Stage::Live(id),
                };
                self.buys.insert(name.key, buy);
            }
        }
        let again = now + self.config.lease;
        let first = agreement.record.since + agreement.activate_within;
        let activate_by = if agreement.record.was_active { again } else { first.max(again) };
        let (ends, router, bought) = (agreement.ends(), agreement.router(), agreement.bought());
        let relayed = agreement.record.link.is_some();
        self.bring_to_life(agreement, now, activate_by, now);
        if relayed {
            return;
        }
        if ends <= now {
            return self.close_contract(now, id, EndReason::Expired, Tell::Yes, out);
        }
        out.push(Effect::DeployRouter { router: Box::new(router), trace: Trace::None });
        match side {
            Side::Provider => {
                out.push(Effect::Bind { allocation: bought.allocation, contract: id });
                out.push(Effect::Revived { contract: id, customer: name.buyer });
            }
            Side::Consumer => out.push(Effect::Restored { key: name.key, contract: bought }),
        }
    }

    fn revive_hold(&mut self, now: Time, name: Name, out: &mut Vec<Effect>) {
        let Some(hold) = self.holds.get(&name).filter(|_| !planted::is(Bug::ForgetHolds)) else { return };
        let (peer, lapses, side) = (hold.peer.clone(), hold.lapses, hold.side);
        match hold.end {
            Some(End { reason, untold: true, awaited, .. }) => {
                if let Some(link) = hold.link.filter(|_| side == Side::Consumer) {
                    self.revive_ending(now, link.other, name.key, link.margin, link.leaves);
                }
                return self.tell(now, name, peer, reason, awaited, About::Hold, out);
            }
            Some(_) => return,
            None if hold.purchased.is_some() => return,
            None => {}
        }
        let Some(order) = hold.reserved.claimed().map(|reserved| reserved.order.clone()) else { return };
        match side {
            Side::Provider => {
                let relay = hold.link.map(|link| {
                    self.fronts.insert(link.other.key, name);
                    Relay { back: link.other.key, margin: link.margin, leaves: link.leaves, at_rear: true }
                });
                let allocation = if relay.is_some() { forwarding(&name) } else { node(&name.buyer, &name.key) };
                self.sales.insert(name, Sale { order: order.digest(), allocation, phase: Phase::Held, relay });
                self.allocations.insert(allocation, name);
                self.pending.insert(name);
            }
            Side::Consumer => {
                let buy = Buy {
                    request: None,
                    trace: Trace::None,
                    seller: peer,
                    order,
                    endorsement: None,
                    mode: Mode::Hold,
                    renew: hold.renew,
                    stage: Stage::Held,
                };
                self.buys.insert(name.key, buy);
            }
        }
        self.expiries.set(Expiry::Hold(name), lapses);
    }
}
