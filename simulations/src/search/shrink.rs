//! Makes a failing run smaller while it fails in the same way: fewer nodes, shorter, fewer faults, fewer intents.
//!
//! It knows no world: how large a run is and whether it fails is told by two functions. Several smaller runs are tried
//! at once, the smallest first; of those that fail the smallest is taken, so the way down depends on no thread.

use std::{ops::ControlFlow, time::Duration};

use kernel::Span;

use super::{Stopwatch, first::first};
use crate::{outcome::Violation, plan::Trim};

/// What a run is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// How many nodes it has.
    pub nodes: u32,
    /// For how long it runs.
    pub length: Span,
    /// Which acts strike, by their numbers in the whole plan.
    pub acts: Vec<u32>,
    /// Which intents come, by their numbers in the whole plan.
    pub arrivals: Vec<u32>,
}

impl Shape {
    /// Returns how large it is.
    pub fn size(&self) -> Size {
        let count = |list: &[u32]| u32::try_from(list.len()).unwrap_or(u32::MAX);
        Size { nodes: self.nodes, length: self.length, acts: count(&self.acts), arrivals: count(&self.arrivals) }
    }
}

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How many nodes it has.
    pub nodes: u32,
    /// For how long it runs.
    pub length: Span,
    /// How many acts strike.
    pub acts: u32,
    /// How many intents come.
    pub arrivals: u32,
}

/// How much may be spent.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// So many runs.
    pub runs: u32,
    /// So long.
    pub time: Duration,
    /// So many runs at once.
    pub threads: usize,
}

/// What a failing run became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// What is left out.
    pub trim: Trim,
    /// How it still fails.
    pub violation: Violation,
    /// How large it was.
    pub from: Size,
    /// How large it is.
    pub to: Size,
    /// How many runs it took.
    pub runs: u32,
    /// Whether nothing more was left to try, rather than nothing more to spend.
    pub done: bool,
}

/// Below this a run is cut to whole tenths of a second, from here on to whole seconds.
const LONG: Span = Span::secs(10);

/// Makes a run smaller that fails with `violation`.
///
/// `shape` says what a run is made of, and nothing for one that can't be. `run` says what does not hold in one; its second
/// argument says when nobody waits for that any more. `go_on` is asked now and then.
pub fn shrink(
    trim: &Trim,
    violation: &Violation,
    budget: Budget,
    shape: &impl Fn(&Trim) -> Option<Shape>,
    run: &(impl Fn(&Trim, &dyn Fn() -> bool) -> Vec<Violation> + Sync),
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Shrunk {
    let begun = Stopwatch::start();
    let none = Shape { nodes: 0, length: Span::ZERO, acts: Vec::new(), arrivals: Vec::new() };
    let at = shape(trim).unwrap_or(none);
    let from = at.size();
    let mut search = Search {
        trim: trim.clone(),
        violation: violation.clone(),
        at,
        runs: 0,
        held: Vec::new(),
        over: false,
        budget,
        begun,
        shape,
        run,
        go_on,
    };
    // What was in the way of one may be gone after another.
    while !search.over {
        let before = search.at.size();
        search.nodes();
        search.length();
        search.acts();
        search.arrivals();
        if search.at.size() == before {
            break;
        }
    }
    // Numbers that lead nowhere in what became smaller say nothing.
    let Shape { acts, arrivals, .. } = search.at.clone();
    Shrunk {
        trim: Trim {
            acts: search.trim.acts.map(|_| acts),
            arrivals: search.trim.arrivals.map(|_| arrivals),
            ..search.trim
        },
        violation: search.violation,
        from,
        to: search.at.size(),
        runs: search.runs,
        done: !search.over,
    }
}

/// A way down.
struct Search<'a, S, R> {
    /// The smallest that is known to fail.
    trim: Trim,
    violation: Violation,
    /// What that is made of.
    at: Shape,
    runs: u32,
    /// Those that ran to their end and did not fail in this way; they never will.
    held: Vec<Trim>,
    /// Whether all is spent.
    over: bool,
    budget: Budget,
    begun: Stopwatch,
    shape: &'a S,
    run: &'a R,
    go_on: &'a mut dyn FnMut() -> ControlFlow<()>,
}

