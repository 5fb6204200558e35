//! Catalogues, their visitors, and that none of those whom a node keeps connected crowds out the others.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::Config;
use kernel::Span;
use rear_proto::{
    Signed,
    local::Caller,
    membership::{Descriptor, Role},
    message::Hello,
};

/// A catalogue 41 of kappa, the supernode 1 that was told to use it, and 2, a plain node that was told so too.
fn catalogued() -> Net {
    let mut net = net();
    net.found_as(41, "kappa", Role::Catalogue, Config::default());
    let config = || Config { catalogues: vec![catalogue(41)], ..Config::default() };
    net.found_as(1, "alpha", Role::Supernode, config());
    net.join(2, 1, Role::Node, config());
    net
}

#[test]
fn a_supernode_uses_the_catalogues_that_it_was_told_to() {
    let mut net = catalogued();
    assert!(net.told_by(1).contains(&"keep 41".to_owned()));
    assert!(!net.told_by(2).contains(&"keep 41".to_owned()), "a plain node does not");
    net.told.clear();
    net.connect(1, 41);
    net.connect(2, 41);
    assert_eq!(net.told_by(1), ["up 41 catalogue somewhere"], "it tells visitors nothing of where it is");
    assert!(net.told_by(2).is_empty() && net.told_by(41).is_empty());
    assert!(is_visitor(&net, 1, 41) && is_visitor(&net, 41, 1) && is_visitor(&net, 41, 2));
    net.disconnect(1, 41);
    assert_eq!(net.told_by(1), ["down 41"]);
    assert!(!is_visitor(&net, 41, 1), "a visitor is known while it is connected");
    // It is not found out to be another's.
    net.found_as(42, "kappa2", Role::Catalogue, Config::default());
    net.connect(1, 42);
    assert!(net.told_by(1).is_empty() && !is_visitor(&net, 1, 42));
    // Its certificate ends and is renewed; after a while it is still up.
    net.connect(1, 41);
    net.told.clear();
    net.pass(DAY.times(100));
    assert!(is_visitor(&net, 1, 41) && is_visitor(&net, 41, 1));
}

#[test]
fn a_node_that_was_named_as_a_catalogue_and_is_none_is_not_used() {
    let mut net = net();
    net.found_as(41, "kappa", Role::Supernode, Config::default());
    net.found_as(1, "alpha", Role::Supernode, Config { catalogues: vec![catalogue(41)], ..Config::default() });
    net.told.clear();
    net.connect(1, 41);
    assert!(net.told_by(1).is_empty() && !is_visitor(&net, 1, 41));
}

#[test]
fn a_catalogue_of_the_own_domain_needs_no_telling() {
    let mut net = net();
    net.found_as(1, "alpha", Role::Supernode, Config::default());
    net.join(2, 1, Role::Catalogue, Config::default());
    net.connect(1, 2);
    assert!(net.told_by(1).contains(&"up 2 catalogue".to_owned()));
    assert_eq!(caller(&net, 1, id(2)), Caller::Member(Role::Catalogue));
}

