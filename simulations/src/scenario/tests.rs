//! What is read, and what is refused in which words.
#![allow(clippy::unwrap_used)]

use kernel::{Quantity, Span};
use proptest::prelude::*;

use super::*;
use crate::{plan::Plan, plan::Trim, shipped};

const SMALL: &str = "# A story.\nlength = \"10m\"\n[[domains]]\nname = \"a\"\nnodes = 3\n";

fn read(text: &str) -> Result<Scenario, String> {
    Scenario::read("test", text).map_err(|error| error.what)
}

/// Reads the small scenario with something behind it.
fn with(more: &str) -> Result<Scenario, String> {
    read(&format!("{SMALL}{more}"))
}

fn fault(fields: &str) -> Fault {
    with(&format!("[[faults]]\n{fields}")).unwrap().faults.remove(0)
}

#[test]
fn a_scenario_is_read_with_its_story() {
    let scenario = read(SMALL).unwrap();
    assert_eq!((scenario.name.as_str(), scenario.about.as_str()), ("test", "A story."));
    assert_eq!((scenario.length, scenario.nodes(), scenario.domain_count()), (Span::secs(600), 4, 1));
}

#[test]
fn each_kind_of_fault_is_read_from_its_word() {
    let between = |least, most| Between { least: Span::secs(least), most: Span::secs(most) };
    let line = Line::default();
    let rows = [
        ("partition\"\nwho = \"nodes\"\nlasts = \"1s\"", Trouble::Partition),
        ("hold\"\nwho = \"nodes\"\nlasts = \"1s\"", Trouble::Hold),
        ("crash\"\nlasts = \"1s\"", Trouble::Crash),
        ("bounce\"", Trouble::Bounce),
        ("churn\"", Trouble::Churn),
        ("slow\"\nlatency = \"1s..2s\"\nlasts = \"1s\"", Trouble::Line(Line { latency: between(1, 2), ..line })),
        ("lossy\"\nlost = 7\nlasts = \"1s\"", Trouble::Line(Line { lost: 7, ..line })),
        ("duplicate\"\ntwice = 7\nlost = 1\nlasts = \"1s\"", Trouble::Line(Line { twice: 7, lost: 1, ..line })),
        ("reorder\"\nlate = 7\nlasts = \"1s\"", Trouble::Line(Line { late: 7, ..line })),
        ("narrow\"\nbandwidth = 7\nlasts = \"1s\"", Trouble::Line(Line { bandwidth: 7, ..line })),
        ("skewed-clock\"\nby = \"1s..2s\"\nlasts = \"1s\"", Trouble::Skew(between(1, 2))),
        ("full-disk\"\nlasts = \"1s\"", Trouble::FullDisk),
        ("slow-disk\"\nsync = \"1s..2s\"\nlasts = \"1s\"", Trouble::SlowDisk(between(1, 2))),
        ("lost-disk\"\nlasts = \"1s\"", Trouble::LostDisk),
        ("liar\"\npercent = 9\nlasts = \"1s\"", Trouble::Lie(9)),
        ("upgrade\"", Trouble::Upgrade),
        ("reprice\"\npercent = 9", Trouble::Reprice(9)),
        ("withdraw\"\nlasts = \"1s\"", Trouble::Withdraw),
        ("remove\"\nwho = \"nodes\"", Trouble::Remove),
    ];
    for (written, trouble) in rows {
        assert_eq!(fault(&format!("kind = \"{written}\nat = \"1m\"")).trouble, trouble, "{written}");
    }
}

#[test]
fn a_fault_says_when_and_whom() {
    let crash = |fields: &str| fault(&format!("kind = \"crash\"\nlasts = \"1s..2s\"\n{fields}"));
    assert_eq!(crash("at = \"1m\"").when, When::At(Span::secs(60)));
    let pauses = Between { least: Span::secs(5), most: Span::secs(9) };
    assert_eq!(crash("every = \"5s..9s\"").when, When::Every(pauses));
    assert_eq!(crash("rolling = \"5s..9s\"").when, When::Rolling(Span::ZERO, pauses));
    assert_eq!(crash("at = \"1m\"\nrolling = \"5s..9s\"").when, When::Rolling(Span::secs(60), pauses));
    for (word, who) in [
        ("anybody", Who::Anybody),
        ("nodes", Who::Nodes),
        ("supernodes", Who::Supernodes),
        ("a", Who::Domain("a".to_owned())),
        ("a/s1", Who::Node("a/s1".to_owned())),
    ] {
        assert_eq!(crash(&format!("at = \"1m\"\nwho = \"{word}\"")).who, who);
    }
    assert_eq!((crash("at = \"1m\"").count, crash("at = \"1m\"\ncount = \"all\"").count), (1, 4));
}

