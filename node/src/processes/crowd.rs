//! The crowd: the users who submit the plan's intents, look how they fare, and delete them again.
//!
//! An intent is known by its name, which is the plan's: when a daemon ends in the middle of a submission, nobody has learned
//! its id, and it may be there all the same.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Digest, Quantity, Span};
use orchestrator::intent::Intent;
use rear_proto::Code;
use serde_json::{Value, json};
use simulations::{
    outcome::Tally,
    plan::{Arrival, Plan},
};

use crate::sandbox::{Door, Refused};

/// What all of them run: a page.
pub(crate) const COMPONENT: &[u8] = include_bytes!("../../../examples/hello.wasm");

/// How intents fare.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    intents: BTreeMap<String, Kept>,
}

/// An intent of the plan.
#[derive(Debug)]
struct Kept {
    /// Where.
    node: usize,
    /// When it came.
    came: Span,
    /// Since when it is known that the daemon has taken it: it may not forget it any more.
    taken: Option<Span>,
    /// Under which id.
    id: Option<String>,
    /// Whether its user wants it no more.
    unwanted: bool,
    phase: String,
    /// Why it is in that phase, as far as it is said.
    reason: String,
    /// Why it failed, or why it did not run as long as it was looked at.
    failed_for: String,
    /// When it was first seen to run, after it had come.
    ran_after: Option<Span>,
}

/// What is forgotten, or stays where it may not: where, and a sentence.
pub(crate) type Found = (usize, String);

impl Crowd {
    /// An intent is about to be submitted.
    pub(crate) fn comes(&mut self, name: String, node: usize, at: Span) {
        let kept = Kept {
            node,
            came: at,
            taken: None,
            id: None,
            unwanted: false,
            phase: String::new(),
            reason: String::new(),
            failed_for: String::new(),
            ran_after: None,
        };
        self.intents.insert(name, kept);
    }

    /// The daemon has answered: with an id, or why it does not take it.
    pub(crate) fn answered(&mut self, name: &str, answer: anyhow::Result<String>, at: Span) {
        let Some(kept) = self.intents.get_mut(name) else { return };
        match answer {
            Ok(id) => (kept.id, kept.taken) = (Some(id), Some(at)),
            Err(error) => kept.failed_for = format!("{error:#}"),
        }
    }

    /// Its user wants it no more; returns where and under which id it is, if that is known.
    pub(crate) fn unwant(&mut self, name: &str) -> Option<(usize, String)> {
        let kept = self.intents.get_mut(name)?;
        kept.unwanted = true;
        kept.id.clone().map(|id| (kept.node, id))
    }

    /// Returns where all intents are that may still be there, and under which id.
    pub(crate) fn remaining(&self) -> Vec<(String, usize)> {
        let remaining = self.intents.iter().filter(|(_, kept)| kept.id.is_some() && kept.phase != "Deleted");
        remaining.map(|(name, kept)| (name.clone(), kept.node)).collect()
    }

    /// A node has said, at `at`, how its intents are; it had been asked at `asked`. Returns what it has forgotten.
    pub(crate) fn see(&mut self, node: usize, list: &Value, asked: Span, at: Span) -> Vec<Found> {
        let text = |one: &Value, field: &str| one.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut there = BTreeSet::new();
        for one in list.as_array().into_iter().flatten() {
            let name = text(one, "name");
            let Some(kept) = self.intents.get_mut(&name).filter(|kept| kept.node == node) else { continue };
            kept.id = Some(text(one, "id"));
            kept.phase = text(one, "phase");
            kept.reason = text(one, "reason");
            // Who is deleted gives no reason any more.
            if !matches!(kept.phase.as_str(), "Deleted" | "Running") && !kept.reason.is_empty() {
                kept.failed_for.clone_from(&kept.reason);
            }
            if kept.phase == "Running" {
                kept.ran_after.get_or_insert(at.minus(kept.came));
            }
            there.insert(name);
        }
        let mut forgotten = Vec::new();
        for (name, kept) in self.intents.iter_mut().filter(|(name, kept)| kept.node == node && !there.contains(*name)) {
            if kept.unwanted {
                // What was deleted is shown for a while only.
                "Deleted".clone_into(&mut kept.phase);
            } else if kept.taken.is_some_and(|taken| taken < asked) {
                forgotten.push((node, format!("intent {name} was taken in, and is not there any more")));
            }
        }
        forgotten
    }

