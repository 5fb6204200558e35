//! A city of daemons as a plan has it: each node a process on the loopback, members of their domains, partners of each
//! other, everybody introduced to everybody that it needs.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, anyhow, ensure};
use kernel::Span;
use rear::offer::Offer;
use rear_proto::membership::Role;
use serde::Serialize;
use serde_json::Value;
use simulations::plan::{DomainPlan, NodePlan, Plan};

use crate::sandbox::{self, Corner, Node, Sandbox};

/// The most daemons of a city: each is a program with threads, files and memory of its own.
const MOST: usize = 48;
/// How large a disk is that can be full, and what of it is left free so that nothing is promised any more, in MiB.
const DISK_MIB: u64 = 64;
const FLOOR_MIB: u64 = 8;

/// Daemons that run and know each other.
#[derive(Debug)]
pub(crate) struct City {
    // Before the sandbox, so that the processes end before their directories do.
    pub(crate) nodes: Vec<Node>,
    /// The free space below which each promises nothing, in MiB.
    pub(crate) floors: Vec<u64>,
    /// What could not be had, a sentence each.
    pub(crate) told: Vec<String>,
    pub(crate) sandbox: Sandbox,
}

/// A node that is to be made.
struct Site<'a> {
    plan: &'a NodePlan,
    domain: &'a DomainPlan,
    /// Whether its disk will be full at some time.
    small_disk: bool,
}

impl City {
    /// Builds what a plan has. `small` says which nodes' disks will be full at some time.
    ///
    /// # Errors
    /// When there are too many, or one can't be made or does not meet the others.
    pub(crate) async fn build(exe: &Path, plan: &Plan, small: impl Fn(usize) -> bool) -> anyhow::Result<Self> {
        ensure!(plan.nodes.len() <= MOST, "{} daemons are too many for one machine: at most {MOST}", plan.nodes.len());
        let sandbox = Sandbox::new(exe).context("can not make a temporary directory")?;
        let mut domains: Vec<Vec<Site<'_>>> = plan.domains.iter().map(|_| Vec::new()).collect();
        for (number, node) in plan.nodes.iter().enumerate() {
            let at = usize::try_from(node.domain)?;
            let domain = plan.domains.get(at).context("a node of a domain that is not there")?;
            let site = Site { plan: node, domain, small_disk: small(number) };
            domains.get_mut(at).context("a node of a domain that is not there")?.push(site);
        }
        let building = domains.iter().map(|sites| build_domain(&sandbox, sites));
        let mut nodes = Vec::new();
        let (mut floors, mut told) = (Vec::new(), Vec::new());
        for built in futures::future::try_join_all(building).await? {
            for (node, floor, why) in built {
                nodes.push(node);
                floors.push(floor);
                told.extend(why);
            }
        }
        told.sort();
        told.dedup();
        let mut city = Self { nodes, floors, told, sandbox };
        city.use_catalogues(plan).await?;
        city.befriend(plan).await?;
        city.introduce(plan).await?;
        Ok(city)
    }

    /// Has all supernodes use all catalogues: they could not be named before they were there.
    async fn use_catalogues(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let is = |role: Role| move |(_, node): &(&Node, &NodePlan)| node.role == role;
        let of_plan = || self.nodes.iter().zip(&plan.nodes);
        let catalogues: Vec<&Node> = of_plan().filter(is(Role::Catalogue)).map(|(node, _)| node).collect();
        if catalogues.is_empty() {
            return Ok(());
        }
        let settings = sandbox::uses(&catalogues);
        for (node, of_plan) in self.nodes.iter_mut().zip(&plan.nodes) {
            if of_plan.role == Role::Supernode {
                node.stop().await?;
                node.configure(&settings)?;
                node.start().await?;
            }
        }
        Ok(())
    }

    /// Makes partners of those that are to be.
    async fn befriend(&self, plan: &Plan) -> anyhow::Result<()> {
        for (a, b) in &plan.partners {
            let first = |domain: &u32| {
                let mut of_plan = self.nodes.iter().zip(&plan.nodes);
                of_plan.find(|(_, node)| node.domain == *domain && node.role == Role::Supernode).map(|(node, _)| node)
            };
            let name = |domain: &u32| {
                let domain = usize::try_from(*domain).ok().and_then(|at| plan.domains.get(at));
                domain.map(|domain| domain.name.clone()).context("partners that are not there")
            };
            let (one, other) = first(a).zip(first(b)).context("partners need a supernode each")?;
            self.sandbox.befriend(one, other, &name(b)?, &name(a)?).await?;
        }
        Ok(())
    }

