//! Whatever is lost, repeated or delayed along a chain of four, whoever dies when, and however the clocks differ: each
//! relay's two contracts live or end together, and once it is quiet all hops agree and nothing is held for nobody.
//!
//! `PROPTEST_CASES=20000 cargo test -p contract chain` tries more of it than the usual few hundred.

use kernel::{ContractId, Manager as _, Span, Ticket};
use proptest::prelude::*;
use rear_proto::{Mode, Request, Table, local::Side, message::EndReason};

use super::{samples::*, world::*};
use crate::{Config, ContractState, Input, Part};

const ALL: [usize; 4] = [C, SC, SP, P4];

#[derive(Debug, Clone)]
enum Act {
    Buy { hold: bool, cores: u64, renew: bool },
    Purchase(u8),
    End(u8),
    Activate(u8),
    RenewByHand(u8),
    Deliver(u8),
    Next(u8),
    Drop(u8),
    Repeat(u8),
    SayAgain(u8),
    Pass(u64),
    Free(usize),
    Crash(usize),
    CrashAfterNext(usize),
    Storage(usize, bool),
    Evict(usize, u8),
    Cut(Option<usize>),
    PeerUp(usize),
    Jump(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (any::<bool>(), 1..=3u64, any::<bool>())
            .prop_map(|(hold, cores, renew)| Act::Buy { hold, cores, renew }),
        4 => any::<u8>().prop_map(Act::Purchase),
        3 => any::<u8>().prop_map(Act::End),
        4 => any::<u8>().prop_map(Act::Activate),
        3 => any::<u8>().prop_map(Act::RenewByHand),
        12 => any::<u8>().prop_map(Act::Deliver),
        12 => (1..8u8).prop_map(Act::Next),
        2 => any::<u8>().prop_map(Act::Drop),
        2 => any::<u8>().prop_map(Act::Repeat),
        2 => any::<u8>().prop_map(Act::SayAgain),
        5 => prop_oneof![3 => 0..900u64, 1 => 0..3000u64, 1 => 0..40_000u64].prop_map(Act::Pass),
        1 => (0..4usize).prop_map(Act::Free),
        1 => (0..4usize).prop_map(Act::Crash),
        3 => (0..4usize).prop_map(Act::CrashAfterNext),
        1 => (0..4usize, any::<bool>()).prop_map(|(node, ok)| Act::Storage(node, ok)),
        1 => (1..4usize, any::<u8>()).prop_map(|(node, drawn)| Act::Evict(node, drawn)),
        1 => proptest::option::of(0..3usize).prop_map(Act::Cut),
        1 => (0..4usize).prop_map(Act::PeerUp),
        1 => (0..4usize).prop_map(Act::Jump),
    ]
}

fn one_of(count: usize, drawn: u8) -> Option<usize> {
    (count > 0).then(|| usize::from(drawn) % count.max(1))
}

struct Run {
    world: World,
    keys: u8,
    /// Whether a node has restarted that buys: what it asked for before, it may have asked for again.
    crashed: [bool; 4],
    ended: [usize; 256],
}

impl Run {
    fn new(frees_at_once: bool, skews: [u64; 4]) -> Self {
        let config = Config { answer_within: Span::secs(3), ..Config::default() };
        let mut world = World::chain(config);
        world.frees_at_once = frees_at_once;
        for (node, skew) in skews.into_iter().enumerate() {
            world.nodes[node].skew = Span::millis(skew);
        }
        Self { world, keys: 0, crashed: [false; 4], ended: [0; 256] }
    }

    fn key(&self, drawn: u8) -> Option<u8> {
        one_of(self.keys.into(), drawn).map(|key| key as u8 + 1)
    }

