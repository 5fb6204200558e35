//! Supernodes that all are partners of each other: a question goes round, and comes to an end.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, VecDeque};

use common::*;
use discovery::{Config, Effect, Input, Manager};
use kernel::{AskId, DomainKey, Manager as _, NodeId, QueryId, Rng, Span, Ticket, Time};
use rear_proto::{
    Answer, Flavour, Request, Trace,
    local::{Caller, DomainSecret, Me, Realm, Way},
    membership::Role,
    message::{List, Scope},
};

/// Domain `n`'s supernode is node `200 + n`.
const fn key(n: u8) -> DomainKey {
    DomainKey([9 + n; 32])
}

struct Ring {
    nodes: BTreeMap<NodeId, (u8, Manager)>,
    now: Time,
    /// Which question visited whom: refused where it had been there.
    visits: Vec<(QueryId, NodeId, bool)>,
    answers: BTreeMap<Ticket, Vec<Answer>>,
    /// Who waits for which answer, and which visit it was.
    waiting: BTreeMap<Ticket, (NodeId, AskId, usize)>,
    wire: VecDeque<(NodeId, Effect)>,
    tickets: u64,
}

impl Ring {
    /// Rings `count` domains, each a partner of all others, or of its two neighbours alone.
    fn new(count: u8, resale: bool, complete: bool) -> Self {
        let mut ring = Self {
            nodes: BTreeMap::new(),
            now: Time(1_000_000),
            visits: Vec::new(),
            answers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            wire: VecDeque::new(),
            tickets: 100,
        };
        for n in 0..count {
            let config = Config { expose: vec![expose(&["*"], "", resale)], max_hops: 16, ..Config::default() };
            let me = Me { signer: signer(200 + n), domain: key(n), role: Role::Supernode };
            ring.nodes.insert(node(200 + n), (n, Manager::new(config, me, Rng::from_number(u64::from(n)))));
        }
        for n in 0..count {
            let are_near = |m: u8| (n + 1) % count == m || (m + 1) % count == n;
            let others: Vec<u8> = (0..count).filter(|m| *m != n && (complete || are_near(*m))).collect();
            let named =
                |m: &u8| rear_proto::local::Partner { name: format!("domain-{m}"), ..partner(key(*m), &[200 + m]) };
            ring.feed(200 + n, Input::Secret(DomainSecret([n; 32])));
            ring.feed(200 + n, Input::Partners(others.iter().map(named).collect()));
            for m in others {
                let (party, role, realm) = (party(200 + m), Role::Supernode, Realm::Partner(key(m)));
                ring.feed(200 + n, Input::EndpointUp { party, role, realm });
            }
            ring.feed(200 + n, Input::OwnChanged(Box::new(of(key(n), offer(200 + n, n + 1, 4, 1)))));
        }
        ring.run();
        ring
    }

    fn feed(&mut self, n: u8, input: Input) {
        self.handle(node(n), input);
    }

    fn handle(&mut self, id: NodeId, input: Input) {
        let mut out = Vec::new();
        self.nodes.get_mut(&id).unwrap().1.handle(self.now, input, &mut out);
        self.wire.extend(out.into_iter().map(|effect| (id, effect)));
    }

    /// A member of domain `n` asks its supernode.
    fn ask(&mut self, ticket: u64, n: u8, list: List) {
        let (ticket, trace) = (Ticket(ticket), Trace::Served(ticket));
        self.visits.push((list.query, node(200 + n), false));
        let input = Input::Asked { ticket, from: node(5), caller: MEMBER, list: Box::new(list), trace };
        self.feed(200 + n, input);
    }

