//! What people see of a simulation: the shipped scenarios, what runs, and what became of it.

use std::{collections::BTreeMap, io, ops::Range, path::Path};

use kernel::Span;
use serde_json::json;
use simulations::{
    outcome::{Outcome, Violation},
    plan::{Plan, Trim},
    scenario::Scenario,
    search::{Shrunk, Size},
    shipped,
};

use crate::cli::terminal::{self, BAD, DIM, GOOD, HEADING};

/// How many of each list are shown; the report and the JSON have the rest.
const MOST: usize = 8;

/// Lists the shipped scenarios with their stories.
pub(super) fn list(json: bool) -> anyhow::Result<()> {
    let all = shipped::all();
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|it| {
                let (nodes, domains, length) = (it.nodes(), it.domain_count(), it.length.as_secs());
                json!({ "name": it.name, "story": it.about, "nodes": nodes, "domains": domains, "lengthS": length })
            })
            .collect();
        return Ok(terminal::line(&serde_json::to_string_pretty(&rows)?)?);
    }
    let row = |it: &Scenario| vec![it.name.clone(), it.nodes().to_string(), it.length.to_string(), it.about.clone()];
    terminal::table(&["SCENARIO", "NODES", "LENGTH", "STORY"], &all.iter().map(row).collect::<Vec<_>>())?;
    Ok(terminal::line(&format!("\n{DIM}tombolo sim SCENARIO, or the path of a file of your own{DIM:#}"))?)
}

/// Says what is about to run.
pub(super) fn begin(scenario: &Scenario, seeds: &Range<u64>, trim: &Trim) -> io::Result<()> {
    terminal::line(&format!("{HEADING}{}{HEADING:#}  {}", terminal::clean(&scenario.name), clean(&scenario.about)))?;
    let nodes = trim.nodes.map_or_else(|| scenario.nodes(), |nodes| scenario.nodes().min(nodes.into()));
    let length = trim.length.unwrap_or(scenario.length);
    let seeds = match seeds.end - seeds.start {
        1 => format!("seed {}", seeds.start),
        many => format!("{many} seeds from {} on", seeds.start),
    };
    terminal::line(&format!("{DIM}{} nodes, {length}, {seeds}{DIM:#}", thousands(nodes)))
}

/// Says what became of a run, but for what did not hold.
pub(super) fn outcome(outcome: &Outcome) -> io::Result<()> {
    let figures = outcome.figures();
    let measures = &outcome.measures;
    let domains = match measures.domains.len() {
        0 | 1 => String::new(),
        many => format!(" in {many} domains"),
    };
    row("nodes", &format!("{}{domains}", thousands(outcome.nodes.into())))?;
    row("time", &format!("{} in the world, {} here", seconds(outcome.virtual_s), seconds(outcome.wall_s)))?;
    let rate = whole(figures.events_per_second);
    row("events", &format!("{}, {} a second", thousands(outcome.events), thousands(rate)))?;
    let tally = outcome.intents;
    let parts = [(tally.running, "ran"), (tally.refused, "refused"), (tally.failed, "failed")];
    let parts: Vec<String> = parts.iter().map(|(count, word)| format!("{} {word}", thousands(*count))).collect();
    row("intents", &format!("{}: {}", thousands(tally.total), parts.join(", ")))?;
    let times = [("p50", figures.to_running.p50), ("p95", figures.to_running.p95), ("p99", figures.to_running.p99)];
    let times: Vec<String> =
        times.iter().filter_map(|(name, time)| Some(format!("{name} {}", short((*time)?)))).collect();
    row("to running", &or_dash(times.join(", ")))?;
    let each = format!("{:.1} for an intent, {}", figures.messages_per_intent, bytes(figures.bytes_per_intent));
    row("messages", &format!("{each}; {:.1} LISTs", figures.lists_per_intent))?;
    row("capacity", &format!("{:.0} % taken on average", figures.utilisation * 100.0))?;
    row("refusals", &or_dash(ranked(&measures.refusals)))?;
    if measures.bytes_per_node > 0 {
        row("memory", &format!("{} a node", bytes(to_f64(measures.bytes_per_node))))?;
    }
    row("trace", &or_dash(outcome.trace_hash.clone()))
}

