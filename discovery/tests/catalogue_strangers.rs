//! What strangers may try at a catalogue, and a catalogue with its readers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use discovery::Config;
use kernel::{DomainKey, FlavourId, Span, Time};
use net::{Net, domain, list, offer};
use rear_proto::{
    Answer, Code, Extensions, Flavour, Request, Signed, Signer,
    membership::Role,
    message::{Advertise, Offered, PublishedFlavours, Refresh, Taken, Withdraw, Withdrawn},
    published::Published,
};

const SECOND: Span = Span::secs(1);

fn published(answer: Answer) -> PublishedFlavours {
    match answer {
        Answer::Published(published) => published,
        other => panic!("{other:?}"),
    }
}

fn changes(listed: &[Published]) -> Vec<u64> {
    let mut changes: Vec<u64> = listed.iter().map(|offer| offer.flavour.epoch.changes).collect();
    changes.sort_unstable();
    changes
}

/// A catalogue (0) and two strangers' supernodes, of beta (1) and of gamma (2).
fn bare(config: Config) -> Net {
    let mut net = Net::new();
    net.node(domain(1), Role::Catalogue, config);
    net.node(domain(2), Role::Supernode, Config::default());
    net.node(domain(3), Role::Supernode, Config::default());
    net
}

fn signed(net: &Net, n: usize, signer: &Signer, viewer: DomainKey, at: Time, flavour: Flavour) -> Signed<Published> {
    let by = net.nodes[n].id;
    Signed::new(Published { by, viewer, at, flavour, extensions: Extensions::new() }, signer)
}

fn good(net: &Net, n: usize, id: u16, viewer: u8, changes: u64, at: Time) -> Signed<Published> {
    let node = &net.nodes[n];
    signed(net, n, &node.signer, domain(viewer), at, offer(node, id, 8, changes))
}

fn tell(net: &mut Net, n: usize, feed: u64, offers: Vec<Signed<Published>>) -> Answer {
    let offers = offers.into_iter().map(|offer| Offered::Signed(Box::new(offer))).collect();
    net.say(n, 0, Request::Advertise(Advertise { feed, number: 0, offers, more: false, extensions: Extensions::new() }))
}

fn more(net: &mut Net, n: usize, feed: u64, number: u64, offers: Vec<Signed<Published>>) -> Answer {
    let offers = offers.into_iter().map(|offer| Offered::Signed(Box::new(offer))).collect();
    net.say(n, 0, Request::Refresh(Refresh { feed, number, offers, extensions: Extensions::new() }))
}

fn seen(net: &mut Net, n: usize) -> Vec<u64> {
    let answer = net.say(n, 0, Request::List(list(9, "", 256)));
    let offers: Vec<Published> =
        published(answer).offers.iter().map(|offer| offer.claimed().cloned().unwrap()).collect();
    changes(&offers)
}

#[test]
fn forged_and_borrowed_offers_are_not_kept() {
    let mut net = bare(Config::default());
    let now = net.now;
    let (mine, other) = (net.nodes[1].signer.clone(), net.nodes[2].signer.clone());
    let genuine = good(&net, 2, 1, 3, 1, now);
    let flavour = offer(&net.nodes[1], 2, 8, 1);
    let wrong = vec![
        // Another's, carried as one's own.
        genuine,
        // Signed by somebody else than it says.
        signed(&net, 1, &other, domain(3), now, flavour.clone()),
        // Another's offer under one's own signature.
        signed(&net, 1, &mine, domain(3), now, offer(&net.nodes[2], 3, 8, 1)),
        // Of a domain that is not the sender's.
        signed(
            &net,
            1,
            &mine,
            domain(3),
            now,
            Flavour { domain: offer(&net.nodes[2], 4, 8, 1).domain, ..flavour.clone() },
        ),
        // Whose is not whose it is to be had from.
        signed(&net, 1, &mine, domain(3), now, Flavour { owner: net.nodes[2].id, ..flavour }),
    ];
    for (n, offer) in wrong.into_iter().enumerate() {
        let answer = tell(&mut net, 1, n as u64 + 1, vec![offer]);
        assert_eq!(answer, Answer::Taken(Taken { next: 1 }), "number {n}");
        assert_eq!(seen(&mut net, 2), [], "number {n}");
        assert!(net.nodes[0].failed.is_empty(), "number {n}: a visitor's rating would be a row, and keys cost nothing");
    }
    let direct = Offered::Direct(Box::new(offer(&net.nodes[1], 2, 8, 1)));
    let message = Advertise { feed: 9, number: 0, offers: vec![direct], more: false, extensions: Extensions::new() };
    net.say(1, 0, Request::Advertise(message));
    assert_eq!(seen(&mut net, 2), []);
}

