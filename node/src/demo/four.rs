//! Story 4: two domains and a catalogue, which is switched off once the workload runs.

use anyhow::Context as _;

use super::{
    Outcome,
    show::{Cast, Show},
    stage::{Story, has_partner, holds_offers, knows, offer},
    three::EXPOSE,
};
use crate::sandbox::Sandbox;

pub(super) async fn run(show: &Show, sandbox: &Sandbox) -> anyhow::Result<Outcome> {
    show.title(
        "Story 4: two domains and a catalogue",
        "The offers come from a catalogue; the contracts do without it, and so does all that follows.",
    )?;
    let mut catalogue = sandbox.found_as("catalogue", "market", "catalogue", "").await?;
    let address = catalogue.addresses().first().context("the catalogue listens nowhere")?.clone();
    let uses = format!("[federation]\ncatalogues = [\"{address}\"]\n");
    // The near supernode looks in the catalogue alone.
    let mut near =
        sandbox.found_as("sc", "alpha", "supernode", &format!("{uses}[discovery]\nask-partners = false\n")).await?;
    let mut far = sandbox.found_as("sp", "beta", "supernode", &format!("{uses}{EXPOSE}")).await?;
    let mut provider = sandbox.join_as("provider", &far, "node", &offer()).await?;
    let mut consumer = sandbox.join_as("consumer", &near, "node", "").await?;
    sandbox.befriend(&near, &far, "beta", "alpha").await?;
    has_partner(&consumer).await?;
    has_partner(&provider).await?;
    knows(&far, provider.id()).await?;
    near.meets(&catalogue).await?;
    holds_offers(&catalogue).await?;
    let story = Story {
        number: 4,
        steps: 41,
        cast: Cast::new(&[
            (consumer.id(), "consumer"),
            (provider.id(), "provider"),
            (near.id(), "SC"),
            (far.id(), "SP"),
            (catalogue.id(), "catalogue"),
        ]),
        consumer: &consumer,
        relays: &[&near, &far],
        provider: &provider,
        page_names: "beta",
        hidden: true,
    };
    let told = story
        .tell(show, sandbox, async || {
            catalogue.stop().await?;
            show.fact("catalogue", "switched off")
        })
        .await;
    let ends = tokio::join!(consumer.stop(), provider.stop(), near.stop(), far.stop(), catalogue.stop());
    let outcome = told?;
    ends.0.and(ends.1).and(ends.2).and(ends.3).and(ends.4)?;
    Ok(outcome)
}
