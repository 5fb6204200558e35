//! What a domain's nodes tell each other of its partners.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::{Config, mail::Greeting};
use kernel::{Span, Time};
use proptest::prelude::*;
use rear_proto::{
    Answer, Code, Extensions, Refusal, Table,
    membership::Role,
    message::Partners,
    partner::{PartnerRecord, PartnerState},
};

/// Alpha of supernodes 1 and 2 and node 3, beta of supernode 11; the wires of alpha are up.
fn three() -> Net {
    let mut net = Net::two();
    net.join(2, 1, Role::Supernode, Config::default());
    net.join(3, 1, Role::Node, Config::default());
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        net.connect(a, b);
    }
    net
}

fn record(net: &Net, of: u8, name: &str, state: PartnerState, said: Time) -> PartnerRecord {
    let list = net.nodes[&of].manager.credentials().unwrap().list;
    PartnerRecord { name: name.to_owned(), list, descriptor: None, state, said: (said, id(2)) }
}

fn tell(net: &mut Net, from: u8, to: u8, partners: Vec<PartnerRecord>) -> Answer {
    net.say(from, to, Greeting::Partners(Box::new(travelled(&Partners { partners, extensions: Extensions::new() }))))
}

#[test]
fn all_nodes_of_a_domain_learn_of_its_partners() {
    let mut net = three();
    net.join(4, 1, Role::Node, Config::default());
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    net.connect(1, 11);
    net.told.clear();
    net.partner_accept(11, &token, "alpha").unwrap();
    net.pass(Span::secs(1));
    for n in [1, 2, 3] {
        assert_eq!(net.nodes[&n].partners.len(), 1, "at {n}");
        assert_eq!(net.nodes[&n].partners[0].domain.key, key("beta"));
    }
    assert!(net.told_by(2).contains(&"keep 11".to_owned()), "a supernode looks for the partner's");
    assert!(!net.told_by(3).iter().any(|told| told.contains("11")), "a plain node has no business with them");
    net.connect(2, 11);
    assert!(net.told_by(2).contains(&"up 11 supernode of beta".to_owned()));
    assert!(net.told_by(11).contains(&"up 2 supernode of alpha".to_owned()));
    // Who comes later is told then; over a restart it is known.
    net.connect(1, 4);
    assert_eq!(net.nodes[&4].partners.len(), 1);
    net.restart(3);
    assert_eq!(net.nodes[&3].partners.len(), 1);
    // One supernode's operator decides for the domain.
    net.partner_switch(2, "beta", false).unwrap();
    net.pass(Span::secs(1));
    assert_eq!(net.views(1), ["beta Suspended theirs on: 11*"]);
    assert!(net.views(11)[0].starts_with("alpha On theirs off"));
    net.partner_remove(1, "beta").unwrap();
    net.pass(Span::secs(1));
    assert!(net.views(2).is_empty() && net.nodes[&4].partners.is_empty());
    assert!(net.told_by(2).contains(&"gone 11".to_owned()));
}

#[test]
fn what_was_lost_is_told_again() {
    let mut net = three();
    net.connect(1, 11);
    net.cut.extend([(1, 3), (1, 2)]);
    net.disconnect(2, 3);
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    net.partner_accept(11, &token, "alpha").unwrap();
    net.pass(Span::secs(20));
    assert_eq!(net.nodes[&3].partners.len(), 0);
    net.cut.clear();
    net.pass(Span::secs(40));
    assert_eq!((net.nodes[&3].partners.len(), net.nodes[&2].partners.len()), (1, 1));
    let asked = net.asked.len();
    net.pass(DAY);
    assert!(net.asked[asked..].iter().all(|(_, _, name)| *name != "PARTNERS"), "and then no more");
}

