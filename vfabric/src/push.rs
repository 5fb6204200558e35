//! How a customer's workloads are, told to the customer until it has taken note.
//!
//! Only how a workload *is* matters: what has changed since is told instead, at once, and the stamp says which of two
//! that cross is the later one.

use kernel::{AllocationId, Time};
use rear_proto::{Code, Trace, fabric::FabricRequest};

use crate::{
    mail::{Effect, Instance},
    manager::{About, Manager, Said, ask},
    stamp,
    timers::Due,
};

impl Manager {
    /// An instance of a customer has changed: it will be told.
    ///
    /// With `replied`, the answer to its Deploy has just said so: unless that gets lost, or more happens, to say it
    /// again would be of no use, and so it waits as long as an answer may take.
    pub(crate) fn tell(&mut self, now: Time, instance: &Instance, replied: bool, out: &mut Vec<Effect>) {
        let at = now + self.config.answer_within;
        let Some(hosted) = self.hosted(instance) else { return };
        hosted.untold = true;
        if replied {
            self.timers.set(Due::Push(instance.clone()), at);
        } else {
            hosted.push.failures = 0;
            self.push(now, instance, out);
        }
    }

    fn push(&mut self, now: Time, instance: &Instance, out: &mut Vec<Effect>) {
        let Some(contract) = self.lodgings.get(&instance.allocation).and_then(|lodging| lodging.contract()) else {
            return;
        };
        let Some(hosted) = self.hosted(instance) else { return };
        let (true, None, Some(status)) = (hosted.untold, &hosted.stopping, hosted.status.clone()) else { return };
        let before = hosted.push.ask.take();
        self.forget(before);
        let mut question = ask(FabricRequest::Status { workload: instance.workload.clone(), status });
        question.extensions = stamp::write(self.stamps.next());
        let deadline = self.config.answer_within;
        let id = self.send(contract, About::Push(instance.clone()), question, deadline, Trace::None, out);
        if let Some(hosted) = self.hosted(instance) {
            hosted.push.ask = Some(id);
        }
        self.timers.set(Due::Push(instance.clone()), Self::lost_at(now, deadline));
    }

    pub(crate) fn push_answered(&mut self, now: Time, instance: &Instance, id: u64, said: Said) {
        let (config, rng) = (&self.config, &mut self.rng);
        let hosted = self.lodgings.get_mut(&instance.allocation).and_then(|it| it.hosted.get_mut(&instance.workload));
        let Some(hosted) = hosted.filter(|hosted| hosted.push.ask == Some(id)) else { return };
        let again = match said {
            Said::Answer(..) => false,
            // A customer that knows of no such replica has restarted: it asks for all of them soon.
            Said::Refused(refusal) => !matches!(refusal.code(), Code::NotFound | Code::Closed),
            Said::Nothing(_) => true,
        };
        let due = Due::Push(instance.clone());
        if again {
            let wait = hosted.push.failed(config, rng);
            self.timers.set(due, now + wait);
        } else {
            hosted.untold = false;
            hosted.push.succeeded();
            self.timers.clear(&due);
        }
    }

    pub(crate) fn push_due(&mut self, now: Time, instance: &Instance, out: &mut Vec<Effect>) {
        let Some(hosted) = self.hosted(instance) else { return };
        match hosted.push.ask {
            Some(id) => {
                self.forget(Some(id));
                self.push_answered(now, instance, id, Said::Nothing(Code::Timeout.into()));
            }
            None => self.push(now, instance, out),
        }
    }

    /// A customer can be reached again: it is told at once what it has not taken note of.
    pub(crate) fn push_all(&mut self, now: Time, allocation: AllocationId, out: &mut Vec<Effect>) {
        let Some(lodging) = self.lodgings.get_mut(&allocation) else { return };
        let names: Vec<_> = lodging.hosted.keys().cloned().collect();
        for workload in names {
            self.push(now, &Instance { allocation, workload }, out);
        }
    }
}
