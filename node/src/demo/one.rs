//! Story 1: two nodes of one domain. The one has no room of its own, the other has some to spare.

use super::{
    Outcome,
    show::{Cast, Show},
    stage::{Story, offer},
};
use crate::sandbox::Sandbox;

pub(super) async fn run(show: &Show, sandbox: &Sandbox) -> anyhow::Result<Outcome> {
    show.title("Story 1: two nodes of one domain", "An intent arrives at a node without room, and runs on another.")?;
    let mut provider = sandbox.found("provider", "demo", &offer()).await?;
    let mut consumer = sandbox.join("consumer", &provider, "").await?;
    let story = Story {
        number: 1,
        steps: 31,
        cast: Cast::new(&[(consumer.id(), "consumer"), (provider.id(), "provider")]),
        consumer: &consumer,
        relays: &[],
        provider: &provider,
        page_names: provider.id(),
        hidden: false,
    };
    let told = story.tell(show, sandbox, async || Ok(())).await;
    // Both are told to end before either's failure is.
    let (first, second) = tokio::join!(consumer.stop(), provider.stop());
    let outcome = told?;
    first.and(second)?;
    Ok(outcome)
}