#[test]
fn an_altered_offer_is_not_kept() {
    use rear_proto::wire::codec;
    let mut net = bare(Config::default());
    let offer = good(&net, 1, 1, 3, 1, net.now);
    let bytes = codec::encode(&offer);
    for at in (3..bytes.len()).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let Ok(altered) = codec::decode::<Signed<Published>>(&bytes) else { continue };
        tell(&mut net, 1, at as u64, vec![altered]);
        assert_eq!(net.nodes[0].manager.catalogued(), 0, "with byte {at} changed");
    }
    tell(&mut net, 1, u64::MAX, vec![offer]);
    assert_eq!(seen(&mut net, 2), [1]);
}

#[test]
fn of_two_states_the_later_signed_is_kept_whichever_comes_last() {
    let mut net = bare(Config::default());
    let (early, late) = (net.now, net.now + SECOND);
    let (old, new) = (good(&net, 1, 1, 3, 1, early), good(&net, 1, 1, 3, 2, late));
    net.pass(Span::secs(2));
    tell(&mut net, 1, 1, vec![new]);
    more(&mut net, 1, 1, 1, vec![old.clone()]);
    assert_eq!(seen(&mut net, 2), [2]);
    tell(&mut net, 1, 2, vec![old]);
    assert_ne!(seen(&mut net, 2), [1], "an old signature was replayed");
}

#[test]
fn what_was_signed_long_ago_or_is_yet_to_be_is_not_kept() {
    let mut net = bare(Config::default());
    net.pass(Span::secs(1000));
    let now = net.now;
    let ago = |span: u64| Time(now.0 - span * 1000);
    for (at, kept) in [(ago(95), false), (ago(50), true), (now + Span::secs(20), true), (now + Span::secs(40), false)] {
        let mut net = bare(Config::default());
        net.pass(Span::secs(1000));
        let offer = good(&net, 1, 1, 3, 1, at);
        tell(&mut net, 1, 1, vec![offer]);
        assert_eq!(seen(&mut net, 2).len(), usize::from(kept), "signed at {at:?}, at {now:?}");
    }
}

#[test]
fn a_signature_is_not_outlived_by_being_said_to_hold() {
    let mut net = bare(Config::default());
    let offer = good(&net, 1, 1, 3, 1, net.now);
    tell(&mut net, 1, 1, vec![offer]);
    for number in 1..12 {
        net.pass(Span::secs(10));
        more(&mut net, 1, 1, number, vec![]);
        let expected = usize::from(number < 9);
        assert_eq!(seen(&mut net, 2).len(), expected, "after {} s", number * 10);
    }
}

#[test]
fn what_is_not_refreshed_lapses_at_the_catalogue() {
    let mut net = bare(Config { longest_life: Span::secs(30), ..Config::default() });
    let offer = good(&net, 1, 1, 3, 1, net.now);
    tell(&mut net, 1, 1, vec![offer]);
    net.pass(Span::secs(25));
    more(&mut net, 1, 1, 1, vec![]);
    net.pass(Span::secs(25));
    assert_eq!(seen(&mut net, 2), [1]);
    net.pass(Span::secs(10));
    assert_eq!(seen(&mut net, 2), []);
}

#[test]
fn the_catalogues_limits_hold_and_one_publisher_crowds_out_no_other() {
    let limits = Config {
        catalogue_offers: 10,
        catalogue_offers_per_domain: 6,
        catalogue_offers_per_publisher: 4,
        ..Config::default()
    };
    let mut net = bare(limits);
    net.node(domain(2), Role::Supernode, Config::default());
    net.node(domain(3), Role::Supernode, Config::default());
    let kept = |net: &Net| net.nodes[0].manager.catalogued();
    let all = |net: &Net, n: usize| (0..9).map(|id| good(net, n, id, 1, 1, net.now)).collect::<Vec<_>>();
    for (n, expected) in [(1, 4), (3, 6), (2, 10), (4, 10)] {
        let offers = all(&net, n);
        tell(&mut net, n, 1, offers);
        assert_eq!(kept(&net), expected, "after node {n}");
    }
    // A later state of what is kept takes no more room.
    let again = good(&net, 1, 0, 1, 2, net.now + Span(1));
    more(&mut net, 1, 1, 1, vec![again]);
    assert_eq!(kept(&net), 10);
    // Room that is given back can be taken.
    tell(&mut net, 1, 2, vec![]);
    let offers = all(&net, 4);
    tell(&mut net, 4, 2, offers);
    assert_eq!(kept(&net), 8);
}

#[test]
fn an_offer_over_the_size_is_not_kept() {
    let mut net = bare(Config { offer_bytes: 1000, ..Config::default() });
    let mut large = offer(&net.nodes[1], 1, 8, 1);
    large.properties.additional.extend((0..10).map(|n| (format!("word-{n}"), "x".repeat(100))));
    let signed = signed(&net, 1, &net.nodes[1].signer, domain(3), net.now, large);
    tell(&mut net, 1, 1, vec![signed]);
    assert_eq!(net.nodes[0].manager.catalogued(), 0);
}