    /// Waits until everybody knows whom it needs to know.
    async fn introduce(&self, plan: &Plan) -> anyhow::Result<()> {
        let all = || self.nodes.iter().zip(&plan.nodes);
        for (node, of_plan) in all() {
            let has_partner = plan.partners.iter().any(|(a, b)| *a == of_plan.domain || *b == of_plan.domain);
            if has_partner && of_plan.role != Role::Catalogue {
                node.until("/v1/partners", |table| table.as_array().is_some_and(|all| !all.is_empty())).await?;
            }
            let supernodes = all().filter(|(_, it)| it.domain == of_plan.domain && it.role == Role::Supernode);
            for (supernode, _) in supernodes.filter(|(it, _)| it.id() != node.id()) {
                node.meets(supernode).await?;
                if !of_plan.offers.is_empty() {
                    let owner = |one: &Value| one.get("owner").and_then(Value::as_str) == Some(node.id());
                    let holds = |table: &Value| table.as_array().is_some_and(|all| all.iter().any(owner));
                    supernode.until("/v1/candidates", holds).await?;
                }
            }
        }
        Ok(())
    }
}

/// A node that was made, its floor, and what it could not have.
type Built = (Node, u64, Option<String>);

/// Makes the nodes of a domain, in their order; the first is its issuer.
async fn build_domain(sandbox: &Sandbox, sites: &[Site<'_>]) -> anyhow::Result<Vec<Built>> {
    let Some((first, others)) = sites.split_first() else { return Ok(Vec::new()) };
    let role = first.plan.role.name();
    let first = build(sandbox, first, &["init", "--domain", &first.domain.name, "--role", role, "--no-offer"]).await?;
    let issuer = &first.0;
    let joining = others.iter().map(|site| async move {
        let token = issuer.json(&["domain", "invite", "--role", site.plan.role.name()]).await?;
        let token = token.get("token").and_then(Value::as_str).context("there is no token in the answer")?;
        let built = build(sandbox, site, &["init", "--join", token, "--no-offer"]).await?;
        built.0.meets(issuer).await?;
        anyhow::Ok(built)
    });
    let others = futures::future::try_join_all(joining).await?;
    Ok([first].into_iter().chain(others).collect())
}

/// Makes a node and starts it.
async fn build(sandbox: &Sandbox, site: &Site<'_>, init: &[&str]) -> anyhow::Result<Built> {
    let mut node = sandbox.node(&site.plan.name.replace('/', "-"));
    let (mut floor, mut told) = (crate::config::Storage::default().floor_mib, None);
    if site.small_disk {
        match Corner::new(node.dir(), DISK_MIB).await {
            Ok(corner) => {
                node.live_in(corner);
                floor = FLOOR_MIB;
            }
            Err(error) => {
                told = Some(format!(
                    "full disks: a restart with a floor that no disk has, as no file system may be made ({error:#})"
                ));
            }
        }
    }
    node.expect(init).await.with_context(|| anyhow!("can not make {}", site.plan.name))?;
    node.configure(sandbox::LOOPBACK)?;
    node.configure(&settings(site, floor)?)?;
    node.start().await?;
    Ok((node, floor, told))
}

/// Returns a node's settings as TOML.
fn settings(site: &Site<'_>, floor_mib: u64) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Offers<'a> {
        offer: &'a [Offer],
    }
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Beside {
        transport: BTreeMap<&'static str, toml::Value>,
        storage: BTreeMap<&'static str, u64>,
    }
    let config = &site.domain.config;
    // A dead neighbour is to be noticed well within a lease, however short that is.
    let lease = config.contract.lease;
    let ping = Span((lease.0 / 3).clamp(250, 10_000));
    let redial = Span((lease.0 / 5).clamp(200, 10_000));
    let transport = BTreeMap::from([
        ("ping-every", ping.to_string().into()),
        ("ping-failures", 3.into()),
        ("redial-most", redial.to_string().into()),
    ]);
    let beside = Beside { transport, storage: BTreeMap::from([("floor-mib", floor_mib)]) };
    let mut text = if site.plan.dials_only { "listen = []\n".to_owned() } else { String::new() };
    text += &toml::to_string(config).context("the settings are no TOML")?;
    text += &toml::to_string(&beside)?;
    if !site.plan.offers.is_empty() {
        text += &toml::to_string(&Offers { offer: &site.plan.offers })?;
    }
    Ok(text)
}
