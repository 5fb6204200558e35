//! Partners with real daemons: two domains that become partners stay so, switch each other on and off, and know of
//! nodes that can only dial out no address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use node::sandbox::{Node, Sandbox};
use serde_json::Value;
use support::{FAST, refused, rows, text};

/// Two domains that are partners.
async fn two_domains(sandbox: &Sandbox) -> (Node, Node) {
    let sa = sandbox.found_as("sa", "alpha", "supernode", FAST).await.unwrap();
    let sb = sandbox.found_as("sb", "beta", "supernode", FAST).await.unwrap();
    sandbox.befriend(&sa, &sb, "beta", "alpha").await.unwrap();
    (sa, sb)
}

/// Waits until the only partner of a node is so.
async fn partner_is(node: &Node, wanted: impl Fn(&Value) -> bool) -> Value {
    let table = node.until("/v1/partners", |table| rows(table).len() == 1 && wanted(&table[0])).await.unwrap();
    table[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_stay_partners_over_a_clean_end_and_a_kill() {
    let sandbox = support::sandbox();
    let (mut sa, mut sb) = two_domains(&sandbox).await;
    let partner = partner_is(&sa, |partner| partner["state"] == "Active" && partner["uses"] == true).await;
    assert_eq!((text(&partner, "name"), text(&partner, "domain"), &partner["usedBy"]), ("beta", "beta", &true.into()));
    assert_eq!(text(&partner["supernodes"][0], "node"), sb.id());
    let status = sa.get("/v1/status").await.unwrap();
    assert_eq!((&status[0]["role"], &status[0]["partners"]), (&"supernode".into(), &1.into()));
    let peers = sa.get("/v1/peers").await.unwrap();
    assert_eq!(
        (text(&peers[0], "node"), text(&peers[0], "realm"), text(&peers[0], "domain")),
        (sb.id(), "partner", "beta")
    );

    sb.kill().await.unwrap();
    partner_is(&sa, |partner| partner["state"] == "Silent").await;
    sb.start().await.unwrap();
    sa.befriended(&sb).await.unwrap();
    sb.befriended(&sa).await.unwrap();
    sa.stop().await.unwrap();
    sb.stop().await.unwrap();
    // Whoever comes first finds nobody, and the other later.
    sa.start().await.unwrap();
    assert_eq!(partner_is(&sa, |_| true).await["key"], partner["key"]);
    sb.start().await.unwrap();
    sa.befriended(&sb).await.unwrap();
    sb.befriended(&sa).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_side_switches_what_the_other_may_use_and_ends_it() {
    let sandbox = support::sandbox();
    let (mut sa, sb) = two_domains(&sandbox).await;
    let node = sandbox.join_as("node", &sa, "node", FAST).await.unwrap();
    partner_is(&node, |partner| partner["state"] == "On" && partner["usedBy"] == true).await;

    let shown = sa.json(&["partner", "suspend", "beta"]).await.unwrap();
    assert_eq!((&shown["state"], &shown["usedBy"]), (&"Suspended".into(), &false.into()));
    partner_is(&sb, |partner| partner["uses"] == false && partner["state"] == "Active").await;
    partner_is(&node, |partner| partner["state"] == "Suspended").await;
    // It is kept, and may be said twice.
    sa.kill().await.unwrap();
    sa.start().await.unwrap();
    partner_is(&sa, |partner| partner["state"] == "Suspended").await;
    sa.expect(&["partner", "suspend", "beta"]).await.unwrap();
    sa.expect(&["partner", "resume", "beta"]).await.unwrap();
    partner_is(&sb, |partner| partner["uses"] == true).await;

    sa.expect(&["partner", "remove", "beta"]).await.unwrap();
    for own in [&sa, &node] {
        own.until("/v1/partners", |table| rows(table).is_empty()).await.unwrap();
    }
    refused(&sa.command(&["partner", "suspend", "beta"]).await.unwrap(), 1, &["NotFound", "beta"]);
    // The other side's record is its own.
    partner_is(&sb, |partner| partner["usedBy"] == true).await;
    // Both may be partners again, by another token.
    sb.expect(&["partner", "remove", "alpha"]).await.unwrap();
    sandbox.befriend(&sb, &sa, "alpha", "beta").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_only_dials_out_has_no_address_for_anybody() {
    let sandbox = support::sandbox();
    let supernode = sandbox.found_as("supernode", "alpha", "supernode", FAST).await.unwrap();
    for (name, settings) in [("deaf", "listen = []\n"), ("quiet", "announce = false\n")] {
        let node = sandbox.join_as(name, &supernode, "node", &format!("{settings}{FAST}")).await.unwrap();
        assert_eq!(node.addresses().is_empty(), name == "deaf");
        let is_it = |peer: &&Value| text(peer, "node") == node.id();
        let up = |peers: &Value| rows(peers).iter().find(is_it).is_some_and(|peer| peer["connected"] == true);
        let peers = supernode.until("/v1/peers", up).await.unwrap();
        let peer = rows(&peers).iter().find(is_it).unwrap();
        assert_eq!(peer["addresses"], Value::Array(Vec::new()), "{name}: {peer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_any_role_runs_as_init_made_it_and_as_no_other() {
    let sandbox = support::sandbox();
    let mut supernode = sandbox.found_as("first", "alpha", "supernode", "").await.unwrap();
    for role in ["supernode", "catalogue", "node"] {
        let node = sandbox.join_as(role, &supernode, role, "").await.unwrap();
        assert_eq!(node.get("/v1/status").await.unwrap()[0]["role"], role);
    }
    let status = supernode.until("/v1/status", |status| rows(&status[0]["supernodes"]).len() == 1).await.unwrap();
    assert!(status[0]["supernodes"][0]["connected"].is_boolean());
    let catalogue = sandbox.catalogue("market", "").await.unwrap();
    assert_eq!(catalogue.get("/v1/status").await.unwrap()[0]["role"], "catalogue");

    supernode.stop().await.unwrap();
    for other in ["node", "catalogue"] {
        let run = supernode.command(&[other, "run"]).await.unwrap();
        refused(&run, 1, &["certificate", "supernode", other]);
    }
    supernode.start().await.unwrap();
    let token = supernode.json(&["domain", "invite", "--role", "supernode"]).await.unwrap();
    let other = sandbox.node("other");
    let init = other.command(&["init", "--join", text(&token, "token"), "--role", "catalogue"]).await.unwrap();
    refused(&init, 2, &["--role catalogue", "for a supernode"]);
    assert!(!other.dir().exists(), "and the token is still good");
    other.expect(&["init", "--join", text(&token, "token"), "--role", "supernode", "--no-offer"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_names_the_partners_that_have_nothing_that_fits() {
    let sandbox = support::sandbox();
    let digests = format!("{FAST}\n[discovery]\ndigests = true\n");
    let sa = sandbox.found_as("sa", "alpha", "supernode", &digests).await.unwrap();
    let sb = sandbox.found_as("sb", "beta", "supernode", &digests).await.unwrap();
    sandbox.befriend(&sa, &sb, "beta", "alpha").await.unwrap();
    let remark = "domain beta says that it has nothing that fits";
    // Its digest comes a moment after the partner.
    let deadline = std::time::Duration::from_secs(60);
    let told = tokio::time::timeout(deadline, async {
        loop {
            let found = sa.json(&["discover", "cpu>=1000", "--explain"]).await.unwrap();
            if !rows(&found["remarks"]).is_empty() {
                break found;
            }
        }
    });
    assert_eq!(told.await.unwrap()["remarks"], serde_json::json!([remark]));
    let said = sa.expect(&["discover", "cpu>=1000", "--explain"]).await.unwrap();
    assert!(said.contains(remark), "{said}");
    let plain = sa.json(&["discover", "cpu>=1000"]).await.unwrap();
    assert_eq!(plain["remarks"], serde_json::json!([]));
}