    fn act(&mut self, act: Act) {
        let world = &mut self.world;
        match act {
            Act::Buy { .. } if self.keys == u8::MAX => {}
            Act::Buy { hold, cores: number, renew } => {
                self.keys += 1;
                let mode = if hold { Mode::Hold } else { Mode::Direct };
                let mut wish = wish(id(SC), self.keys, mode);
                (wish.partition, wish.renew, wish.term) = (cores(number), renew, Span::secs(200));
                world.buy(wish);
            }
            Act::Purchase(drawn) => {
                if let Some(key) = self.key(drawn) {
                    self.world.purchase(key);
                }
            }
            Act::End(drawn) => {
                if let Some(key) = self.key(drawn) {
                    self.ended[usize::from(key)] += 1;
                    self.world.end(key);
                }
            }
            Act::Activate(drawn) => activate(world, drawn),
            Act::RenewByHand(drawn) => {
                let live = world.live(C);
                if let Some(at) = one_of(live.len(), drawn) {
                    world.give(C, Input::RenewByHand { ticket: Ticket(u64::MAX), contract: live[at].id });
                }
            }
            Act::Deliver(drawn) => {
                if let Some(at) = one_of(world.wire.len(), drawn) {
                    let message = world.wire.remove(at).unwrap();
                    world.deliver(message);
                }
            }
            Act::Next(count) => {
                for _ in 0..count {
                    if let Some(message) = world.wire.pop_front() {
                        world.deliver(message);
                    }
                }
            }
            Act::Drop(drawn) => {
                if let Some(at) = one_of(world.wire.len(), drawn) {
                    world.wire.remove(at);
                }
            }
            Act::Repeat(drawn) => {
                if let Some(at) = one_of(world.wire.len(), drawn) {
                    let message = world.wire[at].clone();
                    world.deliver(message);
                }
            }
            Act::SayAgain(drawn) => {
                if let Some(at) = one_of(world.said.len(), drawn) {
                    let (from, to, request) = world.said[at].clone();
                    world.ask(to, id(from), request);
                }
            }
            Act::Pass(millis) => world.pass(Span::millis(millis), false),
            Act::Free(node) => world.free_at(node),
            Act::Crash(node) => {
                self.crashed[node] = true;
                world.crash(node);
            }
            Act::CrashAfterNext(node) => {
                self.crashed[node] = true;
                world.nodes[node].dies = true;
            }
            Act::Storage(node, ok) => world.give(node, Input::Storage { ok }),
            Act::Evict(node, drawn) => {
                let grants = &world.nodes[node].grants;
                let open: Vec<_> =
                    grants.iter().filter(|(_, grant)| grant.closed.is_none()).map(|(id, _)| *id).collect();
                if let Some(at) = one_of(open.len(), drawn) {
                    world.give(node, Input::Evict { allocation: open[at] });
                }
            }
            Act::Cut(link) => world.cut = link.map(|link| (link, link + 1)),
            Act::PeerUp(node) => {
                for other in [node.wrapping_sub(1), node + 1].into_iter().filter(|other| *other < 4) {
                    world.give(node, Input::PeerUp { node: id(other) });
                }
            }
            Act::Jump(node) => world.give(node, Input::ClockJumped),
        }
        self.check();
    }

    /// Checks what holds at every moment.
    fn check(&self) {
        let world = &self.world;
        for relay in [SC, SP] {
            world.check_backing(relay);
            let live = world.live(relay);
            let of = |side: Side| live.iter().filter(move |view| view.role == side).count();
            assert_eq!(of(Side::Consumer), of(Side::Provider), "the two live or end together");
        }
        // What a buyer thinks it has ends before what its seller knows that it has.
        for hop in 0..3 {
            if self.crashed.contains(&true) {
                continue;
            }
            let ends = |node: usize, id: &ContractId| {
                let agreement = world.nodes[node].manager.contracts.get(id).filter(|agreement| agreement.is_live())?;
                Some(crate::relay::before(agreement.ends(), world.nodes[node].skew))
            };
            for view in world.live(hop).into_iter().filter(|view| view.buyer == id(hop)) {
                if let Some(sellers) = ends(hop + 1, &view.id) {
                    assert!(ends(hop, &view.id).unwrap() <= sellers, "hop {hop}");
                }
            }
        }
    }

    /// Lets everything come to rest and checks that it did.
    fn rest(mut self) {
        self.settle_down();
        self.check_ledgers();
        self.wind_up();
    }

    fn settle_down(&mut self) {
        let world = &mut self.world;
        (world.cut, world.frees_at_once) = (None, true);
        for node in ALL {
            world.nodes[node].dies = false;
            world.give(node, Input::Storage { ok: true });
        }
        world.free();
        // Holds and questions lapse, leases and jumps pass, and what nobody uses ends; along four nodes, in turn.
        world.run(Span::secs(400));
        world.check_chain();
    }

