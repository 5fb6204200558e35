//! Intents read from text: what is understood, and the one sentence that tells what is not.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rear_proto::record::{self, Record};
use serde::{Deserialize, Serialize};

use super::*;

const WHOLE: &str = r#"
apiVersion: tombolo/v1
kind: Intent
metadata: { name: hello }
spec:
  workloads:
    - name: web
      wasm: ./hello.wasm
      resources: { cpu: 500m, memory: 64Mi, storage: 1Gi }
      ports: [{ name: http, port: 80 }]
      env: { GREETING: "hello" }
      args: [--loud]
      replicas: 2
      restart: always
      wall: 10m
      reach: [example.org]
    - name: db
      image: docker.io/library/nginx:1.27
      resources: { cpu: 1.5, memory: 1e9 }
  where: { location: IT, latencyMs: 50, domains: [beta], notDomains: [gamma], architecture: amd64, tags: [edge] }
  price: { max: 0.10, currency: EUR, period: hour }
  term: 1h30m
"#;

const LEAST: &str = "
apiVersion: tombolo/v1
kind: Intent
metadata: { name: hello }
spec:
  workloads:
    - name: web
      wasm: ./hello.wasm
      resources: { cpu: 500m, memory: 64Mi }
";

fn resolved(text: &str) -> Intent {
    parse(text).unwrap().resolve(|_| Ok::<_, ()>((Digest([7; 32]), 1234))).unwrap()
}

/// Checks what is said about the least intent after one change.
fn refused(from: &str, to: &str, expected: &str) {
    assert!(LEAST.contains(from), "{from}");
    assert_eq!(parse(&LEAST.replacen(from, to, 1)).unwrap_err().to_string(), expected);
}

#[test]
fn every_field_is_read() {
    let intent = resolved(WHOLE);
    let [web, db] = &intent.workloads[..] else { unreachable!() };
    assert_eq!(web.workload.image, Image::Wasm { digest: Digest([7; 32]), size: 1234 });
    assert_eq!(web.workload.resources.to_string(), "cpu 500m, memory 64Mi, storage 1Gi");
    assert_eq!(web.workload.ports, [Port { name: "http".to_owned(), port: 80 }]);
    assert_eq!(web.workload.env["GREETING"], "hello");
    assert_eq!(web.workload.args, ["--loud"]);
    assert_eq!(web.workload.reach, ["example.org"]);
    assert_eq!((web.replicas, db.replicas), (2, 1));
    assert_eq!((web.workload.restart, db.workload.restart), (Restart::Always, Restart::OnFailure));
    assert_eq!(web.workload.wall.unwrap().to_string(), "10m");
    assert_eq!(db.workload.image, Image::Oci("docker.io/library/nginx:1.27".to_owned()));
    assert_eq!(db.workload.resources.cpu, Quantity::millis(1500));
    assert_eq!(db.workload.resources.memory, Quantity::units(1_000_000_000));
    assert_eq!(intent.ceiling.unwrap().to_string(), "0.1EUR/h");
    assert_eq!(intent.term.to_string(), "1h30m");
    let place = &intent.place;
    assert_eq!((place.location.as_deref(), place.latency_ms), (Some("IT"), Some(50)));
    assert_eq!((&place.domains[..], &place.not_domains[..]), (&["beta".to_owned()][..], &["gamma".to_owned()][..]));
    assert_eq!((place.architecture.as_deref(), &place.tags[..]), (Some("amd64"), &["edge".to_owned()][..]));
    let names: Vec<_> = (1..=2).map(|number| web.replica(number).name).collect();
    assert_eq!((names, db.replica(1).name), (vec!["web-1".to_owned(), "web-2".to_owned()], "db".to_owned()));
}

#[test]
fn what_is_not_said_has_a_default() {
    let intent = resolved(LEAST);
    assert_eq!((intent.term, intent.ceiling, &intent.place), (DEFAULT_TERM, None, &Place::default()));
    assert_eq!(intent.workloads[0].replicas, 1);
    let priced = resolved(&format!("{LEAST}  price: {{ max: 2 }}\n  where:\n"));
    assert_eq!(priced.ceiling.unwrap().to_string(), "2EUR/h");
}

