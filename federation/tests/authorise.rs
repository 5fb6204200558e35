//! Every verb × every kind of caller: the one table of who may ask what.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::Config;
use kernel::{ContractId, FlavourId, Key, QueryId, Resources, Span};
use rear_proto::{
    Endorsement, Mode, Order, Purchase, Refusal, RenewalAsk, Request, Selector, Signed,
    membership::{Credentials, Role},
    message::{Buy, EndReason, Extensions, Hello, Join, Keepalive, List, Release, Renew, Reserve, Scope},
};

/// One of each verb. A verb that is missing here fails to compile in `Request::name`'s match first, and then the
/// count below.
fn verbs(credentials: &Credentials) -> Vec<Request> {
    let extensions = Extensions::new;
    let (now, deadline, key) = (START, Span::secs(2), Key([1; 16]));
    let ceiling: rear_proto::price::Rate = "1EUR/h".parse().unwrap();
    let order = Order {
        key,
        buyer: id(2),
        seller: id(1),
        placed: now,
        flavour: FlavourId([1; 16]),
        epoch: rear_proto::Epoch::default(),
        partition: Resources { cpu: kernel::Quantity::units(1), ..Resources::default() },
        mode: Mode::Direct,
        term: Span::secs(60),
        activate_within: Span::secs(10),
        ceiling,
        tunnel_key: [1; 32],
        extensions: extensions(),
    };
    let ask = RenewalAsk { contract: kernel::Digest([1; 32]), n: 1, term: deadline, ceiling, extensions: extensions() };
    let purchase = Purchase { key, reserved: kernel::Digest([1; 32]), extensions: extensions() };
    vec![
        Request::Hello(Hello { credentials: None, descriptor: None, addresses: vec![], now, extensions: extensions() }),
        Request::Join(Join { secret: [1; 16], node: id(2), role: Role::Node, extensions: extensions() }),
        Request::List(List {
            query: QueryId([1; 16]),
            selector: Selector::default(),
            limit: 1,
            scope: Scope::Own,
            exclude: vec![],
            hops_left: 0,
            trail: vec![],
            deadline,
            extensions: extensions(),
        }),
        Request::Reserve(Reserve {
            now,
            deadline,
            endorsement: Endorsement::Member(credentials.clone()),
            order: Signed::new(order, &signer(2)),
            extensions: extensions(),
        }),
        Request::Purchase(Buy { now, deadline, purchase: Signed::new(purchase, &signer(2)), extensions: extensions() }),
        Request::Renew(Renew { now, deadline, ask: Signed::new(ask, &signer(2)), extensions: extensions() }),
        Request::Release(Release { key, buyer: id(2), reason: EndReason::Released, extensions: extensions() }),
        Request::Keepalive(Keepalive { contracts: vec![ContractId([1; 16])], extensions: extensions() }),
    ]
}

const STRANGER: u8 = 20;
const FOREIGNER: u8 = 21;
const MEMBER: u8 = 2;
const EXPIRED: u8 = 3;
const REVOKED: u8 = 4;
const BLOCKED: u8 = 5;

#[test]
fn every_verb_by_every_kind_of_caller() {
    let mut net = net();
    net.found(1, "alpha", Config { blocked: vec![id(BLOCKED)], ..Config::default() });
    for n in [EXPIRED, REVOKED] {
        net.join(n, 1, Role::Node, Config::default());
        net.connect(1, n);
    }
    net.drop_connections(EXPIRED);
    // Its certificate ends in the very millisecond of the look; the timer has not even run.
    net.pass(DAY.times(29));
    net.remove(1, REVOKED).unwrap();
    net.join(MEMBER, 1, Role::Node, Config::default());
    net.connect(1, MEMBER);
    net.now = START + DAY.times(30);
    net.found(FOREIGNER, "beta", Config::default());
    net.connect(1, FOREIGNER);
    let credentials = net.nodes[&1].manager.credentials().unwrap();
    let mut refusals = Vec::new();
    let mut verbs_seen = Vec::new();
    for request in verbs(&credentials) {
        let greets = matches!(request, Request::Hello(_) | Request::Join(_));
        verbs_seen.push(request.name());
        for (caller, may) in [
            (STRANGER, greets),
            (FOREIGNER, greets),
            (MEMBER, true),
            (EXPIRED, greets),
            (REVOKED, greets),
            (BLOCKED, false),
        ] {
            let result = net.nodes[&1].manager.authorise(net.now, &id(caller), &request);
            assert_eq!(result.is_ok(), may, "{} by {caller}", request.name());
            refusals.extend(result.err());
        }
    }
    assert_eq!(verbs_seen.len(), 8);
    let uniform: Refusal = rear_proto::Code::NotAMember.into();
    assert_eq!(refusals, vec![uniform; 5 * 6 + 2], "all in the same words");
}