    /// Ends what still lives, and checks that nothing is left.
    fn wind_up(mut self) {
        let world = &mut self.world;
        for view in world.live(C) {
            assert_eq!(view.state, ContractState::Active);
            self.ended[usize::from(view.key.0[0])] += 1;
            world.give(C, Input::End { key: view.key, reason: EndReason::Released });
        }
        world.run(Span::secs(100));
        world.check_chain();
        for node in ALL {
            assert!(world.live(node).is_empty(), "{node}: {:?}", world.live(node));
            assert!(world.nodes[node].grants.is_empty(), "nothing is held for nobody at {node}");
            let manager = &world.nodes[node].manager;
            let left = (manager.sales.len(), manager.buys.len(), manager.fronts.len(), manager.renewing.len());
            assert_eq!((left, manager.pending.len(), manager.allocations.len()), ((0, 0, 0, 0), 0, 0));
        }
        if !self.crashed[C] {
            for key in 1..=self.keys {
                let (refusals, ends) = (world.refusals(key).len(), world.ends(key).len());
                assert!(refusals + ends >= 1, "{key} came to no end");
                assert!(ends <= 1 + self.ended[usize::from(key)], "{key} ended {ends} times");
            }
        }
        world.run(Span::secs(7300));
        for node in ALL {
            assert_eq!(world.nodes[node].manager.next_wake(), None);
            let tables = world.nodes[node].tables.keys();
            let left: Vec<_> = tables.filter(|(table, _)| matches!(table, Table::Keys | Table::Reservations)).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }

    fn check_ledgers(&self) {
        let nodes = &self.world.nodes;
        for node in ALL {
            let home = if node < SP { ALPHA } else { BETA };
            assert_eq!(crate::audit::verify(&nodes[node].ledger, Some(&domain(home))).problems, []);
        }
        for hop in 0..3 {
            assert_eq!(crate::audit::contradictions(&nodes[hop].ledger, &nodes[hop + 1].ledger), []);
            assert_eq!(crate::audit::contradictions(&nodes[hop + 1].ledger, &nodes[hop].ledger), []);
        }
    }
}

/// Opens the peering of one of the provider's contracts, if the whole chain is there.
fn activate(world: &mut World, drawn: u8) {
    let live = world.live(P4);
    let Some(at) = one_of(live.len(), drawn) else { return };
    let mut chain = vec![(P4, live[at].id)];
    for relay in [SP, SC] {
        let views = world.live(relay);
        let below = chain.last().unwrap().1;
        let Some(back) = views.iter().find(|view| view.id == below) else { return };
        let Some(front) = views.iter().find(|view| view.backed_by == Some(back.digest) && view.role == Side::Provider)
        else {
            return;
        };
        assert_eq!(front.part, Part::Forwarder);
        chain.push((relay, front.id));
    }
    let top = chain.last().unwrap().1;
    if !world.live(C).iter().any(|view| view.id == top) {
        return;
    }
    chain.push((C, top));
    for (node, contract) in chain {
        world.give(node, Input::Activated { contract });
    }
}

/// By how much the clocks go ahead: less than they may differ, and at random.
fn skews() -> impl Strategy<Value = [u64; 4]> {
    prop_oneof![Just([0; 4]), any::<[u16; 4]>().prop_map(|drawn| drawn.map(|at| u64::from(at) % 20_000))]
}

/// How many of each to try: a few seconds' worth, or what `PROPTEST_CASES` says.
fn cases() -> u32 {
    let set = ProptestConfig::default().cases;
    if std::env::var_os("PROPTEST_CASES").is_some() { set } else { set / 5 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_hops_agree_and_nothing_leaks_whatever_happens(
        acts in proptest::collection::vec(act(), 1..90),
        frees_at_once: bool,
        skews in skews(),
    ) {
        let mut run = Run::new(frees_at_once, skews);
        for act in acts {
            run.act(act);
        }
        run.rest();
    }

    #[test]
    fn repeating_any_message_along_a_chain_changes_nothing(acts in proptest::collection::vec(act(), 1..60)) {
        repeat_everything(acts);
    }
}

/// Each question that arrives is asked again at once, and once more: what was answered is answered again, and no row
/// is written and nothing is asked onward because of it.
fn repeat_everything(acts: Vec<Act>) {
    let mut run = Run::new(true, [0; 4]);
    for act in acts {
        let drawn = match act {
            Act::Crash(_) | Act::CrashAfterNext(_) | Act::Storage(..) | Act::Cut(_) => continue,
            Act::Deliver(drawn) | Act::Next(drawn) => drawn,
            act => {
                run.act(act);
                continue;
            }
        };
        let world = &mut run.world;
        let Some(at) = one_of(world.wire.len(), drawn) else { continue };
        let message = world.wire.remove(at).unwrap();
        let Message::Ask { to, from, request, ask: asked, .. } = message.clone() else {
            world.deliver(message);
            continue;
        };
        let before = world.wire.len();
        world.deliver(message);
        // An earlier copy of it may be answered now, too: it has made room for this one, which waits.
        let answered =
            world.wire.iter().skip(before).filter(|_| world.is_answered()).find_map(|message| match message {
                Message::Answer { to: back, answer, ask, .. } if (*back, *ask) == (from, asked) => Some(answer.clone()),
                _ => None,
            });
        let state = |world: &World| {
            let nodes = world.nodes.iter();
            nodes.map(|node| (node.grants.clone(), node.ledger.len())).collect::<Vec<_>>()
        };
        let (before, said) = (state(world), world.said.len());
        for _ in 0..2 {
            let again = world.ask(to, id(from), request.clone());
            // What is under way is waited for.
            if let Some(answer) = &answered {
                assert_eq!(again.as_ref(), Some(answer));
            }
        }
        assert_eq!(before, state(world));
        assert_eq!(said, world.said.len());
    }
    run.rest();
}

/// Once found by chance, and kept: a RELEASE that waits, and so many copies of it that the first makes room.
#[test]
fn what_once_went_wrong_goes_well() {
    let buy = || Act::Buy { hold: false, cores: 1, renew: false };
    repeat_everything(vec![
        buy(),
        Act::Pass(3000),
        buy(),
        buy(),
        Act::Deliver(10),
        Act::Deliver(12),
        Act::Deliver(67),
        Act::Deliver(3),
        Act::Deliver(54),
        Act::Deliver(92),
        Act::Repeat(156),
        Act::PeerUp(0),
        Act::Next(2),
        Act::Next(2),
        Act::PeerUp(0),
        Act::SayAgain(45),
        Act::Purchase(0),
        Act::Deliver(80),
        Act::Deliver(169),
    ]);
}

/// One crash at each point of a whole life, of any node, before or after its words get out.
fn crash_everywhere(mode: Mode) {
    for node in ALL {
        for silent in [false, true] {
            let mut at = 0;
            while crash_at(mode, node, silent, at) {
                at += 1;
            }
            assert!(at > 20, "the life has that many messages");
        }
    }
}

/// Crashes a node before it, or the one after, has its next event; says whether there are as many events.
fn crash_at(mode: Mode, node: usize, silent: bool, at: usize) -> bool {
    let mut run = Run::new(true, [0; 4]);
    (run.keys, run.crashed[node]) = (1, true);
    let mut step = 0;
    let world = &mut run.world;
    let mut deliver_all = |world: &mut World| {
        loop {
            if step == at {
                if silent { world.nodes[node].dies = true } else { world.crash(node) }
            }
            step += 1;
            let Some(message) = world.wire.pop_front() else { break };
            world.deliver(message);
        }
    };
    world.buy(wish(id(SC), 1, mode));
    deliver_all(world);
    world.purchase(1);
    deliver_all(world);
    activate(world, 0);
    if let [view] = &world.live(C)[..] {
        let contract = view.id;
        world.give(C, Input::RenewByHand { ticket: Ticket(u64::MAX), contract });
    }
    deliver_all(world);
    run.check();
    let world = &mut run.world;
    world.end(1);
    deliver_all(world);
    run.ended[1] = 1;
    run.check();
    run.settle_down();
    // Every signature of every ledger is checked elsewhere, too: it takes its time.
    if at.is_multiple_of(8) {
        run.check_ledgers();
    }
    run.wind_up();
    at < step
}

#[test]
fn a_crash_of_anybody_between_any_two_events_leaves_all_agreed() {
    crash_everywhere(Mode::Direct);
}

#[test]
fn a_crash_of_anybody_between_any_two_events_of_a_hold_leaves_all_agreed() {
    crash_everywhere(Mode::Hold);
}

/// One message lost at each point of a whole life.
#[test]
fn a_message_lost_anywhere_leaves_all_agreed() {
    for mode in [Mode::Direct, Mode::Hold] {
        for lost in 0..40 {
            let mut run = Run::new(true, [0, 15_000, 5_000, 20_000]);
            run.keys = 1;
            let world = &mut run.world;
            let mut count = 0;
            let mut deliver_all = |world: &mut World| {
                for _ in 0..10 {
                    while let Some(message) = world.wire.pop_front() {
                        count += 1;
                        if count != lost {
                            world.deliver(message);
                        }
                    }
                    world.pass(Span::millis(300), false);
                }
            };
            world.buy(wish(id(SC), 1, mode));
            deliver_all(world);
            world.purchase(1);
            deliver_all(world);
            activate(world, 0);
            world.end(1);
            deliver_all(world);
            run.ended[1] = 1;
            run.check();
            run.rest();
        }
    }
}

#[test]
fn a_strangers_words_take_nothing_of_a_relay() {
    let mut world = World::chain(Config::default());
    world.buy(wish(id(SC), 1, Mode::Direct));
    world.settle();
    let said = world.said.clone();
    let before: Vec<_> = ALL.map(|node| world.nodes[node].grants.len()).into();
    for (_, _, request) in said {
        for to in ALL {
            for from in [signer(9).id(), id(C), id(P4), id(SC), id(SP)] {
                if !matches!(&request, Request::Reserve(reserve) if reserve.order.open(&from).is_ok()) {
                    world.ask(to, from, request.clone());
                }
            }
        }
    }
    assert_eq!(before, ALL.map(|node| world.nodes[node].grants.len()));
}
