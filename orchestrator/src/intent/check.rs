//! What makes sense as an intent: checked once for every way in, naming the place in the words of its file.

use std::collections::BTreeSet;

use kernel::{Quantity, Resource};
use rear_proto::{
    door::{MAX_ARGUMENT, MAX_ARGUMENTS, MAX_ARGUMENTS_TOTAL, MAX_LABEL, MAX_MONEY, MAX_PORTS, MAX_WORD},
    workload::{Image, Workload},
};

use super::{Component, Intent, MAX_REPLICAS, MAX_REQUESTS, MAX_TERM, MAX_WORDS, MAX_WORKLOADS, MIN_TERM, Place};

/// An intent that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct InvalidIntent {
    /// Where, as in its file (`spec.workloads[0].resources.cpu`).
    pub path: String,
    /// What is wrong there.
    pub why: String,
}

type Checked = Result<(), InvalidIntent>;

fn wrong<T>(path: impl Into<String>, why: impl Into<String>) -> Result<T, InvalidIntent> {
    Err(InvalidIntent { path: path.into(), why: why.into() })
}

impl Intent {
    /// Checks that the intent makes sense.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Checked {
        label("metadata.name", &self.name)?;
        if self.workloads.is_empty() {
            return wrong("spec.workloads", "there must be at least one workload");
        }
        most("spec.workloads", "workloads", self.workloads.len(), MAX_WORKLOADS)?;
        for (at, component) in self.workloads.iter().enumerate() {
            component.check(&format!("spec.workloads[{at}]"))?;
        }
        most("spec.workloads", "replicas in all", self.requests(), MAX_REQUESTS)?;
        self.check_names()?;
        self.place.check()?;
        if self.ceiling.is_some_and(|rate| rate.amount.0 > MAX_MONEY) {
            return wrong("spec.price.max", "it is more than any price can be");
        }
        if self.term < MIN_TERM || self.term > MAX_TERM {
            let why = format!("{} is no term: it must be from {MIN_TERM} to {MAX_TERM}", self.term);
            return wrong("spec.term", why);
        }
        Ok(())
    }

    /// Every workload and every replica is found by its name, so no two have the same.
    fn check_names(&self) -> Checked {
        let (mut workloads, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (at, component) in self.workloads.iter().enumerate() {
            let name = &component.workload.name;
            if !workloads.insert(name) {
                let why = format!("'{name}' is the name of another workload already");
                return wrong(format!("spec.workloads[{at}].name"), why);
            }
            for name in (1..=component.replicas).map(|number| component.replica_name(number)) {
                if !names.insert(name.clone()) {
                    let why = format!("'{name}' is the name of another workload's replica already");
                    return wrong(format!("spec.workloads[{at}].name"), why);
                }
            }
        }
        Ok(())
    }
}

impl Component {
    fn check(&self, path: &str) -> Checked {
        let Self { workload, replicas } = self;
        label(&format!("{path}.name"), &workload.name)?;
        if !(1..=MAX_REPLICAS).contains(replicas) {
            let why = format!("{replicas} is no number of replicas: it must be from 1 to {MAX_REPLICAS}");
            return wrong(format!("{path}.replicas"), why);
        }
        if self.replica_name(*replicas).len() > MAX_LABEL {
            let why = format!("with the number of a replica behind it, it is over {MAX_LABEL} characters");
            return wrong(format!("{path}.name"), why);
        }
        check_image(path, &workload.image)?;
        check_resources(path, workload)?;
        check_ports(path, workload)?;
        check_arguments(path, workload)?;
        if workload.wall.is_some_and(|wall| wall.0 == 0) {
            return wrong(format!("{path}.wall"), "it must be longer than nothing");
        }
        words(&format!("{path}.reach"), &workload.reach)
    }
}

impl Place {
    fn check(&self) -> Checked {
        let one = |path: &str, text: &Option<String>| text.as_ref().map_or(Ok(()), |text| word(path, text));
        one("spec.where.location", &self.location)?;
        one("spec.where.architecture", &self.architecture)?;
        if self.latency_ms == Some(0) {
            return wrong("spec.where.latencyMs", "no node is nearer than 1 ms");
        }
        words("spec.where.domains", &self.domains)?;
        words("spec.where.notDomains", &self.not_domains)?;
        words("spec.where.tags", &self.tags)?;
        let excluded = |domain: &&String| self.not_domains.iter().any(|not| not.eq_ignore_ascii_case(domain));
        match self.domains.iter().find(excluded) {
            Some(domain) => wrong("spec.where.notDomains", format!("'{domain}' is among spec.where.domains too")),
            None => Ok(()),
        }
    }
}

