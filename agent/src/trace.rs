//! The steps of stories while they are under way: gathered for a reply, or sent on to the orchestrator.

use std::collections::BTreeMap;

use kernel::{NodeId, Ticket, Time};
use rear_proto::{
    Step, Trace,
    story::{Deed, MAX_STEPS, Place},
};

/// The most stories that are followed at once; the oldest is dropped for a newer one, which loses its steps and
/// nothing else.
const MAX_STORIES: usize = 16_384;

/// The stories that this node is part of.
#[derive(Debug)]
pub(crate) struct Stories {
    me: NodeId,
    /// When each of our own stories began.
    own: BTreeMap<u64, Time>,
    /// What was done while serving each question from outside.
    served: BTreeMap<u64, Served>,
}

#[derive(Debug)]
struct Served {
    arrived: Time,
    tell: bool,
    steps: Vec<Step>,
}

impl Stories {
    pub(crate) const fn new(me: NodeId) -> Self {
        Self { me, own: BTreeMap::new(), served: BTreeMap::new() }
    }

    /// Begins to gather the steps made while serving a question.
    pub(crate) fn serve(&mut self, now: Time, ticket: Ticket, tell: bool) -> Trace {
        if self.served.len() >= MAX_STORIES {
            self.served.pop_first();
        }
        self.served.insert(ticket.0, Served { arrived: now, tell, steps: Vec::new() });
        Trace::Served(ticket.0)
    }

    /// Takes in a deed; a step of one of our own stories is given back, to be recorded.
    pub(crate) fn record(&mut self, now: Time, trace: Trace, deed: Deed) -> Option<Step> {
        let step = |at| Step { deed, node: Place::Node(self.me), manager: deed.manager(), at };
        match trace {
            Trace::None => None,
            Trace::Own(story) => {
                if self.own.len() >= MAX_STORIES && !self.own.contains_key(&story) {
                    self.own.pop_first();
                }
                let began = *self.own.entry(story).or_insert(now);
                Some(step(now.since(began)))
            }
            Trace::Served(ticket) => {
                if let Some(served) = self.served.get_mut(&ticket)
                    && served.tell
                    && served.steps.len() < MAX_STEPS
                {
                    served.steps.push(step(now.since(served.arrived)));
                }
                None
            }
        }
    }

    /// Ends the serving of a question and returns the steps for its reply.
    pub(crate) fn served(&mut self, ticket: Ticket) -> Vec<Step> {
        self.served.remove(&ticket.0).map_or_else(Vec::new, |served| served.steps)
    }

    /// Places steps that came with a reply inside the window between its asking and its arrival.
    pub(crate) fn place(&self, now: Time, trace: Trace, asked: Time, steps: Vec<Step>) -> Vec<Step> {
        let Trace::Own(story) = trace else { return Vec::new() };
        let Some(began) = self.own.get(&story) else { return Vec::new() };
        let mut steps = steps;
        steps.truncate(MAX_STEPS);
        for step in &mut steps {
            let at = (asked + step.at).min(now);
            step.at = at.since(*began);
        }
        steps
    }
}
