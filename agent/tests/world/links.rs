//! Who can reach whom, who is connected, and what each is told of that.
//!
//! Nodes of one domain are always connected where one of them can be dialled. Nodes of two domains are connected when
//! one has dialled the other: to ask it something, or because its mind wants to stay connected to it.

use std::collections::{BTreeMap, BTreeSet};

use agent::Event;
use kernel::{Span, Time};
use rear_proto::{flavour::Party, membership::Role};

use super::{Due, World};

/// Which nodes can't reach each other, and what each was told of the others.
#[derive(Debug, Default)]
pub(crate) struct Links {
    cuts: BTreeMap<u64, Cut>,
    last_cut: u64,
    /// What a life of a node was last told of another, and when, so that news comes in order.
    told: BTreeMap<(usize, usize), (u32, bool, Time)>,
    /// Nodes of two domains that are connected, the smaller number first.
    connected: BTreeSet<(usize, usize)>,
    /// Whom each node wants to stay connected to.
    wanted: BTreeSet<(usize, usize)>,
}

#[derive(Debug)]
struct Cut {
    between: (usize, usize),
    noticed: bool,
}

const fn pair(a: usize, b: usize) -> (usize, usize) {
    if a < b { (a, b) } else { (b, a) }
}

impl World {
    /// Says whether what one node says can get to another.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        self.nodes[to].agent.is_some() && self.linked(from, to)
    }

    /// Says whether two nodes are not cut off from each other, by a line or by one of them.
    pub(super) fn linked(&self, a: usize, b: usize) -> bool {
        let cut = self.links.cuts.values().any(|cut| cut.between == pair(a, b));
        !cut && !self.nodes[a].blocked.contains(&self.nodes[b].id) && !self.nodes[b].blocked.contains(&self.nodes[a].id)
    }

    pub(super) fn is_noticed(&self, a: usize, b: usize) -> bool {
        let mut cuts = self.links.cuts.values().filter(|cut| cut.between == pair(a, b));
        self.nodes[b].agent.is_none() || cuts.any(|cut| cut.noticed)
    }

    /// Says whether a node has seen another's connection break, over which nothing more can come then.
    pub(super) fn has_seen_end(&self, at: usize, of: usize) -> bool {
        let told = self.links.told.get(&(at, of));
        at != of && told.is_some_and(|(life, up, when)| *life == self.nodes[at].starts && !up && *when <= self.now)
    }

    /// Says whether two nodes find each other by themselves.
    fn in_mesh(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.nodes[a], &self.nodes[b]);
        let everybody = a.addresses.is_empty() && b.addresses.is_empty() && !self.many;
        let dials = |to: &super::node::Node, from: &super::node::Node| {
            !to.addresses.is_empty() && (!from.addresses.is_empty() || to.me.role == Role::Supernode)
        };
        a.domain == b.domain && (everybody || dials(a, b) || dials(b, a))
    }

    /// Says whether two nodes are connected, or would be at once.
    fn is_connected(&self, a: usize, b: usize) -> bool {
        self.in_mesh(a, b) || self.links.connected.contains(&pair(a, b))
    }

    /// Says whether one node can dial another at these addresses.
    fn can_dial(&self, from: usize, to: usize, addresses: &[String]) -> bool {
        from != to && self.nodes[to].addresses.iter().any(|at| addresses.iter().any(|it| it.starts_with(at.as_str())))
    }

    /// A node asks another: it is connected, or dials it. Says whether that can work, and how much later it arrives.
    pub(super) fn dial(&mut self, from: usize, party: &Party) -> Option<(usize, Span)> {
        let to = self.index(&party.node)?;
        if self.is_connected(from, to) {
            return Some((to, Span::ZERO));
        }
        if !self.can_dial(from, to, &party.addresses) {
            return None;
        }
        if self.reaches(from, to) {
            self.connect(from, to);
        }
        Some((to, Span::millis(8)))
    }

    /// A node wants to stay connected to another.
    pub(super) fn keep_connected(&mut self, node: usize, party: &Party) {
        let Some(to) = self.index(&party.node) else { return };
        if self.in_mesh(node, to) || !self.can_dial(node, to, &party.addresses) {
            return;
        }
        self.links.wanted.insert((node, to));
        if self.reaches(node, to) && !self.is_connected(node, to) {
            self.connect(node, to);
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        self.note(|| format!("{a} connects to {b}"));
        self.links.connected.insert(pair(a, b));
        self.tell_peer(a, b, true);
        self.tell_peer(b, a, true);
    }

    /// Connects two nodes of different domains where one of them wants that.
    fn reconnect(&mut self, a: usize, b: usize) {
        let wanted = self.links.wanted.contains(&(a, b)) || self.links.wanted.contains(&(b, a));
        let up = self.nodes[a].agent.is_some() && self.nodes[b].agent.is_some();
        if wanted && up && self.linked(a, b) && !self.is_connected(a, b) {
            self.connect(a, b);
        }
    }

    // -- lines ------------------------------------------------------------------------------------------

    /// Cuts two nodes off from each other, for a while; after another while each notices.
    pub(crate) fn cut(&mut self, a: usize, b: usize, span: Span) {
        let between = pair(a, b);
        if !self.linked(a, b) {
            return;
        }
        self.note(|| format!("{a} and {b} are cut off from each other for {span}"));
        self.links.last_cut += 1;
        let cut = self.links.last_cut;
        self.links.cuts.insert(cut, Cut { between, noticed: false });
        let noticed = Span::millis(self.rng.below(3000));
        self.after(noticed, Due::Notice { cut });
        self.after(span, Due::Mend { cut });
    }

    pub(super) fn notice(&mut self, cut: u64) {
        let Some(it) = self.links.cuts.get_mut(&cut).filter(|cut| !cut.noticed) else { return };
        it.noticed = true;
        let (a, b) = it.between;
        if !self.is_connected(a, b) {
            return;
        }
        self.links.connected.remove(&pair(a, b));
        self.tell_peer(a, b, false);
        self.tell_peer(b, a, false);
    }

    pub(super) fn mend(&mut self, cut: u64) {
        let Some(Cut { between: (a, b), noticed }) = self.links.cuts.remove(&cut) else { return };
        self.note(|| format!("{a} and {b} can reach each other again"));
        if noticed && self.linked(a, b) {
            if self.in_mesh(a, b) {
                self.tell_peer(a, b, true);
                self.tell_peer(b, a, true);
            } else {
                self.reconnect(a, b);
            }
        }
    }

    pub(super) fn mend_all(&mut self) {
        let cuts: Vec<u64> = self.links.cuts.keys().copied().collect();
        cuts.into_iter().for_each(|cut| self.mend(cut));
    }

    // -- nodes that come and go -------------------------------------------------------------------------

    /// A node has ended: those that were connected see that.
    pub(super) fn peer_lost(&mut self, node: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if self.is_connected(node, other) {
                self.tell_peer(other, node, false);
            }
            self.links.connected.remove(&pair(node, other));
        }
        for cut in self.links.cuts.values_mut().filter(|cut| cut.between.0 == node || cut.between.1 == node) {
            cut.noticed = true;
        }
    }

    /// A mind has ended: what it wanted is forgotten.
    pub(super) fn forget_wishes(&mut self, node: usize) {
        self.links.wanted.retain(|(who, _)| *who != node);
    }

    /// A node has come to life: those that are up find each other; with `unseen` the others never lost it.
    pub(super) fn peer_found(&mut self, node: usize, unseen: bool) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if !self.is_connected(node, other) {
                self.reconnect(node, other);
            } else if self.nodes[other].agent.is_some() && self.linked(node, other) {
                self.tell_peer(node, other, true);
                let life = self.nodes[other].starts;
                let never_lost = matches!(self.links.told.get(&(other, node)), Some((at, true, _)) if *at == life);
                if !(unseen && never_lost) {
                    self.tell_peer(other, node, true);
                }
            }
        }
        // Whoever could not be found then is found when the cut is mended.
        for cut in self.links.cuts.values_mut().filter(|cut| cut.between.0 == node || cut.between.1 == node) {
            cut.noticed = true;
        }
    }

    /// A node lets another in no more.
    pub(super) fn block(&mut self, node: usize, other: usize) {
        self.note(|| format!("{node} blocks {other}"));
        let id = self.nodes[other].id;
        if self.nodes[node].blocked.insert(id) && self.is_connected(node, other) {
            self.links.connected.remove(&pair(node, other));
            self.tell_peer(node, other, false);
            self.tell_peer(other, node, false);
        }
    }

    /// Tells a node that another is there, or is gone, after all that it was told of it before.
    fn tell_peer(&mut self, at: usize, of: usize, up: bool) {
        let life = self.nodes[at].starts;
        let node = self.nodes[of].id;
        let event = if up {
            let addresses = if self.many {
                self.nodes[of].addresses.clone()
            } else {
                vec![format!("/ip4/127.0.0.1/tcp/{}", 1000 + of)]
            };
            Event::PeerUp { party: Party { node, addresses } }
        } else {
            Event::PeerDown { node }
        };
        let last = self.links.told.get(&(at, of)).map_or(Time::default(), |(.., when)| *when);
        let when = (self.now + Span::millis(1 + self.rng.below(5))).max(last + Span::millis(1));
        self.links.told.insert((at, of), (life, up, when));
        self.after(self.now.until(when), Due::Local { node: at, life, event });
    }
}