#[test]
fn news_that_alone_was_lost_is_told_again() {
    let mut net = three();
    net.disconnect(2, 3);
    net.lost = Some("PARTNERS");
    net.connect(1, 11);
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    net.partner_accept(11, &token, "alpha").unwrap();
    net.pass(Span::secs(20));
    assert_eq!(net.nodes[&3].partners.len(), 0);
    net.lost = None;
    net.pass(Span::secs(40));
    assert_eq!(net.nodes[&3].partners.len(), 1);
}

#[test]
fn only_an_own_supernode_is_believed_of_partners() {
    let mut net = three();
    net.join(4, 1, Role::Catalogue, Config::default());
    net.connect(1, 4);
    for from in [3, 4, 11, 99] {
        let told = vec![record(&net, 11, "beta", PartnerState::On, net.now)];
        assert_eq!(tell(&mut net, from, 1, told), Answer::Refused(Refusal::from(Code::NotAMember)), "{from}");
    }
    assert!(net.views(1).is_empty());
    let told = vec![record(&net, 11, "beta", PartnerState::On, net.now)];
    assert_eq!(tell(&mut net, 2, 1, told), Answer::Noted);
    assert_eq!(net.views(1), ["beta On theirs ?: "]);
}

#[test]
fn the_later_word_on_a_partner_counts() {
    let now = START + Span::secs(100);
    let at = |secs| START + Span::secs(secs);
    let later = (at(60), PartnerState::Suspended);
    for (what, said, expected) in [
        ("an earlier word", vec![later, (at(50), PartnerState::Removed)], "later"),
        ("the same again", vec![later, later], "later"),
        ("a later word", vec![(at(50), PartnerState::Removed), later], "later"),
        ("a word of the far future", vec![later, (at(2 * 86_400), PartnerState::Removed)], "later"),
        ("a removal that is long over", vec![(Time(0), PartnerState::Removed)], "none"),
    ] {
        let mut net = three();
        net.now = now;
        for (said, state) in said {
            let name = if state == PartnerState::Suspended { "later" } else { "other" };
            let told = vec![record(&net, 11, name, state, said)];
            assert_eq!(tell(&mut net, 2, 1, told), Answer::Noted);
        }
        let names: Vec<String> = net.nodes[&1].manager.partners(net.now).map(|view| view.name).collect();
        assert_eq!(names.join(" "), if expected == "none" { "" } else { expected }, "{what}");
    }
}

#[test]
fn an_operator_whose_clock_is_behind_has_the_last_word_all_the_same() {
    let mut net = three();
    let told = vec![record(&net, 11, "beta", PartnerState::On, net.now + Span::secs(600))];
    tell(&mut net, 2, 1, told);
    net.partner_switch(1, "beta", false).unwrap();
    net.pass(Span::secs(1));
    assert_eq!(net.views(2), ["beta Suspended theirs ?: "]);
}

#[test]
fn a_record_that_proves_nothing_is_passed_over() {
    let mut net = three();
    let good = record(&net, 11, "beta", PartnerState::On, net.now);
    let mut list = good.list.claimed().cloned().unwrap();
    list.domain.key = key("zeta");
    let forged = PartnerRecord { list: rear_proto::Signed::new(list, &signer(2)), ..good.clone() };
    let own = record(&net, 1, "self", PartnerState::On, net.now);
    assert_eq!(tell(&mut net, 2, 1, vec![forged, own, good]), Answer::Noted);
    assert_eq!(net.views(1), ["beta On theirs ?: "]);
}

