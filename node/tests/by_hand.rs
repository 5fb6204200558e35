//! By hand what an intent does by itself: discovering, reserving, purchasing, renewing, releasing, offering; and who
//! may come into a domain, and who must go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;

use kernel::{Key, NodeId, Resources, Span};
use rear_proto::{
    Answer, Code, Request, Selector,
    membership::Role,
    message::{EndReason, Join, Keepalive, List, Release, Scope},
};
use serde_json::{Value, json};
use support::{Pair, available, fetch, flavour, offer, page, refused, resources, rows, running, text};

/// Returns a contract of a node's table.
async fn contract(node: &node::sandbox::Node, id: &str) -> Value {
    let table = node.get("/v1/contracts").await.unwrap();
    rows(&table)
        .iter()
        .find(|contract| text(contract, "id") == id)
        .cloned()
        .unwrap_or_else(|| panic!("{id}: {table:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn discover_shows_what_matches_and_explains_what_does_not() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let (consumer, provider) = (&pair.consumer, &pair.provider);
    let ours = flavour(provider).await;

    let found =
        consumer.json(&["discover", "cpu>=2, memory>=1Gi, arch=amd64, price<=0.10EUR/h, location=IT"]).await.unwrap();
    let candidate = &found["candidates"][0];
    for field in ["id", "owner", "kind", "characteristics", "available", "price", "location", "policies"] {
        assert_eq!(candidate[field], ours[field], "{field}");
    }
    assert_eq!(candidate["provider"], provider.id());
    assert_eq!(candidate["seenVia"], provider.id());
    assert_eq!(candidate["rank"], 1);
    assert!(!text(candidate, "why").is_empty());
    assert_eq!((&found["partial"], &found["silent"]), (&json!(false), &json!(0)));
    let known = consumer.json(&["candidates"]).await.unwrap();
    assert_eq!(known[0]["id"], ours["id"], "what was found is kept");

    let cases = [("cpu>=5", "cpu"), ("arch=arm64", "arm64"), ("location=DE", "DE"), ("price<=0.000001EUR/h", "price")];
    for (selector, filter) in cases {
        let none = consumer.json(&["discover", selector, "--explain"]).await.unwrap();
        assert!(rows(&none["candidates"]).is_empty(), "{selector}: {none:#}");
        let out = &none["ruledOut"][0];
        assert_eq!(out["candidate"]["id"], ours["id"], "{selector}: {none:#}");
        assert!(text(out, "filter").contains(filter), "{selector}: {none:#}");
        assert!(out["has"].is_string(), "{selector}: {none:#}");
    }
    let said = consumer.expect(&["discover", "cpu>=5", "--explain"]).await.unwrap();
    assert!(said.contains("no flavour matches") && said.contains("ruled out by cpu>=5"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_takes_capacity_and_its_purchase_is_a_contract_that_carries_an_intent() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let (consumer, provider) = (&pair.consumer, &pair.provider);
    let before = available(provider).await;
    let found = consumer.json(&["discover"]).await.unwrap();
    let id = text(&found["candidates"][0], "id");

    let held = consumer.json(&["reserve", id, "--cpu", "1", "--memory", "256Mi", "--hold"]).await.unwrap();
    assert_eq!(held["state"], "Held");
    assert!(held["purchaseWithinS"].as_u64() > Some(0), "{held:#}");
    let reservation = text(&held, "reservation");
    let partition = Resources {
        cpu: "1".parse().unwrap(),
        memory: "256Mi".parse().unwrap(),
        pods: "1".parse().unwrap(),
        ..Resources::default()
    };
    assert_eq!(available(provider).await.checked_add(&partition), Some(before), "a hold takes capacity at once");
    for node in [consumer, provider] {
        let table = node.json(&["reservations"]).await.unwrap();
        assert_eq!((text(&table[0], "id"), text(&table[0], "state")), (reservation, "Held"), "{table:#}");
        assert_eq!(resources(&table[0]["partition"]), partition);
    }

    let signed = consumer.json(&["purchase", reservation]).await.unwrap();
    let id = text(&signed, "contract");
    assert_eq!(contract(consumer, id).await["digest"], contract(provider, id).await["digest"]);
    assert_eq!(available(provider).await.checked_add(&partition), Some(before), "a purchase takes no more");
    let again = consumer.json(&["purchase", reservation]).await;
    assert!(again.is_err() || again.unwrap()["contract"] == id, "one hold makes one contract");

    // The intent runs on what was reserved, and makes no contract of its own.
    let file = page(&pair.sandbox, "page");
    let submitted = consumer.json(&["submit", "--contract", id, file.to_str().unwrap()]).await.unwrap();
    let intent = running(consumer, text(&submitted, "id")).await;
    assert!(fetch(&intent).await.unwrap().contains(provider.id()));
    assert_eq!(support::live_contracts(consumer).await.len(), 1);

    let end = contract(provider, id).await["end"].as_u64().unwrap();
    consumer.expect(&["renew", id]).await.unwrap();
    for node in [consumer, provider] {
        assert!(contract(node, id).await["end"].as_u64().unwrap() > end, "a renewal prolongs");
    }
    assert_eq!(contract(consumer, id).await["digest"], contract(provider, id).await["digest"]);

    consumer.expect(&["delete", "page", "--wait"]).await.unwrap();
    // Whether the intent's end ends a contract made by hand or not: after its release, nothing is left.
    consumer.command(&["release", id]).await.unwrap();
    support::nothing_left(consumer).await;
    support::nothing_left(provider).await;
    support::restored(provider, &before).await;
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_hold_and_a_lapsed_one_give_everything_back() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "[contract]\npurchase-within = \"3s\"").await;
    let (consumer, provider) = (&pair.consumer, &pair.provider);
    let before = available(provider).await;
    let found = consumer.json(&["discover"]).await.unwrap();
    let id = text(&found["candidates"][0], "id");

    let held = consumer.json(&["reserve", id, "--cpu", "1", "--memory", "256Mi", "--hold"]).await.unwrap();
    consumer.expect(&["release", text(&held, "reservation")]).await.unwrap();
    assert_eq!(available(provider).await, before);

    let held = consumer.json(&["reserve", id, "--cpu", "1", "--memory", "256Mi", "--hold"]).await.unwrap();
    assert_ne!(available(provider).await, before);
    let reservation = text(&held, "reservation");
    let lapsed =
        |table: &Value| rows(table).iter().any(|one| text(one, "id") == reservation && text(one, "state") == "Expired");
    provider.until("/v1/reservations", lapsed).await.unwrap();
    assert_eq!(available(provider).await, before);
    let late = consumer.command(&["purchase", reservation]).await.unwrap();
    assert_eq!(late.code, Some(1), "{late:?}");
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_nothing_uses_lapses() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let before = available(&pair.provider).await;
    let found = pair.consumer.json(&["discover"]).await.unwrap();
    let id = text(&found["candidates"][0], "id");
    let args = ["reserve", id, "--cpu", "1", "--memory", "256Mi", "--activate-within", "3s"];
    let signed = pair.consumer.json(&args).await.unwrap();
    assert!(!text(&signed, "contract").is_empty(), "{signed:#}");
    support::nothing_left(&pair.provider).await;
    support::nothing_left(&pair.consumer).await;
    support::restored(&pair.provider, &before).await;
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_of_a_file_is_found_and_a_withdrawn_one_is_not() {
    let pair = Pair::new("", "").await;
    let (consumer, provider) = (&pair.consumer, &pair.provider);
    assert!(rows(&consumer.json(&["discover"]).await.unwrap()["candidates"]).is_empty());
    let file = pair.sandbox.path().join("offer.yaml");
    let text_of = "name: spare\ncharacteristics: { architecture: amd64, cpu: 2, memory: 1Gi, pods: 4 }\n\
        policies: { partitionable: { min: { cpu: 100m, memory: 32Mi, pods: 1 }, step: { cpu: 100m, memory: 16Mi, pods: 1 } } }\n\
        price: { amount: 0.05, currency: EUR }\n";
    fs::write(&file, text_of).unwrap();
    let offered = provider.json(&["flavours", "offer", file.to_str().unwrap()]).await.unwrap();
    let id = text(&offered, "flavour");
    let found = consumer.json(&["discover", "cpu>=2"]).await.unwrap();
    assert_eq!(found["candidates"][0]["id"], id);

    // Contracts on it go on when it is withdrawn.
    let file = page(&pair.sandbox, "page");
    let submitted = support::submit(consumer, &file).await;
    let intent = running(consumer, &submitted).await;
    provider.expect(&["flavours", "withdraw", id]).await.unwrap();
    assert!(rows(&consumer.json(&["discover"]).await.unwrap()["candidates"]).is_empty(), "it is offered no longer");
    assert!(fetch(&intent).await.unwrap().contains(provider.id()));
    refused(&provider.command(&["flavours", "withdraw", &"0".repeat(id.len())]).await.unwrap(), 1, &["NotFound"]);
    fs::write(pair.sandbox.path().join("bad.yaml"), text_of.replace("cpu: 2", "cpu: two")).unwrap();
    let bad = pair.sandbox.path().join("bad.yaml");
    refused(&provider.command(&["flavours", "offer", bad.to_str().unwrap()]).await.unwrap(), 1, &["bad.yaml", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_refused_and_its_contracts_end() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let (consumer, provider) = (&pair.consumer, &pair.provider);
    let before = available(provider).await;
    let members = provider.json(&["domain", "members"]).await.unwrap();
    assert!(rows(&members).iter().any(|member| text(member, "node") == consumer.id()), "{members:#}");
    let id = support::submit(consumer, &page(&pair.sandbox, "page")).await;
    running(consumer, &id).await;

    provider.expect(&["domain", "remove", consumer.id()]).await.unwrap();
    support::nothing_left(provider).await;
    support::restored(provider, &before).await;
    let gone = |members: &Value| {
        rows(members)
            .iter()
            .all(|one| text(one, "node") != consumer.id() || (one["revoked"] == true && one["connected"] == false))
    };
    provider.until("/v1/domain/members", gone).await.unwrap();
    let found = consumer.json(&["discover"]).await.unwrap();
    assert!(
        rows(&found["candidates"]).iter().all(|one| text(one, "provider") != provider.id())
            || found["asked"] == 0
            || found["silent"].as_u64() > Some(0),
        "{found:#}"
    );
    assert!(support::live_contracts(provider).await.is_empty(), "it gets nothing more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_finds_nothing_and_gets_nothing() {
    let sandbox = support::sandbox();
    let ours = sandbox.found("ours", "ours", &offer("4", "4Gi", 8)).await.unwrap();
    let before = available(&ours).await;
    // A node of another domain that knows the address.
    let address = &ours.addresses()[0];
    let stranger = sandbox.found("stranger", "theirs", &format!("bootstrap = [\"{address}\"]\n")).await.unwrap();
    let found = stranger.json(&["discover"]).await.unwrap();
    assert!(rows(&found["candidates"]).is_empty(), "{found:#}");
    let id = text(&flavour(&ours).await, "id").to_owned();
    let args = ["reserve", &id, "--provider", ours.id(), "--cpu", "1", "--memory", "256Mi"];
    assert_eq!(stranger.command(&args).await.unwrap().code, Some(1));
    assert_eq!(available(&ours).await, before);
    let members = ours.json(&["domain", "members"]).await.unwrap();
    assert!(rows(&members).iter().all(|member| text(member, "node") != stranger.id()), "{members:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_stranger_asks_it_is_told_the_same() {
    let sandbox = support::sandbox();
    let ours = sandbox.found("ours", "ours", &offer("4", "4Gi", 8)).await.unwrap();
    let to: NodeId = ours.id().parse().unwrap();
    // A program of its own that speaks the protocol and is no member.
    let (handle, mut events) = transport::start(transport::Config::new([7; 32])).await.unwrap();
    tokio::spawn(async move { while events.next().await.is_some() {} });
    handle.know(to, ours.addresses().to_vec());
    let none = rear_proto::Extensions::new;
    let list = List {
        query: kernel::QueryId([1; 16]),
        selector: Selector::default(),
        limit: 8,
        scope: Scope::Own,
        exclude: Vec::new(),
        hops_left: 0,
        trail: Vec::new(),
        deadline: Span::secs(5),
        extensions: none(),
    };
    let release = Release { key: Key([1; 16]), buyer: handle.id(), reason: EndReason::Released, extensions: none() };
    let questions = [
        Request::List(list),
        Request::Release(release),
        Request::Keepalive(Keepalive { contracts: vec![kernel::ContractId([1; 16])], extensions: none() }),
        Request::Join(Join { secret: [1; 16], node: handle.id(), role: Role::Node, extensions: none() }),
    ];
    for question in questions {
        let name = question.name();
        let reply = node::net::ask_once(&handle, to, question, Span::secs(30)).await.unwrap();
        assert_eq!(reply.answer, Answer::Refused(Code::NotAMember.into()), "{name}");
        assert!(reply.steps.is_empty(), "{name}");
    }
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_for_those_who_bear_the_token() {
    let sandbox = support::sandbox();
    let node = sandbox.found("node", "test", "").await.unwrap();
    let api = node.api().unwrap();
    let http = reqwest::Client::new();
    for token in [None, Some(""), Some("wrong")] {
        let mut asking = http.get(format!("{api}/v1/status"));
        if let Some(token) = token {
            asking = asking.bearer_auth(token);
        }
        let answer = asking.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.json::<Value>().await.unwrap()["reason"], "Unauthorised");
    }
    assert_eq!(http.get(format!("{api}/healthz")).send().await.unwrap().status(), 200);
    let missing = node.get("/v1/intents/00000000000000000000000000000000").await.unwrap();
    assert_eq!(missing["reason"], "NotFound");
}
