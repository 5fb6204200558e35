//! Bad input gets one clear sentence that says what and where, the documented exit code, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use node::sandbox::{Node, Sandbox};
use serde_json::Value;
use support::{Pair, available, offer, page, refused, rows, submit, text};

/// Writes a file into the sandbox and returns its path.
fn file(sandbox: &Sandbox, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = sandbox.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Returns everything in a directory, byte by byte.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { left.push(path) } else { drop(all.insert(path.clone(), fs::read(&path).unwrap())) }
        }
    }
    all
}

/// Makes a node that does not run.
async fn at_rest(sandbox: &Sandbox, settings: &str) -> Node {
    let mut node = sandbox.found("node", "test", settings).await.unwrap();
    node.stop().await.unwrap();
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_or_a_daemon_the_command_says_so() {
    let sandbox = support::sandbox();
    let node = sandbox.node("nowhere");
    let dir = node.dir().to_str().unwrap();
    refused(&node.command(&["run"]).await.unwrap(), 1, &["there is no node in", dir, "tombolo init"]);
    refused(&node.command(&["audit"]).await.unwrap(), 1, &["there is no node in", dir]);
    refused(&node.command(&["repair"]).await.unwrap(), 1, &["there is no node in", dir]);
    refused(&node.command(&["status"]).await.unwrap(), 3, &["no daemon", dir, "tombolo run"]);

    let mut node = at_rest(&sandbox, "").await;
    for args in [&["status"][..], &["intents"], &["delete", "x"], &["discover"], &["domain", "invite"]] {
        refused(&node.command(args).await.unwrap(), 3, &["no daemon", node.dir().to_str().unwrap()]);
    }
    // A daemon that was killed has left its address behind.
    node.start().await.unwrap();
    node.kill().await.unwrap();
    refused(&node.command(&["status"]).await.unwrap(), 3, &["no daemon answers at http://127.0.0.1:"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_ends_with_two_and_changes_nothing() {
    let sandbox = support::sandbox();
    let node = sandbox.node("node");
    refused(&node.command(&["init", "--join", "no-token"]).await.unwrap(), 2, &["token"]);
    refused(&node.command(&["demo", "--stories", "9"]).await.unwrap(), 2, &["--stories 9"]);
    assert!(!node.dir().exists(), "nothing was made");
    for args in [&["frobnicate"][..], &["init", "--domain", "a", "--join", "b"], &["reserve"], &["submit"]] {
        assert_eq!(node.command(args).await.unwrap().code, Some(2), "{args:?}");
    }
    let node = at_rest(&sandbox, "").await;
    refused(&node.command(&["run", "--api", "somewhere"]).await.unwrap(), 2, &["--api somewhere", "127.0.0.1:4647"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_init_is_refused_and_changes_nothing() {
    let sandbox = support::sandbox();
    let node = at_rest(&sandbox, "").await;
    let before = contents(node.dir());
    let again = node.command(&["init", "--domain", "other"]).await.unwrap();
    refused(&again, 1, &["there is a node in", node.dir().to_str().unwrap(), "nothing was changed"]);
    assert_eq!(contents(node.dir()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_nobody_honours_makes_no_node() {
    let sandbox = support::sandbox();
    let mut issuer = sandbox.found("issuer", "test", "").await.unwrap();
    let token = issuer.json(&["domain", "invite"]).await.unwrap();
    let token = text(&token, "token");
    let first = sandbox.node("first");
    first.expect(&["init", "--join", token, "--no-offer"]).await.unwrap();
    let second = sandbox.node("second");
    refused(&second.command(&["init", "--join", token, "--no-offer"]).await.unwrap(), 1, &["domain"]);
    assert!(!second.dir().join("node.key").exists(), "a token is good for one node");
    let late = issuer.json(&["domain", "invite"]).await.unwrap();
    issuer.stop().await.unwrap();
    let third = sandbox.node("third");
    let answer = third.command(&["init", "--join", text(&late, "token"), "--no-offer"]).await.unwrap();
    refused(&answer, 1, &["could not join at", issuer.id()]);
    assert!(!third.dir().join("node.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_makes_no_sense_is_named_with_its_line() {
    let sandbox = support::sandbox();
    let node = at_rest(&sandbox, "").await;
    let config = node.dir().join("config.toml");
    let sound = fs::read_to_string(&config).unwrap();
    let cases = [
        ("surprise = 1\n", &["config.toml, line 1", "surprise"][..]),
        ("\n\n[contract]\nleese = \"1s\"\n", &["config.toml, line 4", "leese"]),
        ("[contract]\nlease = \"soon\"\n", &["config.toml, line 2", "soon"]),
        ("api = \"nowhere\"\n", &["config.toml, line 1"]),
        ("listen = [\n", &["config.toml, line"]),
        ("[transport]\nping-failures = 1\n", &["config.toml", "transport.ping-failures"]),
        ("[[offer]]\nname = \"x\"\n", &["config.toml, line 1", "characteristics"]),
    ];
    for (text, words) in cases {
        fs::write(&config, text).unwrap();
        refused(&node.command(&["run"]).await.unwrap(), 1, words);
    }
    fs::write(&config, "listen = [\"/dns/nowhere\"]\nmdns = false\n").unwrap();
    refused(&node.command(&["run"]).await.unwrap(), 1, &["/dns/nowhere"]);
    let missing = node.command(&["run", "--config", "/nonexistent/config.toml"]).await.unwrap();
    refused(&missing, 1, &["can not read the configuration /nonexistent/config.toml"]);
    fs::write(&config, sound).unwrap();
    let mut node = node;
    node.start().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let sandbox = support::sandbox();
    let node = at_rest(&sandbox, "").await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let api = node.command(&["run", "--api", &address.to_string()]).await.unwrap();
    refused(&api, 1, &["can not listen on", &address.to_string()]);
    let tcp = format!("/ip4/127.0.0.1/tcp/{}", address.port());
    refused(&node.command(&["run", "--listen", &tcp]).await.unwrap(), 1, &[&tcp]);
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let quic = format!("/ip4/127.0.0.1/udp/{}/quic-v1", taken.local_addr().unwrap().port());
    refused(&node.command(&["run", "--listen", &quic]).await.unwrap(), 1, &[&quic]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_data_is_refused_and_the_first_goes_on() {
    let sandbox = support::sandbox();
    let mut node = sandbox.found("node", "test", "").await.unwrap();
    let dir = node.dir().to_str().unwrap().to_owned();
    refused(&node.command(&["run"]).await.unwrap(), 1, &[&dir]);
    refused(&node.command(&["repair"]).await.unwrap(), 1, &[&dir]);
    assert_eq!(node.json(&["status"]).await.unwrap()[0]["id"], node.id());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_intent_is_named_and_none_of_its_company_is_submitted() {
    let sandbox = support::sandbox();
    let node = sandbox.found("node", "test", &offer("4", "4Gi", 8)).await.unwrap();
    let good = page(&sandbox, "good");
    let good = good.to_str().unwrap();
    let head = "apiVersion: tombolo/v1\nkind: Intent\nmetadata: { name: bad }\n";
    let core_module = b"\0asm\x01\0\0\0";
    file(&sandbox, "core.wasm", core_module);
    file(&sandbox, "text.wasm", "this is no component");
    let workload = |wasm: &str, rest: &str| {
        format!(
            "{head}spec:\n  workloads:\n    - name: web\n      wasm: ./{wasm}\n      resources: {{ cpu: 500m, memory: 64Mi }}\n{rest}"
        )
    };
    let cases = [
        ("broken.yaml", "spec: [".to_owned(), &["broken.yaml"][..]),
        ("empty.yaml", String::new(), &["empty.yaml"]),
        ("none.yaml", format!("{head}spec: {{ workloads: [] }}\n"), &["none.yaml", "workload"]),
        ("unknown.yaml", workload("hello.wasm", "      surprise: 1\n"), &["unknown.yaml", "surprise"]),
        ("quantity.yaml", workload("hello.wasm", "").replace("500m", "half"), &["quantity.yaml", "half"]),
        ("missing.yaml", workload("nothere.wasm", ""), &["nothere.wasm"]),
        ("core.yaml", workload("core.wasm", ""), &["core.wasm can not be run", "component"]),
        ("text.yaml", workload("text.wasm", ""), &["text.wasm can not be run"]),
    ];
    for (name, text, words) in cases {
        let bad = file(&sandbox, name, text);
        refused(&node.command(&["submit", good, &bad]).await.unwrap(), 1, words);
    }
    refused(&node.command(&["submit", "/nonexistent.yaml"]).await.unwrap(), 1, &["can not read /nonexistent.yaml"]);
    refused(&node.command(&["intents", "show", "nobody"]).await.unwrap(), 1, &["NotFound", "nobody"]);
    refused(&node.command(&["delete", "nobody"]).await.unwrap(), 1, &["NotFound", "nobody"]);
    assert!(rows(&node.get("/v1/intents").await.unwrap()).is_empty(), "nothing was submitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_none_and_a_flavour_that_is_not_are_refused_by_name() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let (consumer, before) = (&pair.consumer, available(&pair.provider).await);
    let found = consumer.json(&["discover", "cpu>=1"]).await.unwrap();
    let flavour = text(&found["candidates"][0], "id").to_owned();
    let cases = [
        (vec!["--cpu", "50m", "--memory", "64Mi"], "BelowMinimum", "cpu"),
        (vec!["--cpu", "150m", "--memory", "64Mi"], "NotAStep", "cpu"),
        (vec!["--cpu", "100m", "--memory", "33Mi"], "NotAStep", "memory"),
        (vec!["--cpu", "40", "--memory", "64Mi"], "TooLarge", "cpu"),
    ];
    for (amounts, code, what) in cases {
        let args = [vec!["reserve", &flavour], amounts].concat();
        refused(&consumer.command(&args).await.unwrap(), 1, &[code, what]);
    }
    let nowhere = "0".repeat(flavour.len());
    refused(&consumer.command(&["reserve", &nowhere, "--cpu", "1"]).await.unwrap(), 1, &["NotFound"]);
    refused(&consumer.command(&["reserve", "x", "--cpu", "1"]).await.unwrap(), 1, &["x"]);
    refused(&consumer.command(&["discover", "cpu>>2"]).await.unwrap(), 1, &["cpu>>2"]);
    for args in [["purchase", &nowhere], ["renew", &nowhere], ["release", &nowhere]] {
        refused(&consumer.command(&args).await.unwrap(), 1, &["NotFound"]);
    }
    assert_eq!(available(&pair.provider).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_tables_are_named_and_rebuilt_from_the_ledger() {
    let mut pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let id = submit(&pair.consumer, &page(&pair.sandbox, "page")).await;
    support::running(&pair.consumer, &id).await;
    let contracts = support::live_contracts(&pair.provider).await;
    pair.provider.stop().await.unwrap();

    let tables = pair.provider.dir().join("tables");
    for (path, bytes) in contents(&tables) {
        fs::write(path, vec![0xa5; bytes.len()]).unwrap();
    }
    let damaged = pair.provider.command(&["run"]).await.unwrap();
    refused(&damaged, 1, &[pair.provider.dir().to_str().unwrap(), "tombolo repair"]);
    let repaired = pair.provider.json(&["repair"]).await.unwrap();
    assert!(repaired["rows"].as_u64() > Some(0), "{repaired}");
    pair.provider.start().await.unwrap();
    let known = pair.provider.get("/v1/contracts").await.unwrap();
    assert_eq!(text(&known[0], "id"), contracts[0].0, "nothing is lost");
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_is_named_and_left_as_it_is() {
    let sandbox = support::sandbox();
    let node = at_rest(&sandbox, &offer("4", "4Gi", 8)).await;
    let ledger = node.dir().join("ledger");
    let mut bytes = fs::read(&ledger).unwrap();
    let sound = bytes.clone();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&ledger, &bytes).unwrap();
    for args in [["run"], ["repair"]] {
        refused(&node.command(&args).await.unwrap(), 1, &["ledger"]);
    }
    let audit = node.command(&["audit", "--json"]).await.unwrap();
    assert_eq!((audit.code, &audit.json().unwrap()["ok"]), (Some(1), &Value::from(false)));
    assert_eq!(fs::read(&ledger).unwrap(), bytes, "it was not touched");

    // A write that a crash cut short is no damage: here the next start's, of which only the beginning came.
    fs::write(&ledger, &sound).unwrap();
    let mut node = node;
    node.start().await.unwrap();
    node.stop().await.unwrap();
    let longer = fs::read(&ledger).unwrap();
    assert!(longer.starts_with(&sound) && longer.len() > sound.len() + 20);
    fs::write(&ledger, &longer[..sound.len() + 20]).unwrap();
    node.command(&["repair"]).await.unwrap();
    node.start().await.unwrap();
    node.stop().await.unwrap();
    assert_eq!(node.json(&["audit"]).await.unwrap()["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_refusal_and_loses_nothing() {
    let sandbox = support::sandbox();
    // A floor that no disk has stands for a disk that is full.
    let settings = format!("[storage]\nfloor-mib = 1000000000000\n{}", offer("4", "4Gi", 8));
    let provider = sandbox.found("provider", "test", &settings).await.unwrap();
    let before = available(&provider).await;
    let consumer = sandbox.join("consumer", &provider, "").await.unwrap();
    let file = page(&sandbox, "page");
    let waited = consumer.command(&["submit", file.to_str().unwrap(), "--wait"]).await.unwrap();
    refused(&waited, 1, &["failed", "Storage"]);
    assert_eq!(available(&provider).await, before);
}

/// Returns what a node keeps of its partners.
async fn partners(node: &Node) -> Vec<(String, Value, Value)> {
    let table = node.get("/v1/partners").await.unwrap();
    rows(&table).iter().map(|one| (text(one, "name").to_owned(), one["key"].clone(), one["usedBy"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_can_not_be_is_refused_by_name_and_changes_nothing() {
    let sandbox = support::sandbox();
    let sa = sandbox.found_as("sa", "alpha", "supernode", "").await.unwrap();
    let sb = sandbox.found_as("sb", "beta", "supernode", "").await.unwrap();
    let sc = sandbox.found_as("sc", "gamma", "supernode", "").await.unwrap();
    sandbox.befriend(&sa, &sb, "beta", "alpha").await.unwrap();
    let before = (partners(&sa).await, partners(&sb).await);
    let invite = async |node: &Node, name: &str, ttl: &str| {
        node.expect(&["partner", "invite", "--name", name, "--ttl", ttl]).await.unwrap().trim().to_owned()
    };
    let accept = async |node: &Node, token: &str, name: &str, code: i32, words: &[&str]| {
        // With '=', so that a hyphen begins no flag.
        let name = format!("--name={name}");
        refused(&node.command(&["partner", "accept", token, &name]).await.unwrap(), code, words);
    };

    // What is no token.
    let token = invite(&sa, "gamma", "1h").await;
    for text in ["nonsense", "tombolo-partner-AAAA", &token[..token.len() - 3]] {
        accept(&sc, text, "alpha", 2, &["partner token"]).await;
    }
    let join = sa.json(&["domain", "invite"]).await.unwrap();
    accept(&sc, text(&join, "token"), "alpha", 2, &["partner token"]).await;
    refused(&sc.command(&["init", "--join", &token]).await.unwrap(), 2, &["join token"]);
    // What is no name, or somebody's already.
    for name in ["Alpha", "", "al pha", "-alpha", "alpha-", "../alpha", &"a".repeat(64)] {
        accept(&sc, &token, name, 1, &["name"]).await;
        let invite = sa.command(&["partner", "invite", &format!("--name={name}")]).await.unwrap();
        assert_eq!((invite.code, invite.stdout.as_str()), (Some(1), ""), "{name}: {invite:?}");
    }
    for name in ["beta", "alpha"] {
        refused(&sa.command(&["partner", "invite", "--name", name]).await.unwrap(), 1, &[name]);
    }
    accept(&sc, &token, "gamma", 1, &["gamma"]).await;
    // Whom there is nothing to become partners with.
    accept(&sa, &token, "other", 1, &["alpha", "own"]).await;
    accept(&sb, &token, "other", 1, &["alpha"]).await;
    // What is over, or was never given.
    let over = invite(&sa, "delta", "1ms").await;
    accept(&sc, &over, "alpha", 1, &["expired"]).await;
    // Whose wish it is not, and whose it is not either.
    for args in
        [&["partner", "suspend", "nobody"][..], &["partner", "resume", "nobody"], &["partner", "remove", "nobody"]]
    {
        refused(&sa.command(args).await.unwrap(), 1, &["NotFound", "nobody"]);
    }
    for name in ["", "a/b", "..", "beta/suspend", "?", "%2e%2e"] {
        refused(&sa.command(&["partner", "remove", name]).await.unwrap(), 1, &["NotFound"]);
    }
    for args in [&["partner"][..], &["partner", "invite"], &["partner", "accept", &token], &["partner", "suspend"]] {
        assert_eq!(sa.command(args).await.unwrap().code, Some(2), "{args:?}");
    }
    assert_eq!((partners(&sa).await, partners(&sb).await), before, "nothing has changed");
    assert!(partners(&sc).await.is_empty());

    // And the token is as good as it was, once.
    sc.expect(&["partner", "accept", &token, "--name", "alpha"]).await.unwrap();
    let sd = sandbox.found_as("sd", "delta", "supernode", "").await.unwrap();
    accept(&sd, &token, "alpha", 1, &["alpha"]).await;
    assert!(partners(&sd).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_are_the_business_of_supernodes_that_run() {
    let sandbox = support::sandbox();
    let mut sa = sandbox.found_as("sa", "alpha", "supernode", "").await.unwrap();
    let node = sandbox.join("node", &sa, "").await.unwrap();
    let other = sandbox.found("other", "beta", "").await.unwrap();
    let token = sa.expect(&["partner", "invite", "--name", "beta"]).await.unwrap();
    let accept = ["partner", "accept", token.trim(), "--name", "alpha"];
    for plain in [&node, &other] {
        refused(
            &plain.command(&["partner", "invite", "--name", "gamma"]).await.unwrap(),
            1,
            &["NotAMember", "supernode"],
        );
        refused(&plain.command(&accept).await.unwrap(), 1, &["supernode"]);
        for verb in ["suspend", "resume", "remove"] {
            let answer = plain.command(&["partner", verb, "gamma"]).await.unwrap();
            refused(&answer, 1, &[]);
        }
    }
    // Nobody answers at the token's address.
    let sb = sandbox.found_as("sb", "gamma", "supernode", "[federation]\naccept-deadline = \"2s\"\n").await.unwrap();
    sa.stop().await.unwrap();
    refused(&sb.command(&accept).await.unwrap(), 1, &["alpha"]);
    assert!(partners(&sb).await.is_empty());
    refused(&sa.command(&accept).await.unwrap(), 3, &["no daemon"]);
    refused(&sa.command(&["partner", "list"]).await.unwrap(), 3, &["no daemon"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_of_the_border_that_makes_no_sense_is_named_with_its_line() {
    let sandbox = support::sandbox();
    let node = at_rest(&sandbox, "").await;
    let config = node.dir().join("config.toml");
    let cases = [
        ("[discovery]\nmargin = \"a lot\"\n", &["config.toml, line 2", "2.5%"][..]),
        ("[[discovery.expose]]\nwhat = \"\"\n", &["config.toml, line 1", "partners"]),
        ("[[discovery.expose]]\npartners = [\"*\"]\nwhat = \"cpu>>2\"\n", &["config.toml, line 3", "cpu>>2"]),
        ("[[discovery.expose]]\npartners = [\"*\"]\nfor = 1\n", &["config.toml, line 3", "for"]),
        ("[[discovery.expose]]\npartners = [\"Beta!\"]\n", &["config.toml", "discovery.expose", "Beta!"]),
        ("[[discovery.subscribe]]\nto = \"be ta\"\n", &["config.toml", "discovery.subscribe", "be ta"]),
        ("[federation]\ncatalogues = [\"/ip4/192.0.2.1/udp/7401/quic-v1\"]\n", &["config.toml, line 2", "/p2p/"]),
        ("announce = \"maybe\"\n", &["config.toml, line 1", "maybe"]),
        ("role = \"king\"\n", &["config.toml, line 1", "king"]),
    ];
    for (text, words) in cases {
        fs::write(&config, text).unwrap();
        refused(&node.command(&["run"]).await.unwrap(), 1, words);
    }
}
