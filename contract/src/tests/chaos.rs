//! Whatever is lost, repeated or delayed, and whoever dies when: once it is quiet, both parties agree and nothing is
//! held for nobody. And saying anything again changes nothing.

use kernel::{Manager as _, Span, Ticket};
use proptest::prelude::*;
use rear_proto::{Answer, Mode, Request, Table, message::EndReason};

use super::{samples::*, world::*};
use crate::{Config, ContractState, Effect, Input};

#[derive(Debug, Clone)]
enum Act {
    Buy { hold: bool, cores: u64, renew: bool },
    Purchase(u8),
    End(u8),
    Activate(u8),
    RenewByHand(u8),
    Deliver(u8),
    Drop(u8),
    Repeat(u8),
    SayAgain(u8),
    Pass(u64),
    Free,
    Crash(usize),
    CrashAfterNext(usize),
    PeerUp(usize),
    Jump,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<bool>(), 1..=3u64, any::<bool>())
            .prop_map(|(hold, cores, renew)| Act::Buy { hold, cores, renew }),
        3 => any::<u8>().prop_map(Act::Purchase),
        2 => any::<u8>().prop_map(Act::End),
        3 => any::<u8>().prop_map(Act::Activate),
        1 => any::<u8>().prop_map(Act::RenewByHand),
        12 => any::<u8>().prop_map(Act::Deliver),
        2 => any::<u8>().prop_map(Act::Drop),
        2 => any::<u8>().prop_map(Act::Repeat),
        2 => any::<u8>().prop_map(Act::SayAgain),
        4 => prop_oneof![0..3000u64, 0..40_000u64].prop_map(Act::Pass),
        1 => Just(Act::Free),
        1 => (0..2usize).prop_map(Act::Crash),
        2 => (0..2usize).prop_map(Act::CrashAfterNext),
        1 => (0..2usize).prop_map(Act::PeerUp),
        1 => Just(Act::Jump),
    ]
}

/// Picks one of so many.
fn one_of(count: usize, drawn: u8) -> Option<usize> {
    (count > 0).then(|| usize::from(drawn) % count.max(1))
}

struct Run {
    world: World,
    /// The keys used, and how often each was ended.
    keys: u8,
    /// Whether the consumer has crashed since, so that REAR's memory is gone with it.
    consumer_crashed: bool,
    ended: [usize; 256],
}

impl Run {
    fn new(frees_at_once: bool) -> Self {
        let config = Config { answer_within: Span::secs(3), ..Config::default() };
        let mut world = World::new(config);
        world.frees_at_once = frees_at_once;
        Self { world, keys: 0, consumer_crashed: false, ended: [0; 256] }
    }

    fn key(&self, drawn: u8) -> Option<u8> {
        one_of(self.keys.into(), drawn).map(|key| key as u8 + 1)
    }