impl<S, R> Search<'_, S, R>
where
    S: Fn(&Trim) -> Option<Shape>,
    R: Fn(&Trim, &dyn Fn() -> bool) -> Vec<Violation> + Sync,
{
    /// Takes the first of these that is smaller and fails in the same way, and says which.
    fn take_first(&mut self, candidates: Vec<Trim>) -> Option<usize> {
        let size = self.at.size();
        let smaller: Vec<(usize, Trim, Shape)> = candidates
            .into_iter()
            .enumerate()
            .filter(|(_, trim)| !self.held.contains(trim))
            .filter_map(|(place, trim)| Some((place, (self.shape)(&trim)?, trim)))
            .filter(|(_, shape, _)| is_smaller(&shape.size(), &size))
            .map(|(place, shape, trim)| (place, trim, shape))
            .collect();
        for batch in smaller.chunks(self.budget.threads.max(1)) {
            let left = self.budget.runs.saturating_sub(self.runs);
            let batch = batch.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(batch);
            let mut spent = || {
                let in_time = self.begun.elapsed() < self.budget.time;
                if in_time { (self.go_on)() } else { ControlFlow::Break(()) }
            };
            if batch.is_empty() || spent().is_break() {
                self.over = true;
                return None;
            }
            let mut over = false;
            let what = &self.violation.what;
            let same = |number: u64, idle: &dyn Fn() -> bool| {
                let (_, trim, _) = batch.get(usize::try_from(number).ok()?)?;
                (self.run)(trim, idle).into_iter().find(|violation| violation.what == *what)
            };
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let found = first(count, batch.len(), &same, &mut || {
                let flow = spent();
                over |= flow.is_break();
                flow
            });
            self.runs = self.runs.saturating_add(u32::try_from(batch.len()).unwrap_or(u32::MAX));
            self.over |= over;
            // What lies above the one that was found was told to give up.
            let ended = found.as_ref().map_or(count, |(number, _)| *number);
            if !over {
                let ended = usize::try_from(ended).unwrap_or_default();
                self.held.extend(batch.iter().take(ended).map(|(_, trim, _)| trim.clone()));
            }
            if let Some((number, violation)) = found {
                let (place, trim, shape) = batch.get(usize::try_from(number).ok()?)?;
                (self.trim, self.at, self.violation) = (trim.clone(), shape.clone(), violation);
                return Some(*place);
            }
            if self.over {
                return None;
            }
        }
        None
    }

    /// Fewer nodes, for as long as that goes on.
    fn nodes(&mut self) {
        loop {
            let nodes = u64::from(self.at.nodes);
            let with = |nodes: u64| Trim { nodes: u32::try_from(nodes).ok(), ..self.trim.clone() };
            let candidates = parts(nodes).into_iter().map(with).collect();
            if self.take_first(candidates).is_none() {
                break;
            }
        }
    }

    /// Shorter, at first to just after what did not hold.
    fn length(&mut self) {
        loop {
            let just_after = Span::millis(self.violation.at_ms).plus(Span::millis(1));
            let mut lengths: Vec<Span> = parts(self.at.length.0).into_iter().map(Span).map(rounded).collect();
            lengths.push(rounded(just_after));
            lengths.sort_unstable();
            lengths.dedup();
            let with = |length: Span| Trim { length: Some(length), ..self.trim.clone() };
            if self.take_first(lengths.into_iter().map(with).collect()).is_none() {
                break;
            }
        }
    }

    fn acts(&mut self) {
        self.list(self.at.acts.clone(), |trim, acts| Trim { acts: Some(acts), ..trim.clone() });
    }

    fn arrivals(&mut self) {
        self.list(self.at.arrivals.clone(), |trim, arrivals| Trim { arrivals: Some(arrivals), ..trim.clone() });
    }

    /// Leaves out of a list what does not matter: everything, then halves, quarters and so on, at last one by one
    /// until none can go any more.
    fn list(&mut self, mut all: Vec<u32>, with: impl Fn(&Trim, Vec<u32>) -> Trim) {
        if all.is_empty() || self.take_first(vec![with(&self.trim, Vec::new())]).is_some() {
            return;
        }
        let mut part = all.len().div_ceil(2);
        // From where on the next is left out.
        let mut from = 0;
        let mut since = 0;
        while !self.over && all.len() > 1 {
            let starts: Vec<usize> = (from..all.len()).step_by(part).collect();
            let without = |start: &usize| {
                let rest = all.iter().enumerate().filter(|(at, _)| *at < *start || *at >= start.saturating_add(part));
                rest.map(|(_, place)| *place).collect::<Vec<u32>>()
            };
            let candidates = starts.iter().map(|start| with(&self.trim, without(start))).collect();
            if let Some(place) = self.take_first(candidates) {
                let start = starts.get(place).copied().unwrap_or_default();
                all = without(&start);
                from = start;
                since += 1;
            } else if part > 1 {
                (part, from, since) = (part.div_ceil(2), 0, 0);
            } else if since > 0 && from > 0 {
                // Something went since the last look at all of them.
                (from, since) = (0, 0);
            } else {
                break;
            }
        }
    }
}

/// Says whether a run is smaller in something and larger in nothing.
fn is_smaller(a: &Size, b: &Size) -> bool {
    a != b && a.nodes <= b.nodes && a.length <= b.length && a.acts <= b.acts && a.arrivals <= b.arrivals
}

/// Returns an eighth, a quarter, half, three quarters, seven eighths, and one less.
fn parts(whole: u64) -> Vec<u64> {
    let mut parts: Vec<u64> = [1, 2, 4, 6, 7].iter().map(|part| whole.saturating_mul(*part) / 8).collect();
    parts.push(whole.saturating_sub(1));
    parts.retain(|part| *part > 0);
    parts.dedup();
    parts
}

/// Returns a length that is pleasant to read, not below this one.
fn rounded(length: Span) -> Span {
    let step = if length < LONG { 100 } else { 1000 };
    Span::millis(length.0.div_ceil(step).saturating_mul(step))
}

#[cfg(test)]
mod tests;
