//! KEEPALIVE: both parties name what lives for them, and whoever hears it named, or not named dead, lets it live on.

use std::collections::BTreeSet;

use kernel::{
    ContractId, NodeId, Ticket, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Answer, Refusal, Request, Trace,
    door::MAX_KEEPALIVE,
    flavour::Party,
    message::{EndReason, Keepalive},
};

use crate::{
    buyer::Stage,
    close::Tell,
    mail::Effect,
    manager::{Chore, Expiry, Manager, Purpose, none_yet},
};

impl Manager {
    /// Names to a node everything that lives between it and this one.
    pub(crate) fn keep_alive(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        let Some(shared) = self.shared.get(&node).filter(|shared| !shared.is_empty()) else {
            return self.chores.cancel(&Chore::Keepalive(node));
        };
        let named: Vec<ContractId> = shared.iter().copied().collect();
        let every = self.config.keepalive_every();
        let addresses = named
            .iter()
            .filter_map(|id| self.contracts.get(id))
            .map(|agreement| &agreement.record.peer.addresses)
            .find(|addresses| !addresses.is_empty())
            .cloned()
            .unwrap_or_default();
        let to = Party { node, addresses };
        for contracts in named.chunks(MAX_KEEPALIVE) {
            let keepalive = Keepalive { contracts: contracts.to_vec(), extensions: none_yet() };
            let purpose = Purpose::Keepalive { sent: now, contracts: contracts.to_vec() };
            let deadline = every.min(self.config.answer_within);
            self.ask(purpose, to.clone(), Request::Keepalive(keepalive), deadline, Trace::None, out);
        }
        self.chores.set(Chore::Keepalive(node), now + every);
    }

    /// KEEPALIVE: what it names lives on; what does not live here is named in return.
    pub(crate) fn asked_keepalive(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        contracts: &[ContractId],
        out: &mut Vec<Effect>,
    ) {
        // What is asked of that node just now may have become a contract there whose bytes are on their way.
        let undecided = self
            .buys
            .values()
            .any(|buy| buy.seller.node == from && matches!(buy.stage, Stage::Asking(_) | Stage::Purchasing(..)));
        let shared = self.shared.get(&from);
        let (live, rest): (Vec<ContractId>, Vec<ContractId>) =
            contracts.iter().partition(|id| shared.is_some_and(|shared| shared.contains(*id)));
        let dead = rest.into_iter().filter(|id| !undecided || self.contracts.contains_key(id)).collect();
        for id in live {
            self.feed(now, id, now, out);
        }
        out.push(Effect::Reply { ticket, answer: Answer::Dead(dead) });
    }

    /// The other party's answer: what it names is dead, and the rest lives on.
    pub(crate) fn answered_keepalive(
        &mut self,
        now: Time,
        sent: Time,
        contracts: &[ContractId],
        answer: Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let Ok(Answer::Dead(dead)) = answer else { return };
        let dead: BTreeSet<ContractId> = dead.into_iter().collect();
        for id in contracts {
            if dead.contains(id) && !planted::is(Bug::IgnoreDead) {
                self.close_contract(now, *id, EndReason::Forgotten, Tell::No, out);
            } else {
                self.feed(now, *id, sent, out);
            }
        }
    }

    /// The other party was surely alive at this time: the lease counts from then.
    fn feed(&mut self, now: Time, id: ContractId, heard: Time, out: &mut Vec<Effect>) {
        let (lease, until) = (Expiry::Lease(id), heard + self.config.lease);
        if self.expiries.at(&lease).is_some_and(|at| at < until) {
            self.expiries.set(lease, until);
        }
        self.heard_again(now, id, out);
    }
}
