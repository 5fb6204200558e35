//! What every story of the demonstration has in common: an intent is submitted where there is no room, each step is shown
//! as it happens, the page is fetched, and everything is given back.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{
    Outcome, Phases,
    show::{Cast, Show},
};
use crate::{
    cli::tables::{Show as Cell, cell},
    sandbox::{Node, Sandbox},
};

/// The workload: a page that says who runs it.
const COMPONENT: &[u8] = include_bytes!("../../../examples/hello.wasm");
const INTENT: &str = include_str!("../../../examples/hello.yaml");

/// What the provider has to spare.
pub(super) fn offer() -> String {
    let architecture = crate::measure::architecture();
    format!(
        r#"
[[offer]]
name = "spare"
characteristics = {{ architecture = "{architecture}", cpu = "4", memory = "4Gi", pods = "32" }}
price = {{ amount = "0.08", currency = "EUR", period = "hour" }}

[offer.policies.partitionable]
min = {{ cpu = "100m", memory = "64Mi", pods = "1" }}
step = {{ cpu = "100m", memory = "64Mi", pods = "1" }}
"#
    )
}

/// A story: who is in it, and how it is to go.
pub(super) struct Story<'a> {
    /// Its number.
    pub(super) number: u8,
    /// How many different steps it has.
    pub(super) steps: usize,
    /// Everybody by name, the consumer first.
    pub(super) cast: Cast,
    /// Where the intent arrives.
    pub(super) consumer: &'a Node,
    /// The supernodes that the contract goes through, from the consumer's side on.
    pub(super) relays: &'a [&'a Node],
    /// Where the workload is to run.
    pub(super) provider: &'a Node,
    /// What the page must name.
    pub(super) page_names: &'a str,
    /// Whether the consumer must not learn who the provider is.
    pub(super) hidden: bool,
}

