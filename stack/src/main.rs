//! Runs a scenario over the real stack in virtual time, and prints what became of it as JSON.

use std::{fs, io, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use kernel::Span;
use simulations::{plan::Trim, scenario::Scenario, shipped};
use stack::{Setting, Text};

/// Runs a scenario over the real stack in virtual time: tens of nodes, libp2p and all.
#[derive(Parser)]
struct Args {
    /// A scenario's file, or the name of one that is shipped.
    scenario: String,
    /// The seed: the same one gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many nodes there are at the most; each takes some megabytes and some time.
    #[arg(long, default_value_t = 30)]
    nodes: u32,
    /// For how long it runs, such as `60s`; as long as the scenario says where nothing is said.
    #[arg(long = "for")]
    length: Option<Span>,
    /// Writes all that happens to a file, with its virtual time: what the digest is of.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Tells on stderr what became of each intent.
    #[arg(long)]
    wishes: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let args = Args::parse();
    let scenario = scenario(&args.scenario)?;
    let trim = Trim { nodes: Some(args.nodes), length: args.length, ..Trim::default() };
    let setting = Setting::of(&scenario, args.seed, &trim)?;
    let text = match &args.trace {
        Some(path) => {
            let file = fs::File::create(path).with_context(|| format!("can not write {}", path.display()))?;
            Some(Box::new(io::BufWriter::new(file)) as Text)
        }
        None => None,
    };
    let report = stack::run(&setting, args.seed, text)?;
    for what in &report.left_out {
        eprintln!("left out: {what}");
    }
    if args.wishes {
        for wish in &report.wishes {
            eprintln!("{}", serde_json::to_string(wish)?);
        }
    }
    println!("{}", serde_json::to_string_pretty(&report.outcome)?);
    Ok(if report.outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn scenario(word: &str) -> anyhow::Result<Scenario> {
    let (name, text) = match shipped::text(word) {
        Some(text) => (word.to_owned(), text.to_owned()),
        None => {
            let text = fs::read_to_string(word)
                .with_context(|| format!("{word} is neither a file nor a scenario{}", shipped::hint(word)))?;
            let name = std::path::Path::new(word).file_stem().unwrap_or_default();
            (name.to_string_lossy().into_owned(), text)
        }
    };
    Ok(Scenario::read(&name, &text)?)
}
