//! A member that means ill: it asks for whatever it likes in whatever order, or answers with what others have said.
//! Nobody panics, nobody else's contract suffers, and when it is silent nothing of it is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use agent::Command;
use kernel::{ContractId, Digest, Key, NodeId, Quantity, QueryId, Resources, Rng, Span, Time};
use orchestrator::Phase;
use rear_proto::{
    Code, Contract, Endorsement, Epoch, Mode, Money, Order, Purchase, RenewalAsk, Request, Reserved, Signed,
    fabric::FabricRequest,
    local::Side,
    membership::Role,
    message::{Buy, EndReason, Join, Keepalive, List, Release, Renew, Reserve, Scope},
    price::Rate,
    workload::{Image, Restart, Status, Workload},
};
use world::{
    Faults, World,
    make::{fast, id, intent, offer, one, room},
    seeds::{Tells, seeds},
};

const VICTIM: usize = 1;
const VILLAIN: usize = 2;

/// What the villain draws from.
struct Villain {
    rng: Rng,
    flavour: kernel::FlavourId,
    endorsement: Endorsement,
    orders: Vec<Signed<Order>>,
    keys: Vec<Key>,
}

impl Villain {
    fn new(world: &World, seed: u64) -> Self {
        let mut rng = Rng::from_number(seed ^ 0xbad);
        let managers = world.managers();
        let credentials = managers[VILLAIN].federation.credentials().unwrap();
        // Whoever listens well knows the keys of others, too.
        let theirs = managers[0].contract.contracts().map(|contract| contract.key);
        let keys = theirs.chain((0..6).map(|_| Key(rng.bytes()))).collect();
        let flavour = offer(room("1500m", "192Mi")).flavour(&world.nodes[0].id);
        Self { rng, flavour, endorsement: Endorsement::Member(credentials), orders: Vec::new(), keys }
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.rng.below(choices.len() as u64)).unwrap()].clone()
    }

    /// Returns something sensible, or now and then something odd.
    fn mostly<T: Clone>(&mut self, sensible: T, odd: &[T]) -> T {
        if self.rng.below(12) == 0 { self.one_of(odd) } else { sensible }
    }

    fn span(&mut self) -> Span {
        let some = Span::millis(500 + self.rng.below(8000));
        self.mostly(some, &[Span::ZERO, Span::millis(1), Span::secs(86_400), Span(u64::MAX)])
    }

    fn time(&mut self, now: Time) -> Time {
        let ago = Time(now.0 - 59_000);
        self.mostly(now, &[ago, now + Span::secs(59), now + Span::secs(61), Time(0), Time::MAX])
    }

    fn resources(&mut self) -> Resources {
        let huge = Resources { cpu: Quantity::units(u64::MAX), ..one() };
        let odd = Resources { memory: "70Mi".parse().unwrap(), ..one() };
        self.mostly(one(), &[room("1500m", "192Mi"), Resources::default(), huge, odd])
    }

    fn ceiling(&mut self) -> Rate {
        let price = offer(room("1500m", "192Mi")).price;
        let amount = self.mostly(price.amount, &[Money(u64::MAX), Money(0), Money(1)]);
        Rate { amount, currency: price.currency, period: price.period }
    }

    fn key(&mut self) -> Key {
        let keys = self.keys.clone();
        self.one_of(&keys)
    }

    fn recent_key(&mut self) -> Key {
        let last = self.keys[self.keys.len() - 1];
        let keys = self.keys.clone();
        self.mostly(last, &keys)
    }

    fn order(&mut self, world: &World) -> Signed<Order> {
        if !self.orders.is_empty() && self.rng.below(8) == 0 {
            let orders = self.orders.clone();
            return self.one_of(&orders);
        }
        let ids: Vec<NodeId> = world.nodes.iter().map(|node| node.id).collect();
        let (me, seller) = (ids[VILLAIN], ids[0]);
        let order = Order {
            key: self.recent_key(),
            buyer: self.mostly(me, &[ids[VICTIM]]),
            seller: self.mostly(seller, &[me, ids[VICTIM]]),
            placed: self.time(world.now),
            flavour: self.flavour,
            epoch: Epoch::default(),
            partition: self.resources(),
            mode: self.one_of(&[Mode::Hold, Mode::Direct]),
            term: self.span(),
            activate_within: self.span(),
            ceiling: self.ceiling(),
            tunnel_key: self.rng.bytes(),
            extensions: Default::default(),
        };
        let signed = Signed::new(order, &world.nodes[VILLAIN].me.signer);
        // Most orders have a key of their own.
        self.orders.push(signed.clone());
        let key = Key(self.rng.bytes());
        self.keys.push(key);
        signed
    }

    /// Returns the digests of the holds that it was given, and of contracts, its own and others'.
    fn digests(&mut self, world: &World) -> Vec<Digest> {
        let managers = world.managers();
        let contracts = managers[0].contract.contracts().map(|contract| contract.digest);
        contracts.chain(world.said().iter().filter_map(digest_of)).chain([Digest([7; 32])]).collect()
    }

    fn act(&mut self, world: &mut World) {
        let now = self.time(world.now);
        let (deadline, extensions) = (self.span(), Default::default());
        let digests = self.digests(world);
        let digest = self.one_of(&digests);
        let signer = world.nodes[VILLAIN].me.signer.clone();
        let request = match self.rng.below(12) {
            0..3 => Request::Reserve(Reserve {
                now,
                deadline,
                endorsement: self.endorsement.clone(),
                order: self.order(world),
                extensions,
            }),
            3 | 4 => {
                let held: Vec<_> = world.said().iter().filter_map(held).chain([(self.key(), digest)]).collect();
                let last = held[held.len().saturating_sub(2)];
                let (key, reserved) = self.mostly(last, &held);
                let purchase = Purchase { key, reserved, extensions: Default::default() };
                Request::Purchase(Buy { now, deadline, purchase: Signed::new(purchase, &signer), extensions })
            }
            5 => {
                let n = self.one_of(&[0, 1, 1, 1, 2, 3, u32::MAX]);
                let (term, ceiling) = (self.span(), self.ceiling());
                let ask = RenewalAsk { contract: digest, n, term, ceiling, extensions: Default::default() };
                Request::Renew(Renew { now, deadline, ask: Signed::new(ask, &signer), extensions })
            }
            6 => {
                let ids: Vec<NodeId> = world.nodes.iter().map(|node| node.id).collect();
                let reason = self.one_of(&[EndReason::Released, EndReason::Lost, EndReason::Removed]);
                Request::Release(Release { key: self.key(), buyer: self.one_of(&ids), reason, extensions })
            }
            7 => {
                let contracts = digests.iter().map(|digest| ContractId::from(*digest)).collect();
                Request::Keepalive(Keepalive { contracts, extensions })
            }
            8 => Request::List(List {
                query: QueryId([u8::try_from(self.rng.below(3)).unwrap(); 16]),
                selector: rear_proto::Selector::default(),
                limit: self.one_of(&[0, 1, 256]),
                scope: Scope::Partners,
                exclude: Vec::new(),
                hops_left: 0,
                trail: Vec::new(),
                deadline,
                extensions,
            }),
            9 => {
                let (secret, node) = (self.rng.bytes(), world.nodes[VILLAIN].id);
                Request::Join(Join { secret, node, role: Role::Supernode, extensions })
            }
            _ => return self.speak(world, ContractId::from(digest)),
        };
        let to = self.one_of(&[0, 0, 0, VICTIM]);
        world.ask_as(VILLAIN, to, request);
    }

    /// Says something inside a channel, its own or another's.
    fn speak(&mut self, world: &mut World, contract: ContractId) {
        let name = self.one_of(&["web", "x", "", "a.b", "UPPER"]).to_owned();
        let workload = Workload {
            name: name.clone(),
            image: self.one_of(&[Image::Wasm { digest: Digest::of(b"web"), size: 3 }, Image::Oci("x".to_owned())]),
            resources: self.resources(),
            ports: Vec::new(),
            args: Vec::new(),
            env: Default::default(),
            restart: Restart::Always,
            wall: Some(self.span()),
            reach: Vec::new(),
        };
        let request = match self.rng.below(8) {
            0..3 => FabricRequest::ResourceRequest { contract },
            3 | 4 => FabricRequest::Deploy(workload),
            5 => FabricRequest::Undeploy { workload: name },
            6 => FabricRequest::Logs { workload: name, from: u64::MAX, wait: self.span() },
            _ => self.one_of(&[
                FabricRequest::Close,
                FabricRequest::Returned,
                FabricRequest::Status { workload: name, status: Status::Running },
            ]),
        };
        let to = self.one_of(&[0, 0, 0, VICTIM]);
        world.hear_as(VILLAIN, to, contract, request);
    }
}