#[test]
fn a_visitor_that_says_too_much_is_told_when_to_come_back() {
    let mut net = bare(Config { told_per_minute: 5, ..Config::default() });
    let refused = |answer: &Answer| matches!(answer, Answer::Refused(refusal) if refusal.code() == Code::Overloaded && refusal.retry_after.is_some());
    for feed in 0..5 {
        assert!(!refused(&tell(&mut net, 1, feed, vec![])));
    }
    assert!(refused(&tell(&mut net, 1, 9, vec![])));
    assert!(!refused(&tell(&mut net, 2, 9, vec![])), "another is not held to it");
    net.pass(Span::secs(61));
    assert!(!refused(&tell(&mut net, 1, 10, vec![])));
}

#[test]
fn a_publisher_withdraws_its_own_offers_alone() {
    let mut net = bare(Config::default());
    for n in [1, 2] {
        let offer = good(&net, n, 1, 1, n as u64, net.now);
        tell(&mut net, n, 1, vec![offer]);
    }
    let name = Withdrawn { viewer: Some(domain(1)), flavour: FlavourId(offer(&net.nodes[1], 1, 8, 1).id.0) };
    let message = Withdraw { feed: 1, number: 1, offers: vec![name], extensions: Extensions::new() };
    net.say(1, 0, Request::Withdraw(message));
    net.node(domain(1), Role::Supernode, Config::default());
    assert_eq!(seen(&mut net, 3), [2]);
}

#[test]
fn a_reader_judges_what_a_catalogue_hands_out_by_signer_viewer_partner_and_time() {
    // Node 0 is a catalogue that makes answers up; alpha's supernode (1) reads, beta's (2) and gamma's (3) sign.
    let mut net = Net::new();
    net.node(domain(3), Role::Catalogue, Config::default());
    net.node(domain(1), Role::Supernode, wishing_of_catalogues());
    net.node(domain(2), Role::Supernode, Config::default());
    net.node(domain(3), Role::Supernode, Config::default());
    net.off.insert((domain(1), domain(3)));
    net.partners();
    net.link(0, 1);
    net.pass(Span::secs(1000));
    let now = net.now;
    let ago = |span: u64| Time(now.0 - span * 1000);
    let member = Signer::from_secret(&[77; 32]);
    let of_member = Flavour {
        owner: member.id(),
        provider: rear_proto::Party { node: member.id(), addresses: Vec::new() },
        ..offer(&net.nodes[2], 1, 8, 1)
    };
    let by_member =
        Published { by: member.id(), viewer: domain(1), at: now, flavour: of_member, extensions: Extensions::new() };
    let borrowed = Flavour { domain: offer(&net.nodes[3], 1, 8, 1).domain, ..offer(&net.nodes[2], 1, 8, 1) };
    let rows = [
        ("as it should be", good(&net, 2, 1, 1, 1, now), true),
        ("some time ago", good(&net, 2, 1, 1, 1, ago(50)), true),
        ("by a clock that is ahead", good(&net, 2, 1, 1, 1, now + Span::secs(20)), true),
        ("too long ago", good(&net, 2, 1, 1, 1, ago(60)), false),
        ("in the future", good(&net, 2, 1, 1, 1, now + Span::secs(60)), false),
        ("for another domain", good(&net, 2, 1, 3, 1, now), false),
        ("of a partner that is switched off", good(&net, 3, 1, 1, 1, now), false),
        ("by a node that is no supernode", Signed::new(by_member, &member), false),
        ("by another's key", signed(&net, 2, &member, domain(1), now, offer(&net.nodes[2], 1, 8, 1)), false),
        ("in another domain's name", signed(&net, 2, &net.nodes[2].signer, domain(1), now, borrowed), false),
    ];
    for (feed, (what, offer, believed)) in rows.into_iter().enumerate() {
        let before = net.nodes[1].failed.len();
        let offers = vec![Offered::Signed(Box::new(offer))];
        let feed = u64::MAX - 20 + feed as u64;
        let message = Advertise { feed, number: 0, offers, more: false, extensions: Extensions::new() };
        net.say(0, 1, Request::Advertise(message));
        assert_eq!(net.view(1).len(), usize::from(believed), "{what}");
        assert_eq!(net.nodes[1].failed.len() - before, usize::from(!believed), "{what}");
    }
}

fn wishing_of_catalogues() -> Config {
    let wish = discovery::subscriptions::Subscribe { to: "catalogues".to_owned(), selector: "".parse().unwrap() };
    Config { subscribe: vec![wish], ..Config::default() }
}

#[test]
fn a_publisher_that_counts_its_lives_anew_is_heard_again_when_what_it_said_has_lapsed() {
    let mut net = bare(Config::default());
    let offer = good(&net, 1, 1, 3, 1, net.now);
    tell(&mut net, 1, 1000, vec![offer]);
    let offer = good(&net, 1, 2, 3, 2, net.now);
    tell(&mut net, 1, 7, vec![offer]);
    assert_eq!(seen(&mut net, 2), [1]);
    net.pass(Span::secs(100));
    let offer = good(&net, 1, 2, 3, 2, net.now);
    tell(&mut net, 1, 8, vec![offer]);
    assert_eq!(seen(&mut net, 2), [2]);
}
