//! The consumer's side of a peering: opens it, keeps it open over the provider's restarts, forgets it when it is over.
//!
//! ```text
//!  Peer ─► opening ── offer ──► open ── provider seen again, or it says that it knows nothing ──► reopening
//!             │                   ▲                                                                │    │
//!             │ open-within over  └────────────────────────── offer ───────────────────────────────┘    │
//!             ▼                                                                                         │
//!            lost ◄──────────────────────── the provider refuses, time after time ──────────────────────┘
//! ```
//! The provider is the other party of the contract; it may be a relay, behind which the far end restarts unseen. It says
//! so itself (`returning.rs`); where that does not come, an open peering is asked for again now and then. An offer out of another life of the far end has everything that is
//! to run there deployed anew.

use kernel::{AllocationId, ContractId, NodeId, Span, Time};
use rear_proto::{
    Code, Epoch, Refusal, Trace,
    fabric::{FabricAnswer, FabricAsk, FabricRequest},
    local::Placement,
    story::Deed,
};

use crate::{
    mail::Effect,
    manager::{About, Manager, Said},
    stamp,
    timers::{Attempt, Due},
};

/// How many times in a row a provider must say that it knows of no contract before the peering counts as lost. A
/// provider that comes back may be heard before it has read all that it kept; a moment later it has.
const REFUSALS: u32 = 3;

/// A peering with a provider, under one contract.
#[derive(Debug)]
pub(crate) struct Peering {
    pub(crate) allocation: AllocationId,
    pub(crate) provider: NodeId,
    pub(crate) phase: Phase,
    /// The latest word of the provider that was heard.
    pub(crate) heard: Option<Epoch>,
    /// In which of its lives the far end has made its latest offer.
    pub(crate) life: Option<u32>,
    /// When it was last asked for since the far end had said that it has restarted.
    pub(crate) returned: Option<Time>,
    trace: Trace,
    attempt: Attempt,
}

/// How far a peering is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The provider is asked, until this time.
    Opening(Time),
    /// The provider has offered.
    Open,
    /// It was open, and the provider is asked again; how often it refused.
    Reopening(u32),
    /// It could not be opened, or the provider knows of it no longer.
    Lost,
}

impl Manager {
    /// REAR wants a peering.
    pub(crate) fn peer(
        &mut self,
        now: Time,
        allocation: AllocationId,
        contract: ContractId,
        provider: NodeId,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        if let Some(peering) = self.peerings.get_mut(&contract) {
            match peering.phase {
                Phase::Opening(_) => return,
                Phase::Open | Phase::Reopening(_) => {
                    out.push(Effect::Peered { allocation, contract, trace });
                    return;
                }
                Phase::Lost => {}
            }
        }
        let phase = Phase::Opening(now + self.config.open_within);
        let heard = self.peerings.get(&contract).and_then(|peering| peering.heard);
        let peering = Peering {
            allocation,
            provider,
            phase,
            heard,
            life: None,
            returned: None,
            trace,
            attempt: Attempt::default(),
        };
        self.peerings.insert(contract, peering);
        out.push(Effect::Did(trace, Deed::ResourceRequestSent));
        self.request(now, contract, out);
    }

    /// Asks the provider to open the peering.
    fn request(&mut self, now: Time, contract: ContractId, out: &mut Vec<Effect>) {
        let Some(peering) = self.peerings.get(&contract) else { return };
        let (trace, deadline) = match peering.phase {
            Phase::Opening(until) => (peering.trace, self.config.answer_within.min(now.until(until))),
            Phase::Open | Phase::Reopening(_) => (Trace::None, self.config.answer_within),
            Phase::Lost => return,
        };
        let before = peering.attempt.ask;
        self.forget(before);
        let request = FabricRequest::ResourceRequest { contract };
        let ask = FabricAsk { request, tell: matches!(trace, Trace::Own(_)), extensions: Default::default() };
        let id = self.send(contract, About::Peering(contract), ask, deadline, trace, out);
        if let Some(peering) = self.peerings.get_mut(&contract) {
            peering.attempt.ask = Some(id);
        }
        self.timers.set(Due::Peering(contract), Self::lost_at(now, deadline));
    }

    pub(crate) fn peering_due(&mut self, now: Time, contract: ContractId, out: &mut Vec<Effect>) {
        let Some(peering) = self.peerings.get(&contract) else { return };
        let waiting = peering.attempt.ask;
        if waiting.is_some() {
            self.forget(waiting);
            self.peering_failed(now, contract, Code::Timeout.into(), false, out);
        } else {
            self.request(now, contract, out);
        }
    }

    pub(crate) fn peering_answered(&mut self, now: Time, contract: ContractId, said: Said, out: &mut Vec<Effect>) {
        match said {
            Said::Answer(FabricAnswer::ResourceOffer { .. }, extensions) => {
                let life = stamp::read(&extensions).map(|stamp| stamp.starts);
                self.opened(now, contract, life, out);
            }
            Said::Refused(refusal) => {
                let unknown = matches!(refusal.code(), Code::NotFound | Code::Closed);
                self.peering_failed(now, contract, refusal, unknown, out);
            }
            other @ (Said::Answer(..) | Said::Nothing(_)) => {
                self.peering_failed(now, contract, other.into_refusal(), false, out);
            }
        }
    }

