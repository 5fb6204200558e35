//! Which plots a report has, and what each of them shows.

use super::{
    plots::{self, Axis, Band, Bar, Colour, Line, Lines, Place, PlotError, Row},
    text,
    windows::Windows,
};
use crate::{
    measure::{percentile, to_f64},
    outcome::{FaultMeasures, Measures, Outcome},
};

/// The most bands behind curves: with more, they would be all that one sees.
const MOST_BANDS: usize = 12;
/// The most points of a curve of intents: over an hour, one for more than a minute.
const MOST_RATES: usize = 50;
/// The most bars of a plot; the rest is one more.
const MOST_BARS: usize = 10;
/// The most domains of which each has a bar; more of them become a curve.
const MOST_DOMAINS: usize = 24;

/// A plot with its heading.
#[derive(Debug)]
pub(super) struct Figure {
    /// What it shows.
    pub(super) title: &'static str,
    /// How to read it.
    pub(super) note: String,
    /// What its colours mean.
    pub(super) legend: Vec<(Colour, String)>,
    /// The plot.
    pub(super) svg: String,
}

/// Draws the plots of a run.
pub(super) fn figures(outcome: &Outcome) -> Result<Vec<Figure>, PlotError> {
    let measures = &outcome.measures;
    let all = [
        to_running(measures)?,
        intents(measures)?,
        utilisation(measures)?,
        contracts(measures)?,
        price(measures)?,
        traffic(measures)?,
        messages(outcome)?,
        bytes(outcome)?,
        refusals(measures)?,
        answers_refused(measures)?,
        served(measures)?,
        trade(measures)?,
        topology(measures)?,
        faults(measures)?,
    ];
    Ok(all.into_iter().flatten().collect())
}

// -- over time ------------------------------------------------------------------------------------------

fn to_running(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let title = "Time to running";
    let note = "from its arrival until all of an intent runs, by when it came".to_owned();
    percentiles(
        measures,
        title,
        note,
        &measures.to_running,
        [50, 95, 99],
        Axis { label: text::seconds, most: None, by_factors: true },
    )
}

fn price(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let title = "Price paid";
    let note = "for a core and an hour, by when the contract was agreed".to_owned();
    percentiles(
        measures,
        title,
        note,
        &measures.prices,
        [10, 50, 90],
        Axis { label: text::euros, most: None, by_factors: false },
    )
}

/// Draws three percentiles of values over time.
fn percentiles(
    measures: &Measures,
    title: &'static str,
    note: String,
    values: &[Vec<u32>],
    percents: [usize; 3],
    axis: Axis,
) -> Result<Option<Figure>, PlotError> {
    if values.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let windows = Windows::new(measures, values);
    let colours = [Colour::Blue, Colour::Orange, Colour::Red];
    let line = |(percent, colour): (usize, Colour)| Line {
        colour,
        points: windows.map(|sorted| percentile(sorted, percent).map(f64::from)),
        filled: false,
    };
    let lines = percents.into_iter().zip(colours).map(line).collect();
    let legend = percents.into_iter().zip(colours).map(|(percent, colour)| {
        (colour, if percent == 50 { "the middle one".to_owned() } else { format!("{percent} of 100 are below") })
    });
    let legend = legend.collect();
    let svg = over_time(measures, title, axis, lines)?;
    Ok(Some(Figure { title, note, legend, svg }))
}