    fn act(&mut self, act: Act) {
        let world = &mut self.world;
        match act {
            Act::Buy { hold, cores: number, renew } => {
                if self.keys == u8::MAX {
                    return;
                }
                self.keys += 1;
                let mode = if hold { Mode::Hold } else { Mode::Direct };
                let mut wish = wish(id(P), self.keys, mode);
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
            Act::Activate(drawn) => {
                let live = world.live(C);
                if let Some(at) = one_of(live.len(), drawn) {
                    let contract = live[at].id;
                    if world.live(P).iter().any(|view| view.id == contract) {
                        world.activate(contract);
                    }
                }
            }
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
            Act::Free => world.free(),
            Act::Crash(node) => {
                self.consumer_crashed |= node == C;
                world.crash(node);
            }
            Act::CrashAfterNext(node) => {
                self.consumer_crashed |= node == C;
                world.nodes[node].dies = true;
            }
            Act::PeerUp(node) => world.give(node, Input::PeerUp { node: id(1 - node) }),
            Act::Jump => {
                for node in [C, P] {
                    world.give(node, Input::ClockJumped);
                }
            }
        }
    }

    /// Lets everything come to rest and checks that it did.
    fn rest(mut self) {
        let world = &mut self.world;
        world.nodes[C].dies = false;
        world.nodes[P].dies = false;
        world.frees_at_once = true;
        world.free();
        // Holds and questions lapse, leases and jumps pass, and what nobody uses ends.
        world.run(Span::secs(190));
        world.check_quiet();
        let audit = crate::audit::verify(&world.nodes[C].ledger, Some(&domain_key()));
        assert_eq!(audit.problems, []);
        let audit = crate::audit::verify(&world.nodes[P].ledger, Some(&domain_key()));
        assert_eq!(audit.problems, []);
        let found = crate::audit::contradictions(&world.nodes[C].ledger, &world.nodes[P].ledger);
        assert_eq!(found, []);
        for view in world.live(C) {
            // A buyer that crashed has forgotten what it asked for by hand: it ends sooner, and tells.
            let sellers = world.view(P, view.id).end;
            assert!(view.end == sellers || self.consumer_crashed && view.end < sellers, "renewed alike");
            assert_eq!(view.state, ContractState::Active);
            self.ended[usize::from(view.key.0[0])] += 1;
            world.give(C, Input::End { key: view.key, reason: EndReason::Released });
        }
        world.run(Span::secs(70));
        world.check_quiet();
        assert_eq!(world.used(P), 0, "nothing is held for nobody");
        if !self.consumer_crashed {
            for key in 1..=self.keys {
                // Each purchase has one good or bad end; a RELEASE by hand of what is over is answered, too.
                let (refusals, ends) = (world.refusals(key).len(), world.ends(key).len());
                assert!(refusals + ends >= 1, "{key} came to no end");
                assert!(ends <= 1 + self.ended[usize::from(key)], "{key} ended {ends} times");
            }
        }
        world.run(Span::secs(7300));
        for node in [C, P] {
            assert_eq!(world.nodes[node].manager.next_wake(), None);
            let tables = world.nodes[node].tables.keys();
            let left: Vec<_> = tables.filter(|(table, _)| matches!(table, Table::Keys | Table::Reservations)).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_agree_and_nothing_leaks_whatever_happens(
        acts in proptest::collection::vec(act(), 1..80),
        frees_at_once: bool,
    ) {
        let mut run = Run::new(frees_at_once);
        for act in acts {
            run.act(act);
        }
        run.rest();
    }

    /// Each question that arrives is asked again at once, and once more later: the answers are the same, and no
    /// capacity moves.
    #[test]
    fn repeating_any_message_changes_nothing(acts in proptest::collection::vec(act(), 1..60)) {
        let mut run = Run::new(true);
        for act in acts {
            if let Act::Crash(_) | Act::CrashAfterNext(_) = act {
                continue;
            }
            let Act::Deliver(drawn) = act else {
                run.act(act);
                continue;
            };
            let world = &mut run.world;
            let Some(at) = one_of(world.wire.len(), drawn) else { continue };
            let message = world.wire.remove(at).unwrap();
            let Message::Ask { to, from, request, .. } = message.clone() else {
                world.deliver(message);
                continue;
            };
            world.deliver(message);
            let first = world.wire.back().cloned();
            let before = (world.nodes[P].grants.clone(), world.nodes[C].ledger.len(), world.nodes[P].ledger.len());
            for _ in 0..2 {
                let again = world.ask(to, id(from), request.clone());
                let Some(Message::Answer { answer, .. }) = &first else { panic!("{first:?}") };
                // What is overloaded or skewed may be otherwise later; here it is not.
                prop_assert_eq!(again.as_ref(), Some(answer));
            }
            let after = (world.nodes[P].grants.clone(), world.nodes[C].ledger.len(), world.nodes[P].ledger.len());
            prop_assert_eq!(before, after);
        }
        run.rest();
    }
}

/// One crash at each point of a whole life, of either node, before or after its words get out.
#[test]
fn a_crash_between_any_two_events_leaves_both_agreed() {
    for mode in [Mode::Direct, Mode::Hold] {
        for node in [C, P] {
            for at in 0..24 {
                for silent in [false, true] {
                    let mut run = Run::new(true);
                    run.keys = 1;
                    run.consumer_crashed = node == C;
                    let world = &mut run.world;
                    let mut step = 0;
                    let mut maybe_crash = |world: &mut World| {
                        if step == at {
                            if silent { world.nodes[node].dies = true } else { world.crash(node) }
                        }
                        step += 1;
                    };
                    let mut deliver_all = |world: &mut World| {
                        maybe_crash(world);
                        while let Some(message) = world.wire.pop_front() {
                            world.deliver(message);
                            maybe_crash(world);
                        }
                    };
                    world.buy(wish(id(P), 1, mode));
                    deliver_all(world);
                    world.purchase(1);
                    deliver_all(world);
                    if let [view] = &world.live(C)[..]
                        && world.live(P).len() == 1
                    {
                        world.activate(view.id);
                    }
                    deliver_all(world);
                    world.end(1);
                    deliver_all(world);
                    run.ended[1] = 1;
                    run.rest();
                }
            }
        }
    }
}

#[test]
fn a_strangers_words_never_panic_and_never_take_anything() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Hold);
    world.bought(2, Mode::Direct);
    let said = world.said.clone();
    let used = world.used(P);
    for (_, _, request) in said {
        for (to, from) in [(P, signer(9).id()), (C, signer(9).id()), (P, id(P)), (C, id(C)), (C, id(P))] {
            let answer = world.ask(to, from, request.clone());
            assert!(
                matches!(answer, Some(Answer::Refused(_) | Answer::Dead(_) | Answer::Released)),
                "{request:?} {answer:?}"
            );
        }
    }
    assert_eq!(world.used(P), used);
    assert!(!matches!(world.nodes[P].told.last(), Some(Effect::Reserve { .. })));
    let list = Request::Keepalive(rear_proto::message::Keepalive {
        contracts: vec![kernel::ContractId([0; 16]); 10_000],
        extensions: Default::default(),
    });
    assert!(world.ask(P, id(C), list).is_some());
}