impl Story<'_> {
    /// Everybody who is party to a contract.
    fn parties(&self) -> impl Iterator<Item = &Node> {
        [self.consumer].into_iter().chain(self.relays.iter().copied()).chain([self.provider])
    }

    /// Submits the intent, shows each step as it happens, and checks how it ends; `meanwhile` is done while it runs.
    pub(super) async fn tell(
        &self,
        show: &Show,
        sandbox: &Sandbox,
        meanwhile: impl AsyncFnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Outcome> {
        let before = available(self.provider).await?;
        show.node(&self.cast, self.provider.id(), &format!("offers {}", offered(self.provider).await?))?;
        show.node(&self.cast, self.consumer.id(), "has no room of its own")?;

        let file = sandbox.path().join("hello.yaml");
        fs::write(sandbox.path().join("hello.wasm"), COMPONENT).context("can not write the component")?;
        fs::write(&file, INTENT).context("can not write the intent")?;
        show.command("consumer", "submit hello.yaml")?;
        let file = file.to_str().context("the temporary directory has a name that is no text")?;
        let submitted = self.consumer.json(&["submit", file]).await?;
        let id = submitted.get("id").and_then(Value::as_str).context("there is no id in the answer")?.to_owned();

        let mut shown = BTreeSet::new();
        let mut broken = None;
        let intent = self
            .consumer
            .follow(&id, |intent| {
                // Which story it is shows when it is agreed with whom; until then a step's number may change.
                let is_open = matches!(text(intent, "/phase"), "Pending" | "Discovering" | "Reserving");
                let steps = if is_open { &[] } else { list(intent, "/steps") };
                for step in steps.iter().filter(|step| shown.insert(step.to_string())) {
                    broken = broken.take().or(show.step(&self.cast, step).err());
                }
                broken.is_some() || matches!(text(intent, "/phase"), "Running" | "Failed" | "Deleted")
            })
            .await?;
        if let Some(error) = broken {
            return Err(error);
        }
        ensure!(text(&intent, "/phase") == "Running", "the intent failed: {}", text(&intent, "/reason"));
        let phases = phases(&intent);
        show.gap()?;

        self.agreed(show).await?;
        meanwhile().await?;
        let fetched = fetch(show, &intent).await?;
        show.phases(phases)?;
        let secret = !self.hidden || self.is_secret(show)?;

        show.command("consumer", "delete hello --wait")?;
        self.consumer.expect(&["delete", &id, "--wait"]).await?;
        let restored = self.given_back(show, &before).await?;

        let told = intent.get("story").and_then(Value::as_u64);
        let own = list(&intent, "/steps").iter().filter(|step| step.get("story").and_then(Value::as_u64) == told);
        let steps: BTreeSet<_> = own.filter_map(|step| step.get("step")?.as_u64()).collect();
        let reason = if told != Some(u64::from(self.number)) {
            Some(format!("it was told as story {}, not {}", told.unwrap_or_default(), self.number))
        } else if steps.len() != self.steps {
            Some(format!("{} of {} steps were recorded", steps.len(), self.steps))
        } else if !fetched.contains(self.page_names) {
            Some(format!("the page does not name {}: {fetched}", self.page_names))
        } else if !secret {
            Some("the consumer holds the provider's id or an address of it".to_owned())
        } else {
            (!restored).then(|| "not everything was given back".to_owned())
        };
        let (ok, steps) = (reason.is_none(), steps.len());
        let story = self.number;
        Ok(Outcome { story, ok, steps, phases_ms: phases, fetched: Some(fetched), restored, reason })
    }

    /// Shows what was agreed, and checks that both sides of each hop have it the same, and that each hop's contract names
    /// the one behind it.
    async fn agreed(&self, show: &Show) -> anyhow::Result<()> {
        let parties: Vec<_> = self.parties().collect();
        let mut backing: Option<Value> = None;
        for hop in parties.windows(2) {
            let [buyer, seller] = hop else { continue };
            let (ours, theirs) = between(buyer, seller).await?;
            for field in ["/id", "/digest", "/partition", "/price", "/backedBy"] {
                let (ours, theirs) = (ours.pointer(field), theirs.pointer(field));
                ensure!(
                    ours == theirs,
                    "the two have different contracts: {field} is {ours:?} at one, {theirs:?} at the other"
                );
            }
            ensure!(
                backing.is_none() || backing.as_ref() == ours.get("digest"),
                "the contract before names {backing:?}, and the one behind it is {:?}",
                ours.get("digest")
            );
            backing = ours.get("backedBy").cloned().filter(|digest| !digest.is_null());
            let short = |field: &str| cell(ours.pointer(field), Cell::Id);
            let (partition, price) =
                (cell(ours.get("partition"), Cell::Resources), cell(ours.get("price"), Cell::Price));
            let who = format!("{} ↔ {}", self.cast.name_of(buyer.id()), self.cast.name_of(seller.id()));
            show.fact(
                "contract",
                &format!("{}…  {who}: {partition} for {price}, digest {}… at both", short("/id"), short("/digest")),
            )?;
        }
        ensure!(backing.is_none(), "the last contract names one behind it: {backing:?}");
        for (index, node) in parties.iter().enumerate() {
            let kind = match index {
                0 => "VirtualNode",
                _ if index + 1 == parties.len() => "Node",
                _ => "Forwarding",
            };
            let active = |table: &Value| live(table, "/status", &["Active"]).any(|one| text(one, "/type") == kind);
            node.until("/v1/allocations", active).await?;
            show.fact("", &format!("{kind} Active at the {}", self.cast.name_of(node.id())))?;
        }
        Ok(())
    }

    /// Looks for the provider's id and addresses in everything that the consumer keeps.
    fn is_secret(&self, show: &Show) -> anyhow::Result<bool> {
        let id: kernel::NodeId = self.provider.id().parse().context("a node's id is none")?;
        let mut needles = vec![id.0.to_vec(), self.provider.id().as_bytes().to_vec()];
        let plain = |address: &String| address.split("/p2p/").next().unwrap_or(address).as_bytes().to_vec();
        needles.extend(self.provider.addresses().iter().map(plain));
        let found = holds(self.consumer.dir(), &needles)?;
        if !found {
            show.fact("hidden", "nothing that the consumer keeps holds the provider's id or an address of it")?;
        }
        Ok(!found)
    }

    /// Checks that nothing is left of what was agreed, and says so.
    async fn given_back(&self, show: &Show, before: &Value) -> anyhow::Result<bool> {
        let after = available(self.provider).await?;
        let restored = after == *before;
        let resources = |value: &Value| cell(value.as_array().and_then(|all| all.first()), Cell::Resources);
        if restored {
            show.fact("available", &format!("{} at the provider, as before", resources(&after)))?;
        } else {
            show.fact("available", &format!("{} at the provider; it was {}", resources(&after), resources(before)))?;
        }
        let mut left = 0;
        for node in self.parties() {
            left += live(&node.get("/v1/contracts").await?, "/state", &["Signed", "Active"]).count();
            left += live(&node.get("/v1/reservations").await?, "/state", &["Held"]).count();
            left += live(&node.get("/v1/allocations").await?, "/status", &["Inactive", "Active"]).count();
            left += list(&node.get("/v1/routers").await?, "").len();
        }
        let what = if left == 0 { "no contract, allocation or router".to_owned() } else { format!("{left} entries") };
        show.fact("left over", &what)?;
        Ok(restored && left == 0)
    }
}

