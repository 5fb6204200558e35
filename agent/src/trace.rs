//! The steps of stories while they are under way: gathered for a reply, or sent on to the orchestrator.

use std::collections::BTreeMap;

use kernel::{NodeId, Ticket, Time};
use rear_proto::{
    Step, Trace,
    membership::Role,
    story::{Deed, MAX_STEPS, Place},
};

/// The most stories that are followed at once; the oldest is dropped for a newer one, which loses its steps and
/// nothing else.
const MAX_STORIES: usize = 16_384;

/// The stories that this node is part of.
#[derive(Debug)]
pub(crate) struct Stories {
    me: NodeId,
    role: Role,
    /// When each of our own stories began.
    own: BTreeMap<u64, Time>,
    /// What was done while serving each question from outside.
    served: BTreeMap<u64, Served>,
}

#[derive(Debug)]
struct Served {
    arrived: Time,
    tell: bool,
    /// Whether the answer leaves the domain: then places are told as letters.
    abroad: bool,
    steps: Vec<Step>,
}

impl Stories {
    pub(crate) const fn new(me: NodeId, role: Role) -> Self {
        Self { me, role, own: BTreeMap::new(), served: BTreeMap::new() }
    }

    /// Begins to gather the steps made while serving a question; `abroad` where the answer leaves the domain.
    pub(crate) fn serve(&mut self, now: Time, ticket: Ticket, tell: bool, abroad: bool) -> Trace {
        if self.served.len() >= MAX_STORIES {
            self.served.pop_first();
        }
        self.served.insert(ticket.0, Served { arrived: now, tell, abroad, steps: Vec::new() });
        Trace::Served(ticket.0)
    }

    /// Says whether somebody wants to know the steps of a story, so that whoever is asked for it has to tell them.
    pub(crate) fn is_followed(&self, trace: Trace) -> bool {
        match trace {
            Trace::None => false,
            Trace::Own(_) => true,
            Trace::Served(ticket) => self.served.get(&ticket).is_some_and(|served| served.tell),
        }
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
        let Some(Served { abroad, mut steps, .. }) = self.served.remove(&ticket.0) else { return Vec::new() };
        if self.served.is_empty() {
            // An empty map keeps its room.
            self.served = BTreeMap::new();
        }
        if abroad {
            for step in &mut steps {
                if let Place::Node(node) = step.node {
                    step.node = Place::Behind(self.letter(&node).to_owned());
                }
            }
        }
        steps
    }

    /// Returns what a node of this domain is called beyond its border.
    fn letter(&self, node: &NodeId) -> &'static str {
        match self.role {
            _ if *node != self.me => "P",
            Role::Supernode => "SP",
            Role::Catalogue => "K",
            Role::Node => "P",
        }
    }

    /// Places steps that came with a reply inside the window between its asking and its arrival. Those of an own story
    /// are given back, to be recorded; those made for another's question are kept for its reply.
    pub(crate) fn place(&mut self, now: Time, trace: Trace, asked: Time, mut steps: Vec<Step>) -> Vec<Step> {
        steps.truncate(MAX_STEPS);
        let mut since = |began: Time| {
            for step in &mut steps {
                step.at = (asked + step.at).min(now).since(began);
            }
        };
        match trace {
            Trace::None => Vec::new(),
            Trace::Own(story) => {
                let Some(began) = self.own.get(&story) else { return Vec::new() };
                since(*began);
                steps
            }
            Trace::Served(ticket) => {
                if let Some(served) = self.served.get_mut(&ticket)
                    && served.tell
                {
                    since(served.arrived);
                    served.steps.extend(steps);
                    served.steps.truncate(MAX_STEPS);
                }
                Vec::new()
            }
        }
    }
}