fn intents(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let title = "Intents";
    let mut lines = Vec::new();
    let mut legend = Vec::new();
    let mut below: Vec<(f64, f64)> = Vec::new();
    for (name, colour) in [("ran", Colour::Green), ("refused", Colour::Orange), ("failed", Colour::Red)] {
        let rates = per_minute(measures, series(measures, name));
        // What never happened is no curve on top of another.
        if rates.iter().all(|(_, rate)| *rate <= 0.0) {
            continue;
        }
        let on_top = |(at, (time, rate)): (usize, (f64, f64))| (time, rate + below.get(at).map_or(0.0, |it| it.1));
        below = rates.into_iter().enumerate().map(on_top).collect();
        let points = below.iter().map(|(time, rate)| (*time, Some(*rate))).collect();
        lines.push(Line { colour, points, filled: true });
        legend.push((colour, name.to_owned()));
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let svg = over_time(measures, title, Axis { label: text::number, most: None, by_factors: false }, lines)?;
    Ok(Some(Figure { title, note: "that came in a minute, and what became of them".to_owned(), legend, svg }))
}

/// Returns counts by buckets as rates, each for so many buckets that single intents do not show as peaks.
fn per_minute(measures: &Measures, counts: &[f64]) -> Vec<(f64, f64)> {
    let wide = counts.len().div_ceil(MOST_RATES).max(1);
    let bucket = to_f64(measures.bucket.0.max(1)) / 1000.0;
    let rate = |(at, part): (usize, &[f64])| {
        let buckets = to_f64(part.len() as u64);
        let middle = (to_f64((at * wide) as u64) + buckets / 2.0) * bucket;
        (middle, part.iter().sum::<f64>() / buckets / bucket * 60.0)
    };
    counts.chunks(wide).enumerate().map(rate).collect()
}

fn utilisation(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let axis = Axis { label: text::percent, most: Some(1.0), by_factors: false };
    let note = "how much of the processor on offer is taken, by others or by its own node".to_owned();
    one_curve(measures, "Utilisation", note, "utilisation", 1.0, axis, Colour::Blue)
}

fn contracts(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let axis = Axis { label: text::number, most: None, by_factors: false };
    one_curve(measures, "Contracts", "in use at a time".to_owned(), "contracts", 1.0, axis, Colour::Blue)
}

fn one_curve(
    measures: &Measures,
    title: &'static str,
    note: String,
    name: &str,
    factor: f64,
    axis: Axis,
    colour: Colour,
) -> Result<Option<Figure>, PlotError> {
    let values: Vec<f64> = series(measures, name).iter().map(|value| value * factor).collect();
    if values.iter().all(|value| *value <= 0.0) {
        return Ok(None);
    }
    let svg = over_time(measures, title, axis, vec![curve(measures, colour, &values, true)])?;
    Ok(Some(Figure { title, note, legend: Vec::new(), svg }))
}

fn traffic(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let title = "Messages";
    let (all, lists) = (per_second(measures, "messages", 1.0), per_second(measures, "lists", 1.0));
    if all.iter().all(|value| *value <= 0.0) {
        return Ok(None);
    }
    let lines = vec![curve(measures, Colour::Blue, &all, false), curve(measures, Colour::Orange, &lists, false)];
    let svg = over_time(measures, title, Axis { label: text::number, most: None, by_factors: false }, lines)?;
    let legend = vec![(Colour::Blue, "all".to_owned()), (Colour::Orange, "LIST_FLAVOURS".to_owned())];
    Ok(Some(Figure { title, note: "in a second, in the whole world".to_owned(), legend, svg }))
}

fn over_time(measures: &Measures, title: &str, axis: Axis, lines: Vec<Line>) -> Result<String, PlotError> {
    let mut bands: Vec<Band> = measures.faults.iter().map(band).collect();
    if bands.len() > MOST_BANDS {
        bands.clear();
    }
    plots::lines(&Lines { about: format!("{title} over time"), seconds: seconds(measures), axis, lines, bands })
}

fn band(fault: &FaultMeasures) -> Band {
    let from = to_f64(fault.at.0) / 1000.0;
    Band { from, to: from + to_f64(fault.lasts.0) / 1000.0 }
}

/// Returns for how many seconds things were measured.
fn seconds(measures: &Measures) -> f64 {
    let buckets = measures.series.values().map(Vec::len).max().unwrap_or(0).max(1);
    let all = to_f64(measures.bucket.0) * to_f64(buckets as u64);
    all.max(to_f64(measures.length.0)) / 1000.0
}

fn series<'a>(measures: &'a Measures, name: &str) -> &'a [f64] {
    measures.series.get(name).map_or(&[], Vec::as_slice)
}