#[test]
fn visitors_need_credentials_and_a_description_that_are_good() {
    let mut net = catalogued();
    net.found_as(51, "zeta", Role::Supernode, Config::default());
    net.join(52, 51, Role::Node, Config::default());
    net.connect(51, 52);
    net.pass(Span::secs(2));
    net.connect(41, 52);
    let good = full_hello(&mut net, 52);
    let signed = good.descriptor.clone().unwrap().claimed().cloned().unwrap();
    let over = Descriptor { expires: net.now, ..signed.clone() };
    let revoked = Descriptor {
        revoked: vec![rear_proto::membership::Revocation { node: id(52), until: net.now + DAY }],
        sequence: signed.sequence + 1,
        ..signed.clone()
    };
    let foreign = net.descriptor_of(1);
    let by =
        |descriptor: Descriptor, n: u8| Hello { descriptor: Some(Signed::new(descriptor, &signer(n))), ..good.clone() };
    for (what, hello) in [
        ("no description", Hello { descriptor: None, ..good.clone() }),
        ("another domain's", Hello { descriptor: foreign, ..good.clone() }),
        ("one that is over", by(over, 51)),
        ("one that removes it", by(revoked.clone(), 51)),
        ("one by no issuer", by(signed.clone(), 52)),
        ("no credentials", Hello { credentials: None, ..good.clone() }),
        ("another's credentials", full_hello(&mut net, 51)),
    ] {
        greet(&mut net, 52, 41, &good);
        assert!(is_visitor(&net, 41, 52), "before {what}");
        greet(&mut net, 52, 41, &hello);
        // Who shows nothing at all says nothing either.
        assert_eq!(is_visitor(&net, 41, 52), what == "no credentials", "{what}");
        net.pass(Span::secs(1));
    }
    // A newer word of the domain holds, whoever has brought it.
    net.connect(41, 51);
    greet(&mut net, 52, 41, &good);
    assert!(is_visitor(&net, 41, 52));
    let news = Hello { descriptor: Some(Signed::new(revoked, &signer(51))), ..net.hello_of(51) };
    greet(&mut net, 51, 41, &news);
    assert!(!is_visitor(&net, 41, 52) && is_visitor(&net, 41, 51));
    greet(&mut net, 52, 41, &good);
    assert!(!is_visitor(&net, 41, 52), "nor does the older one bring it back");
    // And ends with its description.
    net.now = START + DAY.times(30);
    assert!(!is_visitor(&net, 41, 51));
}

#[test]
fn visitors_are_bounded_and_the_oldest_goes() {
    let mut net = net();
    net.found_as(41, "kappa", Role::Catalogue, Config { visitors: 2, ..Config::default() });
    for (n, domain) in [(51, "a"), (52, "b"), (53, "c")] {
        net.found_as(n, domain, Role::Supernode, Config::default());
        net.connect(41, n);
        net.pass(Span::secs(1));
    }
    assert_eq!([51, 52, 53].map(|n| is_visitor(&net, 41, n)), [false, true, true]);
    let hello = full_hello(&mut net, 51);
    greet(&mut net, 51, 41, &hello);
    assert_eq!([51, 52, 53].map(|n| is_visitor(&net, 41, n)), [true, false, true]);
    let hello = full_hello(&mut net, 52);
    greet(&mut net, 99, 41, &hello);
    assert_eq!(caller(&net, 41, id(99)), Caller::Stranger, "who is not connected is no visitor");
}

#[test]
fn own_supernodes_partners_and_others_do_not_crowd_each_other_out() {
    let mut net = net();
    let config = || Config { keep_connected: 2, keep_abroad: 2, ..Config::default() };
    net.found_as(1, "alpha", Role::Supernode, config());
    for n in 2..=5 {
        net.join(n, 1, Role::Node, config());
    }
    for n in 6..=8 {
        net.join(n, 1, Role::Supernode, config());
    }
    for n in 2..=8 {
        net.connect(1, n);
    }
    for (n, domain) in [(11, "beta"), (21, "gamma"), (31, "delta")] {
        net.found_as(n, domain, Role::Supernode, Config::default());
        let token = net.partner_invite(1, domain, DAY).unwrap();
        net.connect(1, n);
        net.partner_accept(n, &token, "alpha").unwrap();
    }
    let kept = |told: Vec<String>| -> Vec<u8> {
        let mut kept: Vec<u8> = told.iter().filter_map(|told| told.strip_prefix("keep ")?.parse().ok()).collect();
        kept.sort_unstable();
        kept.dedup();
        kept
    };
    assert_eq!(kept(net.told_by(1)), [2, 3, 6, 7, 8, 11, 21]);
    net.restart(1);
    let again = kept(net.told_by(1));
    assert_eq!(again.iter().filter(|n| (6..=8).contains(*n)).count(), 3, "{again:?}");
    assert_eq!(again.iter().filter(|n| **n > 10).count(), 2, "{again:?}");
    assert_eq!(again.iter().filter(|n| **n < 6).count(), 2, "{again:?}");
    // A plain node keeps to all supernodes of its own domain.
    net.restart(5);
    let plain = kept(net.told_by(5));
    net.connect(1, 5);
    net.pass(Span::secs(2));
    let plain: std::collections::BTreeSet<u8> = plain.into_iter().chain(kept(net.told_by(5))).collect();
    assert!([1, 6, 7, 8].iter().all(|n| plain.contains(n)), "{plain:?}");
}
