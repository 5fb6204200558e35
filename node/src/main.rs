//! The `tombolo` program.

use std::process::ExitCode;

use clap::Parser as _;
use node::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = cli::log_level(&cli);
    let filter = tracing_subscriber::EnvFilter::try_from_env("TOMBOLO_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(format!("warn,node={level},transport={level},runtime={level},agent={level}"))
    });
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("tombolo: can not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(cli::run(cli));
    // Whatever still blocks a thread has lost its owner; it must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    exit.report()
}
