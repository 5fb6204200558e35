//! A relay is reborn: what it sold is joined again with what it bought for that, and what has lost the other one ends.

use kernel::{ContractId, Key, Time};
use rear_proto::{Trace, local::Side, message::EndReason, price::Margin};

use crate::{
    agreement::Agreement,
    close::Tell,
    mail::Effect,
    manager::{Chore, Manager},
    record::Name,
    relay::{Relay, forwarding, junction},
    seller::{Phase, Sale},
};

impl Manager {
    /// Returns what a contract that was sold rests on.
    pub(crate) fn revived_relay(&mut self, agreement: &Agreement) -> Option<Relay> {
        let link = agreement.record.link?;
        let back = self.contracts.get(&link.other)?.order.key;
        self.fronts.insert(back, agreement.name());
        Some(Relay { back, margin: link.margin, leaves: link.leaves, at_rear: true })
    }

    /// The next hop has still to be told that what it sold has ended: until it has answered, a RELEASE of what that backed
    /// is not answered either.
    pub(crate) fn revive_ending(&mut self, now: Time, front: Name, back: Key, margin: Margin, leaves: bool) {
        let Some(order) = self.keys.order(&front) else { return };
        let (allocation, phase) = (forwarding(&front), Phase::Ending { waiters: Vec::new() });
        let relay = Some(Relay { back, margin, leaves, at_rear: false });
        self.sales.insert(front, Sale { order, allocation, phase, relay });
        self.allocations.insert(allocation, front);
        self.fronts.insert(back, front);
        self.chores.set(Chore::AnswerRelease(front), now + self.config.capacity_back_within);
    }

    /// Joins all contracts and holds that were joined before, once all of them are back.
    pub(crate) fn rejoin(&mut self, now: Time, out: &mut Vec<Effect>) {
        let linked = |agreement: &&Agreement| agreement.is_live() && agreement.record.link.is_some();
        let ids: Vec<ContractId> = self.contracts.values().filter(linked).map(|agreement| agreement.id).collect();
        for id in ids {
            self.rejoin_contract(now, id, out);
        }
        let live =
            |name: &Name| self.holds.get(name).is_some_and(|hold| hold.end.is_none() && hold.purchased.is_none());
        let alone: Vec<Name> = self
            .holds
            .iter()
            .filter(|(name, hold)| live(name) && hold.link.is_some_and(|link| !live(&link.other)))
            .map(|(name, _)| *name)
            .collect();
        for name in alone {
            if name.buyer == self.me {
                self.drop_buy(now, name.key, EndReason::Released, Tell::Yes, out);
            } else {
                self.end_sale(now, name, EndReason::Released, Tell::Yes, None, out);
            }
        }
    }

    fn rejoin_contract(&mut self, now: Time, id: ContractId, out: &mut Vec<Effect>) {
        let Some(front) = self.contracts.get(&id).filter(|front| front.is_live()) else { return };
        let Some(link) = front.record.link else { return };
        let Some(back) = self.contracts.get(&link.other).filter(|back| back.is_live()) else {
            return self.close_contract(now, id, EndReason::Lost, Tell::Yes, out);
        };
        if front.record.side != Side::Provider {
            return;
        }
        if front.ends() <= now || back.ends() <= now {
            return self.close_contract(now, id, EndReason::Expired, Tell::Yes, out);
        }
        let junction = Box::new(junction(front, back));
        out.push(Effect::Bind { allocation: forwarding(&front.name()), contract: id });
        out.push(Effect::Join { junction, trace: Trace::None });
    }

    /// A neighbour has named a contract that was active before the node restarted: once both neighbours have, the two
    /// are active again, for nobody opens a peering here.
    pub(crate) fn heard_again(&mut self, now: Time, id: ContractId, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.get_mut(&id) else { return };
        let Some(link) = agreement.record.link else { return };
        if agreement.active || !agreement.record.was_active {
            return;
        }
        agreement.heard = true;
        if self.contracts.get(&link.other).is_some_and(|other| other.heard && other.is_live()) {
            self.activated(now, id, out);
        }
    }
}