#[test]
fn ranges_are_read_from_texts_and_numbers() {
    let load = |cpu: &str| {
        let text = format!(
            "[[load]]\nper-second = 1\ncpu = {cpu}\nmemory = \"64Mi\"\nreplicas = 2\nterm = \"1m\"\nlives = \"1m..2m\""
        );
        with(&text).map(|scenario| scenario.load[0].clone())
    };
    assert_eq!(load("0.5").unwrap().cpu, Between::just(Quantity::millis(500)));
    assert_eq!(load("2").unwrap().cpu, Between::just(Quantity::units(2)));
    let range = Between { least: Quantity::millis(200), most: Quantity::units(1) };
    assert_eq!(load("\"200m..1\"").unwrap().cpu, range);
    assert_eq!(load("1").unwrap().replicas, Between::just(2));
    assert_eq!(load("\"1..200m\"").unwrap_err(), "line 8, load[0].cpu: in '1..200m' the least comes first");
}

#[test]
fn what_is_wrong_is_said_in_a_sentence_with_its_line_and_key() {
    let load = "[[load]]\nper-second = 1\ncpu = 1\nmemory = \"64Mi\"\nterm = \"1m\"\nlives = \"1m\"\n";
    let crash = "[[faults]]\nkind = \"crash\"\nlasts = \"1s\"\n";
    let rows = [
        ("quite = \"1m\"".to_owned(), "line 6, domains[0]: unknown key 'quite': it is one of name, count"),
        ("supernode = 1".to_owned(), "line 6, domains[0]: unknown key 'supernode': did you mean 'supernodes'?"),
        (
            "[settings.contract]\nleese = \"6s\"".to_owned(),
            "line 7, settings.contract: unknown key 'leese': did you mean 'lease'?",
        ),
        ("[settings.contract]\nlease = 6".to_owned(), "line 7, settings.contract.lease: "),
        ("[link]".to_owned(), "line 6: unknown key 'link': did you mean 'links'?"),
        (
            format!("{load}pattern = \"stedy\""),
            "line 12, load[0].pattern: unknown word 'stedy': did you mean 'steady'?",
        ),
        (format!("{load}from = \"b\""), "line 12, load[0].from: there is no domain 'b': did you mean 'a'?"),
        (load.replace("\"64Mi\"", "0"), "line 9, load[0].memory: 0 is under 1m, which is the least"),
        (
            load.replace("second = 1\n", "second = 1e9\n"),
            "line 7, load[0].per-second: 1000000000 a second is over 100000, which is the most",
        ),
        (load.replace("second = 1\n", "second = nan\n"), "line 7, load[0].per-second: NaN is no rate"),
        (
            load.replace("second = 1\n", "second = 90000\n"),
            "line 6, load: 54000000 intents may come in all, and 5000000 is the most",
        ),
        ("offering = 1.5".to_owned(), "line 6, domains[0].offering: 1.5 is no share: it must be from 0 to 1"),
        ("count = 2000".to_owned(), "line 3, domains: 2000 is over 1000, which is the most"),
        (
            "count = 4294967295\nsupernodes = 4294967295".to_owned(),
            "line 3, domains: 4294967295 is over 1000, which is the most",
        ),
        ("supernodes = 200000".to_owned(), "line 3, domains: 200003 is over 200000, which is the most"),
        (
            "[[domains]]\nname = \"a\"\nnodes = 1".to_owned(),
            "line 7, domains[1].name: 'a' is the name of another domain already",
        ),
        ("[[domains]]\nname = \"Nodes\"\nnodes = 1".to_owned(), "line 7, domains[1].name: 'Nodes' is no name: "),
        (
            "[[faults]]\nkind = \"chrash\"\nat = \"1m\"".to_owned(),
            "line 7, faults[0].kind: unknown word 'chrash': did you mean 'crash'?",
        ),
        (
            "[[faults]]\nkind = \"crash\"\nat = \"1m\"".to_owned(),
            "line 7, faults[0].kind: 'crash' needs 'lasts', which is not there",
        ),
        (crash.to_owned(), "line 7, faults[0].kind: it does not say when: add one of 'at', 'every' and 'rolling'"),
        (format!("{crash}at = \"1m\"\npercent = 1"), "line 10, faults[0].percent: 'crash' has no 'percent'"),
        (format!("{crash}at = \"1m\"\nevery = \"1m\""), "line 10, faults[0].every: 'at' says when already"),
        (format!("{crash}at = \"1h\""), "line 9, faults[0].at: 1h is not before the end, after 10m"),
        (format!("{crash}every = \"0s\""), "line 9, faults[0].every: 0s is under 1ms, which is the least"),
        (
            format!("{crash}every = \"1ms\"\ncount = 400"),
            "line 10, faults[0].count: 400 is over 4, the number of nodes",
        ),
        (format!("{crash}at = \"1m\"\nwho = \"a/9\""), "line 10, faults[0].who: there is no node 'a/9': "),
        (format!("{crash}at = \"1m\"\nwho = \"catalogues\""), "line 10, faults[0].who: there is nobody to be struck"),
        (format!("{crash}at = \"1m\"\ncount = \"some\""), "line 10, faults[0].count: it is a number, or \"all\""),
        (crash.replace("crash", "partition") + "at = \"1m\"", "line 6, faults[0].who: there is one domain, "),
        (
            "[[faults]]\nkind = \"remove\"\nat = \"1m\"\nwho = \"a/s1\"".to_owned(),
            "line 9, faults[0].who: there is nobody but an issuer, which can't remove itself",
        ),
        ("[hold]\nrunning = 2".to_owned(), "line 7, hold.running: 2 is no share: it must be from 0 to 1"),
        ("name = \"b\"".to_owned(), "line 6: duplicate key"),
    ];
    let mut bad = Vec::new();
    for (more, wanted) in rows {
        let why = with(&more).unwrap_err();
        if !why.starts_with(wanted) {
            bad.push(format!("{more}\n{why}\n{wanted}\n"));
        }
        assert!(!why.contains('\n'), "{why}");
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(read("length = \"1m\"").unwrap_err().contains("domains"));
    let untold = SMALL.replace("# A story.", "#");
    assert_eq!(read(&untold).unwrap_err(), "line 1: it must be a comment that tells the story");
}

/// Reads a text, and plans what can be read of it; only that nothing panics is asked.
fn survives(text: &str) {
    if let Ok(scenario) = Scenario::read("any", text) {
        let _ = Plan::new(&scenario, 1, &Trim { nodes: Some(9), ..Trim::default() });
    }
}

proptest! {
    #[test]
    fn any_text_is_a_scenario_or_a_sentence(text in "\\PC{0,200}") {
        if let Err(error) = Scenario::read("any", &text) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn a_shipped_file_with_a_part_changed_is_a_scenario_or_a_sentence(
        which in 0..100usize, at in 0..4000usize, cut in 0..12usize,
        with in prop_oneof![
            Just(String::new()), "[\"\\[\\]=.0-9a-z\n-]{0,8}", Just("99999999999".to_owned()), Just("nan".to_owned()),
            Just("-1".to_owned()), Just("\"1ms\"".to_owned()), Just("\"30d\"".to_owned()), Just("1e300".to_owned()),
        ],
    ) {
        let names: Vec<_> = shipped::names().collect();
        let text = shipped::text(names[which % names.len()]).unwrap();
        let at = at % text.len();
        let (begin, end) = (text.floor_char_boundary(at), text.floor_char_boundary((at + cut).min(text.len())));
        let text = [&text[..begin], &with, &text[end..]].concat();
        if let Err(error) = Scenario::read("any", &text) {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_shipped_file_with_another_value_can_be_planned(
        which in 0..100usize, line in 0..200usize,
        value in prop_oneof![
            (0..400_000u64).prop_map(|number| number.to_string()),
            "(0|1|7|30|1000)(ms|s|m|h|d)(\\.\\.(1|5|30)(s|m|h|d))?".prop_map(|text| format!("\"{text}\"")),
            "(0|1|7|1000|18446744073709551615)(m|Mi|Gi|Ei)?".prop_map(|text| format!("\"{text}\"")),
            (0.0..2.0f64).prop_map(|number| number.to_string()),
            Just("nan".to_owned()), Just("inf".to_owned()), Just("1e300".to_owned()), Just("\"all\"".to_owned()),
        ],
    ) {
        let names: Vec<_> = shipped::names().filter(|name| *name != "ten-thousand-nodes").collect();
        let text = shipped::text(names[which % names.len()]).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let changed: Vec<String> = lines.iter().enumerate().map(|(at, text)| match text.split_once(" = ") {
            Some((key, _)) if at == line % lines.len() => format!("{key} = {value}"),
            _ => (*text).to_owned(),
        }).collect();
        survives(&changed.join("\n"));
    }
}
