//! Reports of made-up runs.

use kernel::Span;

use super::*;
use crate::outcome::{DomainMeasures, FaultMeasures, Tally, Violation};

/// A made-up run of so many domains, in which everything happened that can.
fn made_up(domains: u32, name: &str) -> Outcome {
    let wave = |at: usize, length: f64| (at as f64 / length).sin().mul_add(0.5, 0.5);
    let buckets = 140;
    let series = |of: &dyn Fn(usize) -> f64| (0..buckets).map(of).collect::<Vec<_>>();
    let coming = |at: usize| if at < 120 { 1.0 } else { 0.0 };
    let measures = Measures {
        bucket: Span::secs(5),
        length: Span::secs(600),
        series: [
            ("came", series(&|at| coming(at) * 10.0)),
            ("ran", series(&|at| coming(at) * (6.0 + 3.0 * wave(at, 9.0)).floor())),
            ("refused", series(&|at| coming(at) * (2.0 * wave(at, 5.0)).floor())),
            ("failed", series(&|at| coming(at) * f64::from(u8::from(at % 17 == 0)))),
            ("messages", series(&|at| 300.0 + 2000.0 * coming(at) * wave(at, 9.0))),
            ("bytes", series(&|at| 90_000.0 + 400_000.0 * wave(at, 9.0))),
            ("lists", series(&|at| coming(at) * 400.0 * wave(at, 9.0))),
            ("utilisation", series(&|at| coming(at) * (0.2 + 0.7 * wave(at, 30.0)))),
            ("contracts", series(&|at| coming(at) * (40.0 + 30.0 * wave(at, 30.0)))),
            ("nodesUp", series(&|_| 40.0)),
        ]
        .map(|(name, values)| (name.to_owned(), values))
        .into(),
        to_running: (0..buckets)
            .map(|at| (0..9).filter(|_| at < 118).map(|no: u32| 8 + no.pow(4) * (1 + at as u32 % 11) / 3).collect())
            .collect(),
        refusals: [("Unavailable", 60), ("PriceTooLow", 20), ("place lost", 3)].map(|(n, c)| (n.to_owned(), c)).into(),
        answers_refused: [("Unavailable", 160), ("Overloaded", 12)].map(|(n, c)| (n.to_owned(), c)).into(),
        messages: [
            ("LIST_FLAVOURS", (12_000, 1_300_000)),
            ("LIST_FLAVOURS answer", (12_000, 16_000_000)),
            ("RESERVE_FLAVOUR", (3000, 2_300_000)),
            ("RESERVE_FLAVOUR answer", (3000, 4_300_000)),
            ("KEEPALIVE", (30_000, 1_800_000)),
            ("ADVERTISE", (800, 700_000)),
        ]
        .map(|(name, of)| (name.to_owned(), of))
        .into(),
        domains: (0..domains)
            .map(|at| DomainMeasures {
                name: format!("{name}-{}", at + 1),
                nodes: 10 + at * 7 % 23,
                sold: f64::from(at * 977 % 9000),
                bought: f64::from(at * 577 % 7000),
                intents: 60,
                ran: u64::from(30 + at * 13 % 31),
            })
            .collect(),
        prices: (0..buckets).map(|at| (0..4).map(|no| 90_000 + no * 21_000 + at as u32 * 300).collect()).collect(),
        bytes_per_node: 18_000,
        partners: (1..domains)
            .flat_map(|at| (0..at).filter(move |it| (it + at) % 3 != 1).map(move |it| (it, at)))
            .collect(),
        faults: vec![
            FaultMeasures {
                kind: "partition",
                at: Span::secs(120),
                lasts: Span::secs(60),
                nodes: 9,
                node: "a/1".to_owned(),
            },
            FaultMeasures {
                kind: "crash",
                at: Span::secs(300),
                lasts: Span::secs(20),
                nodes: 1,
                node: "a/2".to_owned(),
            },
            FaultMeasures { kind: "bounce", at: Span::secs(420), lasts: Span::ZERO, nodes: 1, node: "a/3".to_owned() },
        ],
    };
    Outcome {
        scenario: name.to_owned(),
        seed: 7,
        nodes: 1234,
        virtual_s: 700.0,
        wall_s: 3.21,
        events: 1_234_567,
        trace_hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        violations: Vec::new(),
        intents: Tally { total: 1200, running: 1117, refused: 80, failed: 3 },
        measures,
    }
}

