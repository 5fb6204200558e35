//! Every verb × every kind of caller: the one table of who may ask what.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::{CatalogueAddress, Config};
use kernel::{ContractId, FlavourId, Key, QueryId, Resources, Span};
use rear_proto::{
    CapacityDigest, Endorsement, Mode, Order, Purchase, Refusal, RenewalAsk, Request, Selector, Signed,
    flavour::{Domain, Flavour, K8Slice, Kind},
    local::Caller,
    membership::{Credentials, Role},
    message::{
        Accept, Advertise, Buy, EndReason, Extensions, Hello, Join, Keepalive, List, Offered, Partners, Refresh,
        Release, Renew, Reserve, Scope, Subscribe, Withdraw, Withdrawn,
    },
    price::Price,
    published::Published,
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
        Request::Accept(Accept {
            secret: [1; 16],
            credentials: credentials.clone(),
            descriptor: None,
            addresses: vec![],
            extensions: extensions(),
        }),
        Request::Partners(Partners { partners: vec![], extensions: extensions() }),
        Request::Subscribe(Subscribe { selector: Selector::default(), within: deadline, extensions: extensions() }),
        Request::CapacityDigest(CapacityDigest {
            number: rear_proto::Epoch::default(),
            domain: Domain { key: common::key("beta"), name: "beta".to_owned() },
            groups: vec![],
            everything: true,
            expires_in: deadline,
            extensions: extensions(),
        }),
    ]
    .into_iter()
    .chain(tellings(true))
    .chain(tellings(false))
    .collect()
}

/// ADVERTISE, REFRESH and WITHDRAW of an offer that is signed, or is not.
fn tellings(signed: bool) -> Vec<Request> {
    let (feed, number, extensions) = (1, 0, Extensions::new);
    let offer = || if signed { published() } else { Offered::Direct(Box::new(flavour())) };
    let viewer = signed.then(|| key("gamma"));
    vec![
        Request::Advertise(Advertise {
            feed,
            number,
            offers: vec![published(), offer()],
            more: false,
            extensions: extensions(),
        }),
        Request::Refresh(Refresh { feed, number, offers: vec![offer()], extensions: extensions() }),
        Request::Withdraw(Withdraw {
            feed,
            number,
            offers: vec![Withdrawn { viewer, flavour: FlavourId([1; 16]) }],
            extensions: extensions(),
        }),
    ]
}

fn published() -> Offered {
    let published =
        Published { by: id(2), viewer: key("gamma"), at: START, flavour: flavour(), extensions: Extensions::new() };
    Offered::Signed(Box::new(Signed::new(published, &signer(2))))
}

fn flavour() -> Flavour {
    let base = Resources { cpu: kernel::Quantity::units(1), ..Resources::default() };
    let slice = K8Slice { architecture: "amd64".to_owned(), ..K8Slice::default() };
    Flavour {
        id: FlavourId([1; 16]),
        epoch: rear_proto::Epoch::default(),
        owner: id(2),
        domain: Domain { key: key("alpha"), name: "alpha".to_owned() },
        provider: party(2),
        kind: Kind::K8Slice(slice),
        base,
        available: base,
        properties: Default::default(),
        policies: Default::default(),
        price: Price {
            amount: "1".parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            period: "h".parse().unwrap(),
            priced: vec![],
        },
        location: None,
        origin: FlavourId([1; 16]),
        expires_in: Span::secs(60),
    }
}

/// What one verb is counted to in the table below; a verb that is missing fails to compile.
fn kind(request: &Request) -> char {
    let signed = |offers: &[Offered]| offers.iter().all(|offer| matches!(offer, Offered::Signed(_)));
    let is_signed = match request {
        Request::Hello(_) | Request::Join(_) | Request::Accept(_) => return 'g',
        Request::List(_) => return 'l',
        Request::Reserve(_) | Request::Purchase(_) | Request::Renew(_) => return 'b',
        Request::Release(_) | Request::Keepalive(_) => return 'e',
        Request::Subscribe(_) => return 's',
        Request::Partners(_) => return 'p',
        Request::CapacityDigest(_) => return 'c',
        Request::Advertise(Advertise { offers, .. }) | Request::Refresh(Refresh { offers, .. }) => signed(offers),
        Request::Withdraw(Withdraw { offers, .. }) => offers.iter().all(|offer| offer.viewer.is_some()),
    };
    if is_signed { 't' } else { 'd' }
}

const ME: u8 = 1;
const NODE: u8 = 2;
const SUPERNODE: u8 = 3;
const CATALOGUE: u8 = 4;
const EXPIRED: u8 = 5;
const REVOKED: u8 = 6;
const BLOCKED: u8 = 7;
/// Of beta, which is a partner.
const PARTNER: u8 = 11;
const PARTNERS_NODE: u8 = 12;
const PARTNERS_CATALOGUE: u8 = 13;
const SUSPENDED: u8 = 21;
const REMOVED: u8 = 31;
/// The catalogue that this node was told to use, of a domain that is no partner.
const CONFIGURED: u8 = 41;
/// Of a domain that nobody here knows.
const FOREIGN: u8 = 51;
const FOREIGN_NODE: u8 = 52;
const STRANGER: u8 = 60;

