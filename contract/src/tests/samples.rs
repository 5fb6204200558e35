//! Fixed keys, a domain and wishes, for the tests of this crate.

use kernel::{DomainKey, FlavourId, Key, NodeId, Quantity, Resources, Rng, Span, Time};
use rear_proto::{
    Epoch, Mode, Party, Signed, Signer,
    flavour::Domain,
    local::{Me, Partner, Wish},
    membership::{Certificate, Credentials, IssuerList, Role},
    message::Extensions,
    price::Rate,
};

use crate::{Config, Input, Manager};

pub(super) const NOW: Time = Time(1_700_000_000_000);

pub(super) fn signer(number: u8) -> Signer {
    Signer::from_secret(&[number; 32])
}

/// The number of the signer that is domain alpha.
pub(super) const ALPHA: u8 = 250;
/// The number of the signer that is domain beta.
pub(super) const BETA: u8 = 240;

pub(super) fn domain_key() -> DomainKey {
    domain(ALPHA)
}

pub(super) fn domain(number: u8) -> DomainKey {
    DomainKey(signer(number).id().0)
}

pub(super) fn partner(number: u8, supernode: NodeId) -> Partner {
    let domain = Domain { key: domain(number), name: format!("domain {number}") };
    Partner { name: domain.name.clone(), domain, on: true, supernodes: vec![supernode] }
}

pub(super) fn credentials(node: NodeId) -> Credentials {
    proof(ALPHA, node, Role::Node)
}

/// Credentials of a node in the domain of this number.
pub(super) fn proof(number: u8, node: NodeId, role: Role) -> Credentials {
    let (domain, issuer) = (signer(number), signer(number + 1));
    let key = DomainKey(domain.id().0);
    let expires = NOW + Span::secs(10_000_000);
    let list = IssuerList {
        domain: Domain { key, name: "alpha".to_owned() },
        number: 1,
        issuers: vec![issuer.id()],
        expires,
        extensions: Extensions::new(),
    };
    let certificate = Certificate {
        domain: key,
        node,
        role,
        issuer: issuer.id(),
        issued: NOW,
        expires,
        extensions: Extensions::new(),
    };
    Credentials { list: Signed::new(list, &domain), certificate: Signed::new(certificate, &issuer) }
}

pub(super) fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

pub(super) fn cores(number: u64) -> Resources {
    Resources { cpu: Quantity::units(number), ..Resources::default() }
}

pub(super) fn party(node: NodeId) -> Party {
    Party { node, addresses: vec!["/ip4/127.0.0.1/udp/4001/quic-v1".to_owned()] }
}

pub(super) fn wish(seller: NodeId, key: u8, mode: Mode) -> Wish {
    Wish {
        key: Key([key; 16]),
        seller: party(seller),
        flavour: FlavourId([6; 16]),
        epoch: Epoch { starts: 1, changes: 1 },
        partition: cores(1),
        mode,
        term: Span::secs(3600),
        renew: false,
        activate_within: None,
        ceiling: rate("0.25EUR/h"),
    }
}

/// A manager in the domain of this number, which knows the other one as a partner.
pub(super) fn citizen(number: u8, home: u8, role: Role, other: Option<Partner>, config: Config) -> Manager {
    let me = Me { signer: signer(number), domain: domain(home), role };
    let mut manager = Manager::new(config, me, Rng::from_number(u64::from(number)));
    let credentials = Box::new(proof(home, manager.me, role));
    let mut out = Vec::new();
    kernel::Manager::handle(&mut manager, NOW, Input::Credentials(credentials), &mut out);
    kernel::Manager::handle(&mut manager, NOW, Input::Partners(other.into_iter().collect()), &mut out);
    assert!(out.is_empty());
    manager
}

/// A manager that is a member of the domain.
pub(super) fn member(number: u8, config: Config) -> Manager {
    let mut manager = stranger(number, config);
    let credentials = Box::new(credentials(manager.me));
    kernel::Manager::handle(&mut manager, NOW, Input::Credentials(credentials), &mut Vec::new());
    manager
}

/// A manager without a proof of membership.
pub(super) fn stranger(number: u8, config: Config) -> Manager {
    let me = Me { signer: signer(number), domain: domain_key(), role: Role::Node };
    Manager::new(config, me, Rng::from_number(u64::from(number)))
}