    fn opened(&mut self, now: Time, contract: ContractId, life: Option<u32>, out: &mut Vec<Effect>) {
        let Some(peering) = self.peerings.get_mut(&contract) else { return };
        peering.attempt.succeeded();
        let first = matches!(peering.phase, Phase::Opening(_));
        let same = peering.phase == Phase::Open && life.is_some() && peering.life == life;
        peering.phase = Phase::Open;
        peering.life = life;
        if first {
            let (allocation, trace) = (peering.allocation, peering.trace);
            out.push(Effect::Did(trace, Deed::ConsumerTold));
            out.push(Effect::Peered { allocation, contract, trace });
        }
        self.timers.set(Due::Peering(contract), now + self.config.check_every);
        if !same {
            for request in self.replicas_on(Placement::Remote(contract)) {
                self.ask_deploy(now, request, out);
            }
        }
    }

    /// A try came to nothing; `unknown` where the provider says that it knows of no such contract.
    fn peering_failed(
        &mut self,
        now: Time,
        contract: ContractId,
        refusal: Refusal,
        unknown: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(peering) = self.peerings.get_mut(&contract) else { return };
        let retry = peering.attempt.failed(&self.config, &mut self.rng).max(refusal.retry_after.unwrap_or(Span::ZERO));
        if unknown && peering.phase == Phase::Open {
            peering.phase = Phase::Reopening(0);
        }
        let lost = match &mut peering.phase {
            // It may be the way that is broken, for a moment: what there is stays.
            Phase::Open => false,
            Phase::Opening(until) => now + retry >= *until,
            Phase::Reopening(refused) => {
                *refused = if unknown { *refused + 1 } else { 0 };
                *refused >= REFUSALS
            }
            Phase::Lost => return,
        };
        if lost {
            self.lose(contract, refusal, out);
        } else {
            self.timers.set(Due::Peering(contract), now + retry.min(self.config.longest_retry));
        }
    }

    /// Gives a peering up; the contract's end will follow.
    pub(crate) fn lose(&mut self, contract: ContractId, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(peering) = self.peerings.get_mut(&contract) else { return };
        let waiting = peering.attempt.ask.take();
        peering.phase = Phase::Lost;
        out.push(Effect::Unpeered { allocation: peering.allocation, refusal });
        self.forget(waiting);
        self.timers.clear(&Due::Peering(contract));
    }

    /// The provider may have forgotten all: opens the peering again, and with it whatever is to run there.
    pub(crate) fn reopen(&mut self, now: Time, contract: ContractId, out: &mut Vec<Effect>) {
        let Some(peering) = self.peerings.get_mut(&contract) else { return };
        match peering.phase {
            Phase::Open => {
                peering.phase = Phase::Reopening(0);
                peering.attempt.failures = 0;
            }
            // What is under way is left alone: it is answered, or known to be lost, soon.
            Phase::Opening(_) | Phase::Reopening(_) if peering.attempt.ask.is_some() => return,
            Phase::Opening(_) | Phase::Reopening(_) => {}
            Phase::Lost => return,
        }
        self.ask_anew(now, contract, out);
    }

    /// The far end has just been heard: it is asked at once, whatever was asked of it before.
    pub(crate) fn reopen_now(&mut self, now: Time, contract: ContractId, out: &mut Vec<Effect>) {
        if let Some(peering) = self.peerings.get_mut(&contract) {
            // Asking again puts off the end of the question before it, which would have said that it takes too long.
            if matches!(peering.phase, Phase::Opening(until) if until <= now) {
                return self.peering_failed(now, contract, Code::Timeout.into(), false, out);
            }
            peering.returned = Some(now);
            peering.attempt.failures = 0;
        }
        self.ask_anew(now, contract, out);
    }

    /// Asks for the peering, and for the end of what is to be stopped under it.
    fn ask_anew(&mut self, now: Time, contract: ContractId, out: &mut Vec<Effect>) {
        self.request(now, contract, out);
        for request in self.leaving_from(contract) {
            self.ask_undeploy(now, request, out);
        }
    }

    /// The provider says that it knows nothing of an open peering: opens it again, though not at once, so that two
    /// who disagree do not keep each other busy.
    pub(crate) fn reopen_soon(&mut self, now: Time, contract: ContractId) {
        let Some(peering) = self.peerings.get_mut(&contract) else { return };
        if peering.phase == Phase::Open {
            peering.phase = Phase::Reopening(0);
            let check = peering.attempt.ask;
            let wait = peering.attempt.failed(&self.config, &mut self.rng);
            self.forget(check);
            self.timers.set(Due::Peering(contract), now + wait);
        }
    }

    /// As a consumer: the contract is over.
    pub(crate) fn forget_peering(&mut self, contract: ContractId, out: &mut Vec<Effect>) {
        let Some(peering) = self.peerings.remove(&contract) else { return };
        self.forget(peering.attempt.ask);
        self.timers.clear(&Due::Peering(contract));
        self.forget_replicas(contract, out);
    }
}
