//! Who is connected to whom, and what each node believes of that.
//!
//! Each side of a connection knows it by a number. What comes over another one than the receiver knows is lost: so a
//! side that has not noticed that the other is gone speaks into the void until it does.

use agent::Event;
use kernel::{NodeId, Span, Time};
use rear_proto::{Code, flavour::Party};

use super::{Due, World, node::Waiter};
use crate::{plan::NodeNo, scenario::Line};

/// How long the first pause before dialling again is, and the longest, as the transport has them.
const REDIAL: (u64, u64) = (500, 60_000);
/// After which time a connection that nobody wants kept, and over which nothing was said, is closed.
const IDLE: Span = Span::secs(300);
/// How long it takes until a side notices by its pings that nothing comes any more, at least and at most.
const NOTICED: (u64, u64) = (5_000, 45_000);

/// One side of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) conn: u64,
    /// When something was said last.
    pub(crate) used: Time,
}

/// A connection that is there once it is dialled, if both ends still live in the lives that they had.
#[derive(Debug)]
pub(crate) struct Connected {
    from: NodeNo,
    to: NodeNo,
    conn: u64,
    lives: (u32, u32),
    /// How long the way there and back takes.
    trip: Span,
}

impl World {
    /// Returns what the line between two nodes is like.
    pub(super) fn line(&self, a: NodeNo, b: NodeNo) -> Line {
        let (from, to) = (self.node(a), self.node(b));
        let own = from.line.or(to.line).map(|(_, line)| line);
        let usual = || if self.domain(a) == self.domain(b) { self.links.inside } else { self.links.between };
        own.unwrap_or_else(usual)
    }

    /// Says over which connection a node reaches another, dialling it where need be, and how much later what is said
    /// over it arrives. `None` where that fails at once.
    pub(super) fn dial(&mut self, from: NodeNo, party: &Party) -> Option<(NodeNo, u64, Span)> {
        let to = self.index(&party.node)?;
        let now = self.now;
        if let Some(link) = self.node_mut(from).now.peers.get_mut(&to) {
            link.used = now;
            return Some((to, link.conn, Span::ZERO));
        }
        let known =
            self.node(to).addresses.iter().any(|at| party.addresses.iter().any(|it| it.starts_with(at.as_str())));
        if from == to || !known {
            return None;
        }
        self.begin_dial(from, to)
    }

    fn begin_dial(&mut self, from: NodeNo, to: NodeNo) -> Option<(NodeNo, u64, Span)> {
        let under_way = self.node(from).now.dialling.get(&to).or_else(|| self.node(to).now.dialling.get(&from));
        if let Some(&(conn, at)) = under_way {
            return Some((to, conn, self.now.until(at)));
        }
        if self.is_cut(from, to) {
            // Nobody says that it can't be reached; the deadline will.
            return Some((to, 0, Span::ZERO));
        }
        if self.node(to).agent.is_none() || self.is_blocked(from, to) {
            return None;
        }
        self.last_conn += 1;
        let conn = self.last_conn;
        let trip = self.line(from, to).latency.draw(&mut self.rng).max(Span::millis(1));
        let takes = trip.times(4);
        let at = self.now + takes;
        self.node_mut(from).now.dialling.insert(to, (conn, at));
        let lives = (self.node(from).life, self.node(to).life);
        self.queue.push(at, Due::Connected(Box::new(Connected { from, to, conn, lives, trip: trip.times(2) })));
        Some((to, conn, takes))
    }

    pub(super) fn connected(&mut self, connected: Connected) {
        let Connected { from, to, conn, lives, trip } = connected;
        if self.node(from).life == lives.0 {
            self.node_mut(from).dialled(to);
        }
        let same = |world: &Self, node, life| world.node(node).agent.is_some() && world.node(node).life == life;
        let stands = same(self, from, lives.0) && same(self, to, lives.1);
        if !stands || self.is_cut(from, to) || self.is_blocked(from, to) {
            return;
        }
        let link = Link { conn, used: self.now };
        for (at, of) in [(from, to), (to, from)] {
            let before = self.node_mut(at).now.peers.insert(of, link);
            if before.is_some() {
                // It is found out only by this that the old one is dead; its peer was never gone, for this side.
                self.fail_questions(at, of);
                continue;
            }
            let party = Party { node: self.node(of).id, addresses: self.node(of).addresses.clone() };
            self.event(at, Event::PeerUp { party });
            let (peer, life) = (self.node(of).id, self.node(at).life);
            self.after(trip, Due::Local { node: at, life, event: Box::new(Event::RoundTrip { peer, span: trip }) });
        }
        if !self.wants(from, to) {
            self.after(IDLE, Due::Idle { a: from, b: to, conn });
        }
    }

    fn wants(&self, a: NodeNo, b: NodeNo) -> bool {
        self.node(a).now.wanted.contains_key(&b) || self.node(b).now.wanted.contains_key(&a)
    }