/// Waits until a supernode holds an offer of a node.
pub(super) async fn knows(supernode: &Node, node: &str) -> anyhow::Result<()> {
    let of_node = |table: &Value| list(table, "").iter().any(|one| text(one, "/owner") == node);
    supernode.until("/v1/candidates", of_node).await.map(drop)
}

/// Waits until a node knows of a partner of its domain.
pub(super) async fn has_partner(node: &Node) -> anyhow::Result<()> {
    node.until("/v1/partners", |table| !list(table, "").is_empty()).await.map(drop)
}

/// Waits until a catalogue holds offers.
pub(super) async fn holds_offers(catalogue: &Node) -> anyhow::Result<()> {
    let holds = |status: &Value| status.pointer("/0/catalogued").and_then(Value::as_u64) > Some(0);
    catalogue.until("/v1/status", holds).await.map(drop)
}

/// Returns the one live contract between two nodes, as each has it.
async fn between(buyer: &Node, seller: &Node) -> anyhow::Result<(Value, Value)> {
    let ours = live_contract(buyer, buyer.id(), seller.id()).await?;
    let theirs = live_contract(seller, buyer.id(), seller.id()).await?;
    Ok((ours, theirs))
}

/// Says whether any file in a directory, or below it, holds any of these.
fn holds(directory: &Path, needles: &[Vec<u8>]) -> anyhow::Result<bool> {
    for entry in fs::read_dir(directory).with_context(|| format!("can not read {}", directory.display()))? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, needles)?
        } else {
            let bytes = fs::read(&path).with_context(|| format!("can not read {}", path.display()))?;
            needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle))
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fetches the workload's page where the consumer says that it is.
async fn fetch(show: &Show, intent: &Value) -> anyhow::Result<String> {
    let url = intent.pointer("/workloads/0/endpoints/0/url").and_then(Value::as_str);
    let url = url.context("the workload runs, but has no endpoint")?;
    let answer = reqwest::get(url).await.with_context(|| format!("can not fetch {url}"))?.error_for_status()?;
    let page = answer.text().await?.trim_end().to_owned();
    show.fact("page", &format!("{url}  →  {page}"))?;
    Ok(page)
}

/// Returns the one live contract that a node has between two parties.
async fn live_contract(node: &Node, buyer: &str, seller: &str) -> anyhow::Result<Value> {
    let table = node.get("/v1/contracts").await?;
    let of_both = |one: &&Value| text(one, "/buyer") == buyer && text(one, "/seller") == seller;
    let contracts: Vec<_> = live(&table, "/state", &["Signed", "Active"]).filter(of_both).collect();
    match contracts.as_slice() {
        [one] => Ok((*one).clone()),
        others => bail!("one live contract was expected between {buyer} and {seller}, there are {}", others.len()),
    }
}

/// Returns what is available of each of a node's flavours.
async fn available(node: &Node) -> anyhow::Result<Value> {
    let table = node.get("/v1/flavours").await?;
    Ok(list(&table, "").iter().filter_map(|flavour| flavour.get("available").cloned()).collect())
}

/// Says in words what a node offers.
async fn offered(node: &Node) -> anyhow::Result<String> {
    let table = node.get("/v1/flavours").await?;
    let flavour = list(&table, "").first().context("the provider offers nothing")?;
    let (what, price) = (cell(flavour.get("available"), Cell::Resources), cell(flavour.get("price"), Cell::Price));
    Ok(format!("{what} for {price}"))
}

/// Returns how long each phase took.
fn phases(intent: &Value) -> Phases {
    let of = |name: &str| intent.pointer(&format!("/phasesMs/{name}")).and_then(Value::as_u64).unwrap_or(0);
    Phases {
        discover: of("discover"),
        reserve: of("reserve"),
        peer: of("peer"),
        deploy: of("deploy"),
        total: of("total"),
    }
}

/// Returns those of a table whose field has one of these values.
fn live<'a>(table: &'a Value, field: &'a str, values: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    list(table, "").iter().filter(move |one| values.contains(&text(one, field)))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