/// Says what of a scenario was not acted out.
pub(super) fn left_out(what: &[String]) -> io::Result<()> {
    what.iter().try_for_each(|what| row("left out", &clean(what)))
}

/// Says that all held, in so many runs.
pub(super) fn held(passed: u64) -> io::Result<()> {
    let what = if passed == 1 { "all held".to_owned() } else { format!("all held for {} seeds", thousands(passed)) };
    terminal::line(&format!("{GOOD}{what}{GOOD:#}"))
}

/// Says what did not hold.
pub(super) fn violations(violations: &[Violation]) -> io::Result<()> {
    for violation in violations.iter().take(MOST) {
        let at = short(Span(violation.at_ms));
        let node = if violation.node.is_empty() { String::new() } else { format!(" at {}", clean(&violation.node)) };
        let (what, detail) = (clean(&violation.what), clean(&violation.detail));
        terminal::line(&format!("{BAD}{what}{BAD:#} after {at}{node}: {detail}"))?;
    }
    match violations.len().saturating_sub(MOST) {
        0 => Ok(()),
        more => terminal::line(&format!("{DIM}and {more} more{DIM:#}")),
    }
}

/// Says how a failure became smaller, and what is left of it.
pub(super) fn shrunk(scenario: &Scenario, seed: u64, shrunk: &Shrunk) -> io::Result<()> {
    let size = |size: &Size| {
        let (nodes, acts, arrivals) = (size.nodes, size.acts, size.arrivals);
        format!("{nodes} nodes, {}, {acts} faults, {arrivals} intents", size.length)
    };
    let end = if shrunk.done { "" } else { "; there was no time for more" };
    row("was", &size(&shrunk.from))?;
    row("is", &format!("{} ({} runs{end})", size(&shrunk.to), shrunk.runs))?;
    let Ok(plan) = Plan::new(scenario, seed, &shrunk.trim) else { return Ok(()) };
    for acted in plan.acts.iter().take(MOST) {
        row("fault", &format!("{} after {}: {}", acted.number, short(acted.at), said(&plan, &acted.act)))?;
    }
    for arrival in plan.arrivals.iter().take(MOST) {
        let node = plan.nodes.get(arrival.node as usize).map_or("?", |node| node.name.as_str());
        let (number, at, replicas) = (arrival.number, short(arrival.at), arrival.replicas);
        let lives = short(arrival.lives);
        row("intent", &format!("{number} after {at} at {}, {replicas} replicas, lives {lives}", clean(node)))?;
    }
    Ok(())
}

/// Says where the report is.
pub(super) fn written(page: &Path) -> io::Result<()> {
    terminal::line(&format!("{HEADING}report{HEADING:#}  {}", page.display()))
}

/// Says which command does it again.
pub(super) fn repeat(command: &str) -> io::Result<()> {
    terminal::line(&format!("{HEADING}repeat{HEADING:#}  {command}"))
}

/// Shows the row under which a failure is kept.
pub(super) fn keep(row: &str) -> io::Result<()> {
    terminal::line(&format!(
        "{HEADING}keep{HEADING:#}    as a row of simulations/regressions.toml, once it is mended:"
    ))?;
    row.lines().try_for_each(|line| terminal::line(&format!("{DIM}{}{DIM:#}", clean(line))))
}

