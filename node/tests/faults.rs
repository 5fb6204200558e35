//! SIGKILL at any moment of the road, then a restart: no contract is lost or in two states, the workload runs again,
//! and in the end every capacity is back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::Value;
use support::{FAST, Pair, available, fetch, live_contracts, offer, page, running, settled, submit, text};

/// How far an intent has come when the process dies.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// It was taken in; nothing else is known.
    Submitted,
    /// This step was recorded at the consumer.
    Step(u64),
    /// It is in this phase.
    Phase(&'static str),
    /// It runs.
    Running,
    /// It was told to go.
    Deleting,
}

const MOMENTS: &[Moment] = &[
    Moment::Submitted,
    Moment::Phase("Discovering"),
    Moment::Step(7),
    Moment::Phase("Reserving"),
    Moment::Step(14),
    Moment::Step(20),
    Moment::Phase("Peering"),
    Moment::Step(28),
    Moment::Phase("Deploying"),
    Moment::Running,
    Moment::Deleting,
];

impl Moment {
    fn has_come(self, intent: &Value) -> bool {
        let past = |number| support::rows(&intent["steps"]).iter().any(|step| step["step"].as_u64() >= Some(number));
        let come = match self {
            Self::Submitted => true,
            Self::Step(number) => past(number),
            Self::Phase(phase) => text(intent, "phase") == phase,
            Self::Running | Self::Deleting => intent["phase"] == "Running",
        };
        // A phase may be over before anybody looks.
        come || settled(intent)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Consumer,
    Provider,
}

async fn survives(victim: Victim) {
    let mut pair = Pair::new(&offer("4", "4Gi", 32), FAST).await;
    let base = available(&pair.provider).await;
    for (at, &moment) in MOMENTS.iter().enumerate() {
        let id = submit(&pair.consumer, &page(&pair.sandbox, &format!("page-{at}"))).await;
        pair.consumer.follow(&id, |intent| moment.has_come(intent)).await.unwrap();
        if matches!(moment, Moment::Deleting) {
            pair.consumer.expect(&["delete", &id]).await.unwrap();
        }
        let dying = match victim {
            Victim::Consumer => &mut pair.consumer,
            Victim::Provider => &mut pair.provider,
        };
        dying.kill().await.unwrap();
        dying.start().await.unwrap();

        if !matches!(moment, Moment::Deleting) {
            // Who loses the only provider there is before it has run anywhere may give up, and then has nothing.
            let may_fail = victim == Victim::Provider && !matches!(moment, Moment::Running);
            runs_again(&pair, &id, moment, may_fail).await;
            pair.consumer.expect(&["delete", &id]).await.unwrap();
        }
        let gone = pair.consumer.follow(&id, |intent| intent["phase"] == "Deleted").await;
        gone.unwrap_or_else(|error| panic!("{victim:?} at {moment:?}: {error:#}"));
        support::nothing_left(&pair.consumer).await;
        support::nothing_left(&pair.provider).await;
        support::restored(&pair.provider, &base).await;
    }
    pair.audited().await;
}

/// Waits until the intent's page can be fetched, and both parties have the same live contract and no other.
async fn runs_again(pair: &Pair, id: &str, moment: Moment, may_fail: bool) {
    let mut seen = String::new();
    let waiting = async {
        // Nobody tells when a page can be fetched: it is tried again and again.
        let mut again = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            again.tick().await;
            let intent = pair.consumer.follow(id, settled).await.unwrap();
            if may_fail && intent["phase"] == "Failed" {
                return;
            }
            assert_eq!(intent["phase"], "Running", "{moment:?}: {intent:#}\n{}", pair.consumer.log());
            let page = fetch(&intent).await;
            let (ours, theirs) = (live_contracts(&pair.consumer).await, live_contracts(&pair.provider).await);
            seen = format!("page {page:?}, consumer {ours:?}, provider {theirs:?}, intent {intent:#}");
            if page.is_ok_and(|page| page.contains(pair.provider.id())) && ours.len() == 1 && ours == theirs {
                return;
            }
        }
    };
    let patience = std::time::Duration::from_secs(60);
    let result = tokio::time::timeout(patience, waiting).await;
    result.unwrap_or_else(|_| panic!("{moment:?}: it does not run again: {seen}\n{}", pair.consumer.log()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_killed_at_any_moment_loses_no_contract_and_runs_its_intent() {
    survives(Victim::Consumer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_killed_at_any_moment_loses_no_contract_and_runs_the_workload_again() {
    survives(Victim::Provider).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_a_running_workload_outlives_a_crash_of_either_party() {
    // With the usual lease there is time enough to come back, however busy the machine.
    let mut pair = Pair::new(&offer("4", "4Gi", 32), "[transport]\nping-every = \"1s\"\nredial-most = \"500ms\"").await;
    let id = submit(&pair.consumer, &page(&pair.sandbox, "page")).await;
    running(&pair.consumer, &id).await;
    let agreed = live_contracts(&pair.consumer).await;
    assert_eq!(agreed.len(), 1);
    for victim in [Victim::Consumer, Victim::Provider] {
        let dying = match victim {
            Victim::Consumer => &mut pair.consumer,
            Victim::Provider => &mut pair.provider,
        };
        dying.kill().await.unwrap();
        dying.start().await.unwrap();
        runs_again(&pair, &id, Moment::Running, false).await;
        assert_eq!(live_contracts(&pair.consumer).await, agreed, "{victim:?}");
    }
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_whose_provider_stays_dead_is_placed_on_another() {
    let sandbox = support::sandbox();
    let settings = format!("{FAST}\n{}", offer("1", "1Gi", 8));
    let mut founder = sandbox.found("founder", "test", FAST).await.unwrap();
    let mut one = sandbox.join("one", &founder, &settings).await.unwrap();
    let mut two = sandbox.join("two", &founder, &settings).await.unwrap();
    let base = available(&one).await;
    let consumer = sandbox.join("consumer", &founder, FAST).await.unwrap();
    for provider in [&one, &two] {
        let knows = |table: &Value| support::rows(table).iter().any(|peer| text(peer, "node") == provider.id());
        consumer.until("/v1/peers", knows).await.unwrap();
    }
    let id = submit(&consumer, &page(&sandbox, "page")).await;
    let first = running(&consumer, &id).await;
    let (dying, other) =
        if fetch(&first).await.unwrap().contains(one.id()) { (&mut one, &mut two) } else { (&mut two, &mut one) };
    dying.kill().await.unwrap();

    let elsewhere = |intent: &Value| intent["phase"] == "Running" && intent["workloads"][0]["node"] == other.id();
    let second = consumer.follow(&id, elsewhere).await.unwrap();
    assert!(fetch(&second).await.unwrap().contains(other.id()));
    assert_eq!(live_contracts(&consumer).await, live_contracts(other).await);

    // Whoever comes back finds that it has lost the contract, and gives the capacity back.
    dying.start().await.unwrap();
    support::nothing_left(dying).await;
    support::restored(dying, &base).await;
    consumer.expect(&["delete", &id, "--wait"]).await.unwrap();
    assert_eq!(available(other).await, base);
    founder.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_stays_dead_gives_the_capacity_back_within_a_lease() {
    let mut pair = Pair::new(&offer("4", "4Gi", 32), FAST).await;
    let base = available(&pair.provider).await;
    let id = submit(&pair.consumer, &page(&pair.sandbox, "page")).await;
    running(&pair.consumer, &id).await;
    pair.consumer.kill().await.unwrap();
    support::nothing_left(&pair.provider).await;
    support::restored(&pair.provider, &base).await;
    let lost = pair.provider.get("/v1/contracts").await.unwrap();
    assert_eq!(lost[0]["state"], "Lost", "{lost:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_in_is_there_after_a_crash_without_any_peer() {
    let sandbox = support::sandbox();
    let mut node = sandbox.found("only", "test", &format!("{FAST}\n{}", offer("4", "4Gi", 32))).await.unwrap();
    let id = submit(&node, &page(&sandbox, "home")).await;
    node.kill().await.unwrap();
    node.start().await.unwrap();
    let intent = running(&node, &id).await;
    assert!(fetch(&intent).await.unwrap().contains(node.id()));
    node.kill().await.unwrap();
    node.start().await.unwrap();
    let again =
        node.follow(&id, |intent| intent["phase"] == "Running" && intent["workloads"][0]["endpoints"][0].is_object());
    assert!(fetch(&again.await.unwrap()).await.is_ok());
    let report = node.json(&["audit"]).await.unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
}
