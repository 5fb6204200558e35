//! Storms: what operators and machines do in a run, drawn from its seed.

use agent::{Command, Response};
use kernel::{Key, NodeId, Rng, Span};
use rear_proto::Mode;

use crate::world::{
    Death, Faults, World,
    make::{fast, id, intent, offer, one, room},
    seeds::{Tells, seeds},
};

/// What a storm is made of: how cruel the network is, and how often each act is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storm {
    faults: Faults,
    /// How many acts there are in a run.
    acts: usize,
    submit: u64,
    delete: u64,
    /// Reservations, purchases, renewals and releases by hand, and intents on contracts made so.
    by_hand: u64,
    /// Offers that are withdrawn, repriced and offered again.
    offers: u64,
    crash: u64,
    cut: u64,
    jump: u64,
    disk: u64,
    /// A member is removed, once.
    remove: u64,
}

impl Storm {
    /// Intents come and go.
    pub(crate) fn mild(faults: Faults) -> Self {
        Self {
            faults,
            acts: 10,
            submit: 10,
            delete: 7,
            by_hand: 0,
            offers: 0,
            crash: 0,
            cut: 0,
            jump: 0,
            disk: 0,
            remove: 0,
        }
    }

    /// Operators do all that they can.
    pub(crate) fn wild(faults: Faults) -> Self {
        Self { acts: 16, by_hand: 14, offers: 4, remove: 1, ..Self::mild(faults) }
    }

    /// Machines and lines fail.
    pub(crate) fn rough(faults: Faults) -> Self {
        Self { acts: 16, crash: 2, cut: 4, jump: 2, disk: 3, ..Self::mild(faults) }
    }

    /// Both.
    pub(crate) fn worst(faults: Faults) -> Self {
        Self { acts: 24, crash: 2, cut: 3, jump: 2, disk: 2, ..Self::wild(faults) }
    }

    fn draw(&self, rng: &mut Rng) -> Act {
        let acts = [
            (self.submit, Act::Submit),
            (self.delete, Act::Delete),
            (self.by_hand, Act::ByHand),
            (self.offers, Act::Offers),
            (self.crash, Act::Crash),
            (self.cut, Act::Cut),
            (self.jump, Act::Jump),
            (self.disk, Act::Disk),
            (self.remove, Act::Remove),
        ];
        let mut drawn = rng.below(acts.iter().map(|(weight, _)| weight).sum());
        for (weight, act) in acts {
            if drawn < weight {
                return act;
            }
            drawn -= weight;
        }
        Act::Submit
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Submit,
    Delete,
    ByHand,
    Offers,
    Crash,
    Cut,
    Jump,
    Disk,
    Remove,
}

/// A run under way.
struct Run {
    world: World,
    rng: Rng,
    /// Which node offers; the first is the issuer, and sometimes that one.
    provider: usize,
    intents: Vec<(usize, u64)>,
    submitted: u64,
    orders: Vec<(usize, Key)>,
    removed: bool,
}

/// Runs many seeds; a failing one says how it is repeated.
pub(crate) fn storm(given: std::ops::Range<u64>, storm: &Storm) {
    let seeds = seeds(given);
    let many = seeds.end - seeds.start > 1;
    let mut crashes = 0;
    let mut seen = std::collections::BTreeMap::new();
    for seed in seeds {
        let tells = Tells { test: "interleavings", seed };
        let mut run = Run::new(seed, storm);
        run.live_through(storm);
        run.world.check_quiet();
        crashes += run.world.crashes;
        for (what, count) in run.world.seen() {
            *seen.entry(*what).or_insert(0) += count;
        }
        drop(tells);
    }
    eprintln!("{crashes} crashes; {seen:?}");
    // A storm in which nobody crashes and nothing is agreed proves little.
    assert!(!many || storm.faults.crash == 0 || crashes > 0);
    assert!(!many || seen.get("contracts").is_some_and(|count| *count > 0));
}

impl Run {
    fn new(seed: u64, storm: &Storm) -> Self {
        let mut rng = Rng::from_number(seed ^ 0xfeed);
        // The issuer can't be removed: where members are, it is not always the provider.
        let provider = if storm.remove > 0 && rng.below(2) == 0 { 1 } else { 0 };
        let mut offers = vec![Vec::new(); 3];
        offers[provider] = vec![Self::offer(1)];
        // Sometimes everybody sells and buys.
        if storm.by_hand > 0 && rng.below(3) == 0 {
            offers.iter_mut().for_each(|offers| *offers = vec![Self::offer(1)]);
        }
        let world = World::new(seed, storm.faults, offers, &fast());
        Self { world, rng, provider, intents: Vec::new(), submitted: 0, orders: Vec::new(), removed: false }
    }

    /// The provider's offer, at so many times its price.
    fn offer(price: u64) -> rear::offer::Offer {
        let mut offer = offer(room("1500m", "192Mi"));
        offer.price.amount.0 *= price;
        offer
    }

    fn live_through(&mut self, storm: &Storm) {
        self.world.run(Span::secs(1));
        for _ in 0..storm.acts {
            let act = storm.draw(&mut self.rng);
            self.act(act);
            let most = if self.rng.below(4) == 0 { 8000 } else { 1500 };
            self.world.run(Span::millis(self.rng.below(most)));
        }
        self.world.heal();
        // Nodes may be down just now.
        self.world.run(Span::secs(5));
        let offer = Box::new(Self::offer(1));
        self.world.command(self.provider, Command::Offer(offer));
        self.world.run(crate::world::quiet::QUIET);
    }

