//! Whatever sellers and far ends do, and in whatever order: a request that is released ends with nothing left.

use proptest::prelude::*;
use rear_proto::Code;

use super::*;

/// The Contract Manager and the Virtual Fabric as REAR may take them to be: what is started is signed, held or
/// refused, or ends of itself; what is ended does end.
#[derive(Default)]
struct World {
    /// What is asked for and not answered.
    asked: Vec<(RequestId, Key)>,
    held: Vec<(RequestId, Key)>,
    purchasing: Vec<(RequestId, Key)>,
    /// What is signed and has not ended, with the number of its allocation.
    live: Vec<(Key, u8)>,
    ending: Vec<Key>,
    finding: Vec<RequestId>,
    discovering: Vec<RequestId>,
    signed: u8,
    released: Vec<RequestId>,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Acquire(u64, bool),
    Purchase(u64),
    Release(u64),
    Find(u8),
    Discover,
    Sign(usize),
    Hold(usize),
    Refuse(usize),
    Peer(usize),
    Unpeer(usize),
    NotRenew(usize),
    Lose(usize),
    End(usize),
    Settle,
}

fn act() -> impl Strategy<Value = Act> {
    let some = 0usize..5;
    let few = 1u64..4;
    prop_oneof![
        4 => (few.clone(), any::<bool>()).prop_map(|(id, hold)| Act::Acquire(id, hold)),
        1 => few.clone().prop_map(Act::Purchase),
        1 => few.prop_map(Act::Release),
        4 => (0u8..5).prop_map(Act::Find),
        3 => Just(Act::Discover),
        3 => some.clone().prop_map(Act::Sign),
        2 => some.clone().prop_map(Act::Hold),
        2 => some.clone().prop_map(Act::Refuse),
        3 => some.clone().prop_map(Act::Peer),
        1 => some.clone().prop_map(Act::Unpeer),
        1 => some.clone().prop_map(Act::NotRenew),
        1 => some.clone().prop_map(Act::Lose),
        2 => some.prop_map(Act::End),
        1 => Just(Act::Settle),
    ]
}

/// Takes out one of several, if there is any.
fn pick<T>(from: &mut Vec<T>, at: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.remove(at % from.len()))
}

impl World {
    /// Takes note of what the manager asks for.
    fn hear(&mut self, out: &[Effect]) {
        for effect in out {
            match effect {
                Effect::Find { request, .. } => self.finding.push(*request),
                Effect::Discover { request, .. } => self.discovering.push(*request),
                Effect::Start { request, purchase, .. } => self.asked.push((*request, purchase.key)),
                Effect::Purchase { request, key, .. } => {
                    self.held.retain(|(_, held)| held != key);
                    self.purchasing.push((*request, *key));
                }
                Effect::End { key, .. } => {
                    for open in [&mut self.asked, &mut self.held, &mut self.purchasing] {
                        open.retain(|(_, other)| other != key);
                    }
                    self.live.retain(|(other, _)| other != key);
                    assert!(!self.ending.contains(key), "{key} is ended twice");
                    self.ending.push(*key);
                }
                Effect::Released { request } => self.released.push(*request),
                _ => {}
            }
        }
    }

    /// Makes an act into what the manager hears of it.
    fn input(&mut self, act: Act) -> Option<Input> {
        let refusal = || Refusal::new(Code::Unavailable, "full");
        Some(match act {
            Act::Acquire(id, hold) => {
                let Input::Acquire { selector, mode: _, term, ceiling, origin, trace, .. } =
                    acquire("cpu>=1", Mode::Direct)
                else {
                    unreachable!()
                };
                let mode = if hold { Mode::Hold } else { Mode::Direct };
                Input::Acquire { request: request(id), selector, mode, term, ceiling, origin, trace }
            }
            Act::Purchase(id) => Input::Purchase { request: request(id) },
            Act::Release(id) => Input::Release { request: request(id) },
            Act::Find(count) => {
                let request = pick(&mut self.finding, 0)?;
                Input::Found { request, candidates: (2..2 + count).map(candidate).collect() }
            }
            Act::Discover => {
                let request = pick(&mut self.discovering, 0)?;
                Input::Discovered { request, partial: false, silent: 0 }
            }
            Act::Sign(at) => {
                let (request, key) = pick(&mut self.purchasing, at).or_else(|| pick(&mut self.asked, at))?;
                self.signed += 1;
                self.live.push((key, self.signed));
                Input::Signed { request, key, contract: bought(self.signed, node(2)), trace: OWN }
            }
            Act::Hold(at) => {
                let (request, key) = pick(&mut self.asked, at)?;
                self.held.push((request, key));
                Input::Held { request, key, price: rate("0.2EUR/h"), purchase_within: Span::secs(30) }
            }
            Act::Refuse(at) => {
                let (request, key) = pick(&mut self.purchasing, at).or_else(|| pick(&mut self.asked, at))?;
                Input::Refused { request, key, refusal: refusal() }
            }
            Act::Peer(at) => {
                let (_, number) = *self.live.get(at)?;
                Input::Peered { allocation: allocation(number), trace: OWN }
            }
            Act::Unpeer(at) => {
                let (_, number) = *self.live.get(at)?;
                Input::Unpeered { allocation: allocation(number), refusal: refusal() }
            }
            Act::NotRenew(at) => Input::NotRenewed { key: self.live.get(at)?.0, refusal: refusal() },
            Act::Lose(at) => {
                let (_, key) = pick(&mut self.held, at).or_else(|| {
                    let (key, _) = pick(&mut self.live, at)?;
                    Some((request(0), key))
                })?;
                Input::Ended { key, allocation: allocation(0), reason: EndReason::Lost }
            }
            Act::End(at) => {
                let key = pick(&mut self.ending, at)?;
                Input::Ended { key, allocation: allocation(0), reason: EndReason::Released }
            }
            Act::Settle => return None,
        })
    }

    fn play(&mut self, n: &mut Node, act: Act) {
        let out = match self.input(act) {
            Some(input) => n.handle(input),
            None if matches!(act, Act::Settle) => n.after(Span::secs(5)),
            None => return,
        };
        self.hear(&out);
    }
}

proptest! {
    #[test]
    fn a_released_request_leaves_nothing_behind(acts in proptest::collection::vec(act(), 1..80)) {
        let mut n = Node::new(Config::default());
        let mut world = World::default();
        for act in acts {
            world.play(&mut n, act);
            // Whoever waits for nothing outside is over, and over is gone: nothing is left to leak.
            let busy = world.asked.len() + world.held.len() + world.purchasing.len() + world.live.len();
            let waits = world.finding.len() + world.discovering.len() + world.ending.len();
            prop_assert!(n.manager.pending() == 0 || busy + waits > 0);
            // Every virtual node is live or ending, and no order that is live is unknown.
            for (key, _) in &world.live {
                prop_assert!(n.manager.bought.contains_key(key));
            }
        }
        world.released.clear();
        for id in 1..4 {
            world.play(&mut n, Act::Release(id));
        }
        while !world.ending.is_empty() {
            world.play(&mut n, Act::End(0));
        }
        world.released.sort_unstable();
        prop_assert_eq!(world.released, (1..4).map(request).collect::<Vec<_>>());
        prop_assert!(world.asked.is_empty() && world.held.is_empty() && world.live.is_empty());
        prop_assert_eq!((n.manager.pending(), n.kept(Table::Allocations)), (0, 0));
        prop_assert!(n.manager.users.is_empty() && n.manager.orders.is_empty());
        prop_assert!(n.manager.bought.is_empty() && n.manager.by_contract.is_empty());
    }
}
