//! Discovering, reserving and offering by hand.

use std::path::Path;

use anyhow::Context as _;
use kernel::{Quantity, Span};
use rear::offer::Offer;
use serde_json::{Value, json};

use super::{
    Global,
    client::Client,
    tables::{self, CANDIDATES},
    terminal::{self, DIM},
};

/// What was asked to be reserved.
pub(crate) struct Asked {
    pub(crate) flavour: String,
    pub(crate) provider: Option<String>,
    pub(crate) cpu: Option<Quantity>,
    pub(crate) memory: Option<Quantity>,
    pub(crate) pods: Option<Quantity>,
    pub(crate) storage: Option<Quantity>,
    pub(crate) gpu: Option<Quantity>,
    pub(crate) hold: bool,
    pub(crate) term: Span,
    pub(crate) activate_within: Span,
}

/// Asks for flavours now.
pub(crate) async fn discover(global: &Global, selector: &str, limit: u32, explain: bool) -> anyhow::Result<()> {
    let client = Client::find(global)?;
    let body = json!({ "selector": selector, "limit": limit, "explain": explain });
    let answer = client.post("/v1/discover", &body).await?;
    if global.json() {
        return Ok(terminal::line(&serde_json::to_string_pretty(&answer)?)?);
    }
    let empty = Value::Array(Vec::new());
    let found = answer.get("candidates").unwrap_or(&empty);
    if found.as_array().is_none_or(Vec::is_empty) {
        let asked = answer.get("asked").and_then(Value::as_u64).unwrap_or(0);
        terminal::line(&format!("no flavour matches; {asked} nodes were asked"))?;
    } else {
        tables::print(&CANDIDATES, found)?;
    }
    for out in answer.get("ruledOut").and_then(Value::as_array).into_iter().flatten() {
        let field = |pointer| tables::cell(out.pointer(pointer), tables::Show::Plain);
        terminal::line(&format!(
            "{DIM}{} at {}: ruled out by {} (it has {}){DIM:#}",
            field("/candidate/id"),
            field("/candidate/provider"),
            field("/filter"),
            field("/has"),
        ))?;
    }
    if let Some(silent @ 1..) = answer.get("silent").and_then(Value::as_u64) {
        terminal::line(&format!("{DIM}{silent} of those asked did not answer in time{DIM:#}"))?;
    }
    Ok(())
}

/// Reserves a flavour.
pub(crate) async fn reserve(global: &Global, asked: &Asked) -> anyhow::Result<()> {
    let client = Client::find(global)?;
    let amounts = [
        ("cpu", asked.cpu),
        ("memory", asked.memory),
        ("pods", asked.pods),
        ("storage", asked.storage),
        ("gpu", asked.gpu),
    ];
    let resources: serde_json::Map<_, _> = amounts
        .into_iter()
        .filter_map(|(name, amount)| amount.map(|amount| (name.to_owned(), json!(amount.to_string()))))
        .collect();
    let body = json!({
        "flavour": asked.flavour,
        "provider": asked.provider,
        "resources": resources,
        "hold": asked.hold,
        "term": asked.term.to_string(),
        "activateWithin": asked.activate_within.to_string(),
    });
    let answer = client.post("/v1/reservations", &body).await?;
    told(global, &answer)
}

/// Purchases what is held.
pub(crate) async fn purchase(global: &Global, reservation: &str) -> anyhow::Result<()> {
    let answer = Client::find(global)?.post(&format!("/v1/reservations/{reservation}/purchase"), &json!({})).await?;
    told(global, &answer)
}

/// Renews a contract.
pub(crate) async fn renew(global: &Global, contract: &str) -> anyhow::Result<()> {
    let answer = Client::find(global)?.post(&format!("/v1/contracts/{contract}/renew"), &json!({})).await?;
    told(global, &answer)
}

/// Ends a reservation, a contract or an allocation.
pub(crate) async fn release(global: &Global, id: &str) -> anyhow::Result<()> {
    let answer = Client::find(global)?.post("/v1/release", &json!({ "id": id })).await?;
    told(global, &answer)
}

/// Offers what a file describes.
pub(crate) async fn offer(global: &Global, file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can not read {}", file.display()))?;
    let offer: Offer = serde_saphyr::from_str(&text).with_context(|| format!("{} is no offer", file.display()))?;
    offer.check().with_context(|| format!("{} is no offer", file.display()))?;
    let answer = Client::find(global)?.post("/v1/flavours", &offer).await?;
    told(global, &answer)
}

/// Offers a flavour no longer.
pub(crate) async fn withdraw(global: &Global, id: &str) -> anyhow::Result<()> {
    let answer = Client::find(global)?.delete(&format!("/v1/flavours/{id}")).await?;
    told(global, &answer)
}

/// Says what came of it: each field on a line of its own.
fn told(global: &Global, answer: &Value) -> anyhow::Result<()> {
    if global.json() {
        return Ok(terminal::line(&serde_json::to_string_pretty(answer)?)?);
    }
    for (name, value) in answer.as_object().into_iter().flatten() {
        let show = if name == "price" { tables::Show::Price } else { tables::Show::Plain };
        terminal::line(&format!("{name}: {}", tables::cell(Some(value), show)))?;
    }
    Ok(())
}