/// A node of this role that has met everybody.
fn met(role: Role) -> Net {
    let mut net = net();
    let at: CatalogueAddress =
        format!("/ip4/10.0.0.{CONFIGURED}/udp/4001/quic-v1/p2p/{}", id(CONFIGURED)).parse().unwrap();
    let config = Config { blocked: vec![id(BLOCKED)], catalogues: vec![at], ..Config::default() };
    net.found_as(ME, "alpha", role, config);
    net.join(EXPIRED, ME, Role::Supernode, Config::default());
    net.connect(ME, EXPIRED);
    net.disconnect(ME, EXPIRED);
    net.pass(DAY.times(20));
    for (n, role) in
        [(NODE, Role::Node), (SUPERNODE, Role::Supernode), (CATALOGUE, Role::Catalogue), (REVOKED, Role::Supernode)]
    {
        net.join(n, ME, role, Config::default());
        net.connect(ME, n);
    }
    net.remove(ME, REVOKED).unwrap();
    for (first, domain) in [(PARTNER, "beta"), (SUSPENDED, "gamma"), (REMOVED, "delta"), (FOREIGN, "zeta")] {
        net.found_as(first, domain, Role::Supernode, Config::default());
        if first != FOREIGN {
            let token = net.partner_invite(SUPERNODE, domain, DAY).unwrap();
            net.connect(SUPERNODE, first);
            net.partner_accept(first, &token, "alpha").unwrap();
        }
    }
    net.partner_switch(SUPERNODE, "gamma", false).unwrap();
    net.partner_remove(SUPERNODE, "delta").unwrap();
    net.found_as(CONFIGURED, "kappa", Role::Catalogue, Config::default());
    net.join(PARTNERS_NODE, PARTNER, Role::Node, Config::default());
    net.join(PARTNERS_CATALOGUE, PARTNER, Role::Catalogue, Config::default());
    net.join(FOREIGN_NODE, FOREIGN, Role::Node, Config::default());
    net.pass(Span::secs(2));
    for n in [PARTNER, PARTNERS_NODE, PARTNERS_CATALOGUE, SUSPENDED, REMOVED, CONFIGURED, FOREIGN, FOREIGN_NODE] {
        net.connect(ME, n);
    }
    net.pass(Span::secs(2));
    // One certificate ends in the very millisecond of the look; the timer has not even run.
    net.now = START + DAY.times(30);
    net
}

#[test]
fn every_verb_by_every_kind_of_caller_at_every_role() {
    // g: HELLO, JOIN, ACCEPT. l: LIST. b: RESERVE, PURCHASE, RENEW. e: RELEASE, KEEPALIVE. s: SUBSCRIBE.
    // t: ADVERTISE, REFRESH, WITHDRAW of signed offers; d: of others. p: PARTNERS. c: CAPACITY_DIGEST.
    let rows = [
        // caller               at a node  supernode   catalogue
        (NODE, ["gbel", "gbelstd", "gbelstd"]),
        (SUPERNODE, ["gbeltdp", "gbelstdp", "gbelstdp"]),
        (CATALOGUE, ["gbeltd", "gbelstd", "gbelstd"]),
        (EXPIRED, ["g", "g", "g"]),
        (REVOKED, ["g", "g", "g"]),
        (BLOCKED, ["", "", ""]),
        (PARTNER, ["g", "gbelstdc", "glst"]),
        (PARTNERS_NODE, ["g", "g", "gls"]),
        (PARTNERS_CATALOGUE, ["g", "g", "gls"]),
        (SUSPENDED, ["g", "getdc", "glst"]),
        (REMOVED, ["g", "g", "glst"]),
        (CONFIGURED, ["g", "gt", "gls"]),
        (FOREIGN, ["g", "g", "glst"]),
        (FOREIGN_NODE, ["g", "g", "gls"]),
        (STRANGER, ["g", "g", "g"]),
    ];
    for (column, role) in [Role::Node, Role::Supernode, Role::Catalogue].into_iter().enumerate() {
        let net = met(role);
        let manager = &net.nodes[&ME].manager;
        let verbs = verbs(&manager.credentials().unwrap());
        assert_eq!(verbs.iter().map(Request::name).collect::<std::collections::BTreeSet<_>>().len(), 15);
        for (caller, may) in &rows {
            for request in &verbs {
                let result = manager.authorise(net.now, &id(*caller), request);
                let is_allowed = may[column].contains(kind(request));
                let (verb, at) = (request.name(), role.name());
                assert_eq!(result.is_ok(), is_allowed, "{verb} ({}) by {caller} at a {at}", kind(request));
                if let Err(refusal) = result {
                    assert_eq!(refusal, Refusal::from(rear_proto::Code::NotAMember), "all in the same words");
                }
            }
        }
    }
}

#[test]
fn who_asks_is_told_to_the_other_managers() {
    let hello = |net: &Net| Request::Hello(net.hello_of(2));
    let who = |net: &Net, caller: u8| net.nodes[&ME].manager.authorise(net.now, &id(caller), &hello(net)).unwrap();
    let net = met(Role::Supernode);
    for (caller, expected) in [
        (NODE, Caller::Member(Role::Node)),
        (SUPERNODE, Caller::Member(Role::Supernode)),
        (CATALOGUE, Caller::Member(Role::Catalogue)),
        (EXPIRED, Caller::Stranger),
        (PARTNER, Caller::Partner { domain: key("beta"), on: true }),
        (SUSPENDED, Caller::Partner { domain: key("gamma"), on: false }),
        (REMOVED, Caller::Stranger),
        (PARTNERS_NODE, Caller::Stranger),
        (CONFIGURED, Caller::Visitor { domain: key("kappa") }),
        (FOREIGN, Caller::Stranger),
    ] {
        assert_eq!(who(&net, caller), expected, "{caller}");
    }
    let net = met(Role::Catalogue);
    for (caller, domain) in [(PARTNER, "beta"), (REMOVED, "delta"), (FOREIGN_NODE, "zeta"), (CONFIGURED, "kappa")] {
        assert_eq!(who(&net, caller), Caller::Visitor { domain: key(domain) }, "{caller}");
    }
}