fn digest_of(answer: &rear_proto::Answer) -> Option<Digest> {
    match answer {
        rear_proto::Answer::Reserved(signed) => Some(Signed::<Reserved>::digest(signed)),
        rear_proto::Answer::Contract(signed) => Some(Signed::<Contract>::digest(signed)),
        _ => None,
    }
}

fn held(answer: &rear_proto::Answer) -> Option<(Key, Digest)> {
    let rear_proto::Answer::Reserved(signed) = answer else { return None };
    Some((signed.claimed()?.order.claimed()?.key, signed.digest()))
}

/// A victim whose intent runs at the provider, and a villain.
fn world(seed: u64) -> (World, ContractId) {
    let offers = vec![vec![offer(room("1500m", "192Mi"))], Vec::new(), Vec::new()];
    let mut world = World::new(seed, Faults::default(), offers, &fast());
    world.liar = Some(VILLAIN);
    world.run(Span::secs(1));
    world.submit(VICTIM, id(1), intent("web", 1, Span::secs(5)));
    world.run(Span::secs(2));
    let contract = contract(&world).expect("it runs");
    (world, contract)
}

fn contract(world: &World) -> Option<ContractId> {
    world.managers()[VICTIM].orchestrator.intent(&id(1)).unwrap().workloads[0].contract
}