/// Returns the counts of a series for so many seconds.
fn per_second(measures: &Measures, name: &str, seconds: f64) -> Vec<f64> {
    let bucket = to_f64(measures.bucket.0.max(1)) / 1000.0;
    series(measures, name).iter().map(|value| value / bucket * seconds).collect()
}

/// Makes a curve of one value a bucket, each at the middle of its bucket.
fn curve(measures: &Measures, colour: Colour, values: &[f64], filled: bool) -> Line {
    let bucket = to_f64(measures.bucket.0) / 1000.0;
    let at = |at: usize| (to_f64(at as u64) + 0.5) * bucket;
    Line { colour, points: values.iter().enumerate().map(|(index, value)| (at(index), Some(*value))).collect(), filled }
}

// -- by name --------------------------------------------------------------------------------------------

fn messages(outcome: &Outcome) -> Result<Option<Figure>, PlotError> {
    let per_intent = 1.0 / to_f64(outcome.intents.total.max(1));
    let counts =
        outcome.measures.messages.iter().map(|(name, (count, _))| (name.as_str(), to_f64(*count) * per_intent));
    let note = "by kind; what goes round without any intent is in it, too".to_owned();
    by_name("Messages per intent", note, counts, text::number, Colour::Blue)
}

fn bytes(outcome: &Outcome) -> Result<Option<Figure>, PlotError> {
    let per_intent = 1.0 / to_f64(outcome.intents.total.max(1));
    let counts =
        outcome.measures.messages.iter().map(|(name, (_, bytes))| (name.as_str(), to_f64(*bytes) * per_intent));
    by_name("Bytes per intent", "by kind of message".to_owned(), counts, text::bytes, Colour::Blue)
}

fn refusals(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let counts = measures.refusals.iter().map(|(name, count)| (name.as_str(), to_f64(*count)));
    by_name("Why intents never ran", "by the last reason given".to_owned(), counts, text::number, Colour::Orange)
}

fn answers_refused(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let counts = measures.answers_refused.iter().map(|(name, count)| (name.as_str(), to_f64(*count)));
    let note = "answers between nodes; after most of them another way was tried".to_owned();
    by_name("Refusals on the way", note, counts, text::number, Colour::Orange)
}

fn by_name<'a>(
    title: &'static str,
    note: String,
    counts: impl Iterator<Item = (&'a str, f64)>,
    label: fn(f64) -> String,
    colour: Colour,
) -> Result<Option<Figure>, PlotError> {
    let mut counts: Vec<_> = counts.filter(|(_, value)| *value > 0.0).collect();
    counts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let rest: f64 = counts.iter().skip(MOST_BARS).map(|(_, value)| value).sum();
    counts.truncate(MOST_BARS);
    if rest > 0.0 {
        counts.push(("all others", rest));
    }
    if counts.is_empty() {
        return Ok(None);
    }
    let bar =
        |(name, value): (&str, f64)| Bar { name: name.to_owned(), parts: vec![(colour, value)], figure: label(value) };
    let bars: Vec<_> = counts.into_iter().map(bar).collect();
    Ok(Some(Figure { title, note, legend: Vec::new(), svg: plots::bars(title, &bars)? }))
}

// -- by domain ------------------------------------------------------------------------------------------

