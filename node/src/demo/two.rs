//! Story 2: a node and the supernode of its domain, which knows what the domain's other nodes have to spare.

use super::{
    Outcome,
    show::{Cast, Show},
    stage::{Story, knows, offer},
};
use crate::sandbox::Sandbox;

pub(super) async fn run(show: &Show, sandbox: &Sandbox) -> anyhow::Result<Outcome> {
    show.title(
        "Story 2: a node and its supernode",
        "The supernode answers for the whole domain; the contract is with the node that has the room.",
    )?;
    let mut supernode = sandbox.found_as("supernode", "demo", "supernode", "").await?;
    let mut provider = sandbox.join_as("provider", &supernode, "node", &offer()).await?;
    let mut consumer = sandbox.join_as("consumer", &supernode, "node", "").await?;
    knows(&supernode, provider.id()).await?;
    let story = Story {
        number: 2,
        steps: 31,
        cast: Cast::new(&[(consumer.id(), "consumer"), (provider.id(), "provider"), (supernode.id(), "supernode")]),
        consumer: &consumer,
        relays: &[],
        provider: &provider,
        page_names: provider.id(),
        hidden: false,
    };
    let told = story.tell(show, sandbox, async || Ok(())).await;
    let ends = tokio::join!(consumer.stop(), provider.stop(), supernode.stop());
    let outcome = told?;
    ends.0.and(ends.1).and(ends.2)?;
    Ok(outcome)
}
