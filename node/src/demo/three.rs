//! Story 3: two domains that are partners. The consumer never learns who the provider is.

use super::{
    Outcome,
    show::{Cast, Show},
    stage::{Story, has_partner, knows, offer},
};
use crate::sandbox::Sandbox;

/// Shows a domain's flavours to the partner that it calls alpha.
pub(super) const EXPOSE: &str = r#"
[[discovery.expose]]
partners = ["alpha"]
"#;

pub(super) async fn run(show: &Show, sandbox: &Sandbox) -> anyhow::Result<Outcome> {
    show.title(
        "Story 3: two domains",
        "The consumer asks its supernode, that asks its partner's, and each hop has a contract of its own.",
    )?;
    let mut near = sandbox.found_as("sc", "alpha", "supernode", "").await?;
    let mut far = sandbox.found_as("sp", "beta", "supernode", EXPOSE).await?;
    let mut provider = sandbox.join_as("provider", &far, "node", &offer()).await?;
    let mut consumer = sandbox.join_as("consumer", &near, "node", "").await?;
    show.command("alpha's supernode", "partner invite --name beta")?;
    show.command("beta's supernode", "partner accept TOKEN --name alpha")?;
    sandbox.befriend(&near, &far, "beta", "alpha").await?;
    has_partner(&consumer).await?;
    has_partner(&provider).await?;
    knows(&far, provider.id()).await?;
    let story = Story {
        number: 3,
        steps: 41,
        cast: Cast::new(&[
            (consumer.id(), "consumer"),
            (provider.id(), "provider"),
            (near.id(), "SC"),
            (far.id(), "SP"),
        ]),
        consumer: &consumer,
        relays: &[&near, &far],
        provider: &provider,
        page_names: "beta",
        hidden: true,
    };
    let told = story.tell(show, sandbox, async || Ok(())).await;
    let ends = tokio::join!(consumer.stop(), provider.stop(), near.stop(), far.stop());
    let outcome = told?;
    ends.0.and(ends.1).and(ends.2).and(ends.3)?;
    Ok(outcome)
}
