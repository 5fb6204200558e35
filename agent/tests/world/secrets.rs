//! What must not cross a border: every byte that reaches a node is searched for what belongs behind another border.

use std::collections::{BTreeMap, BTreeSet};

use rear_proto::{
    Answer, Reply,
    fabric::{FabricAsk, FabricRequest},
    membership::Role,
    wire::codec,
};
use vfabric::mail::Instance;

use super::World;

/// How many bytes of a secret are looked at first.
const HEAD: usize = 8;

/// What is a secret of which domain.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    by_head: BTreeMap<[u8; HEAD], Vec<Secret>>,
    known: BTreeSet<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct Secret {
    bytes: Vec<u8>,
    domain: usize,
    what: String,
    /// A digest of what backs a contract crosses one border, by design.
    contract: bool,
}

impl Secrets {
    fn add(&mut self, domain: usize, what: String, bytes: &[u8], contract: bool) {
        if self.known.insert(bytes.to_vec()) {
            let head = bytes[..HEAD].try_into().unwrap();
            self.by_head.entry(head).or_default().push(Secret { bytes: bytes.to_vec(), domain, what, contract });
        }
    }

    /// Returns the first secret of another domain that stands in these bytes.
    fn find(&self, domain: usize, bytes: &[u8], backed: bool) -> Option<&Secret> {
        let may = |secret: &&Secret| secret.domain != domain && !(secret.contract && backed);
        bytes.windows(HEAD).enumerate().find_map(|(at, head)| {
            let secrets = self.by_head.get(head)?;
            secrets.iter().filter(may).find(|secret| bytes[at..].starts_with(&secret.bytes))
        })
    }
}

impl World {
    /// From here on everything that reaches a node is searched.
    pub(crate) fn watch_borders(&mut self) {
        let mut secrets = Secrets::default();
        for (index, node) in self.nodes.iter().enumerate() {
            if node.me.role == Role::Node {
                let domain = node.domain;
                secrets.add(domain, format!("the id of node {index}"), node.id.as_bytes(), false);
                secrets.add(domain, format!("the name of node {index}"), node.id.to_string().as_bytes(), false);
                for address in &node.addresses {
                    secrets.add(domain, format!("an address of node {index}"), address.as_bytes(), false);
                }
            }
            for offer in &node.config.rear.offers {
                let flavour = offer.flavour(&node.id);
                let what = format!("the id of a flavour of node {index}");
                secrets.add(node.domain, what, flavour.as_bytes(), false);
                let what = format!("the name of a flavour of node {index}");
                secrets.add(node.domain, what, flavour.to_string().as_bytes(), false);
            }
        }
        self.secrets = Some(secrets);
    }

    /// From here on nothing is searched: a test itself says what crosses no border.
    pub(crate) fn watch_borders_no_more(&mut self) {
        self.secrets = None;
    }

    /// A contract between two nodes of one domain, with a third behind the border, is that domain's own affair.
    fn learn_contracts(&mut self) {
        let Some(secrets) = &mut self.secrets else { return };
        for node in &self.nodes {
            let Some(agent) = &node.agent else { continue };
            for contract in agent.managers().contract.contracts() {
                let other = if contract.buyer == node.id { contract.seller } else { contract.buyer };
                let inner = self.nodes.iter().any(|it| it.id == other && it.domain == node.domain);
                if inner {
                    let what = format!("the id of contract {}", contract.id);
                    secrets.add(node.domain, what, contract.id.as_bytes(), true);
                }
            }
        }
    }

    /// Searches what has reached a node.
    pub(super) fn check_secrets(&mut self, from: usize, to: usize, bytes: &[u8]) {
        if self.secrets.is_none() {
            return;
        }
        self.learn_contracts();
        let Some(secrets) = &self.secrets else { return };
        let found = secrets.find(self.nodes[to].domain, bytes, false).cloned();
        let Some(secret) = found else { return };
        let crosses = self.nodes[from].domain != self.nodes[to].domain;
        let backed = crosses && names_what_backs_it(bytes);
        let Some(secrets) = &self.secrets else { return };
        if let Some(secret) = secrets.find(self.nodes[to].domain, bytes, backed) {
            self.fail(format!("{} crosses the border from node {from} to node {to}", secret.what));
        }
        self.note(|| format!("{} stands in a contract that it backs", secret.what));
    }

    /// Searches what a node keeps, and what it shows, for whatever belongs behind another border.
    pub(crate) fn check_keeps_no_secrets(&mut self, node: usize) {
        self.learn_contracts();
        let (Some(secrets), domain) = (&self.secrets, self.nodes[node].domain) else { return };
        // A supernode holds what was signed towards it, which names what backs it.
        let backed = self.nodes[node].me.role == Role::Supernode;
        for ((table, key), value) in self.nodes[node].disk.all() {
            for bytes in [&key, &value] {
                if let Some(secret) = secrets.find(domain, bytes, backed) {
                    self.fail(format!("node {node} keeps {} in its table {}", secret.what, table.name()));
                }
            }
        }
        let Some(agent) = &self.nodes[node].agent else { return };
        let managers = agent.managers();
        let mut shown = String::new();
        let mut show = |what: &dyn std::fmt::Debug| shown.push_str(&format!("{what:?}\n"));
        managers.discovery.candidates(self.now).for_each(|it| show(&it));
        managers.discovery.endpoints().for_each(|it| show(&it));
        managers.contract.contracts().for_each(|it| show(&it));
        managers.contract.reservations(self.now).for_each(|it| show(&it));
        managers.rear.allocations().for_each(|it| show(it));
        managers.rear.ratings().for_each(|it| show(&it));
        managers.network.routers().for_each(|it| show(&it));
        managers.vfabric.peerings().for_each(|it| show(&it));
        managers.vfabric.workloads().for_each(|it| show(&it));
        managers.orchestrator.intents().for_each(|it| show(&it));
        managers.federation.members().for_each(|it| show(&it));
        if let Some(secret) = secrets.find(domain, shown.as_bytes(), backed) {
            self.fail(format!("node {node} shows {}", secret.what));
        }
    }

    /// What runs for another domain must not be told who runs it.
    pub(super) fn check_abroad(&self, node: usize, instance: &Instance, abroad: bool) {
        let Some(agent) = &self.nodes[node].agent else { return };
        let managers = agent.managers();
        let Some(contract) = managers.rear.living().find(|it| it.id == instance.allocation).and_then(|it| it.contract)
        else {
            return;
        };
        let consumer = self.consumer_of(node, contract);
        let Some(consumer) = consumer else { return };
        if abroad != (self.nodes[consumer].domain != self.nodes[node].domain) {
            self.fail(format!("node {node} runs something of node {consumer} and says of its being abroad: {abroad}"));
        }
    }
}

/// Says whether this is a contract, which names what backs it, or the opening of a peering, in which the consumer tells
/// what it calls the contract itself.
fn names_what_backs_it(bytes: &[u8]) -> bool {
    let contract = |reply: Reply| matches!(reply.answer, Answer::Contract(_));
    let opening = |ask: FabricAsk| matches!(ask.request, FabricRequest::ResourceRequest { .. });
    codec::decode(bytes).is_ok_and(contract) || codec::decode(bytes).is_ok_and(opening)
}
