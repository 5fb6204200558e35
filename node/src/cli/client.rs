//! The client of the local daemon's API.

use std::{fs, time::Duration};

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::{Global, exit::NoDaemon};

/// A client that knows where the daemon is and has its token.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// The daemon refused.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub(crate) struct Refused {
    /// The refusal's name.
    pub(crate) reason: String,
    /// What and which.
    pub(crate) detail: String,
}

impl Client {
    /// Finds the daemon through the data directory, or where `--api` says.
    pub(crate) fn find(global: &Global) -> anyhow::Result<Self> {
        let data = global.data_dir();
        let base = match global.api() {
            Some(api) if api.contains("://") => api.trim_end_matches('/').to_owned(),
            Some(api) => format!("http://{api}"),
            None => {
                let Ok(text) = fs::read_to_string(data.api_address()) else {
                    let dir = data.path().display();
                    return Err(NoDaemon(format!(
                        "no daemon is running on {dir}: start one with `tombolo run`, or name another --data-dir"
                    ))
                    .into());
                };
                text.trim().trim_end_matches('/').to_owned()
            }
        };
        let token = data.token()?;
        // Past any proxy of the environment: it would be handed the token, and could not reach this machine anyway.
        let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build()?;
        Ok(Self { http, base, token: token.to_string() })
    }

    /// Reads something.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None::<&Value>).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Asks for something to be ended.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::DELETE, path, None::<&Value>).await
    }

    /// Hands bytes over.
    pub(crate) async fn upload(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).body(bytes);
        self.answer(request).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response = request.send().await.map_err(|error| {
            if error.is_connect() {
                anyhow::Error::from(NoDaemon(format!("no daemon answers at {}", self.base)))
            } else {
                anyhow::Error::from(error).context(format!("the daemon at {} did not answer", self.base))
            }
        })?;
        let status = response.status();
        let bytes = response.bytes().await.context("the daemon's answer broke off")?;
        if status == StatusCode::NO_CONTENT || bytes.is_empty() {
            return if status.is_success() { Ok(Value::Null) } else { anyhow::bail!("the daemon answered {status}") };
        }
        let value: Value = serde_json::from_slice(&bytes).context("the daemon's answer is no JSON")?;
        if status.is_success() {
            return Ok(value);
        }
        let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
        let reason = text("reason").or_else(|| text("title")).unwrap_or_else(|| status.to_string());
        let detail = text("detail").unwrap_or_default();
        Err(Refused { reason, detail }.into())
    }
}
