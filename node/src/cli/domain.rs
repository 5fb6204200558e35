//! `tombolo domain …`: tokens and members.

use kernel::Span;
use rear_proto::membership::Role;
use serde_json::{Value, json};

use super::{Global, client::Client, terminal};

/// Prints a token.
pub(crate) async fn invite(global: &Global, role: Role, ttl: Span) -> anyhow::Result<()> {
    let client = Client::find(global)?;
    let answer = client.post("/v1/domain/invite", &json!({ "role": role.name(), "ttl": ttl.to_string() })).await?;
    if global.json() {
        return Ok(terminal::line(&serde_json::to_string_pretty(&answer)?)?);
    }
    Ok(terminal::line(answer.get("token").and_then(Value::as_str).unwrap_or_default())?)
}

/// Removes a member.
pub(crate) async fn remove(global: &Global, node: &str) -> anyhow::Result<()> {
    let client = Client::find(global)?;
    client.delete(&format!("/v1/domain/members/{node}")).await?;
    if global.json() {
        return Ok(terminal::line(&json!({ "node": node, "removed": true }).to_string())?);
    }
    Ok(terminal::line(&format!("{node} is no longer a member of the domain"))?)
}