fn served(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let title = "Fairness across domains";
    let Some(fairness) = measures.fairness().filter(|_| measures.domains.len() > 1) else { return Ok(None) };
    let note = format!("which share of a domain's intents ran; Jain's index {}", text::three(fairness));
    let mut shares: Vec<_> = measures.domains.iter().filter(|it| it.intents > 0).collect();
    let share = |it: &crate::outcome::DomainMeasures| crate::measure::ratio(it.ran, it.intents);
    shares.sort_by(|one, other| share(other).total_cmp(&share(one)));
    let picked = spread(&shares);
    let bar = |it: &&&crate::outcome::DomainMeasures| Bar {
        name: it.name.clone(),
        parts: vec![(Colour::Green, share(it))],
        figure: format!("{} of {}", text::whole(it.ran), text::whole(it.intents)),
    };
    let bars: Vec<_> = picked.iter().map(bar).collect();
    let note = cut_note(note, shares.len());
    Ok(Some(Figure { title, note, legend: Vec::new(), svg: plots::bars(title, &bars)? }))
}

fn trade(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let title = "Trade across domains";
    let mut domains: Vec<_> = measures.domains.iter().filter(|it| it.sold > 0.0 || it.bought > 0.0).collect();
    if domains.is_empty() {
        return Ok(None);
    }
    domains.sort_by(|one, other| (other.sold - other.bought).total_cmp(&(one.sold - one.bought)));
    let hours = |seconds: f64| text::three(seconds / 3600.0);
    let bar = |it: &&&crate::outcome::DomainMeasures| Bar {
        name: it.name.clone(),
        parts: vec![(Colour::Green, it.sold), (Colour::Pink, it.bought)],
        figure: format!("{} / {}", hours(it.sold), hours(it.bought)),
    };
    let bars: Vec<_> = spread(&domains).iter().map(bar).collect();
    let note = cut_note("core-hours over the border, sold and bought".to_owned(), domains.len());
    let legend = vec![(Colour::Green, "sold".to_owned()), (Colour::Pink, "bought".to_owned())];
    Ok(Some(Figure { title, note, legend, svg: plots::bars(title, &bars)? }))
}

/// Returns at most so many as there is room for, from the first to the last of them.
fn spread<T>(all: &[T]) -> Vec<&T> {
    if all.len() <= MOST_DOMAINS {
        return all.iter().collect();
    }
    (0..MOST_DOMAINS).filter_map(|at| all.get(at * (all.len() - 1) / (MOST_DOMAINS - 1))).collect()
}

fn cut_note(note: String, domains: usize) -> String {
    if domains <= MOST_DOMAINS { note } else { format!("{note}; {MOST_DOMAINS} of {domains}, from first to last") }
}

fn topology(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let title = "Topology";
    let places: Vec<_> = measures.domains.iter().map(|it| Place { name: it.name.clone(), nodes: it.nodes }).collect();
    // One alone has no shape.
    if places.len() < 2 {
        return Ok(None);
    }
    let pairs = match measures.partners.len() {
        1 => "1 pair of partners".to_owned(),
        pairs => format!("{pairs} pairs of partners"),
    };
    let note = format!("{} domains, as large as they have nodes; {pairs}", places.len());
    let svg = plots::ring(title, &places, &measures.partners)?;
    Ok(Some(Figure { title, note, legend: Vec::new(), svg }))
}

fn faults(measures: &Measures) -> Result<Option<Figure>, PlotError> {
    let title = "Faults";
    let mut rows: Vec<Row> = Vec::new();
    for fault in &measures.faults {
        match rows.iter_mut().find(|row| row.name == fault.kind) {
            Some(row) => row.bands.push(band(fault)),
            None => rows.push(Row { name: fault.kind.to_owned(), bands: vec![band(fault)] }),
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let shaded = if measures.faults.len() > MOST_BANDS {
        "too many to be shown behind the curves"
    } else {
        "shaded in the curves"
    };
    let note = format!("{} of them, when they struck and how long they lasted; {shaded}", measures.faults.len());
    let svg = plots::strip(title, seconds(measures), &rows)?;
    Ok(Some(Figure { title, note, legend: Vec::new(), svg }))
}
