//! The domain's secret: made once, kept, and handed to supernodes alone.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::Config;
use kernel::Span;
use rear_proto::membership::Role;

#[test]
fn the_secret_of_a_domain_is_for_its_supernodes_alone() {
    let mut net = net();
    net.found_as(1, "alpha", Role::Node, Config::default());
    let bytes = secret("alpha").0;
    for (n, role) in [(2, Role::Node), (3, Role::Catalogue), (4, Role::Supernode)] {
        let token = net.invite(1, role, DAY).unwrap();
        let joined = net.try_join(n, 1, &token).unwrap();
        let encoded = rear_proto::wire::codec::encode(&joined);
        assert_eq!(encoded.windows(32).any(|window| window == bytes), role == Role::Supernode, "{}", role.name());
        assert!(!format!("{joined:?}").contains(&format!("{}, {}", bytes[0], bytes[1])), "nor does it stand in a log");
        let mut other = joined.clone();
        other.extensions.insert(1, bytes.to_vec());
        let rows = federation::genesis::joined(&token, id(n), &other, net.now).unwrap();
        net.add(n, rows, Config::default());
        assert_eq!(
            net.nodes[&n].rows.contains_key(&(rear_proto::Table::Membership, b"secret".to_vec())),
            role == Role::Supernode
        );
    }
    assert_eq!(net.nodes[&4].secret, Some(secret("alpha")));
    assert_eq!([1, 2, 3].map(|n| net.nodes[&n].secret.clone()), [None, None, None], "nobody else is told");
    net.restart(4);
    assert_eq!(net.nodes[&4].secret, Some(secret("alpha")), "over a restart too");
    assert!(!format!("{:?}", net.nodes[&4].manager).contains(&format!("{:?}", &bytes[..4]).replace(']', "")));
}

#[test]
fn a_supernode_without_the_secret_is_handed_it_by_an_issuer() {
    let mut net = net();
    net.found_as(1, "alpha", Role::Node, Config::default());
    net.join(4, 1, Role::Supernode, Config::default());
    net.join(5, 1, Role::Node, Config::default());
    for n in [4, 5] {
        let rows = &mut net.nodes.get_mut(&n).unwrap().rows;
        rows.remove(&(rear_proto::Table::Membership, b"secret".to_vec()));
        net.nodes.get_mut(&n).unwrap().secret = None;
        net.restart(n);
        net.connect(1, n);
    }
    net.pass(Span::secs(1));
    assert_eq!(net.nodes[&4].secret, Some(secret("alpha")));
    assert_eq!(net.nodes[&5].secret, None);
    let asked = net.asked.len();
    net.pass(DAY);
    assert!(net.asked[asked..].iter().all(|(_, _, name)| *name != "JOIN"), "and asks no more");
    net.restart(4);
    assert_eq!(net.nodes[&4].secret, Some(secret("alpha")));
}

#[test]
fn a_domain_that_was_founded_without_a_secret_gets_one() {
    let mut net = net();
    net.found_as(1, "alpha", Role::Supernode, Config::default());
    let rows = &mut net.nodes.get_mut(&1).unwrap().rows;
    rows.remove(&(rear_proto::Table::Membership, b"secret".to_vec()));
    net.restart(1);
    let made = net.nodes[&1].secret.clone().unwrap();
    assert!(made != secret("alpha"));
    net.restart(1);
    assert_eq!(net.nodes[&1].secret, Some(made.clone()), "one for good");
    net.join(2, 1, Role::Supernode, Config::default());
    assert_eq!(net.nodes[&2].secret, Some(made));
}