#[test]
fn a_villain_that_asks_for_anything_harms_nobody() {
    let mut codes = std::collections::BTreeMap::new();
    for seed in seeds(0..20) {
        let _tells = Tells { test: "hostile", seed };
        let (mut world, before) = world(seed);
        let mut villain = Villain::new(&world, seed);
        for _ in 0..400 {
            villain.act(&mut world);
            let span = Span::millis(villain.rng.below(60));
            world.run(span);
        }
        for (code, count) in world.seen() {
            *codes.entry(*code).or_insert(0) += count;
        }
        assert_eq!(contract(&world), Some(before), "seed {seed}: the victim's contract is gone");
        world.run(Span::secs(120));
        let managers = world.managers();
        let theirs = managers[0].contract.contracts().filter(|it| it.state.is_live() && it.role == Side::Provider);
        assert_eq!(theirs.map(|it| it.id).collect::<Vec<_>>(), [before], "seed {seed}");
        assert_eq!(managers[0].rear.living().count(), 1, "seed {seed}: something of the villain's is left");
        assert_eq!((managers[0].contract.unsettled(), world.nodes[0].instances.len()), (0, 1), "seed {seed}");
        world.command(VICTIM, Command::Delete(id(1)));
        world.run(Span::secs(5));
        assert!(world.managers()[0].rear.books().all(|book| book.taken.is_zero()), "seed {seed}");
    }
    if std::env::var_os("TOMBOLO_SEED").is_none() {
        // It was let in deep enough to do harm.
        for seen in [Code::NotAStep, Code::KeyReused, Code::Expired, Code::ClockSkew, Code::Closed, Code::NotFound] {
            assert!(codes.contains_key(seen.name()), "{} was never said: {codes:?}", seen.name());
        }
        assert!(codes["contracts"] > 100 && codes["holds"] > 100, "{codes:?}");
    }
}

#[test]
fn a_villain_that_answers_with_what_others_said_harms_nobody() {
    for seed in seeds(0..20) {
        let _tells = Tells { test: "hostile", seed };
        // It has the better offer, and never keeps its word.
        let mut cheap = offer(room("1500m", "192Mi"));
        cheap.price.amount.0 /= 2;
        let offers = vec![vec![offer(room("1500m", "192Mi"))], Vec::new(), vec![cheap]];
        let mut world = World::new(seed, Faults::default(), offers, &fast());
        world.liar = Some(VILLAIN);
        world.run(Span::secs(1));
        for number in 0..6 {
            world.submit(VICTIM, id(number), intent(&format!("web-{number}"), 1, Span::secs(4)));
            world.run(Span::secs(3));
            world.command(VICTIM, Command::Delete(id(number)));
            world.run(Span::secs(2));
        }
        world.submit(VICTIM, id(9), intent("last", 1, Span::secs(4)));
        world.run(Span::secs(60));
        let view = world.managers()[VICTIM].orchestrator.intent(&id(9)).unwrap();
        assert!(view.times.running.is_some() || view.phase == Phase::Failed, "seed {seed}: {view:?}");
        world.command(VICTIM, Command::Delete(id(9)));
        world.run(Span::secs(30));
        let managers = world.managers();
        assert_eq!(managers[VICTIM].contract.unsettled(), 0, "seed {seed}");
        assert_eq!(managers[VICTIM].rear.living().count(), 0, "seed {seed}");
        assert!(managers[0].rear.books().all(|book| book.taken.is_zero()), "seed {seed}");
    }
}

#[test]
fn a_stranger_that_is_near_leaves_no_rating() {
    let offers = vec![vec![offer(room("1500m", "192Mi"))], Vec::new()];
    let mut world = World::new(1, Faults::default(), offers, &fast());
    world.run(Span::secs(1));
    let member = world.nodes[0].id;
    for peer in [NodeId([77; 32]), member] {
        world.event(VICTIM, agent::Event::RoundTrip { peer, span: Span::millis(1) });
    }
    let rated: Vec<NodeId> = world.managers()[VICTIM].rear.ratings().map(|(peer, _)| peer).collect();
    assert_eq!(rated, [member]);
}
