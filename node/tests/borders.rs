//! Stories 2, 3 and 4 with real daemons: the recorded steps held against the tables, what was agreed at each hop, and
//! what the consumer may not learn.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;

use node::sandbox::Node;
use serde_json::Value;
use support::{available, borders::Borders, fetch, live_contracts, nothing_left, offer, rows, running, submit, text};

/// One place in a table: the step, and who does it, in any order.
type Line = (u64, &'static [(&'static str, &'static str)]);

/// Steps 1 to 6 of every story.
const BEGINNING: &[Line] = &[
    (1, &[("C", "SH")]),
    (2, &[("C", "NO")]),
    (3, &[("C", "NO")]),
    (4, &[("C", "NO")]),
    (5, &[("C", "REAR")]),
    (6, &[("C", "REAR")]),
];

/// Steps 7 to 14 of story 2.
const TWO_DISCOVERY: &[Line] = &[
    (7, &[("C", "DM")]),
    (8, &[("S", "DM")]),
    (9, &[("S", "DM")]),
    (10, &[("S", "DM")]),
    (11, &[("C", "DM")]),
    (12, &[("C", "DM")]),
    (13, &[("C", "REAR"), ("C", "REAR")]),
    (14, &[("C", "CM")]),
];

/// Steps 15 to 18 with a provider that the consumer deals with itself.
const DIRECT: &[Line] =
    &[(15, &[("P", "CM")]), (16, &[("P", "REAR")]), (17, &[("P", "REAR")]), (18, &[("P", "CM"), ("P", "NM")])];

/// Steps 15 to 18 through the supernode.
const THROUGH: &[Line] = &[
    (15, &[("S", "CM"), ("P", "CM")]),
    (16, &[("P", "REAR")]),
    (17, &[("P", "REAR")]),
    (18, &[("P", "CM"), ("P", "NM"), ("S", "CM"), ("S", "NM")]),
];

/// The rest of story 2.
const TWO_REST: &[Line] = &[
    (19, &[("C", "CM"), ("C", "NM")]),
    (20, &[("C", "REAR")]),
    (21, &[("C", "REAR")]),
    (22, &[("C", "VFM")]),
    (23, &[("P", "VFM")]),
    (24, &[("P", "VFM")]),
    (25, &[("P", "REAR")]),
    (26, &[("P", "VFM")]),
    (27, &[("C", "VFM")]),
    (28, &[("C", "REAR")]),
    (29, &[("C", "REAR")]),
    (30, &[("C", "NO")]),
    (31, &[("C", "NO")]),
];

/// Steps 7 to 13 of story 3.
const THREE_DISCOVERY: &[Line] = &[
    (7, &[("C", "DM")]),
    (8, &[("SC", "DM")]),
    (9, &[("SC", "DM")]),
    (10, &[("SC", "DM")]),
    (11, &[("SP", "DM")]),
    (12, &[("SP", "DM")]),
    (13, &[("SP", "DM")]),
];

/// Steps 7 to 13 of story 4.
const FOUR_DISCOVERY: &[Line] = &[
    (7, &[("C", "DM")]),
    (8, &[("SC", "DM")]),
    (9, &[("SC", "DM")]),
    (10, &[("SC", "DM")]),
    (11, &[("K", "DM")]),
    (12, &[("K", "DM")]),
    (13, &[("SC", "DM")]),
];

/// Steps 14 to 41 of stories 3 and 4.
const BORDER_REST: &[Line] = &[
    (14, &[("SC", "DM")]),
    (15, &[("SC", "DM")]),
    (16, &[("C", "DM")]),
    (17, &[("C", "DM")]),
    (18, &[("C", "REAR")]),
    (19, &[("C", "REAR")]),
    (20, &[("C", "CM")]),
    (21, &[("SC", "CM")]),
    (22, &[("SP", "CM")]),
    (23, &[("P", "CM")]),
    (24, &[("P", "REAR")]),
    (25, &[("P", "REAR")]),
    (26, &[("P", "CM"), ("P", "NM")]),
    (27, &[("SP", "CM"), ("SP", "NM")]),
    (28, &[("SC", "CM"), ("SC", "NM")]),
    (29, &[("C", "CM"), ("C", "NM")]),
    (30, &[("C", "REAR")]),
    (31, &[("C", "REAR")]),
    (32, &[("C", "VFM")]),
    (33, &[("P", "VFM")]),
    (34, &[("P", "VFM")]),
    (35, &[("P", "REAR")]),
    (36, &[("P", "VFM")]),
    (37, &[("C", "VFM")]),
    (38, &[("C", "REAR")]),
    (39, &[("C", "REAR")]),
    (40, &[("C", "NO")]),
    (41, &[("C", "NO")]),
];

#[tokio::test(flavor = "multi_thread")]
async fn story_two_a_the_supernode_provides_itself() {
    let sandbox = support::sandbox();
    let s = sandbox.found_as("s", "alpha", "supernode", &offer("4", "4Gi", 32)).await.unwrap();
    let c = sandbox.join_as("c", &s, "node", "").await.unwrap();
    let base = available(&s).await;
    let id = submit(&c, &support::page(&sandbox, "page")).await;
    let intent = running(&c, &id).await;
    let mut who = vec![(c.id(), "C"), (s.id(), "S")];
    // The supernode is the provider: its steps from 15 on are the provider's.
    who.push((s.id(), "P"));
    check(&intent, 2, &[BEGINNING, TWO_DISCOVERY, DIRECT, TWO_REST].concat(), &who);
    assert_eq!(live_contracts(&c).await, live_contracts(&s).await);
    assert!(fetch(&intent).await.unwrap().contains(s.id()));
    c.expect(&["delete", &id, "--wait"]).await.unwrap();
    assert_eq!(available(&s).await, base);
}

#[tokio::test(flavor = "multi_thread")]
async fn story_two_b_a_node_is_found_through_the_supernode_which_may_die_then() {
    let sandbox = support::sandbox();
    let mut s = sandbox.found_as("s", "alpha", "supernode", support::FAST).await.unwrap();
    let p = sandbox.join_as("p", &s, "node", &format!("{}{}", support::FAST, offer("4", "4Gi", 32))).await.unwrap();
    let c = sandbox.join_as("c", &s, "node", support::FAST).await.unwrap();
    holds(&s, &p).await;
    let base = available(&p).await;
    let id = submit(&c, &support::page(&sandbox, "page")).await;
    let intent = running(&c, &id).await;
    check(
        &intent,
        2,
        &[BEGINNING, TWO_DISCOVERY, DIRECT, TWO_REST].concat(),
        &[(c.id(), "C"), (s.id(), "S"), (p.id(), "P")],
    );
    assert_eq!(live_contracts(&c).await, live_contracts(&p).await);
    assert!(live_contracts(&s).await.is_empty(), "the supernode is not on the path");

    s.kill().await.unwrap();
    // Several leases later all is as it was: keepalives and the page go past the dead one.
    c.until("/v1/ratings", |table| rows(table).iter().any(|one| text(one, "peer") == p.id())).await.unwrap();
    assert_eq!(fetch(&intent).await.unwrap().trim_end(), format!("hello from {}", p.id()));
    c.expect(&["delete", &id, "--wait"]).await.unwrap();
    assert_eq!(available(&p).await, base);
}

#[tokio::test(flavor = "multi_thread")]
async fn story_two_c_a_node_that_can_only_dial_out_is_reached_through_the_supernode() {
    let sandbox = support::sandbox();
    let s = sandbox.found_as("s", "alpha", "supernode", "").await.unwrap();
    let outward = "announce = false\n";
    let p = sandbox.join_as("p", &s, "node", &format!("{outward}{}", offer("4", "4Gi", 32))).await.unwrap();
    let c = sandbox.join_as("c", &s, "node", outward).await.unwrap();
    holds(&s, &p).await;
    let base = available(&p).await;
    let id = submit(&c, &support::page(&sandbox, "page")).await;
    let intent = running(&c, &id).await;
    check(
        &intent,
        2,
        &[BEGINNING, TWO_DISCOVERY, THROUGH, TWO_REST].concat(),
        &[(c.id(), "C"), (s.id(), "S"), (p.id(), "P")],
    );
    is_active(&s, "Forwarding").await;
    assert!(fetch(&intent).await.unwrap().contains(p.id()), "within the domain nobody hides");
    c.expect(&["delete", &id, "--wait"]).await.unwrap();
    assert_eq!(available(&p).await, base);
    for node in [&c, &s, &p] {
        nothing_left(node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn story_three_two_domains_and_nobody_learns_whom_it_deals_with() {
    let domains = Borders::new(&offer("4", "4Gi", 32), "").await;
    let Borders { c, sc, sp, p, sandbox } = &domains;
    let base = available(p).await;
    let id = submit(c, &support::page(sandbox, "page")).await;
    let intent = running(c, &id).await;
    check(&intent, 3, &[BEGINNING, THREE_DISCOVERY, BORDER_REST].concat(), &[(c.id(), "C"), (sc.id(), "SC")]);
    chain(&[c, sc, sp, p]).await;
    is_active(c, "VirtualNode").await;
    for relay in [sc, sp] {
        is_active(relay, "Forwarding").await;
        relay.until("/v1/routers", |table| rows(table).len() == 1 && rows(table)[0]["bytesUp"] != 0).await.unwrap();
    }
    is_active(p, "Node").await;
    assert_eq!(fetch(&intent).await.unwrap().trim_end(), "hello from beta", "the page names the domain alone");
    let logs = c.expect(&["logs", &id]).await.unwrap();
    assert!(!logs.contains(p.id()));

    assert!(!keeps(c, p), "the consumer keeps the provider's id or an address of it");
    assert!(!keeps(sc, p), "so does its supernode");
    assert!(!keeps(p, c), "the provider keeps the consumer's id or an address of it");
    assert!(!keeps(sp, c), "so does its supernode");

    c.expect(&["delete", &id, "--wait"]).await.unwrap();
    assert_eq!(available(p).await, base, "it grew back into exactly what it was");
    for node in domains.all() {
        nothing_left(node).await;
    }
    domains.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn story_four_a_catalogue_is_needed_for_the_finding_alone() {
    let sandbox = support::sandbox();
    let mut k = sandbox.found_as("k", "market", "catalogue", "").await.unwrap();
    let uses = format!("[federation]\ncatalogues = [\"{}\"]\n", k.addresses()[0]);
    let near = format!("{uses}[discovery]\nask-partners = false\n");
    let sc = sandbox.found_as("sc", "alpha", "supernode", &near).await.unwrap();
    let sp = sandbox.found_as("sp", "beta", "supernode", &format!("{uses}{}", support::borders::EXPOSE)).await.unwrap();
    let p = sandbox.join_as("p", &sp, "node", &offer("4", "4Gi", 32)).await.unwrap();
    let c = sandbox.join_as("c", &sc, "node", "").await.unwrap();
    sandbox.befriend(&sc, &sp, "beta", "alpha").await.unwrap();
    sc.meets(&k).await.unwrap();
    k.until("/v1/status", |status| status.pointer("/0/catalogued").is_some_and(|count| *count != 0)).await.unwrap();
    let domains = Borders { c, sc, sp, p, sandbox };
    domains.ready().await;
    let Borders { c, sc, sp, p, sandbox } = &domains;
    let base = available(p).await;
    let id = submit(c, &support::page(sandbox, "page")).await;
    let intent = running(c, &id).await;
    check(&intent, 4, &[BEGINNING, FOUR_DISCOVERY, BORDER_REST].concat(), &[(c.id(), "C"), (sc.id(), "SC")]);
    chain(&[c, sc, sp, p]).await;
    assert!(live_contracts(&k).await.is_empty(), "a catalogue is party to no contract");
    for node in [c, sc] {
        assert!(!keeps(node, p), "the provider's id or an address of it crossed the border");
    }
    assert!(!keeps(&k, p), "or reached the catalogue");

    k.stop().await.unwrap();
    assert_eq!(fetch(&intent).await.unwrap().trim_end(), "hello from beta");
    c.expect(&["delete", &id, "--wait"]).await.unwrap();
    assert_eq!(available(p).await, base);
    for node in domains.all() {
        nothing_left(node).await;
    }
    domains.audited().await;
}

/// Waits until a node's only allocation is of this type and active; a relay hears a moment later that something passed.
async fn is_active(node: &Node, kind: &str) {
    let live = |table: &Value| -> Vec<(String, String)> {
        let live = rows(table).iter().filter(|allocation| text(allocation, "status") != "Released");
        live.map(|allocation| (text(allocation, "type").to_owned(), text(allocation, "status").to_owned())).collect()
    };
    node.until("/v1/allocations", |table| live(table) == [(kind.to_owned(), "Active".to_owned())]).await.unwrap();
}

/// Waits until a supernode holds an offer of a node.
async fn holds(supernode: &Node, node: &Node) {
    let of_node = |table: &Value| rows(table).iter().any(|one| text(one, "owner") == node.id());
    supernode.until("/v1/candidates", of_node).await.unwrap();
}

/// Holds the contracts of a chain against each other: the same at both parties of a hop, each naming the one behind it.
async fn chain(parties: &[&Node]) {
    let mut behind = Value::Null;
    for (hop, pair) in parties.windows(2).enumerate() {
        let (buyer, seller) = (pair[0], pair[1]);
        let at_buyer = between(buyer, buyer.id(), seller.id()).await;
        let at_seller = between(seller, buyer.id(), seller.id()).await;
        for field in ["id", "digest", "partition", "price", "start", "end", "backedBy"] {
            assert_eq!(at_buyer[field], at_seller[field], "{field} of hop {hop}");
        }
        if hop > 0 {
            assert_eq!(behind, at_buyer["digest"], "hop {hop} backs the one before it");
        }
        let roles = [
            (&at_buyer, if hop == 0 { "consumer" } else { "forwarder" }),
            (&at_seller, if hop + 2 == parties.len() { "provider" } else { "forwarder" }),
        ];
        for (contract, role) in roles {
            assert_eq!(contract["role"], role, "hop {hop}: {contract:#}");
        }
        behind = at_buyer["backedBy"].clone();
    }
    assert_eq!(behind, Value::Null, "nothing backs the provider's own contract");
}

async fn between(node: &Node, buyer: &str, seller: &str) -> Value {
    let table = node.get("/v1/contracts").await.unwrap();
    let of_both = |one: &&Value| {
        text(one, "buyer") == buyer
            && text(one, "seller") == seller
            && matches!(text(one, "state"), "Signed" | "Active")
    };
    let found: Vec<_> = rows(&table).iter().filter(of_both).collect();
    assert_eq!(found.len(), 1, "{table:#}");
    found[0].clone()
}

/// Says whether anything that a node keeps holds another's id, as bytes or as text, or an address of it.
fn keeps(node: &Node, other: &Node) -> bool {
    let id: kernel::NodeId = other.id().parse().unwrap();
    let mut needles = vec![id.0.to_vec(), other.id().as_bytes().to_vec()];
    needles.extend(other.addresses().iter().map(|address| address.split("/p2p/").next().unwrap().as_bytes().to_vec()));
    fn holds(directory: &std::path::Path, needles: &[Vec<u8>]) -> bool {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
            if path.is_dir() {
                return holds(&path, needles);
            }
            let bytes = fs::read(&path).unwrap();
            needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle))
        })
    }
    holds(node.dir(), &needles)
}

/// Holds the recorded steps against a table: the same steps, actors and order; times run forwards.
///
/// A node may stand for several actors, as a supernode that provides does.
#[track_caller]
fn check(intent: &Value, story: u64, table: &[Line], who: &[(&str, &str)]) {
    assert_eq!(intent["story"], story, "{:#}", intent["steps"]);
    let mut left: Vec<_> = rows(&intent["steps"]).iter().collect();
    let mut last = 0;
    for step in &left {
        let at = step["atMs"].as_u64().unwrap();
        assert!(at >= last, "times run forwards: {:#}", intent["steps"]);
        last = at;
        assert_eq!(step["story"], story, "{step:#}");
    }
    let is = |node: &str, actor: &str| who.iter().any(|(id, name)| *id == node && *name == actor) || node == actor;
    for (number, actors) in table {
        let here: Vec<_> = left.drain(..actors.len().min(left.len())).collect();
        let mut wanted = actors.to_vec();
        for step in &here {
            let at = wanted.iter().position(|(actor, manager)| {
                step["step"] == *number && text(step, "manager") == *manager && is(text(step, "node"), actor)
            });
            let at = at.unwrap_or_else(|| panic!("step {number} by {wanted:?} is expected, there is {step:#}"));
            wanted.remove(at);
        }
        assert!(wanted.is_empty(), "step {number} by {wanted:?} is missing: {:#}", intent["steps"]);
    }
    assert!(left.is_empty(), "more was told than belongs there: {left:#?}");
}