#[test]
fn each_component_is_asked_for_and_a_failure_to_find_it_is_passed_on() {
    let twice = format!("{LEAST}    - {{ name: b, wasm: ./hello.wasm, resources: {{ cpu: 1, memory: 1Mi }} }}\n");
    let parsed = parse(&twice).unwrap();
    assert_eq!(parsed.files().collect::<Vec<_>>(), ["./hello.wasm"]);
    assert_eq!(parsed.name(), "hello");
    assert_eq!(parsed.resolve(|path| Err::<(Digest, u64), _>(path.to_owned())), Err("./hello.wasm".to_owned()));
}

#[test]
fn an_intent_goes_through_json_and_through_rows_unchanged() {
    #[derive(Serialize, Deserialize)]
    struct Kept(Intent);
    impl Record for Kept {
        const VERSION: u16 = 1;
    }
    for text in [WHOLE, LEAST] {
        let intent = resolved(text);
        let json = serde_json::to_string(&intent).unwrap();
        assert_eq!(serde_json::from_str::<Intent>(&json).unwrap(), intent, "{json}");
        let bytes = record::encode(&Kept(intent.clone()));
        assert_eq!(record::decode::<Kept>(rear_proto::Table::Intents, &bytes).unwrap().0, intent);
    }
    let json = serde_json::to_value(resolved(WHOLE)).unwrap();
    assert_eq!(json["where"]["latencyMs"], 50);
    assert_eq!(json["workloads"][0]["workload"]["resources"]["cpu"], "500m");
}

#[test]
fn json_is_read_as_well() {
    let json = r#"{"apiVersion": "tombolo/v1", "kind": "Intent", "metadata": {"name": "a"}, "spec": {"workloads":
        [{"name": "b", "image": "c", "resources": {"cpu": 1, "memory": "1Mi"}}]}}"#;
    assert_eq!(parse(json).unwrap().name(), "a");
}

#[test]
fn several_documents_are_several_intents() {
    let second = LEAST.replacen("hello", "other", 1);
    let names: Vec<_> =
        parse_many(&format!("{LEAST}---\n{second}---\n")).unwrap().iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(names, ["hello", "other"]);
    let error = parse(&format!("{LEAST}---\n{second}")).unwrap_err();
    assert_eq!(error.to_string(), "there are 2 intents in the text, where one is expected");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    refused(
        "wasm:",
        "wams:",
        "spec.workloads[0].wams (line 8, column 13): 'wams' is not known here: did you mean 'wasm'?",
    );
    refused(
        "cpu:",
        "pods: 3, cpu:",
        "spec.workloads[0].resources.pods (line 9, column 26): 'pods' is not known here: there may be cpu, memory, \
         storage, gpu",
    );
    refused(
        "spec:\n",
        "spec:\n  where: { notdomains: [a] }\n",
        "spec.where.notdomains (line 6, column 24): 'notdomains' is not known here: did you mean 'notDomains'?",
    );
}

#[test]
fn another_kind_of_document_is_named() {
    refused(
        "tombolo/v1",
        "apps/v1",
        "kind (line 3, column 7): this is kind 'Intent' of apps/v1: only tombolo/v1 Intent is understood here yet",
    );
    refused(
        "tombolo/v1",
        "tombolo/v2",
        "apiVersion (line 2, column 13): version 'tombolo/v2' is not known: only tombolo/v1 Intent is understood here yet",
    );
    refused(
        "Intent",
        "Intend",
        "kind (line 3, column 7): 'Intend' is no kind of tombolo/v1: only tombolo/v1 Intent is understood here yet",
    );
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a, labels: { b: c } }\nspec: {}\n";
    assert_eq!(
        parse(deployment).unwrap_err().to_string(),
        "kind (line 2, column 7): this is kind 'Deployment' of apps/v1: only tombolo/v1 Intent is understood here yet",
    );
}

