//! Two supernodes in each of two domains: when the one that a contract goes through vanishes, the intent runs again by way
//! of the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use node::sandbox::Node;
use serde_json::Value;
use support::{
    FAST, available,
    borders::{EXPOSE, is_connected},
    fetch, nothing_left, offer, page, restored, rows, running, submit, text,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_is_placed_again_through_the_other_supernode_of_either_side() {
    let sandbox = support::sandbox();
    let exposing = format!("{FAST}\n{EXPOSE}");
    let sc = sandbox.found_as("sc", "alpha", "supernode", FAST).await.unwrap();
    let sp = sandbox.found_as("sp", "beta", "supernode", &exposing).await.unwrap();
    let sc2 = sandbox.join_as("sc2", &sc, "supernode", FAST).await.unwrap();
    let sp2 = sandbox.join_as("sp2", &sp, "supernode", &exposing).await.unwrap();
    let p = sandbox.join_as("p", &sp, "node", &format!("{FAST}\n{}", offer("4", "4Gi", 32))).await.unwrap();
    let c = sandbox.join_as("c", &sc, "node", FAST).await.unwrap();
    // At one supernode of each side: the others learn of it.
    sandbox.befriend(&sc, &sp, "beta", "alpha").await.unwrap();
    for (near, far) in [([&sc, &sc2], [&sp, &sp2]), ([&sp, &sp2], [&sc, &sc2])] {
        for supernode in near {
            let all = |table: &Value| far.iter().all(|other| is_connected(table, other.id()));
            supernode.until("/v1/partners", all).await.unwrap();
        }
    }
    for (node, supernode) in [(&c, &sc2), (&p, &sp2)] {
        node.meets(supernode).await.unwrap();
        node.until("/v1/partners", |table| !rows(table).is_empty()).await.unwrap();
    }
    for supernode in [&sp, &sp2] {
        let holds = |table: &Value| rows(table).iter().any(|one| text(one, "owner") == p.id());
        supernode.until("/v1/candidates", holds).await.unwrap();
    }
    let base = available(&p).await;
    let (mut near, mut far) = ([sc, sc2], [sp, sp2]);

    let id = submit(&c, &page(&sandbox, "page")).await;
    running(&c, &id).await;
    let first = seller(&c, |_| true).await;
    let at = near.iter().position(|supernode| supernode.id() == first).unwrap();
    near[at].kill().await.unwrap();
    let second = seller(&c, |seller| seller != first).await;
    assert_eq!(second, near[1 - at].id());
    assert_eq!(fetch(&running(&c, &id).await).await.unwrap().trim_end(), "hello from beta");

    let relay = &near[1 - at];
    let through = seller(relay, |_| true).await;
    let on = far.iter().position(|supernode| supernode.id() == through).unwrap();
    far[on].kill().await.unwrap();
    let other = seller(relay, |seller| seller != through).await;
    assert_eq!(other, far[1 - on].id());
    assert_eq!(fetch(&running(&c, &id).await).await.unwrap().trim_end(), "hello from beta");

    c.expect(&["delete", &id, "--wait"]).await.unwrap();
    restored(&p, &base).await;
    for node in [&c, relay, &far[1 - on], &p] {
        nothing_left(node).await;
    }
}

/// Waits until a node has an active contract that it bought, of a seller such as this; returns the seller.
async fn seller(node: &Node, wanted: impl Fn(&str) -> bool) -> String {
    let of = |table: &Value| -> Option<String> {
        let bought = |one: &&Value| text(one, "buyer") == node.id() && text(one, "state") == "Active";
        let sellers = rows(table).iter().filter(bought).map(|one| text(one, "seller").to_owned());
        sellers.into_iter().find(|seller| wanted(seller))
    };
    let table = node.until("/v1/contracts", |table| of(table).is_some()).await.unwrap();
    of(&table).unwrap()
}