#[test]
fn many_partners_are_told_in_letters_that_fit() {
    let mut net = three();
    net.disconnect(1, 3);
    for chunk in 0..3u8 {
        let records: Vec<_> = (0..50u8)
            .map(|n| {
                let name = format!("d{chunk}-{n}");
                let domain = domain_signer(&name);
                let key = key(&name);
                let list = rear_proto::membership::IssuerList {
                    domain: rear_proto::flavour::Domain { key, name: name.clone() },
                    number: 1,
                    issuers: vec![id(200)],
                    expires: START + DAY.times(99),
                    // The longest that a list may be, nearly.
                    extensions: (0..10).map(|n| (n, vec![7; 4096])).collect(),
                };
                let list = rear_proto::Signed::new(list, &domain);
                PartnerRecord { name, list, descriptor: None, state: PartnerState::On, said: (net.now, id(2)) }
            })
            .collect();
        tell(&mut net, 2, 1, records);
    }
    net.pass(Span::secs(2));
    assert_eq!(net.nodes[&1].partners.len(), 150);
    net.asked.clear();
    net.connect(1, 3);
    let letters = net.asked.iter().filter(|(from, to, name)| (*from, *to, *name) == (1, 3, "PARTNERS")).count();
    assert_eq!(letters, 150 / 6, "six of 41 KiB fit into 252 KiB");
    assert_eq!(net.nodes[&3].partners.len(), 150);
}

#[test]
fn partners_that_are_told_are_bounded() {
    let mut net = net();
    net.found_as(1, "alpha", Role::Supernode, Config { partners: 1, ..Config::default() });
    net.found_as(11, "beta", Role::Supernode, Config::default());
    net.found_as(21, "gamma", Role::Supernode, Config::default());
    net.join(2, 1, Role::Supernode, Config::default());
    net.connect(1, 2);
    let told =
        vec![record(&net, 11, "beta", PartnerState::On, net.now), record(&net, 21, "gamma", PartnerState::On, net.now)];
    assert_eq!(tell(&mut net, 2, 1, told), Answer::Noted);
    assert_eq!(net.views(1), ["beta On theirs ?: "]);
    assert_eq!(net.nodes[&1].rows.keys().filter(|(table, _)| *table == Table::Partners).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the operators of two supernodes decide, whichever messages are lost and whoever restarts: when all
    /// have talked again the domain's nodes believe the same, over a restart too.
    #[test]
    fn supernodes_of_a_domain_converge(steps in prop::collection::vec((0..8u8, 0..3usize, 0..2u8), 1..30)) {
        let mut net = three();
        net.found_as(21, "gamma", Role::Supernode, Config::default());
        let wires = [(1, 2), (1, 3), (2, 3), (1, 11), (2, 11), (1, 21), (2, 21)];
        for (a, b) in wires {
            net.connect(a, b);
        }
        for (what, which, who) in steps {
            let (domain, their) = if which % 2 == 0 { ("beta", 11) } else { ("gamma", 21) };
            let n = who + 1;
            match what {
                0 | 1 => {
                    if let Ok(token) = net.partner_invite(n, domain, DAY) {
                        let _ = net.partner_accept(their, &token, "alpha");
                    }
                }
                2 => { let _ = net.partner_switch(n, domain, which == 0); }
                3 => { let _ = net.partner_remove(n, domain); }
                4 => { net.cut.insert(wires[which]); }
                5 => net.restart([1, 2, 3][which]),
                6 => { for (a, b) in wires { net.connect(a, b); } }
                _ => net.cut.clear(),
            }
            net.pass(Span::millis(150));
        }
        net.cut.clear();
        for (a, b) in wires {
            net.disconnect(a, b);
            net.connect(a, b);
        }
        net.pass(Span::secs(60));
        let records = |net: &Net, n: u8| -> Vec<(Vec<u8>, Vec<u8>)> {
            net.nodes[&n].rows.iter()
                .filter(|((table, key), _)| *table == Table::Partners && key.starts_with(b"partner/"))
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect()
        };
        for n in [2, 3] {
            prop_assert_eq!(records(&net, n), records(&net, 1), "at {}", n);
        }
        let told = net.nodes[&1].partners.clone();
        prop_assert_eq!(&net.nodes[&2].partners, &told);
        for n in 1..=3 {
            net.restart(n);
            prop_assert_eq!(net.nodes[&n].partners.len(), told.len());
        }
    }
}
