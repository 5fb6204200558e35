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
    explained(&answer).iter().try_for_each(|line| terminal::line(&format!("{DIM}{line}{DIM:#}")))?;
    Ok(())
}

/// Says, in a line each, what was ruled out and why, what else is to be said, and how many did not answer.
fn explained(answer: &Value) -> Vec<String> {
    let list = |name| answer.get(name).and_then(Value::as_array).into_iter().flatten();
    let ruled_out = list("ruledOut").map(|out| {
        let field = |pointer| tables::cell(out.pointer(pointer), tables::Show::Plain);
        let (id, provider) = (field("/candidate/id"), field("/candidate/provider"));
        match out.get("disbelieved") {
            Some(_) => format!("{id} at {provider}: not believed: {}", field("/disbelieved")),
            None => format!("{id} at {provider}: ruled out by {} (it has {})", field("/filter"), field("/has")),
        }
    });
    let remarks = list("remarks").filter_map(Value::as_str).map(terminal::clean);
    let silent = answer.get("silent").and_then(Value::as_u64).filter(|silent| *silent > 0);
    let silent = silent.map(|silent| format!("{silent} of those asked did not answer in time"));
    ruled_out.chain(remarks).chain(silent).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_says_all_that_there_is_to_say() {
        let candidate = json!({ "id": "3f", "provider": "12D3" });
        let answer = json!({
            "candidates": [],
            "ruledOut": [
                { "candidate": candidate, "filter": "cpu>=5", "has": "4" },
                { "candidate": candidate, "disbelieved": "its signature is another's" },
            ],
            "remarks": ["domain beta says that it has nothing that fits"],
            "silent": 2,
        });
        let lines = [
            "3f at 12D3: ruled out by cpu>=5 (it has 4)",
            "3f at 12D3: not believed: its signature is another's",
            "domain beta says that it has nothing that fits",
            "2 of those asked did not answer in time",
        ];
        assert_eq!(explained(&answer), lines);
        assert!(explained(&json!({ "candidates": [], "silent": 0 })).is_empty());
    }
}
