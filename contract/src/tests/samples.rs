//! Fixed keys, a domain and wishes, for the tests of this crate.

use kernel::{DomainKey, FlavourId, Key, NodeId, Quantity, Resources, Rng, Span, Time};
use rear_proto::{
    Epoch, Mode, Party, Signed, Signer,
    flavour::Domain,
    local::{Me, Wish},
    membership::{Certificate, Credentials, IssuerList, Role},
    message::Extensions,
    price::Rate,
};

use crate::{Config, Input, Manager};

pub(super) const NOW: Time = Time(1_700_000_000_000);

pub(super) fn signer(number: u8) -> Signer {
    Signer::from_secret(&[number; 32])
}

pub(super) fn domain_key() -> DomainKey {
    DomainKey(signer(250).id().0)
}

pub(super) fn credentials(node: NodeId) -> Credentials {
    let (domain, issuer) = (signer(250), signer(251));
    let expires = NOW + Span::secs(10_000_000);
    let list = IssuerList {
        domain: Domain { key: domain_key(), name: "alpha".to_owned() },
        number: 1,
        issuers: vec![issuer.id()],
        expires,
        extensions: Extensions::new(),
    };
    let certificate = Certificate {
        domain: domain_key(),
        node,
        role: Role::Node,
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
