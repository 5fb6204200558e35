//! One sample of everything, made from fixed keys and times, for the tests of this crate.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its own part of this")]

pub mod messages;

use std::collections::BTreeMap;

use kernel::{Digest, DomainKey, FlavourId, Key, NodeId, Quantity, Resource, Resources, Span, Time};
use rear_proto::{
    contract::{Contract, Endorsement, Held, Mode, Order, Purchase, Renewal, RenewalAsk, Reserved, TunnelKey, Vouched},
    flavour::{
        Aggregatable, Carbon, Domain, Epoch, Flavour, Hosting, K8Slice, Kind, Location, NetworkIntent, NetworkRules,
        Partitionable, Party, Policies, Properties, Sensor, Service, Vm,
    },
    membership::{Certificate, Credentials, Descriptor, IssuerList, Revocation, Role, Token},
    message::Extensions,
    partner::{PartnerRecord, PartnerState, PartnerToken},
    price::{Period, Price, Rate},
    published::Published,
    signed::{Signed, Signer},
};

pub const NOW: Time = Time(1_700_000_000_000);

pub fn domain_signer() -> Signer {
    Signer::from_secret(&[1; 32])
}

pub fn issuer() -> Signer {
    Signer::from_secret(&[2; 32])
}

pub fn buyer() -> Signer {
    Signer::from_secret(&[3; 32])
}

pub fn seller() -> Signer {
    Signer::from_secret(&[4; 32])
}

pub fn domain_key() -> DomainKey {
    DomainKey(domain_signer().id().0)
}

pub fn domain() -> Domain {
    Domain { key: domain_key(), name: "alpha".to_owned() }
}

pub fn party(node: NodeId) -> Party {
    Party { node, addresses: vec!["/ip4/127.0.0.1/udp/4001/quic-v1".to_owned()] }
}

pub fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

pub fn resources(cpu: &str, memory: &str, pods: u64) -> Resources {
    Resources {
        cpu: cpu.parse().unwrap(),
        memory: memory.parse().unwrap(),
        pods: Quantity::units(pods),
        ..Resources::default()
    }
}

/// Room that a message of a later version would fill.
pub fn extensions() -> Extensions {
    BTreeMap::from([(7, vec![1, 2, 3])])
}

pub fn issuer_list() -> IssuerList {
    IssuerList {
        domain: domain(),
        number: 3,
        issuers: vec![issuer().id()],
        expires: Time(NOW.0 + 1000),
        extensions: Extensions::new(),
    }
}

pub fn certificate(node: NodeId) -> Certificate {
    Certificate {
        domain: domain_key(),
        node,
        role: Role::Node,
        issuer: issuer().id(),
        issued: NOW,
        expires: Time(NOW.0 + 500),
        extensions: Extensions::new(),
    }
}

pub fn credentials(node: NodeId) -> Credentials {
    Credentials {
        list: Signed::new(issuer_list(), &domain_signer()),
        certificate: Signed::new(certificate(node), &issuer()),
    }
}

pub fn descriptor() -> Signed<Descriptor> {
    let descriptor = Descriptor {
        domain: domain_key(),
        list: 3,
        sequence: 9,
        issuer: issuer().id(),
        supernodes: vec![party(issuer().id())],
        revoked: vec![Revocation { node: NodeId([9; 32]), until: Time(NOW.0 + 99) }],
        expires: Time(NOW.0 + 1000),
        extensions: Extensions::new(),
    };
    Signed::new(descriptor, &issuer())
}

pub fn token() -> Token {
    Token {
        domain: domain(),
        issuer: party(issuer().id()),
        secret: [5; 16],
        role: Role::Supernode,
        expires: Time(NOW.0 + 60_000),
    }
}

/// A slice of 4 cores, 8 GiB and 16 pods at 0.80 EUR/h, of which half is left.
pub fn flavour() -> Flavour {
    Flavour {
        id: FlavourId([6; 16]),
        epoch: Epoch { starts: 2, changes: 300 },
        owner: seller().id(),
        domain: domain(),
        provider: party(seller().id()),
        kind: Kind::K8Slice(K8Slice {
            architecture: "amd64".to_owned(),
            gpu_model: None,
            runtimes: vec!["wasm".to_owned()],
        }),
        base: resources("4", "8Gi", 16),
        available: resources("2", "4Gi", 8),
        properties: Properties {
            latency_ms: Some(12),
            security_standards: vec!["GDPR".to_owned()],
            carbon: Some(Carbon { embodied: 5, operational: vec![200, 180] }),
            network: NetworkRules {
                denied: vec![NetworkIntent {
                    name: "mail".to_owned(),
                    source: "0.0.0.0/0".to_owned(),
                    destination: "0.0.0.0/0".to_owned(),
                    port: "25".to_owned(),
                    protocol: "TCP".to_owned(),
                }],
                mandatory: Vec::new(),
            },
            tags: vec!["fast".to_owned(), "ssd".to_owned()],
            additional: BTreeMap::from([("rack".to_owned(), "r 12".to_owned())]),
        },
        policies: Policies {
            partitionable: Some(Partitionable {
                min: resources("500m", "256Mi", 1),
                step: resources("250m", "256Mi", 1),
            }),
            aggregatable: Some(Aggregatable { min_count: 1, max_count: 4 }),
        },
        price: Price {
            amount: "0.80".parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            period: Period::Hour,
            priced: vec![Resource::Cpu, Resource::Memory],
        },
        location: Some(Location {
            latitude: Some("45.07".to_owned()),
            longitude: Some("7.69".to_owned()),
            country: Some("IT".to_owned()),
            city: Some("Torino".to_owned()),
            notes: None,
        }),
        origin: FlavourId([8; 16]),
        expires_in: Span::secs(60),
    }
}