    /// A connection may have been idle for long.
    pub(super) fn idle(&mut self, a: NodeNo, b: NodeNo, conn: u64) {
        let used = |at: NodeNo, of| {
            let link = self.node(at).now.peers.get(&of).filter(|link| link.conn == conn)?;
            Some(link.used)
        };
        let (Some(one), Some(other)) = (used(a, b), used(b, a)) else { return };
        let rests = self.now.since(one.max(other));
        if self.wants(a, b) {
            return;
        }
        if rests < IDLE {
            return self.after(IDLE.minus(rests), Due::Idle { a, b, conn });
        }
        self.broken(a, b, conn);
    }

    /// A node wants to stay connected to another.
    pub(super) fn keep_connected(&mut self, node: NodeNo, party: &Party) {
        let Some(to) = self.index(&party.node).filter(|to| *to != node && !party.addresses.is_empty()) else { return };
        let tries = self.node_mut(node).now.wanted.entry(to).or_insert(false);
        if !std::mem::replace(tries, true) {
            self.redial(node, to, 0);
        }
    }

    /// Tries to reach somebody who is to be reached, and again after a pause that grows.
    pub(super) fn redial(&mut self, node: NodeNo, to: NodeNo, tries: u32) {
        if self.node(node).agent.is_none() || !self.node(node).now.wanted.contains_key(&to) {
            return;
        }
        if self.node(node).now.peers.contains_key(&to) {
            self.node_mut(node).now.wanted.insert(to, false);
            return;
        }
        if !self.node(to).addresses.is_empty() {
            self.begin_dial(node, to);
        }
        let pause = REDIAL.0.saturating_mul(1 << tries.min(16)).min(REDIAL.1);
        let pause = pause / 2 + self.rng.below(pause / 2 + 1);
        let life = self.node(node).life;
        self.after(Span::millis(pause), Due::Redial { node, life, to, tries: tries + 1 });
    }

    /// A side of a connection is found to be dead.
    pub(super) fn broken(&mut self, at: NodeNo, of: NodeNo, conn: u64) {
        if self.node(at).now.peers.get(&of).is_none_or(|link| link.conn != conn) {
            return;
        }
        self.node_mut(at).now.peers.remove(&of);
        self.fail_questions(at, of);
        let node = self.node(of).id;
        self.event(at, Event::PeerDown { node });
        if let Some(tries @ false) = self.node_mut(at).now.wanted.get_mut(&of) {
            *tries = true;
            self.redial(at, of, 0);
        }
        // The other side hears of it, or notices.
        if self.node(of).now.peers.get(&at).is_some_and(|link| link.conn == conn) {
            let delay = if self.is_cut(at, of) { self.notice_after() } else { Span::millis(1 + self.rng.below(50)) };
            self.after(delay, Due::Broken { at: of, of: at, conn });
        }
    }

    pub(super) fn notice_after(&mut self) -> Span {
        Span::millis(NOTICED.0 + self.rng.below(NOTICED.1 - NOTICED.0))
    }

    /// Whatever was asked over a connection that is dead is not answered.
    fn fail_questions(&mut self, at: NodeNo, of: NodeNo) {
        let now = &self.node(at).now;
        let to_it = |open: &std::collections::BTreeMap<u64, NodeNo>, inside| {
            let of_it = open.iter().filter(|(_, to)| **to == of).map(|(question, _)| (*question, inside));
            of_it.collect::<Vec<_>>()
        };
        let failed = [to_it(&now.open, false), to_it(&now.open_inside, true)].concat();
        for (question, inside) in failed {
            let waiter = self.node(at).waiter(at, question);
            self.after(Span::millis(1), Due::Refused { waiter, inside });
        }
    }

    /// A node is gone: the others see that at once, or notice it later.
    pub(super) fn lose(&mut self, node: NodeNo, seen: bool) {
        let peers: Vec<_> = self.node(node).now.peers.iter().map(|(of, link)| (*of, link.conn)).collect();
        for (at, conn) in peers {
            let delay = if seen { Span::millis(1 + self.rng.below(50)) } else { self.notice_after() };
            self.after(delay, Due::Broken { at, of: node, conn });
        }
    }

    fn is_blocked(&self, a: NodeNo, b: NodeNo) -> bool {
        self.node(a).now.blocked.contains(&b) || self.node(b).now.blocked.contains(&a)
    }

    /// A node lets another in no more.
    pub(super) fn block(&mut self, node: NodeNo, other: &NodeId) {
        let Some(other) = self.index(other) else { return };
        let now = &mut self.node_mut(node).now;
        now.blocked.insert(other);
        now.wanted.remove(&other);
        if let Some(conn) = now.peers.get(&other).map(|link| link.conn) {
            self.broken(node, other, conn);
        }
    }

    /// A question found nobody.
    pub(super) fn refused(&mut self, waiter: Waiter, inside: bool) {
        self.unanswered(waiter, inside, Code::Unavailable);
    }
}
