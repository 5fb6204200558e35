//! A provider that has restarted knows of no peering. A consumer that is connected with it sees it come back; one behind
//! a relay does not, and would ask only at its next check. So each consumer is told, through its contract's channel.
//!
//! ```text
//!  restart ─► told after a moment, again and again ─┬─ the consumer took note, or asks for its peering ─► settled
//!                  ▲                                └─ the contract is over ────────────────────────────► settled
//!                  └── the neighbour can be reached again
//! ```

use kernel::{ContractId, NodeId, Time};
use rear_proto::{
    Trace,
    fabric::{FabricAnswer, FabricRequest},
};

use crate::{
    mail::Effect,
    manager::{About, Manager, Said, ask, plain, refuse, reply},
    peering::Phase,
    stamp,
    timers::{Attempt, Due},
};

/// A customer that has yet to hear that this node has restarted.
#[derive(Debug)]
pub(crate) struct Returning {
    /// The other party of the contract.
    customer: NodeId,
    attempt: Attempt,
}

impl Manager {
    /// As a provider: a contract was read back after a restart.
    pub(crate) fn revived(&mut self, now: Time, contract: ContractId, customer: NodeId) {
        if self.tenants.contains_key(&contract) {
            return;
        }
        let mut returning = Returning { customer, attempt: Attempt::default() };
        // Whoever sees this node come back asks by itself within this moment.
        let wait = returning.attempt.failed(&self.config, &mut self.rng);
        self.returning.insert(contract, returning);
        self.timers.set(Due::Returning(contract), now + wait);
    }

    pub(crate) fn returning_due(&mut self, now: Time, contract: ContractId, out: &mut Vec<Effect>) {
        let Some(returning) = self.returning.get_mut(&contract) else { return };
        if let Some(lost) = returning.attempt.ask.take() {
            self.forget(Some(lost));
            return self.returning_failed(now, contract);
        }
        let mut question = ask(FabricRequest::Returned);
        question.extensions = stamp::write(self.stamps.next());
        let deadline = self.config.answer_within;
        let id = self.send(contract, About::Returning(contract), question, deadline, Trace::None, out);
        if let Some(returning) = self.returning.get_mut(&contract) {
            returning.attempt.ask = Some(id);
        }
        self.timers.set(Due::Returning(contract), Self::lost_at(now, deadline));
    }

    pub(crate) fn returning_answered(&mut self, now: Time, contract: ContractId, said: &Said) {
        match said {
            Said::Answer(..) => self.known_again(contract),
            // The consumer may have restarted too, or a relay in between. It goes on for as long as the contract does.
            Said::Refused(_) | Said::Nothing(_) => self.returning_failed(now, contract),
        }
    }

    fn returning_failed(&mut self, now: Time, contract: ContractId) {
        let Some(returning) = self.returning.get_mut(&contract) else { return };
        let wait = returning.attempt.failed(&self.config, &mut self.rng);
        self.timers.set(Due::Returning(contract), now + wait);
    }

    /// A node can be reached again: the consumers that it is, or that it relays for, are told a moment later.
    pub(crate) fn tell_returned(&mut self, now: Time, node: NodeId) {
        let waiting: Vec<_> = self.returning.iter().filter(|(_, it)| it.customer == node).map(|(id, _)| *id).collect();
        for contract in waiting {
            let Some(returning) = self.returning.get_mut(&contract) else { continue };
            let before = returning.attempt.ask;
            returning.attempt.succeeded();
            self.forget(before);
            self.returning_failed(now, contract);
        }
    }

    /// The consumer knows, or need not: it is told no more.
    pub(crate) fn known_again(&mut self, contract: ContractId) {
        if let Some(returning) = self.returning.remove(&contract) {
            self.forget(returning.attempt.ask);
            self.timers.clear(&Due::Returning(contract));
        }
    }

    /// As a consumer: the far end says that it has restarted. The peering is asked for anew, and the offer of another
    /// life has all that is to run there deployed again.
    pub(crate) fn heard_returned(
        &mut self,
        now: Time,
        ticket: kernel::Ticket,
        contract: ContractId,
        life: Option<u32>,
        out: &mut Vec<Effect>,
    ) {
        let Some(peering) = self.peerings.get(&contract) else {
            let text = format!("contract {contract} has no peering here");
            return out.push(refuse(ticket, rear_proto::Code::Closed, text));
        };
        let known = peering.phase == Phase::Open && life.is_some() && peering.life == life;
        let acts = !known && peering.phase != Phase::Lost;
        // Each time takes a question, and another for each replica: it is told again, and must not set the pace.
        if acts && peering.returned.is_some_and(|at| now < at + self.config.first_retry) {
            return out.push(refuse(ticket, rear_proto::Code::Overloaded, "the same was said a moment ago"));
        }
        out.push(reply(ticket, plain(FabricAnswer::Done)));
        if acts {
            self.reopen_now(now, contract, out);
        }
    }
}
