//! The page: one file that needs no other, no script and no network.

use std::fmt::Write as _;

use super::{figures::Figure, text};
use crate::{
    measure::{Figures, ratio, to_f64},
    outcome::Outcome,
};

/// The most violations that are told on the page; the data beside it has all of them.
const VIOLATIONS: usize = 50;

/// What a page shows.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// All runs.
    pub(super) runs: &'a [Outcome],
    /// The one that is shown closely.
    pub(super) shown: &'a Outcome,
    /// The same without capacity digests.
    pub(super) without_digests: Option<&'a Outcome>,
    /// What repeats it.
    pub(super) command: &'a str,
    /// Its plots.
    pub(super) figures: &'a [Figure],
}

impl Page<'_> {
    /// Returns the page.
    pub(super) fn html(&self) -> String {
        let title = text::escape(&self.shown.scenario);
        let mut html = String::new();
        html.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        // Nothing on it runs, and nothing is fetched.
        html.push_str(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
        );
        html.push_str(&format!("<title>{title} · Tombolo simulation</title>\n"));
        html.push_str(&format!("<style>\n{}</style>\n</head>\n<body>\n", include_str!("page.css")));
        self.head(&title, &mut html);
        self.violations(&mut html);
        self.plots(&mut html);
        self.digests(&mut html);
        self.runs(&mut html);
        self.messages(&mut html);
        self.domains(&mut html);
        html.push_str("<footer>The figures behind this page are in <code>report.json</code> beside it. ");
        html.push_str("Times are those of the simulated world, but for wall time.</footer>\n</body>\n</html>\n");
        html
    }

    fn head(&self, title: &str, html: &mut String) {
        let shown = self.shown;
        let verdict = match shown.violations.len() {
            0 => "<span class=\"verdict good\">All held</span>".to_owned(),
            1 => "<span class=\"verdict bad\">1 violation</span>".to_owned(),
            count => format!("<span class=\"verdict bad\">{} violations</span>", text::whole(count as u64)),
        };
        html.push_str(&format!("<header>\n<h1>{title}</h1>\n<p>{verdict} · seed {}</p>\n</header>\n", shown.seed));
        if !self.command.is_empty() {
            html.push_str(&format!("<pre>{}</pre>\n", text::escape(self.command)));
        }
        html.push_str("<dl>\n");
        for (name, value) in figures(shown) {
            let class = if name == "Trace" { " class=\"hash\"" } else { "" };
            html.push_str(&format!("<div><dt>{name}</dt><dd{class}>{value}</dd></div>\n"));
        }
        html.push_str("</dl>\n");
    }

    fn violations(&self, html: &mut String) {
        let violations = &self.shown.violations;
        if violations.is_empty() {
            return;
        }
        html.push_str("<h2>Violations</h2>\n");
        let rows = violations.iter().take(VIOLATIONS).map(|it| {
            let what = format!("{} — {}", text::escape(&it.what), text::escape(&it.detail));
            vec![text::millis(to_f64(it.at_ms)), text::escape(&it.node), what]
        });
        table(&[("At", Side::Number), ("Node", Side::Text), ("What", Side::Long)], rows, html);
        if violations.len() > VIOLATIONS {
            html.push_str(&format!("<p>And {} more.</p>\n", text::whole((violations.len() - VIOLATIONS) as u64)));
        }
    }

    fn plots(&self, html: &mut String) {
        html.push_str("<h2>What happened</h2>\n<div class=\"figures\">\n");
        for figure in self.figures {
            let (title, note) = (text::escape(figure.title), text::escape(&figure.note));
            html.push_str(&format!("<figure>\n<figcaption><b>{title}</b><span class=\"note\">{note}</span>"));
            if !figure.legend.is_empty() {
                html.push_str("<span class=\"legend\">");
                for (colour, name) in &figure.legend {
                    let name = text::escape(name);
                    html.push_str(&format!("<span><i class=\"{}\"></i>{name}</span>", colour.class()));
                }
                html.push_str("</span>");
            }
            html.push_str(&format!("</figcaption>\n{}</figure>\n", figure.svg));
        }
        html.push_str("</div>\n");
    }

    fn digests(&self, html: &mut String) {
        let Some(without) = self.without_digests else { return };
        let (one, other) = (self.shown.figures(), without.figures());
        html.push_str("<h2>With and without capacity digests</h2>\n");
        let row = |name: &str, of: fn(&Figures) -> f64, show: fn(f64) -> String| {
            let (with, without) = (of(&one), of(&other));
            let change = if without > 0.0 { signed(with / without - 1.0) } else { "—".to_owned() };
            vec![name.to_owned(), show(with), show(without), change]
        };
        let ran = |outcome: &Outcome| ratio(outcome.intents.running, outcome.intents.total);
        let rows = [
            row("LIST_FLAVOURS per intent", |it| it.lists_per_intent, text::number),
            row("Messages per intent", |it| it.messages_per_intent, text::number),
            row("Bytes per intent", |it| it.bytes_per_intent, text::bytes),
            row("Time to running, middle", |it| it.to_running.p50.map_or(0.0, |it| to_f64(it.0)), text::millis),
            vec![
                "Intents that ran".to_owned(),
                text::percent(ran(self.shown)),
                text::percent(ran(without)),
                String::new(),
            ],
        ];
        let columns =
            [("", Side::Text), ("With", Side::Number), ("Without", Side::Number), ("Difference", Side::Number)];
        table(&columns, rows.into_iter(), html);
    }

    fn runs(&self, html: &mut String) {
        if self.runs.len() < 2 {
            return;
        }
        let held = self.runs.iter().filter(|run| run.violations.is_empty()).count() as u64;
        html.push_str(&format!(
            "<h2>Runs: {} of {} held</h2>\n",
            text::whole(held),
            text::whole(self.runs.len() as u64)
        ));
        let row = |run: &Outcome| {
            let figures = run.figures();
            let time = |time: Option<kernel::Span>| time.map_or_else(|| "—".to_owned(), text::span);
            let held = match run.violations.first() {
                None => "<span class=\"good\">held</span>".to_owned(),
                Some(first) => format!("<span class=\"bad\">{}</span>", text::escape(&first.what)),
            };
            vec![
                run.seed.to_string(),
                held,
                text::whole(run.intents.total),
                text::whole(run.intents.running),
                text::whole(run.intents.refused),
                text::whole(run.intents.failed),
                time(figures.to_running.p50),
                time(figures.to_running.p99),
                text::number(figures.messages_per_intent),
                text::millis(run.wall_s * 1000.0),
            ]
        };
        let columns = [
            ("Seed", Side::Number),
            ("Invariants", Side::Text),
            ("Intents", Side::Number),
            ("Ran", Side::Number),
            ("Refused", Side::Number),
            ("Failed", Side::Number),
            ("p50", Side::Number),
            ("p99", Side::Number),
            ("Messages per intent", Side::Number),
            ("Wall time", Side::Number),
        ];
        table(&columns, self.runs.iter().map(row), html);
    }

    fn messages(&self, html: &mut String) {
        let measures = &self.shown.measures;
        if measures.messages.is_empty() {
            return;
        }
        html.push_str("<details>\n<summary>Messages by kind</summary>\n");
        let total = self.shown.intents.total.max(1);
        let rows = measures.messages.iter().map(|(name, (count, bytes))| {
            vec![
                text::escape(name),
                text::whole(*count),
                text::number(ratio(*count, total)),
                text::bytes(to_f64(*bytes)),
                text::bytes(ratio(*bytes, (*count).max(1))),
            ]
        });
        let columns = [
            ("Message", Side::Text),
            ("Sent", Side::Number),
            ("Per intent", Side::Number),
            ("Bytes", Side::Number),
            ("Each", Side::Number),
        ];
        table(&columns, rows, html);
        html.push_str("</details>\n");
    }

    fn domains(&self, html: &mut String) {
        html.push_str("<details>\n<summary>Domains</summary>\n");
        let rows = self.shown.measures.domains.iter().map(|it| {
            vec![
                text::escape(&it.name),
                text::whole(it.nodes.into()),
                text::whole(it.intents),
                text::whole(it.ran),
                text::three(it.sold / 3600.0),
                text::three(it.bought / 3600.0),
            ]
        });
        let columns = [
            ("Domain", Side::Text),
            ("Nodes", Side::Number),
            ("Intents", Side::Number),
            ("Ran", Side::Number),
            ("Core-hours sold", Side::Number),
            ("Core-hours bought", Side::Number),
        ];
        table(&columns, rows, html);
        html.push_str("</details>\n");
    }
}