#[test]
fn what_makes_no_sense_is_said_with_its_place() {
    refused("name: hello }", "}", "metadata (line 4, column 11): 'name' is missing");
    refused(
        "name: web",
        "name: Web_1",
        "spec.workloads[0].name (line 7, column 13): 'Web_1' is no name: write 1 to 63 small letters, digits and hyphens, with no hyphen at either end",
    );
    refused(
        "500m",
        "abc",
        "spec.workloads[0].resources.cpu (line 9, column 25): 'abc' is not a quantity: write a number with an optional suffix, like 500m, 2, 1.5, 64Mi, 10G or 1e3",
    );
    refused("500m", "0", "spec.workloads[0].resources.cpu (line 9, column 25): it must be more than nothing");
    refused("cpu: 500m, ", "", "spec.workloads[0].resources (line 9, column 18): 'cpu' is missing");
    refused(
        "500m",
        "[1]",
        "spec.workloads[0].resources.cpu (line 9, column 25): a number or a text is expected, and this is a list",
    );
    refused(
        "wasm: ./hello.wasm",
        "args: [a]",
        "spec.workloads[0] (line 7, column 7): there is neither 'wasm' nor 'image': a workload has one of the two",
    );
    refused(
        "wasm: ./hello.wasm",
        "wasm: a\n      image: b",
        "spec.workloads[0].image (line 9, column 14): there is a 'wasm' already: a workload has one of the two",
    );
    refused(
        "wasm: ./hello.wasm",
        "image: a b",
        "spec.workloads[0].image (line 8, column 14): 'a b' is no image: it has a space in it",
    );
    refused(
        "      resources",
        "      replicas: 65\n      resources",
        "spec.workloads[0].replicas (line 9, column 17): a whole number from 1 to 64 is expected, and this is the number 65",
    );
    refused(
        "      resources",
        "      replicas: 0\n      resources",
        "spec.workloads[0].replicas (line 9, column 17): a whole number from 1 to 64 is expected, and this is the number 0",
    );
    refused(
        "      resources",
        "      env: { A: 8080 }\n      resources",
        "spec.workloads[0].env.A (line 9, column 17): a text is expected: put the number 8080 in quotes",
    );
    refused(
        "      resources",
        "      env: { 1A: b }\n      resources",
        "spec.workloads[0].env (line 9, column 12): '1A' is no variable's name: letters, digits and _ make one",
    );
    refused(
        "      resources",
        "      restart: maybe\n      resources",
        "spec.workloads[0].restart (line 9, column 16): 'maybe' is none of always, on-failure and never",
    );
    refused(
        "      resources",
        "      wall: soon\n      resources",
        "spec.workloads[0].wall (line 9, column 13): 'soon' is not a length of time: write it like 30s, 10m, 1h, 1h30m or 250ms",
    );
    refused(
        "      resources",
        "      ports: [{name: a, port: 1}, {name: a, port: 2}]\n      resources",
        "spec.workloads[0].ports[1].name (line 9, column 42): 'a' is the name of another port already",
    );
    refused(
        "      resources",
        "      ports: [{name: a, port: 70000}]\n      resources",
        "spec.workloads[0].ports[0].port (line 9, column 31): a whole number from 1 to 65535 is expected, and this is the number 70000",
    );
    refused("spec:\n", "spec:\n  term: 0s\n", "spec.term (line 6, column 9): 0s is no term: it must be from 1s to 30d");
    refused(
        "spec:\n",
        "spec:\n  price: { max: 1, currency: euro }\n",
        "spec.price.currency (line 6, column 30): 'euro' is not a currency of three capital letters, such as EUR",
    );
    refused("spec:\n", "spec:\n  price: { currency: EUR }\n", "spec.price (line 6, column 10): 'max' is missing");
    refused(
        "spec:\n",
        "spec:\n  price: { max: -1 }\n",
        "spec.price.max (line 6, column 17): '-1' is not an amount of money, such as 0.10, exact to a millionth",
    );
    refused(
        "spec:\n",
        "spec:\n  where: { domains: [A], notDomains: [b, a] }\n",
        "spec.where.notDomains (line 6, column 38): 'A' is among spec.where.domains too",
    );
    refused(
        "spec:\n",
        "spec:\n  where: { domains: beta }\n",
        "spec.where.domains (line 6, column 21): a list is expected, and this is the text 'beta'",
    );
}

