//! The door to one life of a daemon: its API, for whoever looks while somebody else ends and starts it.

use anyhow::{Context as _, bail};
use serde_json::Value;

/// The API of a daemon as long as it lives; cheap to clone.
#[derive(Debug, Clone)]
pub struct Door {
    api: String,
    token: String,
    http: reqwest::Client,
}

/// A daemon said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refused {
    /// The refusal's name.
    pub reason: String,
    /// What and which.
    pub detail: String,
}

impl Door {
    pub(super) fn new(api: String, token: String) -> anyhow::Result<Self> {
        // Past any proxy of the environment: it could not reach this machine anyway.
        let http = reqwest::Client::builder().no_proxy().build().context("can not make a client")?;
        Ok(Self { api, token, http })
    }

    /// Returns the URL of the API.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Reads something.
    ///
    /// # Errors
    /// When it does not answer, or [`Refused`].
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.http.get(self.url(path))).await
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// When it does not answer, or [`Refused`].
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(self.http.post(self.url(path)).json(body)).await
    }

    /// Asks for something to be ended.
    ///
    /// # Errors
    /// When it does not answer, or [`Refused`].
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.http.delete(self.url(path))).await
    }

    /// Hands bytes over.
    ///
    /// # Errors
    /// When it does not answer, or [`Refused`].
    pub async fn upload(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<Value> {
        self.answer(self.http.post(self.url(path)).body(bytes)).await
    }

    /// Listens to what changes from here on.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn events(&self) -> anyhow::Result<Events> {
        let asking = self.http.get(self.url("/v1/events")).bearer_auth(&self.token).send();
        let stream = asking.await.context("no answer")?.error_for_status()?;
        Ok(Events { stream, read: Vec::new() })
    }

    /// Reads something, or what is said instead of it.
    pub(super) async fn said(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(self.url(path)).bearer_auth(&self.token).send().await?;
        super::parse(&answer.text().await?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response = request.bearer_auth(&self.token).send().await.context("no answer")?;
        let status = response.status();
        let text = response.text().await.context("the answer broke off")?;
        let value = if text.is_empty() { Value::Null } else { super::parse(&text)? };
        if status.is_success() {
            return Ok(value);
        }
        let field = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let reason = field("reason").or_else(|| field("title")).unwrap_or_else(|| status.to_string());
        Err(Refused { reason, detail: field("detail").unwrap_or_default() }.into())
    }
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    stream: reqwest::Response,
    read: Vec<u8>,
}

/// The longest line of an event: they name an id and nothing else.
const LONGEST: usize = 1 << 16;

impl Events {
    /// Waits for the next event; `None` at the end of the stream.
    ///
    /// # Errors
    /// When the stream breaks off, or is none of events.
    pub async fn next(&mut self) -> anyhow::Result<Option<()>> {
        loop {
            // An event ends with an empty line; one of comments alone keeps the line open, and is none.
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                if event.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"data:")) {
                    return Ok(Some(()));
                }
                continue;
            }
            match self.stream.chunk().await? {
                Some(bytes) => self.read.extend_from_slice(&bytes),
                None => return Ok(None),
            }
            if self.read.len() > LONGEST {
                bail!("an event without an end");
            }
        }
    }
}