/// Returns the figures at the head of a page.
fn figures(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let figures = outcome.figures();
    let time = |time: Option<kernel::Span>| time.map_or_else(|| "—".to_owned(), text::span);
    let intents = &outcome.intents;
    let of_all = |count: u64| {
        let share = text::percent(ratio(count, intents.total));
        format!("{} <small>{share}</small>", text::whole(count))
    };
    let mut all = vec![
        ("Nodes", text::whole(outcome.nodes.into())),
        ("Domains", text::whole(outcome.measures.domains.len() as u64)),
        ("Virtual time", text::millis(outcome.virtual_s * 1000.0)),
        ("Wall time", text::millis(outcome.wall_s * 1000.0)),
        ("Events", text::whole(outcome.events)),
        ("Events per second", text::number(figures.events_per_second)),
        ("Intents", text::whole(intents.total)),
        ("Ran", of_all(intents.running)),
        ("Refused", of_all(intents.refused)),
        ("Failed", of_all(intents.failed)),
        ("Time to running, p50", time(figures.to_running.p50)),
        ("p95", time(figures.to_running.p95)),
        ("p99", time(figures.to_running.p99)),
        ("Messages per intent", text::number(figures.messages_per_intent)),
        ("Bytes per intent", text::bytes(figures.bytes_per_intent)),
        ("LIST_FLAVOURS per intent", text::number(figures.lists_per_intent)),
        ("Utilisation", text::percent(figures.utilisation)),
    ];
    if let Some(price) = figures.price {
        all.push(("Price of a core and an hour", text::euros(price.into())));
    }
    if let Some(fairness) = figures.fairness {
        all.push(("Fairness (Jain's index)", text::three(fairness)));
    }
    if outcome.measures.bytes_per_node > 0 {
        all.push(("Memory per node", text::bytes(to_f64(outcome.measures.bytes_per_node))));
    }
    all.push(("Trace", text::escape(&text::short(&outcome.trace_hash, 33))));
    all
}

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Text,
    Long,
    Number,
}

/// Writes a table; its cells are markup already.
fn table(columns: &[(&str, Side)], rows: impl Iterator<Item = Vec<String>>, html: &mut String) {
    let class = |side: Side| match side {
        Side::Text => "",
        Side::Long => " class=\"what\"",
        Side::Number => " class=\"n\"",
    };
    html.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for (name, side) in columns {
        let _ = write!(html, "<th{}>{name}</th>", class(*side));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (cell, (_, side)) in row.iter().zip(columns) {
            let _ = write!(html, "<td{}>{cell}</td>", class(*side));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

/// Returns a change in per cent, with its sign.
fn signed(change: f64) -> String {
    let size = text::percent(change.abs());
    if change < 0.0 { format!("−{size}") } else { format!("+{size}") }
}
