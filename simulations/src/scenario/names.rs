//! Which domains and nodes a scenario makes, and what they are called.

use rear_proto::membership::Role;

use super::{Domains, Scenario, Who};

/// The roles in the order in which a domain's nodes stand.
pub(crate) const ROLES: [Role; 3] = [Role::Supernode, Role::Catalogue, Role::Node];

/// A domain that a scenario makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// Which of the scenario's `[[domains]]` it is of.
    pub(crate) kind: usize,
    /// What it is called.
    pub(crate) name: String,
}

impl Scenario {
    /// Returns all domains, kind by kind.
    pub(crate) fn made(&self) -> impl Iterator<Item = Made> {
        self.domains.iter().enumerate().flat_map(|(kind, domains)| {
            (1..=domains.count).map(move |copy| {
                let alone = domains.count == 1;
                let name = if alone { domains.name.clone() } else { format!("{}-{copy}", domains.name) };
                Made { kind, name }
            })
        })
    }

    /// Says whether this name, of a domain or of all of one kind, stands for this domain.
    pub(crate) fn is_named(&self, made: &Made, name: &str) -> bool {
        made.name == name || self.domains[made.kind].name == name
    }

    /// Returns how many nodes there are in all.
    pub fn nodes(&self) -> u64 {
        let each = self.domains.iter().map(|domains| u64::from(domains.count).saturating_mul(domains.size()));
        each.fold(0, u64::saturating_add)
    }

    /// Returns how many domains there are in all.
    pub fn domain_count(&self) -> u64 {
        self.domains.iter().map(|domains| u64::from(domains.count)).sum()
    }
}

impl Domains {
    /// Returns how many nodes each has in all.
    pub fn size(&self) -> u64 {
        ROLES.into_iter().map(|role| u64::from(self.of(role))).sum()
    }

    /// Returns how many nodes of a role each has.
    pub const fn of(&self, role: Role) -> u32 {
        match role {
            Role::Supernode => self.supernodes,
            Role::Catalogue => self.catalogues,
            Role::Node => self.nodes,
        }
    }
}

impl Domains {
    /// Says whether a node is the first of its domain, which is the issuer: it admits and removes the others.
    pub(crate) fn is_issuer(&self, role: Role, number: u32) -> bool {
        number == 1 && ROLES.into_iter().find(|role| self.of(*role) > 0) == Some(role)
    }
}

/// Returns the end of a node's name: `s1` for the first supernode, `k1` for the first catalogue, `1` for the first other.
pub(crate) fn place(role: Role, number: u32) -> String {
    match role {
        Role::Supernode => format!("s{number}"),
        Role::Catalogue => format!("k{number}"),
        Role::Node => number.to_string(),
    }
}

impl Who {
    /// Reads whom a fault strikes.
    pub(crate) fn read(text: &str) -> Self {
        match text {
            "anybody" => Self::Anybody,
            "nodes" => Self::Nodes,
            "supernodes" => Self::Supernodes,
            "catalogues" => Self::Catalogues,
            name if name.contains('/') => Self::Node(name.to_owned()),
            name => Self::Domain(name.to_owned()),
        }
    }

    /// The words that are no domain's name.
    pub(crate) const WORDS: [&'static str; 4] = ["anybody", "nodes", "supernodes", "catalogues"];

    /// Says whether a fault that cuts off strikes whole domains rather than single nodes.
    pub(crate) const fn takes_whole_domains(&self) -> bool {
        match self {
            Self::Anybody | Self::Domain(_) => true,
            Self::Nodes | Self::Supernodes | Self::Catalogues | Self::Node(_) => false,
        }
    }

    /// Says whether a node of this domain, with this role and number, is among them.
    pub(crate) fn has(&self, scenario: &Scenario, made: &Made, role: Role, number: u32) -> bool {
        match self {
            Self::Anybody => true,
            Self::Nodes => role == Role::Node,
            Self::Supernodes => role == Role::Supernode,
            Self::Catalogues => role == Role::Catalogue,
            Self::Domain(name) => scenario.is_named(made, name),
            Self::Node(name) => {
                name.split_once('/').is_some_and(|(domain, node)| domain == made.name && node == place(role, number))
            }
        }
    }
}
