//! The manager: which intents there are, and whose each answer is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{ContractId, IntentId, NodeId, RequestId, Ticket, Time, Wake};
use rear_proto::{Code, DamagedRecord, Refusal, Table, Trace};

use crate::{
    config::Config,
    intent::Intent,
    life::Life,
    mail::{Effect, Input},
    turn::{Requests, Timer, Turn},
    view::{IntentView, Times, WorkloadView},
};

/// Keeps the intents of a node.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    me: NodeId,
    lives: BTreeMap<IntentId, Life>,
    /// The last intents that were deleted, oldest first.
    deleted: VecDeque<IntentView>,
    requests: Requests,
    timers: BTreeSet<Timer>,
}

impl Manager {
    /// Makes a manager without intents.
    pub const fn new(config: Config, me: NodeId) -> Self {
        Self {
            config,
            me,
            lives: BTreeMap::new(),
            deleted: VecDeque::new(),
            requests: Requests::new(),
            timers: BTreeSet::new(),
        }
    }

    /// Remembers a row that was kept.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn restore(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DamagedRecord> {
        if table != Table::Intents {
            let why = "the orchestrator keeps nothing in this table".to_owned();
            return Err(DamagedRecord { table: table.name(), why });
        }
        let id = IntentId(key.try_into().map_err(|_| DamagedRecord {
            table: table.name(),
            why: format!("a key of {} bytes is no intent's id", key.len()),
        })?);
        self.lives.insert(id, Life::restore(id, value)?);
        Ok(())
    }

    /// Goes on after a (re)start.
    pub fn start(&mut self, now: Time, _starts: u32, out: &mut Vec<Effect>) {
        for id in self.lives.keys().copied().collect::<Vec<_>>() {
            self.with(now, id, out, Life::resume);
        }
    }

    /// Returns the intents by id, those that were deleted last behind them.
    pub fn intents(&self) -> impl Iterator<Item = IntentView> {
        self.lives.values().map(|life| life.view(&self.me)).chain(self.deleted.iter().cloned())
    }

    /// Returns one intent.
    pub fn intent(&self, id: &IntentId) -> Option<IntentView> {
        let deleted = || self.deleted.iter().rev().find(|view| view.id == *id).cloned();
        self.lives.get(id).map(|life| life.view(&self.me)).or_else(deleted)
    }

    /// Returns how far an intent has come: what [`intent`](Self::intent) says of it, at less cost.
    pub fn phase(&self, id: &IntentId) -> Option<crate::Phase> {
        let deleted = || self.deleted.iter().rev().find(|view| view.id == *id).map(|view| view.phase);
        self.lives.get(id).map(|life| life.phase()).or_else(deleted)
    }

    /// Returns what [`intent`](Self::intent) says of an intent's replicas, at less cost.
    pub fn workloads(&self, id: &IntentId) -> Vec<WorkloadView> {
        let deleted = || self.deleted.iter().rev().find(|view| view.id == *id).map(|view| view.workloads.clone());
        self.lives.get(id).map(|life| life.workloads()).or_else(deleted).unwrap_or_default()
    }

    /// Returns when each phase of an intent was over, and why it is in its phase: what [`intent`](Self::intent) says of
    /// both, at less cost.
    pub fn times(&self, id: &IntentId) -> Option<(Times, Option<&str>)> {
        let deleted = || {
            let view = self.deleted.iter().rev().find(|view| view.id == *id)?;
            Some((view.times, view.reason.as_deref()))
        };
        self.lives.get(id).map(|life| (life.times(), life.reason())).or_else(deleted)
    }

    /// Returns the request of a replica that has a place: the first, or the first of that workload or replica.
    pub fn request_of(&self, intent: &IntentId, workload: Option<&str>) -> Option<RequestId> {
        self.lives.get(intent)?.request_of(workload)
    }

    /// Does something with one intent, then says and keeps what has changed of it.
    fn with(&mut self, now: Time, id: IntentId, out: &mut Vec<Effect>, act: impl FnOnce(&mut Life, &mut Turn<'_>)) {
        let Self { config, me, lives, deleted, requests, timers } = self;
        let Some(life) = lives.get_mut(&id) else { return };
        let mut turn = Turn { now, me: *me, config, requests, timers, out };
        act(life, &mut turn);
        life.close(&mut turn);
        if life.is_over() {
            deleted.extend(lives.remove(&id).map(|life| life.view(me)));
            while deleted.len() > config.deleted_shown {
                deleted.pop_front();
            }
        }
    }

    /// Does something with the intent of a request, where the replica still rests on, or waits for, just that.
    fn with_replica(
        &mut self,
        now: Time,
        request: RequestId,
        out: &mut Vec<Effect>,
        act: impl FnOnce(&mut Life, &mut Turn<'_>, usize),
    ) {
        let Some(owner) = self.requests.owner(request) else { return };
        self.with(now, owner.intent, out, |life, turn| {
            if life.is_current(owner.replica, request) {
                act(life, turn, owner.replica);
            }
        });
    }

    fn submit(
        &mut self,
        now: Time,
        id: IntentId,
        intent: Intent,
        contract: Option<ContractId>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if let Some(known) = self.lives.get(&id) {
            let text = format!("there is another intent {id} already");
            return if *known.intent() == intent { Ok(()) } else { Err(Refusal::new(Code::KeyReused, text)) };
        }
        intent.check().map_err(|invalid| Refusal::new(Code::Malformed, invalid.to_string()))?;
        let requests = intent.requests();
        if contract.is_some() && requests != 1 {
            let text = format!(
                "intent '{}' has {requests} replicas, and a contract made by hand can take one: submit them one by one",
                intent.name,
            );
            return Err(Refusal::new(Code::Malformed, text));
        }
        if self.lives.len() >= self.config.intents {
            let text = format!("there are {} intents here, which is the most: delete some", self.lives.len());
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let Self { config, me, requests, timers, .. } = self;
        let life = Life::submit(&mut Turn { now, me: *me, config, requests, timers, out }, id, intent, contract);
        self.lives.insert(id, life);
        Ok(())
    }

    fn delete(&mut self, now: Time, id: IntentId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        if self.lives.contains_key(&id) {
            self.with(now, id, out, Life::delete);
            return Ok(());
        }
        let known = self.deleted.iter().any(|view| view.id == id);
        if known { Ok(()) } else { Err(Refusal::new(Code::NotFound, format!("there is no intent {id}"))) }
    }
}

impl kernel::Manager for Manager {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Submit { ticket, id, intent, contract } => {
                let result = self.submit(now, id, intent, contract, out);
                respond(ticket, id, result, out);
                self.with(now, id, out, |_, _| {});
            }
            Input::Delete { ticket, id } => {
                let result = self.delete(now, id, out);
                respond(ticket, id, result, out);
            }
            Input::LookedUp { request, local } => {
                self.with_replica(now, request, out, |life, turn, at| life.looked_up(turn, at, request, local));
            }
            Input::Held { request } => {
                self.with_replica(now, request, out, |life, turn, at| life.held(turn, at, request));
            }
            Input::Ready { request, contract, provider, price } => {
                self.with_replica(now, request, out, |life, turn, at| {
                    life.ready(turn, at, request, contract, provider, price);
                });
            }
            Input::Failed { request, refusal } => {
                self.with_replica(now, request, out, |life, turn, at| life.failed(turn, at, &refusal));
            }
            Input::Ended { request, reason: _, text } => {
                let Some(owner) = self.requests.owner(request) else { return };
                self.with(now, owner.intent, out, |life, turn| {
                    if life.is_current(owner.replica, request) {
                        life.ended(turn, owner.replica, text);
                    } else {
                        life.stopped(turn, request);
                    }
                });
            }
            Input::Released { request } => {
                let Some(owner) = self.requests.owner(request) else { return };
                self.with(now, owner.intent, out, |life, turn| life.released(turn, request));
            }
            Input::Status { request, status } => {
                self.with_replica(now, request, out, |life, turn, at| life.status(turn, at, status));
            }
            Input::Undeployed { request } => {
                let Some(owner) = self.requests.owner(request) else { return };
                self.with(now, owner.intent, out, |life, turn| life.stopped(turn, request));
            }
            Input::Exposed { request, port, url } => {
                self.with_replica(now, request, out, |life, turn, at| life.exposed(turn, at, port, url));
            }
            Input::Recorded { trace: Trace::Own(number), step } => {
                let request = RequestId(number);
                let Some(owner) = self.requests.owner(request) else { return };
                let began = self.requests.began(request, now, step.at);
                self.with(now, owner.intent, out, |life, turn| life.recorded(&turn.me, owner, request, began, step));
            }
            Input::Recorded { trace: Trace::None | Trace::Served(_), step: _ } => {}
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        self.timers.first().map(|(at, ..)| (*at, "a place is looked for again"))
    }

    fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some(&(due, id, replica)) = self.timers.first().filter(|(due, ..)| *due <= now) {
            self.timers.pop_first();
            self.with(now, id, out, |life, turn| life.retry(turn, replica, due));
        }
    }
}

fn respond(ticket: Ticket, id: IntentId, result: Result<(), Refusal>, out: &mut Vec<Effect>) {
    out.push(Effect::Respond { ticket, result: result.map(|()| id) });
}

#[cfg(test)]
mod tests;