/// Says what an act is, with the names of nodes instead of their numbers.
fn said(plan: &Plan, act: &simulations::plan::Act) -> String {
    use simulations::plan::Act;
    let one = |node: &u32| plan.nodes.get(*node as usize).map_or("?".to_owned(), |node| clean(&node.name));
    let some = |nodes: &[u32]| {
        let named: Vec<String> = nodes.iter().take(4).map(one).collect();
        let more = nodes.len().saturating_sub(4);
        if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
    };
    match act {
        Act::Partition { side, lasts } => format!("{} cut off for {}", some(side), short(*lasts)),
        Act::Hold { side, lasts } => format!("what {} and others say is held for {}", some(side), short(*lasts)),
        Act::Line { nodes, lasts, .. } => format!("bad lines at {} for {}", some(nodes), short(*lasts)),
        Act::Crash { node, back_after } => format!("{} crashes, back after {}", one(node), short(*back_after)),
        Act::Bounce { node } => format!("{} is started again", one(node)),
        Act::Leave { node, back_after } => format!("{} leaves, back after {}", one(node), short(*back_after)),
        Act::Skew { node, ahead, lasts } => {
            format!("the clock of {} is {ahead} ms ahead for {}", one(node), short(*lasts))
        }
        Act::FullDisk { node, lasts } => format!("the disk of {} is full for {}", one(node), short(*lasts)),
        Act::SlowDisk { node, lasts, .. } => format!("the disk of {} is slow for {}", one(node), short(*lasts)),
        Act::LostDisk { node, back_after } => {
            format!("{} loses its disk, back after {}", one(node), short(*back_after))
        }
        Act::Lie { node, percent, lasts } => {
            format!("{} lies {percent} times of 100 for {}", one(node), short(*lasts))
        }
        Act::Upgrade { node } => format!("{} is upgraded", one(node)),
        Act::Reprice { node, percent } => format!("{} asks for {percent} % of its first prices", one(node)),
        Act::Withdraw { node, lasts } => format!("{} withdraws its offers for {}", one(node), short(*lasts)),
        Act::Remove { node } => format!("{} is removed from its domain", one(node)),
    }
}

fn clean(text: &str) -> String {
    terminal::clean(text)
}

fn row(name: &str, text: &str) -> io::Result<()> {
    terminal::line(&format!("  {DIM}{name:<11}{DIM:#} {text}"))
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Writes counts by name, the largest first.
fn ranked(counts: &BTreeMap<String, u64>) -> String {
    let mut ranked: Vec<(&String, &u64)> = counts.iter().collect();
    ranked.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    let shown = ranked.iter().take(MOST).map(|(name, count)| format!("{} {}", clean(name), thousands(**count)));
    shown.collect::<Vec<_>>().join(", ")
}

/// Writes a number in groups of three digits.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes seconds as people say them.
fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { short(Span::secs(whole(seconds))) }
}

/// Writes a span to about three digits.
fn short(span: Span) -> String {
    match span.0 {
        ..1000 => format!("{} ms", span.0),
        1000..60_000 => format!("{}.{:02} s", span.0 / 1000, span.0 % 1000 / 10),
        _ => Span::secs(span.as_secs()).to_string(),
    }
}

/// Writes a number of bytes as people say them.
fn bytes(count: f64) -> String {
    if count < 1024.0 {
        format!("{count:.0} B")
    } else if count < 1024.0 * 1024.0 {
        format!("{:.1} KiB", count / 1024.0)
    } else {
        format!("{:.1} MiB", count / 1024.0 / 1024.0)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a figure that people look at")]
fn whole(number: f64) -> u64 {
    number as u64
}

#[allow(clippy::cast_precision_loss, reason = "a figure that people look at")]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_read_them() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        for (millis, text) in [(0, "0 ms"), (999, "999 ms"), (1234, "1.23 s"), (59_999, "59.99 s"), (90_500, "1m30s")] {
            assert_eq!(short(Span(millis)), text);
        }
        for (count, text) in [(12.0, "12 B"), (2048.0, "2.0 KiB"), (3.0 * 1024.0 * 1024.0, "3.0 MiB")] {
            assert_eq!(bytes(count), text);
        }
        let counts = [("a", 1), ("b", 3), ("c", 1)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(ranked(&BTreeMap::from(counts)), "b 3, a 1, c 1");
    }
}
