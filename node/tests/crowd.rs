//! Many at once: twenty intents from two consumers for a provider with room for seven.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use kernel::Resources;
use support::{available, fetch, offer, page, resources, rows, settled, text};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_for_seven_places_run_seven_and_oversell_none() {
    let sandbox = support::sandbox();
    // Seven halves of a core; of all else there is plenty.
    let provider = sandbox.found("provider", "test", &offer("3500m", "4Gi", 64)).await.unwrap();
    let one = sandbox.join("one", &provider, "").await.unwrap();
    let two = sandbox.join("two", &provider, "").await.unwrap();
    let base = available(&provider).await;

    let files: Vec<_> = (0..20).map(|at| page(&sandbox, &format!("page-{at}"))).collect();
    let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let submit = |node, files: &[&str]| {
        let args: Vec<String> = ["submit", "--json"].iter().chain(files).map(|arg| (*arg).to_owned()).collect();
        async move {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let printed = node_expect(node, &args).await;
            let ids = printed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            ids.map(|answer| text(&answer, "id").to_owned()).collect::<Vec<_>>()
        }
    };
    let (first, second) = tokio::join!(submit(&one, &files[..10]), submit(&two, &files[10..]));
    let intents: Vec<_> = first.iter().map(|id| (&one, id)).chain(second.iter().map(|id| (&two, id))).collect();
    assert_eq!(intents.len(), 20);

    let (mut running, mut failed) = (Vec::new(), 0);
    let waiting = async {
        for (node, id) in intents {
            let intent = node.follow(id, settled).await.unwrap();
            if intent["phase"] == "Running" {
                running.push((node, id, intent));
            } else {
                failed += 1;
                let reason = text(&intent, "reason");
                assert!(reason.contains("Unavailable: ") && reason.len() > 40, "{intent:#}");
            }
        }
    };
    tokio::select! {
        () = waiting => {}
        () = never_oversold(&provider, &base) => unreachable!("it watches for ever"),
    }
    assert_eq!((running.len(), failed), (7, 13));
    assert_eq!(available(&provider).await.cpu, kernel::Quantity::ZERO);
    let pages = running.iter().map(|(_, _, intent)| fetch(intent));
    for page in futures::future::join_all(pages).await {
        assert!(page.unwrap().contains(provider.id()));
    }

    for (node, id, _) in running {
        node.expect(&["delete", id, "--wait"]).await.unwrap();
    }
    assert_eq!(available(&provider).await, base);
    for node in [&provider, &one, &two] {
        support::nothing_left(node).await;
    }
}

async fn node_expect(node: &node::sandbox::Node, args: &[&str]) -> String {
    node.expect(args).await.unwrap()
}

/// Looks again and again whether more is given away than there is.
async fn never_oversold(provider: &node::sandbox::Node, base: &Resources) {
    loop {
        let table = provider.get("/v1/allocations").await.unwrap();
        let mut live = rows(&table).iter().filter(|one| text(one, "status") != "Released");
        let given = live.try_fold(Resources::default(), |sum, one| sum.checked_add(&resources(&one["resources"])));
        let given = given.expect("a sum of what is given away");
        assert!(base.holds(&given).is_ok(), "{given} of {base}: {table:#}");
        tokio::task::yield_now().await;
    }
}