/// The sample flavour in each of the four kinds.
pub fn flavours() -> Vec<Flavour> {
    let vm = Vm { architecture: "arm64".to_owned(), os: "linux".to_owned(), gpu_model: Some("A2".to_owned()) };
    let service = Service {
        name: "db".to_owned(),
        description: "a database".to_owned(),
        category: "database".to_owned(),
        hosting: vec![Hosting::Provider, Hosting::Consumer, Hosting::Shared],
        configuration_template: Some("{}".to_owned()),
    };
    let sensor = Sensor {
        sensor_type: "temperature".to_owned(),
        model: "t1".to_owned(),
        manufacturer: "acme".to_owned(),
        market: "home".to_owned(),
        sampling_rate_millis: 500,
        accuracy: "0.1 K".to_owned(),
        access: "http".to_owned(),
    };
    let bare =
        Flavour { location: None, properties: Properties::default(), policies: Policies::default(), ..flavour() };
    vec![
        flavour(),
        Flavour { kind: Kind::Vm(vm), ..bare.clone() },
        Flavour { kind: Kind::Service(service), ..bare.clone() },
        Flavour { kind: Kind::Sensor(sensor), ..bare },
    ]
}

pub fn order(mode: Mode) -> Order {
    Order {
        key: Key([10; 16]),
        buyer: buyer().id(),
        seller: seller().id(),
        placed: NOW,
        flavour: flavour().id,
        epoch: flavour().epoch,
        partition: resources("1", "1Gi", 1),
        mode,
        term: Span::secs(3600),
        activate_within: Span::secs(10),
        ceiling: rate("0.25EUR/h"),
        tunnel_key: [11; 32],
        extensions: extensions(),
    }
}

pub fn reserved(order: Order) -> Reserved {
    Reserved {
        order: Signed::new(order, &buyer()),
        price: rate("0.2EUR/h"),
        term: Span::secs(3600),
        purchase_within: Span::secs(30),
        at: Time(NOW.0 + 2),
        extensions: Extensions::new(),
    }
}

pub fn purchase(reserved: &Signed<Reserved>) -> Purchase {
    Purchase { key: Key([10; 16]), reserved: reserved.digest(), extensions: Extensions::new() }
}

pub fn held() -> Held {
    let reserved = Signed::new(reserved(order(Mode::Hold)), &seller());
    let purchase = Signed::new(purchase(&reserved), &buyer());
    Held { reserved, purchase }
}

pub fn contract(mode: Mode) -> Contract {
    Contract {
        order: Signed::new(order(mode), &buyer()),
        held: (mode == Mode::Hold).then(held),
        price: rate("0.2EUR/h"),
        start: Time(NOW.0 + 5),
        term: Span::secs(3600),
        activate_within: Span::secs(10),
        backed_by: (mode == Mode::Hold).then_some(Digest([12; 32])),
        tunnel_key: [13; 32],
        endorsement: Endorsement::Member(credentials(seller().id())),
        extensions: extensions(),
    }
}

pub fn renewal_ask() -> RenewalAsk {
    RenewalAsk {
        contract: Digest([14; 32]),
        n: 1,
        term: Span::secs(600),
        ceiling: rate("0.25EUR/h"),
        extensions: Extensions::new(),
    }
}

pub fn renewal() -> Renewal {
    Renewal {
        ask: Signed::new(renewal_ask(), &buyer()),
        price: rate("0.2EUR/h"),
        term: Span::secs(600),
        at: Time(NOW.0 + 3_000_000),
        extensions: Extensions::new(),
    }
}

/// A supernode of the sample domain.
pub fn supernode() -> Signer {
    Signer::from_secret(&[5; 32])
}

pub fn supernode_credentials() -> Credentials {
    let certificate = Certificate { role: Role::Supernode, ..certificate(supernode().id()) };
    Credentials { certificate: Signed::new(certificate, &issuer()), ..credentials(supernode().id()) }
}

pub fn tunnel_key(key: [u8; 32]) -> TunnelKey {
    TunnelKey { key, supernode: supernode().id(), extensions: extensions() }
}

/// The endorsement of a tunnel key by the sample supernode.
pub fn vouched(key: [u8; 32]) -> Endorsement {
    let key = Signed::new(tunnel_key(key), &supernode());
    Endorsement::Supernode(Box::new(Vouched { credentials: supernode_credentials(), key }))
}

/// A contract that has crossed a border: another contract backs it, and a supernode vouches for the seller's key.
pub fn contract_abroad() -> Contract {
    let contract = contract(Mode::Direct);
    Contract { backed_by: Some(Digest([12; 32])), endorsement: vouched(contract.tunnel_key), ..contract }
}

/// Whom published offers are for.
pub fn viewer() -> DomainKey {
    DomainKey([26; 32])
}

/// The sample flavour as a supernode publishes it for one domain.
pub fn published() -> Published {
    let flavour =
        Flavour { id: FlavourId([27; 16]), owner: supernode().id(), provider: party(supernode().id()), ..flavour() };
    Published { by: supernode().id(), viewer: viewer(), at: NOW, flavour, extensions: extensions() }
}

pub fn partner(state: PartnerState) -> PartnerRecord {
    PartnerRecord {
        name: "beta".to_owned(),
        list: Signed::new(issuer_list(), &domain_signer()),
        descriptor: Some(descriptor()),
        state,
        said: (NOW, supernode().id()),
    }
}

pub fn partner_token() -> PartnerToken {
    PartnerToken { domain: domain(), inviter: party(supernode().id()), secret: [6; 16], expires: Time(NOW.0 + 60_000) }
}