    fn consumer(&mut self) -> usize {
        (self.provider + 1 + self.below(2)) % 3
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.rng.below(end as u64)).unwrap()
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Submit => self.submit(),
            Act::Delete => {
                if !self.intents.is_empty() {
                    let at = self.below(self.intents.len());
                    // Mostly it is not spoken of again.
                    let (node, number) =
                        if self.rng.below(4) == 0 { self.intents[at] } else { self.intents.swap_remove(at) };
                    self.world.command(node, Command::Delete(id(number)));
                }
            }
            Act::ByHand => self.by_hand(),
            Act::Offers => {
                let flavour = Self::offer(1).flavour(&self.world.nodes[self.provider].id);
                let command = match self.rng.below(3) {
                    0 => Command::Withdraw(flavour),
                    price => Command::Offer(Box::new(Self::offer(price))),
                };
                self.world.command(self.provider, command);
            }
            Act::Crash => {
                let node = self.below(3);
                let death = if self.rng.below(2) == 0 { Death::Unseen } else { Death::Seen };
                self.world.crash(node, death);
            }
            Act::Cut => {
                let (a, b) = [(0, 1), (0, 2), (1, 2)][self.below(3)];
                let span = Span::millis(100 + self.rng.below(14_000));
                self.world.cut(a, b, span);
            }
            Act::Jump => {
                let (node, back) = (self.below(3), self.rng.below(3) == 0);
                let most = if self.rng.below(2) == 0 { 4000 } else { 45_000 };
                let by = Span::millis(self.rng.below(most));
                self.world.jump(node, by, back);
            }
            Act::Disk => {
                let node = self.below(3);
                match self.rng.below(3) {
                    0 => self.world.sync = 1 + self.rng.below(1500),
                    1 => self.world.fill_disk(node, true),
                    _ => self.world.fill_disk(node, false),
                }
            }
            Act::Remove => {
                if !std::mem::replace(&mut self.removed, true) {
                    let node = 1 + self.below(2);
                    let node = self.world.nodes[node].id;
                    self.world.command(0, Command::Remove(node));
                }
            }
        }
    }

    fn submit(&mut self) {
        let node = if self.rng.below(8) == 0 { self.provider } else { self.consumer() };
        self.submitted += 1;
        let number = self.submitted;
        let (replicas, term) = (1 + self.rng.below(3), 3 + self.rng.below(20));
        let intent = intent(&format!("web-{number}"), u32::try_from(replicas).unwrap(), Span::secs(term));
        self.world.submit(node, id(number), intent);
        self.intents.push((node, number));
    }

    /// The operator of a consumer does by hand what an intent does by itself.
    fn by_hand(&mut self) {
        if self.orders.is_empty() || self.rng.below(3) == 0 {
            return self.reserve();
        }
        let at = self.below(self.orders.len());
        let (node, key) = self.orders[at];
        let contract = self.contract(node, key);
        let command = match self.rng.below(6) {
            0 | 1 => Command::Purchase(key),
            2 => Command::Release(key.0),
            3 => match contract {
                Some(contract) => Command::Release(contract.0),
                None => Command::Purchase(key),
            },
            4 => match contract {
                Some(contract) => Command::Renew(contract),
                None => Command::Purchase(key),
            },
            _ => {
                let Some(contract) = contract else { return };
                self.submitted += 1;
                let number = self.submitted;
                self.intents.push((node, number));
                let intent = intent(&format!("hand-{number}"), 1, Span::secs(5));
                self.world.nodes[node].modules.extend(crate::world::make::digests(&intent));
                Command::Submit { id: id(number), intent, contract: Some(contract) }
            }
        };
        self.world.command(node, command);
    }

    fn reserve(&mut self) {
        let node = self.consumer();
        let provider = self.world.nodes[self.provider].id;
        // It has to be known before it can be reserved.
        let selector = rear_proto::Selector::default();
        self.world.command(node, Command::Discover { selector, k: 8, explain: false });
        self.world.run(Span::millis(60));
        let key = Key(self.rng.bytes());
        let mode = if self.rng.below(3) == 0 { Mode::Direct } else { Mode::Hold };
        self.world.command(
            node,
            Command::Reserve {
                flavour: Self::offer(1).flavour(&provider),
                provider: (self.rng.below(2) == 0).then_some(provider),
                need: one(),
                exactly: false,
                mode,
                term: Span::secs(2 + self.rng.below(10)),
                activate_within: Span::secs(1 + self.rng.below(8)),
                key,
            },
        );
        self.orders.push((node, key));
    }

    fn contract(&self, node: usize, key: Key) -> Option<kernel::ContractId> {
        let managers = self.world.nodes[node].agent.as_ref()?.managers();
        let me: NodeId = self.world.nodes[node].id;
        managers.contract.contracts().find(|it| it.key == key && it.buyer == me).map(|it| it.id)
    }

    #[allow(dead_code, reason = "for looking at one run")]
    fn answers(&self, node: usize) -> Vec<&Result<Response, rear_proto::Refusal>> {
        self.world.nodes[node].responses.values().collect()
    }
}
