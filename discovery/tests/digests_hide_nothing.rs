//! Whatever happens: what a partner's LIST has shown for a moment, the digest that it was told last does not deny.
#![allow(clippy::unwrap_used, clippy::panic)]

mod net;

use std::collections::BTreeSet;

use discovery::{Config, Input, config::Expose};
use kernel::{FlavourId, QueryId, Span};
use net::{three::*, *};
use proptest::{collection::vec, prelude::*, sample::select};
use rear_proto::{
    Answer, Currency, Epoch, Flavour, Kind, Location, Money, Request,
    flavour::{Domain, K8Slice},
    message::List,
};

/// How long growth waits.
const GROWTH: Span = Span::millis(100);

#[derive(Debug, Clone)]
struct Ware {
    id: u16,
    cpu: u64,
    price: u64,
    dollars: bool,
    words: Vec<usize>,
    whole: bool,
}

#[derive(Debug, Clone)]
enum Op {
    Own(Ware),
    Member(Ware),
    Gone(u16),
    MemberGone(u16),
    Pass(u64),
    Relink,
    Rename,
}

const TAGS: [&str; 5] = ["amd64", "arm64", "IT", "green", "wasm"];

fn ware() -> impl Strategy<Value = Ware> {
    let parts = (0..5u16, 0..9u64, 0..5u64, any::<bool>(), vec(0..TAGS.len(), 0..5), any::<bool>());
    parts.prop_map(|(id, cpu, price, dollars, words, whole)| Ware { id, cpu, price, dollars, words, whole })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => ware().prop_map(Op::Own),
        3 => ware().prop_map(Op::Member),
        1 => (0..5u16).prop_map(Op::Gone),
        1 => (0..5u16).prop_map(Op::MemberGone),
        2 => select(vec![50u64, 150, 1_500, 9_000, 15_000]).prop_map(Op::Pass),
        1 => Just(Op::Relink),
        1 => Just(Op::Rename),
    ]
}

fn flavour(node: &Node, ware: &Ware, changes: u64) -> Flavour {
    let word = |n: usize| ware.words.get(n).map(|word| TAGS[*word].to_owned());
    let mut flavour = offer(node, ware.id, ware.cpu, changes);
    flavour.kind = Kind::K8Slice(K8Slice {
        architecture: word(0).unwrap_or_default(),
        runtimes: word(1).into_iter().collect(),
        ..K8Slice::default()
    });
    flavour.properties.tags = word(2).into_iter().collect();
    flavour.properties.additional = word(4).into_iter().map(|word| ("rack".to_owned(), word)).collect();
    flavour.location = word(3).map(|country| Location { country: Some(country), ..Location::default() });
    flavour.price.amount = Money(ware.price * 250_000);
    if ware.dollars {
        flavour.price.currency = "USD".parse::<Currency>().unwrap();
    }
    if ware.whole {
        flavour.policies.partitionable = None;
    }
    flavour
}

fn rules() -> impl Strategy<Value = Vec<Expose>> {
    let partners = select(vec!["*", "alpha", "gamma"]);
    let what = select(vec!["", "arch=amd64", "cpu>=1, price<=0.5EUR/h", "tags not in (green)"]);
    let rule = (partners, what, prop::bool::weighted(0.1)).prop_map(|(partner, what, resale)| Expose {
        partners: vec![partner.to_owned()],
        what: what.parse().unwrap(),
        resale,
    });
    vec(rule, 0..3)
}

const WANTED: [&str; 24] = [
    "",
    "cpu>=1",
    "cpu>=4",
    "cpu>=8",
    "cpu=3",
    "cpu<=2",
    "cpu in 2..5, memory>=2Gi",
    "gpu<=1",
    "gpu>=1",
    "arch=amd64",
    "arch in (ARM64, wasm), cpu>=2",
    "arch not in (amd64)",
    "runtime=wasm",
    "location=it",
    "tags=green, cpu>=1",
    "tags not in (green, wasm)",
    "property.rack=it",
    "property.rack not in (IT)",
    "kind=K8Slice, cpu>=2",
    "domain=beta",
    "cpu>=4, price<=0.25EUR/h",
    "cpu>=8, price<=1.10EUR/h",
    "price<=0.02EUR/h",
    "price>=0.5USD/h",
];

/// What a partner would be listed just now, for each of the questions: which offers, in which state.
fn shown(net: &mut Net, viewer: usize, queries: &mut u64) -> Vec<BTreeSet<(FlavourId, Epoch)>> {
    let mut all = Vec::new();
    for wanted in WANTED {
        *queries += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&queries.to_be_bytes());
        let asked = List { query: QueryId(id), ..list(0, wanted, 64) };
        let Answer::Flavours(shown) = net.say(viewer, SP, Request::List(asked)) else { panic!("a list") };
        all.push(shown.flavours.iter().map(|flavour| (flavour.id, flavour.epoch)).collect());
    }
    all
}

fn happen(net: &mut Net, op: &Op, changes: u64) {
    match op {
        Op::Own(ware) => net.own(SP, flavour(&net.nodes[SP], ware, changes)),
        Op::Member(ware) => net.own(P, flavour(&net.nodes[P], ware, changes)),
        Op::Gone(id) => net.feed(SP, Input::OwnGone(offer(&net.nodes[SP], *id, 0, 0).id)),
        Op::MemberGone(id) => net.feed(P, Input::OwnGone(offer(&net.nodes[P], *id, 0, 0).id)),
        Op::Pass(millis) => net.pass(Span::millis(*millis)),
        Op::Relink => net.restart_link(SP, P),
        Op::Rename => {
            let domain = Domain { key: domain(2), name: format!("beta-{changes}") };
            net.feed(SP, Input::Named { domain, addresses: Vec::new() });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_list_has_shown_for_the_time_that_growth_waits_is_not_denied(
        ops in vec(op(), 1..14), expose in rules(), margin in select(vec!["0%", "10%"]),
    ) {
        let mut net = world_with(Config { expose, digests: true, margin: margin.parse().unwrap(), ..Config::default() });
        let mut queries = 0;
        for (n, op) in ops.iter().enumerate() {
            happen(&mut net, op, n as u64 + 1);
            let before = [SC, SG].map(|viewer| shown(&mut net, viewer, &mut queries));
            net.pass(GROWTH);
            for (viewer, before) in [SC, SG].into_iter().zip(before) {
                let after = shown(&mut net, viewer, &mut queries);
                let digest = &net.digests.iter().rfind(|(from, to, _)| (*from, *to) == (SP, viewer)).unwrap().2;
                for ((wanted, before), after) in WANTED.iter().zip(before).zip(after) {
                    let is_denied = !digest.may_have(&wanted.parse().unwrap());
                    prop_assert!(before.is_disjoint(&after) || !is_denied, "{wanted} after {op:?}: {digest:#?}");
                }
            }
        }
    }
}