    /// Returns what is in no stated state: nobody who waits for it could say what became of it. One that has lost its place
    /// looks for another for as long as it lives, and says that nobody takes it: that is one, if `fits` says that there
    /// is no room for the intent of this name.
    pub(crate) fn unstated(&self, fits: impl Fn(&str) -> bool) -> Vec<Found> {
        let mut unstated = Vec::new();
        for (name, kept) in self.intents.iter().filter(|(_, kept)| kept.id.is_some() && !kept.unwanted) {
            let is_stated = match kept.phase.as_str() {
                "Running" | "Deleted" => true,
                "Failed" => !kept.reason.is_empty(),
                _ => is_refusal(&kept.reason) && !fits(name),
            };
            if !is_stated {
                unstated.push((kept.node, format!("intent {name} is {}: {}", kept.phase, kept.reason)));
            }
        }
        unstated
    }

    /// Returns what its user wants no more, and is still there.
    pub(crate) fn undeleted(&self) -> Vec<Found> {
        let left = self.intents.iter().filter(|(_, it)| it.unwanted && it.id.is_some() && it.phase != "Deleted");
        left.map(|(name, it)| (it.node, format!("intent {name} was deleted, and is {}: {}", it.phase, it.reason)))
            .collect()
    }

    /// Returns what became of all of them.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for kept in self.intents.values() {
            tally.total += 1;
            if kept.ran_after.is_some() {
                tally.running += 1;
            } else if is_refusal(&kept.failed_for) {
                tally.refused += 1;
            } else {
                tally.failed += 1;
            }
        }
        tally
    }

    /// Returns for each intent where it came, when, and after which time it ran, if it did.
    pub(crate) fn times(&self) -> impl Iterator<Item = (usize, Span, Option<Span>)> {
        self.intents.values().map(|kept| (kept.node, kept.came, kept.ran_after))
    }

    /// Returns why intents did not run: the names of the refusals, or that they were deleted first.
    pub(crate) fn refusals(&self) -> BTreeMap<String, u64> {
        let mut refusals = BTreeMap::new();
        for kept in self.intents.values().filter(|kept| kept.ran_after.is_none()) {
            let name = match code(&kept.failed_for) {
                Some(code) => code.name(),
                None if kept.id.is_none() => "node was down",
                None if kept.unwanted => "deleted before it ran",
                None => "lost",
            };
            *refusals.entry(name.to_owned()).or_insert(0) += 1;
        }
        refusals
    }
}

/// Returns the refusal that an intent or a daemon gives as its reason: `workload 'web': Unavailable: there is no room`.
fn code(reason: &str) -> Option<Code> {
    reason.split(": ").find_map(Code::from_name)
}

/// Says whether nobody would take what ended so: for want of room, at that price, or at that place.
fn is_refusal(reason: &str) -> bool {
    use Code as C;
    matches!(
        code(reason),
        Some(
            C::NotFound
                | C::Unavailable
                | C::BelowMinimum
                | C::NotAStep
                | C::TooLarge
                | C::PriceTooLow
                | C::CurrencyMismatch
                | C::NotShared
                | C::QuotaExceeded
                | C::Storage
                | C::Overloaded
        )
    )
}

/// Hands an intent in, and returns its id.
pub(crate) async fn submit(door: &Door, intent: &Intent) -> anyhow::Result<String> {
    let answer = door.post("/v1/intents", &json!({ "intent": intent, "contract": null })).await?;
    let id = answer.get("id").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("there is no id in the answer: {answer}"))
}

/// Deletes an intent; one that is not there is none.
pub(crate) async fn delete(door: &Door, id: &str) -> anyhow::Result<()> {
    match door.delete(&format!("/v1/intents/{id}")).await {
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|it| it.reason == "NotFound") => Ok(()),
        other => other.map(drop),
    }
}

/// Returns an arrival of a plan as an intent for pages.
pub(crate) fn intent(plan: &Plan, arrival: &Arrival, name: &str) -> Intent {
    let mut intent =
        arrival.intent_for(name, plan.domain_of(arrival.node), Digest::of(COMPONENT), COMPONENT.len() as u64);
    for component in &mut intent.workloads {
        // Pods are counted by themselves, one for each replica.
        component.workload.resources.pods = Quantity::ZERO;
    }
    intent
}
