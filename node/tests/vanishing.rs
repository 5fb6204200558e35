//! Story 3 with one of its four parties gone, by SIGKILL, at each of the steps 20 to 41: the others are clean again after
//! a lease, and when the dead one is back all agree.
//!
//! Whoever does the step stands still just there (before anything of it is kept or said), while the victim is ended; it is
//! ended there itself where it is the victim. `TOMBOLO_STEPS=26,27` walks those steps alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Stdio;

use node::sandbox::Node;
use support::{available, borders::Borders, fetch, nothing_left, offer, page, restored, rows, running, submit, text};

/// Clocks of a second, and what goes with them.
const SECOND: &str = r#"
[contract]
lease = "1s"
activate-within = "1s"
purchase-within = "1s"
repeat-after = "100ms"
answer-within = "2s"
capacity-back-within = "3s"
[transport]
ping-every = "1s"
ping-failures = 2
redial-most = "200ms"
[vfabric]
grace = "500ms"
longest-retry = "500ms"
[rear]
settle = "1s"
"#;

/// The steps, who does each, and the deed that it is.
const STEPS: &[(u64, Party, &str)] = {
    use Party::{C, P, SC, SP};
    &[
        (20, C, "ReserveSent"),
        (21, SC, "ReserveSent"),
        (22, SP, "ReserveSent"),
        (23, P, "ContractDrawn"),
        (24, P, "FlavourReduced"),
        (25, P, "ReservedAtSeller"),
        (26, P, "ContractAnswered"),
        (27, SP, "ContractAnswered"),
        (28, SC, "ContractAnswered"),
        (29, C, "ContractStored"),
        (30, C, "VirtualNodeAllocated"),
        (31, C, "PeeringStarted"),
        (32, C, "ResourceRequestSent"),
        (33, P, "ContractFound"),
        (34, P, "ProviderTold"),
        (35, P, "ProviderActivated"),
        (36, P, "ResourceOfferSent"),
        (37, C, "ConsumerTold"),
        (38, C, "ConsumerActivated"),
        (39, C, "PhasesOver"),
        (40, C, "ManagementResumed"),
        (41, C, "WorkloadDeployed"),
    ]
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Party {
    C,
    SC,
    SP,
    P,
}

fn node(domains: &mut Borders, party: Party) -> &mut Node {
    match party {
        Party::C => &mut domains.c,
        Party::SC => &mut domains.sc,
        Party::SP => &mut domains.sp,
        Party::P => &mut domains.p,
    }
}

/// Walks the table with one victim.
async fn walk(victim: Party) {
    let wanted = std::env::var("TOMBOLO_STEPS").unwrap_or_default();
    let wanted: Vec<u64> = wanted.split(',').filter_map(|step| step.parse().ok()).collect();
    let mut domains = Borders::new(&offer("4", "4Gi", 32), SECOND).await;
    let base = available(&domains.p).await;
    for (step, doer, deed) in STEPS.iter().filter(|(step, ..)| wanted.is_empty() || wanted.contains(step)) {
        eprintln!("{victim:?} goes at step {step}");
        domains.ready().await;
        let when = if victim == *doer { "before" } else { "stop" };
        node(&mut domains, *doer).at_deed(when, deed).unwrap();
        let name = format!("page-{step}");
        let file = page(&domains.sandbox, &name);
        // Whoever stands still answers no command, and whoever is ended may never have taken it in.
        let submitting = domains.c.program().arg("submit").arg(file).stdout(Stdio::null()).spawn().unwrap();
        node(&mut domains, *doer).halts().await.unwrap();
        node(&mut domains, victim).kill().await.unwrap();
        node(&mut domains, *doer).go_on();
        let submitted = submitting.wait_with_output().await.unwrap().status.success();
        assert!(submitted || victim == Party::C);

        // Nobody who is left has anything left of it, and what they hold back of their own is whole again.
        for survivor in [Party::C, Party::SC, Party::SP, Party::P].into_iter().filter(|party| *party != victim) {
            nothing_left(node(&mut domains, survivor)).await;
        }
        if victim != Party::P {
            restored(&domains.p, &base).await;
        }

        node(&mut domains, victim).start().await.unwrap();
        domains.ready().await;
        // Where it goes on by itself it may; either way it can be ended, and then nothing is left anywhere.
        let deleted = domains.c.command(&["delete", &name, "--wait"]).await.unwrap();
        assert!(deleted.code == Some(0) || victim == Party::C && deleted.stderr.contains("no intent"), "{deleted:?}");
        for party in [Party::C, Party::SC, Party::SP, Party::P] {
            nothing_left(node(&mut domains, party)).await;
        }
        restored(&domains.p, &base).await;
    }
    // It can all be done once more.
    domains.ready().await;
    let id = submit(&domains.c, &page(&domains.sandbox, "last")).await;
    let intent = running(&domains.c, &id).await;
    assert!(fetch(&intent).await.unwrap().contains("beta"), "{:#}", text(&intent, "reason"));
    domains.c.expect(&["delete", &id, "--wait"]).await.unwrap();
    domains.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consumer_may_vanish_at_any_step() {
    walk(Party::C).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_supernode_may_vanish_at_any_step() {
    walk(Party::SC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_supernode_may_vanish_at_any_step() {
    walk(Party::SP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_may_vanish_at_any_step() {
    walk(Party::P).await;
}

/// Clocks of an hour: whatever is put right is put right by being said.
const HOUR: &str = r#"
[contract]
lease = "1h"
[transport]
ping-every = "1s"
redial-most = "200ms"
[vfabric]
check-every = "1h"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_of_the_four_restarts_the_page_is_back_under_the_same_contract_without_any_clock() {
    let mut domains = Borders::new(&offer("4", "4Gi", 32), HOUR).await;
    let id = submit(&domains.c, &page(&domains.sandbox, "page")).await;
    running(&domains.c, &id).await;
    let contracts = async |node: &Node| {
        let active = |table: &serde_json::Value| rows(table).iter().all(|contract| contract["state"] == "Active");
        let table = node.until("/v1/contracts", active).await.unwrap();
        rows(&table).iter().map(|contract| text(contract, "digest").to_owned()).collect::<Vec<_>>()
    };
    let agreed = contracts(&domains.p).await;
    for victim in [Party::P, Party::SP, Party::SC, Party::C] {
        let dying = node(&mut domains, victim);
        dying.kill().await.unwrap();
        dying.start().await.unwrap();
        let back = tokio::time::timeout(std::time::Duration::from_secs(60), async {
            loop {
                // The port may be another after a restart of the consumer.
                let intent = domains.c.follow(&id, |intent| intent["phase"] == "Running").await.unwrap();
                if fetch(&intent).await.is_ok_and(|page| page.contains("beta")) {
                    break;
                }
            }
        });
        assert!(back.await.is_ok(), "{victim:?}\n{}", domains.p.log());
        assert_eq!(contracts(&domains.p).await, agreed, "{victim:?}");
    }
    domains.c.expect(&["delete", &id, "--wait"]).await.unwrap();
    domains.audited().await;
}