fn written(runs: &[Outcome], without: Option<&Outcome>, command: &str) -> (String, serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    let page = write(&dir.path().join("some/where"), runs, without, command).unwrap();
    let data = fs::read_to_string(page.with_file_name("report.json")).unwrap();
    // A look at it: REPORT_DIR=/tmp/report cargo test -p simulations report
    if let Some(keep) = std::env::var_os("REPORT_DIR") {
        write(Path::new(&keep), runs, without, command).unwrap();
    }
    (fs::read_to_string(page).unwrap(), serde_json::from_str(&data).unwrap())
}

#[test]
fn a_report_shows_every_plot_and_needs_nothing_beside_it() {
    let (with, mut without) = (made_up(7, "city"), made_up(7, "city"));
    without.measures.messages.insert("LIST_FLAVOURS".to_owned(), (48_000, 5_200_000));
    let (page, data) = written(std::slice::from_ref(&with), Some(&without), "tombolo sim city --seed 7");
    for title in [
        "Time to running",
        "Intents",
        "Utilisation",
        "Contracts",
        "Price paid",
        "Messages",
        "Messages per intent",
        "Bytes per intent",
        "Why intents never ran",
        "Refusals on the way",
        "Fairness across domains",
        "Trade across domains",
        "Topology",
        "Faults",
    ] {
        assert!(page.contains(&format!("<figcaption><b>{title}</b>")), "{title}");
    }
    assert!(page.contains("<pre>tombolo sim city --seed 7</pre>") && page.contains("All held"));
    // With digests there are a quarter of the LISTs, and the table says so.
    assert!(page.contains(">10</td><td class=\"n\">40</td><td class=\"n\">−75 %</td>"), "LISTs per intent");
    for outside in ["<script", "<img", "<link", "@import", "url(", "href=", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Nothing but the names of XML itself looks like an address.
    assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/").count() + 1, "http-equiv alone");
    assert_eq!(data["runs"][0]["intents"]["running"], 1117);
    assert_eq!(data["runs"][0]["measures"]["messages"]["KEEPALIVE"][0], 30_000);
    assert_eq!(data["withoutDigests"]["figures"]["listsPerIntent"], 40.0);
}

#[test]
fn nothing_in_a_name_or_a_violation_is_markup() {
    let nasty = "</svg><script>alert(\"1\")</script>'&";
    let mut run = made_up(3, nasty);
    run.violations.push(Violation {
        what: nasty.to_owned(),
        at_ms: 12_345,
        node: nasty.to_owned(),
        detail: format!("{nasty}\u{202e}\u{0}"),
    });
    run.measures.messages.insert(nasty.to_owned(), (1_000_000, 1_000_000));
    run.measures.refusals.insert(nasty.to_owned(), 500);
    run.trace_hash = nasty.to_owned();
    let (page, _) = written(&[run], None, nasty);
    assert!(!page.contains("<script") && !page.contains("</script") && !page.contains("alert(\"1\")"));
    assert!(page.contains("1 violation") && page.contains("12.3 s"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn the_first_run_that_failed_is_shown_closely_and_all_are_listed() {
    let mut runs = [made_up(2, "a"), made_up(2, "a"), made_up(2, "a")];
    for (run, seed) in runs.iter_mut().zip(100..) {
        run.seed = seed;
    }
    runs[1].violations.push(Violation {
        what: "invariant 1".to_owned(),
        at_ms: 1,
        node: "a-1/2".to_owned(),
        detail: "cpu 5 taken of 4".to_owned(),
    });
    let (page, data) = written(&runs, None, "");
    assert!(page.contains("seed 101") && page.contains("2 of 3 held") && page.contains("cpu 5 taken of 4"));
    assert_eq!(data["runs"].as_array().unwrap().len(), 3);
    assert!(!page.contains("<pre>"));
}

#[test]
fn a_run_in_which_nothing_happened_is_reported_too() {
    let (page, _) = written(&[Outcome::default()], None, "");
    assert!(page.contains("All held"));
    let nowhere = write(Path::new("/dev/null/x"), &[Outcome::default()], None, "");
    assert!(matches!(nowhere, Err(ReportError::Write { .. })));
    assert!(matches!(write(Path::new("/dev/null/x"), &[], None, ""), Err(ReportError::Nothing)));
}

#[test]
fn hundreds_of_domains_still_fit() {
    let mut run = made_up(300, "many");
    let fault = |at| FaultMeasures {
        kind: if at % 3 == 0 { "churn" } else { "crash" },
        at: Span::secs(at),
        lasts: Span::secs(9),
        nodes: 1,
        node: String::new(),
    };
    run.measures.faults = (0..500).map(fault).collect();
    let (page, _) = written(&[run], None, "tombolo sim many");
    assert!(page.contains("24 of 300") && page.contains("too many to be shown"));
    assert!(page.len() < 10 << 20, "{} bytes", page.len());
}
