//! Saying everything again: whatever a node is told a second time must change nothing.

use std::collections::BTreeMap;

use agent::{Event, Output};
use kernel::{Ticket, Time};
use rear_proto::{Answer, Request, fabric::FabricAnswer, membership::Role};

use super::World;

/// What is said again, and when.
#[derive(Debug, Default)]
pub(crate) struct Again {
    /// Whether whatever arrives is said again at once.
    pub(crate) at_once: bool,
    /// Of which question a ticket stands for the repeat.
    repeats: BTreeMap<(usize, Ticket), Ticket>,
    /// What was answered to the first, or to the second where that was answered first.
    answers: BTreeMap<(usize, Ticket), String>,
    /// What was delivered so far, to be said again later.
    delivered: Vec<(usize, u32, Time, Event)>,
    /// Whether to remember that.
    pub(crate) remembers: bool,
    /// Whether questions are put again to whoever is reborn, too.
    pub(crate) any_life: bool,
    pub(crate) count: usize,
}

impl Again {
    pub(crate) fn is_repeat(&self, node: usize, ticket: Ticket) -> bool {
        self.repeats.contains_key(&(node, ticket))
    }

    /// Remembers what a question was answered, for its repeat.
    pub(crate) fn answers(&mut self, node: usize, output: &Output) {
        if !self.at_once && !self.remembers {
            return;
        }
        match output {
            Output::Reply { ticket, reply } => self.answers.insert((node, *ticket), reply.answer.said()),
            Output::FabricReply { ticket, reply } => self.answers.insert((node, *ticket), reply.answer.said()),
            _ => None,
        };
    }
}

impl World {
    /// Delivers what arrives at a node, and once more where that is wished.
    pub(super) fn deliver(&mut self, node: usize, event: Event) {
        if self.again.remembers {
            let life = self.nodes[node].starts;
            self.again.delivered.push((node, life, self.now, event.clone()));
        }
        if !self.again.at_once {
            return self.event(node, event);
        }
        self.event(node, event.clone());
        self.say_again(node, event);
    }

    /// Says again what was delivered so far, in a drawn order; what this changes is a failure.
    pub(crate) fn say_all_again(&mut self) {
        let mut delivered = self.again.delivered.clone();
        while !delivered.is_empty() {
            let at = usize::try_from(self.rng.below(delivered.len() as u64)).unwrap();
            let (node, life, when, event) = delivered.swap_remove(at);
            if self.is_forgotten(node, when, &event) {
                continue;
            }
            let question = matches!(event, Event::Asked { .. } | Event::Heard { .. });
            if self.lives(node, life) || self.again.any_life && question {
                self.say_again(node, event);
            }
        }
    }

    /// Says whether this is a RESERVE that was refused, and the refusal is remembered no longer: asked again it may be
    /// granted, and lapses, since nobody waits for it.
    fn is_forgotten(&self, node: usize, when: Time, event: &Event) -> bool {
        let Event::Asked { ticket, ask, .. } = event else { return false };
        // A supernode that is asked for a list when it has forgotten the question asks others anew.
        if let (Request::List(list), Role::Supernode) = (&ask.request, self.nodes[node].me.role) {
            return when + list.deadline <= self.now;
        }
        let Request::Reserve(reserve) = &ask.request else { return false };
        let refused = self.again.answers.get(&(node, *ticket)).is_none_or(|answer| answer.starts_with("Refused"));
        refused && when + reserve.deadline.times(2) <= self.now
    }

    fn say_again(&mut self, node: usize, mut event: Event) {
        let again = self.nodes[node].ticket();
        match &mut event {
            Event::Asked { ticket, .. } | Event::Heard { ticket, .. } => {
                self.again.repeats.insert((node, again), *ticket);
                *ticket = again;
            }
            Event::Answered { .. } | Event::FabricAnswered { .. } => {}
            other => self.fail(format!("{other:?} is no message")),
        }
        self.again.count += 1;
        let what = format!("{event:?}").chars().take(400).collect::<String>();
        let now = self.nodes[node].clock.tell(self.now);
        let Some(agent) = &mut self.nodes[node].agent else { return };
        let batch = agent.handle(now, event);
        if !batch.rows.is_empty() {
            let tables: Vec<_> = batch.rows.iter().map(|row| row.table.name()).collect();
            self.fail(format!("node {node} was told again and keeps {tables:?}: {what}"));
        }
        for output in batch.outputs {
            match output {
                Output::Reply { ticket, reply } if ticket == again => {
                    self.answered_again(node, ticket, &reply.answer);
                }
                Output::FabricReply { ticket, reply } if ticket == again => {
                    self.answered_again(node, ticket, &reply.answer);
                }
                output => self.fail(format!("node {node} was told again and does {output:?}: {what}")),
            }
        }
    }

    /// A repeat is answered: as the first was, or will be.
    pub(super) fn answered_again(&mut self, node: usize, ticket: Ticket, answer: &impl Said) {
        let Some(first) = self.again.repeats.get(&(node, ticket)).copied() else { return };
        if !self.again.at_once {
            return;
        }
        let said = answer.said();
        match self.again.answers.get(&(node, first)) {
            Some(before) if *before == said => {}
            Some(before) => self.fail(format!("node {node} answers {before}, and to its repeat {said}")),
            // The first still waits; both are answered at once.
            None if self.nodes[node].asked.contains_key(&first) || self.nodes[node].heard.contains_key(&first) => {}
            None => self.fail(format!("node {node} answers a repeat only: {said}")),
        }
    }
}

/// An answer, as it is compared.
pub(crate) trait Said {
    /// Returns what it says, for comparing.
    fn said(&self) -> String;
}

impl Said for Answer {
    fn said(&self) -> String {
        match self {
            // It tells the time, and others each time.
            Self::Hello(_) => "HELLO".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

impl Said for FabricAnswer {
    fn said(&self) -> String {
        format!("{self:?}")
    }
}
