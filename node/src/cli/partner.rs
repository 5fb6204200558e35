//! `tombolo partner …`: tokens for other domains, and what they may do here.

use kernel::Span;
use rear_proto::partner::PartnerToken;
use serde_json::{Value, json};

use super::{
    Global,
    client::Client,
    exit::WrongUsage,
    tables::{self, Show},
    terminal::{self, GOOD},
};

/// Prints a token, alone on standard output; what to do with it is said beside.
pub(crate) async fn invite(global: &Global, name: &str, ttl: Span) -> anyhow::Result<()> {
    let answer =
        Client::find(global)?.post("/v1/partners/invite", &json!({ "name": name, "ttl": ttl.to_string() })).await?;
    if global.json() {
        return Ok(terminal::line(&serde_json::to_string_pretty(&answer)?)?);
    }
    terminal::line(answer.get("token").and_then(Value::as_str).unwrap_or_default())?;
    let domain = tables::cell(answer.get("domain"), Show::Plain);
    anstream::eprintln!(
        "at a supernode of the other domain, within {ttl}: tombolo partner accept TOKEN --name {domain}"
    );
    Ok(())
}

/// Takes up an invitation, and waits until the other domain has answered.
pub(crate) async fn accept(global: &Global, token: &str, name: &str) -> anyhow::Result<()> {
    // What is no token at all is a slip of the hand, and no daemon is needed to say so.
    let token: PartnerToken = token.parse().map_err(|error| WrongUsage(format!("{error}")))?;
    let body = json!({ "token": token.to_string(), "name": name });
    let answer = Client::find(global)?.post("/v1/partners/accept", &body).await?;
    changed(global, &answer, "is a partner")
}

/// Suspends or resumes.
pub(crate) async fn switch(global: &Global, name: &str, verb: &str) -> anyhow::Result<()> {
    let answer = Client::find(global)?.post(&format!("/v1/partners/{}/{verb}", segment(name)), &json!({})).await?;
    changed(global, &answer, if verb == "suspend" { "may begin nothing new here" } else { "may use what is exposed" })
}

/// Removes a partner.
pub(crate) async fn remove(global: &Global, name: &str) -> anyhow::Result<()> {
    let answer = Client::find(global)?.delete(&format!("/v1/partners/{}", segment(name))).await?;
    changed(global, &answer, "is a partner no longer")
}

/// Says what came of it.
fn changed(global: &Global, answer: &Value, what: &str) -> anyhow::Result<()> {
    if global.json() {
        return Ok(terminal::line(&serde_json::to_string_pretty(answer)?)?);
    }
    let field = |name| tables::cell(answer.get(name), Show::Plain);
    Ok(terminal::line(&format!("{GOOD}{}{GOOD:#} (domain {}) {what}", field("name"), field("domain")))?)
}

/// Writes a name as one segment of a path, whatever was typed.
fn segment(name: &str) -> String {
    let mut segment = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    // An empty one would be another path.
    if segment.is_empty() { "%20".to_owned() } else { segment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_typed_as_a_name_stays_one_segment_of_the_path() {
        for (name, path) in [("beta-2", "beta-2"), ("", "%20"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("?x", "%3Fx")] {
            assert_eq!(segment(name), path);
        }
    }
}
