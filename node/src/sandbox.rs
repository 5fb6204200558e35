//! Real daemons as separate processes on this machine, for the demonstration and for tests.
//!
//! Loopback only, temporary data, every port chosen by the system, nothing looked for on the local network. What is
//! started here ends with its owner: processes that are dropped are killed, directories are removed.

mod corner;
mod door;
mod process;

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

pub use corner::Corner;
pub use door::{Door, Events, Refused};
pub use process::{Node, Output};

/// What a daemon of a sandbox is told beside what `tombolo init` wrote.
pub(crate) const LOOPBACK: &str = r#"
listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"]
mdns = false
api = "127.0.0.1:0"
"#;

/// A place for daemons.
#[derive(Debug)]
pub struct Sandbox {
    exe: PathBuf,
    root: tempfile::TempDir,
}

impl Sandbox {
    /// Makes a place in the system's temporary directory, for daemons of the program `exe`.
    ///
    /// # Errors
    /// When no directory can be made there.
    pub fn new(exe: impl Into<PathBuf>) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("tombolo-").tempdir()?;
        Ok(Self { exe: exe.into(), root })
    }

    /// Returns the directory that holds everything.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Leaves everything where it is, and says where.
    pub fn keep(self) -> PathBuf {
        self.root.keep()
    }

    /// Names a node; nothing is made yet.
    pub fn node(&self, name: &str) -> Node {
        Node::new(self.exe.clone(), self.path().join(name), self.path().join(format!("{name}.log")))
    }

    /// Makes the first node of a domain, which offers what `settings` says and nothing else, and starts it.
    ///
    /// # Errors
    /// When it can't be made or does not get ready.
    pub async fn found(&self, name: &str, domain: &str, settings: &str) -> anyhow::Result<Node> {
        self.found_as(name, domain, "node", settings).await
    }

    /// Does so with a node of another role: `node`, `supernode` or `catalogue`.
    ///
    /// # Errors
    /// When it can't be made or does not get ready.
    pub async fn found_as(&self, name: &str, domain: &str, role: &str, settings: &str) -> anyhow::Result<Node> {
        let mut node = self.node(name);
        node.expect(&["init", "--domain", domain, "--role", role, "--no-offer"]).await?;
        node.configure(LOOPBACK)?;
        node.configure(settings)?;
        node.start().await?;
        Ok(node)
    }

    /// Makes another node of the issuer's domain, which offers what `settings` says and nothing else, and starts it.
    ///
    /// # Errors
    /// When it is not let in, can't be made or does not get ready.
    pub async fn join(&self, name: &str, issuer: &Node, settings: &str) -> anyhow::Result<Node> {
        self.join_as(name, issuer, "node", settings).await
    }

    /// Does so with a node of another role: `node`, `supernode` or `catalogue`.
    ///
    /// # Errors
    /// When it is not let in, can't be made or does not get ready.
    pub async fn join_as(&self, name: &str, issuer: &Node, role: &str, settings: &str) -> anyhow::Result<Node> {
        let token = issuer.json(&["domain", "invite", "--role", role]).await?;
        let token = token.get("token").and_then(Value::as_str).context("there is no token in the answer")?;
        let mut node = self.node(name);
        node.expect(&["init", "--join", token, "--no-offer"]).await?;
        node.configure(LOOPBACK)?;
        node.configure(settings)?;
        node.start().await?;
        node.meets(issuer).await?;
        Ok(node)
    }

    /// Makes the domains of two supernodes partners, each under the name that it has at the other, and waits until both
    /// are connected.
    ///
    /// # Errors
    /// When one refuses, or they do not meet.
    pub async fn befriend(&self, a: &Node, b: &Node, name_at_a: &str, name_at_b: &str) -> anyhow::Result<()> {
        // As a person does it: the token alone is what the command prints.
        let token = a.expect(&["partner", "invite", "--name", name_at_a]).await?;
        b.expect(&["partner", "accept", token.trim(), "--name", name_at_b]).await?;
        a.befriended(b).await?;
        b.befriended(a).await
    }

    /// Makes a catalogue in a domain of its own, and starts it; [`uses`] is what supernodes that use it need.
    ///
    /// # Errors
    /// When it can't be made or does not get ready.
    pub async fn catalogue(&self, name: &str, settings: &str) -> anyhow::Result<Node> {
        self.found_as(name, name, "catalogue", settings).await
    }
}

/// Returns the setting of a supernode that is to use these catalogues.
pub fn uses(catalogues: &[&Node]) -> String {
    let addresses: Vec<_> = catalogues.iter().filter_map(|node| node.addresses().first()).collect();
    format!("[federation]\ncatalogues = {addresses:?}\n")
}

/// Puts settings over those of a configuration file; a table is gone into, anything else is replaced.
fn configure(file: &Path, settings: &str) -> anyhow::Result<()> {
    let read = |text: &str| text.parse::<toml::Table>();
    let text = std::fs::read_to_string(file).with_context(|| format!("can not read {}", file.display()))?;
    let mut table = read(&text).with_context(|| format!("{} is no TOML", file.display()))?;
    merge(&mut table, read(settings).context("the settings are no TOML")?);
    std::fs::write(file, table.to_string()).with_context(|| format!("can not write {}", file.display()))
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Reads what a program printed as JSON.
fn parse(text: &str) -> anyhow::Result<Value> {
    match serde_json::from_str(text.trim()) {
        Ok(value) => Ok(value),
        Err(error) => bail!("this is no JSON ({error}): {text}"),
    }
}