    /// Carries messages in the order in which they were sent, until there are none.
    fn run(&mut self) {
        while let Some((from, effect)) = self.wire.pop_front() {
            match effect {
                Effect::Ask { ask, to, request: Request::List(list), .. } => {
                    self.tickets += 1;
                    let ticket = Ticket(self.tickets);
                    self.waiting.insert(ticket, (from, ask, self.visits.len()));
                    self.visits.push((list.query, to.node, false));
                    let domain = key(self.nodes[&from].0);
                    let caller = Caller::Partner { domain, on: true };
                    let trace = Trace::Served(ticket.0);
                    self.handle(to.node, Input::Asked { ticket, from, caller, list: Box::new(list), trace });
                }
                Effect::Reply { ticket, answer } => match self.waiting.remove(&ticket) {
                    Some((asker, ask, visit)) => {
                        let answer = match answer {
                            Answer::Refused(refusal) => {
                                self.visits[visit].2 = true;
                                Err(refusal)
                            }
                            answer => Ok(answer),
                        };
                        self.handle(asker, Input::Answered { ask, from, answer, took: Span::millis(10) });
                    }
                    None => self.answers.entry(ticket).or_default().push(answer),
                },
                _ => {}
            }
        }
    }

    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some((at, id)) =
            self.nodes.iter().filter_map(|(id, (_, node))| Some((node.next_wake()?.0, *id))).min()
            && at <= end
        {
            self.now = self.now.max(at);
            let mut out = Vec::new();
            self.nodes.get_mut(&id).unwrap().1.wake(self.now, &mut out);
            self.wire.extend(out.into_iter().map(|effect| (id, effect)));
            self.run();
        }
        self.now = end;
    }

    /// What the only answer to a member lists.
    fn answer(&self, ticket: u64) -> Vec<Flavour> {
        match self.answers.get(&Ticket(ticket)).map(Vec::as_slice) {
            Some([Answer::Flavours(answer)]) => answer.flavours.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// How often nodes answered a question that they had answered already.
    fn answered_twice(&self) -> usize {
        let mut visits: Vec<_> = self.visits.iter().filter(|(.., refused)| !refused).collect();
        let all = visits.len();
        visits.sort();
        visits.dedup();
        all - visits.len()
    }
}

fn sorted(flavours: &[Flavour]) -> Vec<u8> {
    let mut all = origins(flavours);
    all.sort_unstable();
    all
}

#[test]
fn without_resale_a_question_goes_one_domain_far() {
    let mut ring = Ring::new(4, false, false);
    ring.ask(1, 0, List { limit: 64, ..wide(1, "cpu>=2", 8) });
    ring.run();
    assert_eq!(sorted(&ring.answer(1)), [1, 2, 4], "its own and its two partners'");
    assert_eq!(ring.visits.len(), 3);
}

#[test]
fn with_resale_a_question_goes_round_and_each_answers_it_once() {
    for (count, complete) in [(3, true), (3, false), (6, false), (5, true)] {
        let mut ring = Ring::new(count, true, complete);
        ring.ask(1, 0, List { limit: 64, ..wide(1, "cpu>=2", 8) });
        ring.run();
        let expected: Vec<u8> = (1..=count).collect();
        assert_eq!(sorted(&ring.answer(1)), expected, "{count} {complete}: each capacity once");
        assert_eq!(ring.answered_twice(), 0, "{count} {complete}");
        let shown = ring.answer(1);
        assert!(shown.iter().all(|flavour| flavour.provider.node == node(200) && flavour.owner == node(200)));
        ring.pass(Span::secs(10));
        assert_eq!(ring.answers.len(), 1, "and that was all");
    }
}

#[test]
fn hops_end() {
    // A line of resellers in effect: both ways round from the first.
    for (hops, reached) in [(0, vec![1]), (1, vec![1, 2, 9]), (2, vec![1, 2, 3, 8, 9]), (8, (1..=9).collect())] {
        let mut ring = Ring::new(9, true, false);
        ring.ask(1, 0, List { limit: 64, ..wide(1, "cpu>=2", hops) });
        ring.run();
        assert_eq!(sorted(&ring.answer(1)), reached, "{hops}");
    }
}

#[test]
fn questions_that_go_round_at_once_do_not_wait_for_each_other_for_ever() {
    let mut ring = Ring::new(3, true, true);
    for n in 0..3 {
        ring.ask(u64::from(n) + 1, n, List { limit: 64, ..wide(n + 1, "cpu>=2", 8) });
    }
    ring.run();
    ring.pass(Span::secs(2));
    for ticket in 1..=3 {
        assert_eq!(sorted(&ring.answer(ticket)), [1, 2, 3]);
    }
}

#[test]
fn an_order_finds_its_way_back_hop_by_hop() {
    let mut ring = Ring::new(4, true, false);
    ring.ask(1, 0, List { limit: 64, scope: Scope::Partners, ..wide(1, "cpu>=2", 8) });
    ring.run();
    let far = ring.answer(1).into_iter().find(|flavour| origins(std::slice::from_ref(flavour)) == [3]).unwrap();
    let (mut at, mut id, mut caller, mut passed) = (node(200), far.id, MEMBER, Vec::new());
    loop {
        passed.push(number(&at));
        let allocation = kernel::AllocationId([1; 16]);
        let mut out = Vec::new();
        let now = ring.now;
        let (domain, manager) = ring.nodes.get_mut(&at).unwrap();
        manager.handle(now, Input::Resolve { allocation, flavour: id, caller }, &mut out);
        caller = Caller::Partner { domain: key(*domain), on: true };
        match out.as_slice() {
            [Effect::Resolved { way: Ok(Way::Onward(way)), .. }] => {
                assert!(way.abroad);
                (at, id) = (way.seller.node, way.flavour);
            }
            [Effect::Resolved { way: Ok(Way::Here(own)), .. }] => {
                assert_eq!(*own, kernel::FlavourId([3; 16]));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(passed == [200, 201, 202] || passed == [200, 203, 202], "{passed:?}");
}
