//! The walls of the house: who may depend on whom, and which file may name what.
//!
//! The picture is in `docs/architecture.md`. A wall that is in the way is moved there and here, with a decision
//! record; it is not gone around.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use kernel::planted::{self, Bug};

/// Each crate with those of ours that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("kernel", &[]),
    ("rear-proto", &["kernel"]),
    ("orchestrator", WORDS),
    ("rear", WORDS),
    ("discovery", WORDS),
    ("contract", WORDS),
    ("network", WORDS),
    ("vfabric", WORDS),
    ("federation", WORDS),
    (
        "agent",
        &["kernel", "rear-proto", "orchestrator", "rear", "discovery", "contract", "network", "vfabric", "federation"],
    ),
    (
        "simulations",
        &[
            "kernel",
            "rear-proto",
            "orchestrator",
            "rear",
            "discovery",
            "contract",
            "network",
            "vfabric",
            "federation",
            "agent",
        ],
    ),
    ("transport", &["kernel"]),
    ("runtime", &[]),
    (
        "node",
        &[
            "kernel",
            "rear-proto",
            "orchestrator",
            "rear",
            "discovery",
            "contract",
            "network",
            "vfabric",
            "federation",
            "agent",
            "simulations",
            "transport",
            "runtime",
        ],
    ),
];

/// What deciders speak in.
const WORDS: &[&str] = &["kernel", "rear-proto"];

/// The crates that decide, or give words for deciding: no runtime, no network, no disk, no clock below them.
const PURE: &[&str] = &[
    "kernel",
    "rear-proto",
    "orchestrator",
    "rear",
    "discovery",
    "contract",
    "network",
    "vfabric",
    "federation",
    "agent",
];

/// External crates (or whole families, with `*`) with those of ours that may name them in their manifest.
const NAMED_BY: &[(&str, &[&str])] = &[
    ("libp2p*", &["transport"]),
    ("sled", &["node"]),
    ("bincode", &["rear-proto"]),
    ("wasmtime*", &["runtime"]),
    ("tokio*", &["transport", "runtime", "node"]),
    ("futures*", &["transport", "runtime", "node"]),
    ("axum", &["node"]),
    ("reqwest", &["node"]),
    ("clap*", &["node"]),
    ("indicatif", &["node"]),
    ("plotters*", &["simulations"]),
];

/// What may stand below a pure crate by no road whatever.
const NEVER_BELOW_PURE: &[&str] =
    &["tokio*", "libp2p*", "sled", "mio", "async-std", "wasmtime*", "axum", "hyper*", "reqwest", "futures*", "socket2"];

/// Words with the files, or folders, that may say them in code.
const SAID_IN: &[(&str, &[&str])] = &[
    ("sled", &["node/src/store.rs", "node/src/store/"]),
    ("bincode", &["rear-proto/src/wire/codec.rs"]),
    ("libp2p", &["transport/"]),
    // The others measure how long guests and simulations ran, and benchmarks measure; nothing is decided by it.
    (
        "Instant::now",
        &[
            "node/src/clock.rs",
            "runtime/src/cpu.rs",
            "simulations/src/search/stopwatch.rs",
            "node/benches/",
            "transport/src/bare.rs",
            // These two read virtual time.
            "stack/src/clock.rs",
            "stack/shims/",
        ],
    ),
    ("SystemTime::now", &["node/src/clock.rs"]),
    // Signatures that prove nothing: whoever wants them has to name the module in one of these ways.
    ("cheap::", NAME_CHEAP),
    ("::cheap", NAME_CHEAP),
    ("cheap as", NAME_CHEAP),
];

/// Where the scheme of simulations is, and where it may be used: in no daemon, and in nothing that decides.
const NAME_CHEAP: &[&str] =
    &["rear-proto/src/signed.rs", "rear-proto/src/signed/", "rear-proto/benches/", "simulations/"];

/// What no pure crate may say in code, tests beside.
const NEVER_SAID: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env::var",
    "std::env::args",
    "std::env::current_dir",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "async fn",
    "async move",
    ".await",
    "rand::rng",
    "rand::random",
    "thread_rng",
    "OsRng",
    "SysRng",
    "getrandom",
];

/// The longest that a file may be, in lines.
const LONGEST: usize = 800;

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    // The lock file and the packages are there: this test was built with them.
    MetadataCommand::new().manifest_path(manifest).other_options(vec!["--offline".to_owned()]).exec().unwrap()
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

#[test]
fn each_crate_uses_only_those_of_ours_that_it_may() {
    let metadata = metadata();
    let table: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let ours: BTreeSet<_> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let known: BTreeSet<_> = table.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(ours, known, "the table of walls has each crate of the workspace once");
    for package in metadata.workspace_packages() {
        let allowed = table[package.name.as_str()];
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name)) {
            let (user, used) = (&package.name, &dependency.name);
            assert!(allowed.contains(&used.as_str()), "{user} must not use {used}");
        }
        let folder = package.manifest_path.parent().and_then(|path| path.file_name());
        assert_eq!(folder, Some(package.name.as_str()), "a crate's folder has its name");
    }
}

