//! What of a plan is left out: nodes in proportion, then domains, and acts and intents by their numbers.

use std::collections::BTreeSet;

use kernel::Span;
use rear_proto::membership::Role;

use super::{Act, Acted, Arrival, DomainNo, NodeNo, Trim, acts::may_strike, nodes::Whole};
use crate::scenario::{Domains, ROLES, Scenario, When};

/// The least of each role that a domain keeps, of those that it has: whoever sells has another who buys.
const fn least(role: Role) -> u32 {
    match role {
        Role::Supernode | Role::Catalogue => 1,
        Role::Node => 2,
    }
}

/// What of the whole is kept.
pub(super) struct Kept {
    /// The domains, by their place in the whole.
    pub(super) domains: Vec<usize>,
    /// How many nodes there are.
    pub(super) count: usize,
    domain_numbers: Vec<Option<DomainNo>>,
    node_numbers: Vec<Option<NodeNo>>,
}

impl Kept {
    /// Returns the number of a domain of the whole, if it is kept.
    pub(super) fn domain(&self, whole: usize) -> Option<DomainNo> {
        self.domain_numbers.get(whole).copied().flatten()
    }

    /// Returns the number of a node of the whole, if it is kept.
    pub(super) fn node(&self, whole: usize) -> Option<NodeNo> {
        self.node_numbers.get(whole).copied().flatten()
    }

    fn of(&self, whole: NodeNo) -> Option<NodeNo> {
        self.node(usize::try_from(whole).ok()?)
    }
}

/// How much is kept: of each domain's nodes, and of each kind's domains, so many of so many.
#[derive(Clone, Copy)]
struct Scale {
    part: u64,
    of: u64,
}

impl Scale {
    fn down(self, count: u32, least: u32) -> u32 {
        let part = u64::from(count) * self.part / self.of.max(1);
        u32::try_from(part).unwrap_or(count).max(least).min(count)
    }
}

/// Decides which nodes are kept: the first of each role in each domain, and the first domains of each kind.
pub(super) fn keep(scenario: &Scenario, whole: &Whole, most: Option<u32>) -> Kept {
    let all = scenario.nodes();
    let most = most.map_or(all, u64::from);
    let size = |of: &Domains, nodes: Scale| -> u64 {
        ROLES.into_iter().map(|role| u64::from(nodes.down(of.of(role), least(role)))).sum()
    };
    let sum = |nodes: Scale, domains: Scale| -> u64 {
        scenario.domains.iter().map(|of| u64::from(domains.down(of.count, 1)) * size(of, nodes)).sum()
    };
    // Fewer nodes first, and where the fewest are too many, fewer domains.
    let every = Scale { part: 1, of: 1 };
    let nodes = largest(all, |part| sum(Scale { part, of: all }, every) <= most);
    let nodes = Scale { part: nodes, of: all };
    let count = scenario.domain_count();
    let domains = largest(count, |part| sum(nodes, Scale { part, of: count }) <= most);
    let domains = Scale { part: domains, of: count };

    let mut copies = vec![0u32; scenario.domains.len()];
    let mut kept = Kept {
        domains: Vec::new(),
        count: 0,
        domain_numbers: Vec::with_capacity(whole.domains.len()),
        node_numbers: Vec::with_capacity(whole.nodes.len()),
    };
    for (at, domain) in whole.domains.iter().enumerate() {
        let (kind, of) = (domain.kind, &scenario.domains[domain.kind]);
        copies[kind] += 1;
        let is_kept = copies[kind] <= domains.down(of.count, 1);
        kept.domain_numbers.push(is_kept.then(|| DomainNo::try_from(kept.domains.len()).unwrap_or(0)));
        if is_kept {
            kept.domains.push(at);
        }
    }
    for node in &whole.nodes {
        let of = &scenario.domains[whole.domains[node.domain].kind];
        let is_kept =
            kept.domain(node.domain).is_some() && node.number <= nodes.down(of.of(node.role), least(node.role));
        kept.node_numbers.push(is_kept.then(|| NodeNo::try_from(kept.count).unwrap_or(0)));
        kept.count += usize::from(is_kept);
    }
    kept
}