#[test]
fn names_are_those_of_one_workload_or_replica_only() {
    let with = |first: &str, second: &str| {
        let text = format!("{LEAST}    - {{ name: {second}, image: a, resources: {{ cpu: 1, memory: 1Mi }} }}\n");
        parse(&text.replacen("name: web", first, 1)).map(|_| ()).map_err(|error| error.why)
    };
    assert_eq!(with("name: web", "db"), Ok(()));
    assert_eq!(with("name: web", "web"), Err("'web' is the name of another workload already".to_owned()));
    let replica = Err("'web-2' is the name of another workload's replica already".to_owned());
    assert_eq!(with("replicas: 2\n      name: web", "web-2"), replica);
    assert_eq!(
        with("replicas: 2\n      name: web", "web"),
        Err("'web' is the name of another workload already".to_owned())
    );
}

#[test]
fn sizes_are_limited() {
    let many = |count: usize, replicas: u16| {
        let mut text = LEAST.split("    - name").next().unwrap().to_owned();
        for number in 0..count {
            text += &format!(
                "    - {{name: w{number}, image: a, replicas: {replicas}, resources: {{cpu: 1, memory: 1}}}}\n"
            );
        }
        parse(&text).map(|_| ()).map_err(|error| error.why)
    };
    assert_eq!(many(64, 1), Ok(()));
    assert_eq!(many(65, 1), Err("65 workloads, and at most 64 are allowed".to_owned()));
    assert_eq!(many(4, 64), Ok(()));
    assert_eq!(many(5, 64), Err("320 replicas in all, and at most 256 are allowed".to_owned()));
    assert_eq!(many(0, 1), Err("'workloads' is missing".to_owned()));
    let long = parse(&format!("{LEAST}# {}", "x".repeat(MAX_TEXT))).unwrap_err();
    assert_eq!(
        long.to_string(),
        format!("the text has {} bytes, and at most 65536 are read", LEAST.len() + 2 + MAX_TEXT)
    );
}

#[test]
fn what_is_no_yaml_is_said_in_one_line_with_its_place() {
    for (text, at) in
        [("a: [", None), ("a: b: c", Some(1)), ("\ta: 1", Some(1)), ("a: 1\na: 2\n", Some(2)), ("*x", Some(1))]
    {
        let error = parse(text).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        if let Some(line) = at {
            assert_eq!(error.at.map(|(line, _)| line), Some(line), "{error}");
        }
    }
    for text in ["", "\n# nothing\n", "---\n---\n"] {
        assert_eq!(parse(text).unwrap_err().to_string(), "the text is empty: an intent is expected");
    }
    assert_eq!(
        parse("7").unwrap_err().to_string(),
        "line 1, column 1: a mapping is expected, and this is the number 7"
    );
}

#[test]
fn aliases_do_not_multiply_without_end() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "));
    }
    assert!(parse(&text).is_err());
    let nested = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(parse(&nested).is_err());
}

proptest! {
    #[test]
    fn any_text_is_an_intent_or_one_sentence(text in "\\PC{0,200}", at in 0..LEAST.len(), cut in 0usize..40) {
        let _ = parse(&text);
        let mut changed = LEAST.to_owned();
        changed.replace_range(at..(at + cut).min(LEAST.len()), &text);
        if let Err(error) = parse(&changed) {
            prop_assert!(!error.to_string().contains('\n'), "{}", error);
        }
    }
}

#[test]
fn the_examples_are_intents() {
    for text in [include_str!("../../../examples/hello.yaml"), include_str!("../../../examples/batch.yaml")] {
        assert_eq!(parse(text).unwrap().files().count(), 1);
    }
}