#[test]
fn outside_crates_are_named_only_by_those_that_may() {
    for package in metadata().workspace_packages() {
        for dependency in &package.dependencies {
            for (pattern, by) in NAMED_BY.iter().filter(|(pattern, _)| matches(pattern, &dependency.name)) {
                let name = &package.name;
                assert!(by.contains(&name.as_str()), "{name} must not depend on {} ({pattern})", dependency.name);
            }
        }
    }
}

#[test]
fn no_runtime_network_or_disk_stands_below_what_decides() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let below: BTreeMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let normal =
                node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
            (&node.id, normal.map(|dep| &dep.pkg).collect())
        })
        .collect();
    for package in metadata.workspace_packages().into_iter().filter(|package| PURE.contains(&package.name.as_str())) {
        let mut seen = BTreeMap::from([(&package.id, package.name.to_string())]);
        let mut left = vec![&package.id];
        while let Some(id) = left.pop() {
            let road = seen[id].clone();
            for dep in &below[id] {
                let name = metadata[*dep].name.to_string();
                let road = format!("{road} → {name}");
                assert!(!NEVER_BELOW_PURE.iter().any(|pattern| matches(pattern, &name)), "{road}");
                if seen.insert(dep, road).is_none() {
                    left.push(dep);
                }
            }
        }
        assert!(seen.len() > 1 || package.name.as_str() == "kernel", "the graph of {} was walked", package.name);
    }
}

/// The crates that have a switch for planted bugs: where it is, and where it is turned on for a test.
const PLANTED: &[&str] = &["kernel", "simulations", "node"];

/// Does not compile where a bug is planted, for then it is no constant.
const NO_BUG: () = {
    let mut at = 0;
    while at < Bug::ALL.len() {
        assert!(!planted::is(Bug::ALL[at]));
        at += 1;
    }
};

#[test]
fn no_bug_is_planted_in_what_is_shipped() {
    let () = NO_BUG;
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        for dependency in package.dependencies.iter().filter(|dependency| PLANTED.contains(&dependency.name.as_str())) {
            assert!(!dependency.features.iter().any(|it| it == "planted"), "{name} plants bugs in {}", dependency.name);
        }
        for (feature, enables) in &package.features {
            let plants = feature == "planted" || enables.iter().any(|it| it.contains("planted"));
            let may = PLANTED.contains(&name) && feature == "planted";
            assert!(!plants || may, "the feature {feature} of {name} plants bugs");
        }
    }
    // The graph is that of the default features.
    for node in &metadata.resolve.as_ref().unwrap().nodes {
        let planted = node.features.iter().any(|feature| feature.as_str() == "planted");
        assert!(!planted, "bugs are planted in {} from the start", node.id);
    }
}

/// Returns every source file of ours, by its path from the root, with its text.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                // What is built, and what is no part of the project.
                if name != "target" && !name.starts_with('.') {
                    walk(&path, found);
                }
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    walk(root, &mut found);
    assert!(found.len() > 50, "the sources were found");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text)
        })
        .collect()
}

/// Returns the lines of code, numbered from 1, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

#[test]
fn only_certain_files_name_what_is_kept_at_arms_length() {
    for (path, text) in sources() {
        if path == "node/tests/walls.rs" {
            continue;
        }
        for (at, line) in code(&text) {
            for (word, files) in SAID_IN.iter().filter(|(word, _)| says(line, word)) {
                assert!(files.iter().any(|file| path.starts_with(file)), "{path}:{at} must not name {word}: {line}");
            }
        }
    }
}

/// Says whether a line has this word, not merely as a part of a longer one; what begins with `libp2p` counts.
fn says(line: &str, word: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = letter(word.chars().next()) && letter(line[..at].chars().next_back());
        let after = letter(word.chars().next_back()) && letter(line[at + word.len()..].chars().next());
        !before && (!after || word == "libp2p")
    })
}

#[test]
fn what_decides_reads_no_clock_no_disk_and_no_chance() {
    for (path, text) in sources() {
        let pure = PURE.iter().any(|name| path.starts_with(&format!("{name}/src/")));
        if !pure || path.ends_with("/tests.rs") || path.contains("/tests/") {
            continue;
        }
        for (at, line) in code(&text).take_while(|(_, line)| !line.contains("#[cfg(test)]")) {
            let said = NEVER_SAID.iter().find(|word| says(line, word));
            assert_eq!(said, None, "{path}:{at} must not name it: {line}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_can_be_read_at_once() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{path} does not begin with what it is for");
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{path} has {lines} lines, more than {LONGEST}");
    }
}