/// Returns the largest number from 0 to `most` for which something is so that is so for all smaller ones; 0 where it
/// never is.
fn largest(most: u64, is: impl Fn(u64) -> bool) -> u64 {
    let (mut yes, mut no) = (0, most + 1);
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if is(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    yes
}

/// Leaves out intents, and gives the others the numbers that their nodes have now.
pub(super) fn arrivals(mut arrivals: Vec<Arrival>, kept: &Kept, length: Span, trim: &Trim) -> Vec<Arrival> {
    let named: Option<BTreeSet<u32>> = trim.arrivals.as_ref().map(|named| named.iter().copied().collect());
    arrivals.retain_mut(|arrival| {
        let Some(node) = kept.of(arrival.node) else { return false };
        arrival.node = node;
        arrival.at < length && named.as_ref().is_none_or(|named| named.contains(&arrival.number))
    });
    arrivals
}

/// Leaves out acts, and gives the others the numbers that their nodes have now. What strikes once strikes another of the
/// same kind where its node is left out: it is the story.
pub(super) fn acts(
    acts: Vec<Acted>,
    scenario: &Scenario,
    whole: &Whole,
    kept: &Kept,
    length: Span,
    trim: &Trim,
) -> Vec<Acted> {
    let named: Option<BTreeSet<u32>> = trim.acts.as_ref().map(|named| named.iter().copied().collect());
    let mut struck_once = BTreeSet::new();
    let mut left = Vec::new();
    for mut acted in acts {
        if acted.at >= length {
            continue;
        }
        let whom = acted.act.struck();
        let mut nodes: Vec<NodeNo> = whom.iter().filter_map(|node| kept.of(*node)).collect();
        let once = matches!(scenario.faults.get(acted.fault).map(|fault| fault.when), Some(When::At(_)));
        if nodes.is_empty() && once {
            nodes = instead(&acted, scenario, whole, kept);
        }
        let alone = matches!(acted.act, Act::Partition { .. } | Act::Hold { .. }) && nodes.len() == kept.count;
        let again = once && !nodes.is_empty() && !struck_once.insert((acted.fault, nodes.clone()));
        if nodes.is_empty() || alone || again {
            continue;
        }
        acted.act.strike(nodes);
        // Only now, so that who is struck does not depend on what else is left out.
        if named.as_ref().is_none_or(|named| named.contains(&acted.number)) {
            left.push(acted);
        }
    }
    left
}

/// Returns those who are struck in the place of those who are all left out.
fn instead(acted: &Acted, scenario: &Scenario, whole: &Whole, kept: &Kept) -> Vec<NodeNo> {
    let nodes = acted.act.struck();
    let first = nodes.first().and_then(|node| whole.nodes.get(usize::try_from(*node).ok()?));
    let (Some(first), Some(fault)) = (first, scenario.faults.get(acted.fault)) else { return Vec::new() };
    let kind = |domain: usize| whole.domains[domain].kind;
    let is_like = |node: &super::nodes::WholeNode| {
        let fits = may_strike(scenario, fault, &whole.domains[node.domain], node);
        fits && kind(node.domain) == kind(first.domain) && (node.role, node.offers) == (first.role, first.offers)
    };
    let at = whole.nodes.iter().enumerate();
    let like: Vec<(usize, NodeNo)> = at
        .filter(|(_, node)| is_like(node))
        .filter_map(|(at, node)| kept.node(at).map(|number| (node.domain, number)))
        .collect();
    // Any of them will do, as long as it is the same one each time.
    let drawn = nodes.first().and_then(|node| usize::try_from(*node).ok()).unwrap_or(0) % like.len().max(1);
    let Some((domain, number)) = like.get(drawn) else { return Vec::new() };
    let cuts = matches!(acted.act, Act::Partition { .. } | Act::Hold { .. }) && fault.who.takes_whole_domains();
    if !cuts {
        return vec![*number];
    }
    let of_domain = whole.nodes.iter().enumerate().filter(|(_, node)| node.domain == *domain);
    of_domain.filter_map(|(at, _)| kept.node(at)).collect()
}