fn check_image(path: &str, image: &Image) -> Checked {
    match image {
        Image::Wasm { size: 0, .. } => wrong(format!("{path}.wasm"), "the component is empty"),
        Image::Wasm { .. } => Ok(()),
        Image::Oci(reference) => {
            let path = format!("{path}.image");
            word(&path, reference)?;
            if reference.contains(char::is_whitespace) {
                return wrong(path, format!("'{}' is no image: it has a space in it", reference.escape_debug()));
            }
            Ok(())
        }
    }
}

fn check_resources(path: &str, workload: &Workload) -> Checked {
    for resource in [Resource::Cpu, Resource::Memory] {
        if workload.resources.of(resource) == Quantity::ZERO {
            return wrong(format!("{path}.resources.{resource}"), "it must be more than nothing");
        }
    }
    if workload.resources.pods != Quantity::ZERO {
        return wrong(format!("{path}.resources.pods"), "pods are counted by themselves, one for each replica");
    }
    Ok(())
}

fn check_ports(path: &str, workload: &Workload) -> Checked {
    most(&format!("{path}.ports"), "ports", workload.ports.len(), MAX_PORTS)?;
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (at, port) in workload.ports.iter().enumerate() {
        let path = format!("{path}.ports[{at}]");
        label(&format!("{path}.name"), &port.name)?;
        if port.port == 0 {
            return wrong(format!("{path}.port"), "0 is no port: it must be from 1 to 65535");
        }
        if !names.insert(&port.name) {
            return wrong(format!("{path}.name"), format!("'{}' is the name of another port already", port.name));
        }
        if !numbers.insert(port.port) {
            return wrong(format!("{path}.port"), format!("{} is another port's number already", port.port));
        }
    }
    Ok(())
}

fn check_arguments(path: &str, workload: &Workload) -> Checked {
    most(&format!("{path}.args"), "arguments", workload.args.len(), MAX_ARGUMENTS)?;
    most(&format!("{path}.env"), "variables", workload.env.len(), MAX_ARGUMENTS)?;
    let args = workload.args.iter().enumerate().map(|(at, arg)| (format!("{path}.args[{at}]"), arg));
    let env = workload.env.iter().map(|(name, value)| (format!("{path}.env.{name}"), value));
    for (path, text) in args.chain(env) {
        most(&path, "bytes", text.len(), MAX_ARGUMENT)?;
        if text.contains('\0') {
            return wrong(path, "it has a zero byte in it");
        }
    }
    for name in workload.env.keys() {
        let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            let why = format!("'{}' is no variable's name: letters, digits and _ make one", name.escape_debug());
            return wrong(format!("{path}.env"), why);
        }
        most(&format!("{path}.env"), "bytes of a variable's name", name.len(), MAX_WORD)?;
    }
    let total = workload.args.iter().chain(workload.env.keys()).chain(workload.env.values()).map(String::len).sum();
    most(path, "bytes of arguments and variables", total, MAX_ARGUMENTS_TOTAL)
}

fn most(path: &str, what: &str, count: usize, most: usize) -> Checked {
    if count <= most { Ok(()) } else { wrong(path, format!("{count} {what}, and at most {most} are allowed")) }
}

/// A DNS label (RFC 1123): it becomes part of names in clusters.
fn label(path: &str, name: &str) -> Checked {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty()
        || name.len() > MAX_LABEL
        || !name.chars().all(inner)
        || name.starts_with('-')
        || name.ends_with('-')
    {
        let shown: String = name.chars().take(MAX_LABEL).collect();
        let why = format!(
            "'{}' is no name: write 1 to {MAX_LABEL} small letters, digits and hyphens, with no hyphen at either end",
            shown.escape_debug(),
        );
        return wrong(path, why);
    }
    Ok(())
}

fn word(path: &str, word: &str) -> Checked {
    if word.trim().is_empty() {
        return wrong(path, "it is empty");
    }
    most(path, "bytes", word.len(), MAX_WORD)?;
    if word.chars().any(char::is_control) { wrong(path, "it has control characters in it") } else { Ok(()) }
}

fn words(path: &str, list: &[String]) -> Checked {
    most(path, "words", list.len(), MAX_WORDS)?;
    list.iter().enumerate().try_for_each(|(at, text)| word(&format!("{path}[{at}]"), text))
}
