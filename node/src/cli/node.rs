//! `tombolo init` and `tombolo run`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use rear_proto::{
    flavour::Party,
    membership::{Role, Token},
};
use serde_json::json;

use super::{Global, InitArgs, exit::WrongUsage, terminal};
use crate::{
    config::Config,
    daemon::Daemon,
    init::{self, Domain},
    open_files,
};

/// Open files beside the connections to other nodes: the API's, workloads', the disk's.
const OTHER_FILES: u64 = 1024;

/// Makes a node.
pub(crate) async fn init(global: &Global, args: InitArgs, role: Option<Role>) -> anyhow::Result<()> {
    let data = global.data_dir();
    let domain = match args.join {
        Some(token) => Domain::Join(token.parse::<Token>().map_err(|error| WrongUsage(error.to_string()))?),
        None => Domain::Found(args.domain.unwrap_or_else(|| "home".to_owned())),
    };
    if let (Domain::Join(token), Some(role)) = (&domain, role)
        && token.role != role
    {
        let (wanted, said) = (role.name(), token.role.name());
        return Err(WrongUsage(format!(
            "--role {wanted}: the token is for a {said}: ask for one with `tombolo domain invite --role {wanted}`"
        ))
        .into());
    }
    // A catalogue's business is other people's offers.
    let offer = !args.no_offer && role != Some(Role::Catalogue);
    let made = init::init(&data, domain, role.unwrap_or(Role::Node), offer).await?;
    if global.json() {
        let text = json!({
            "id": made.id.to_string(),
            "domain": { "name": made.domain.name, "key": made.domain.key.to_string() },
            "dataDir": data.path(),
            "config": data.config(),
        });
        return Ok(terminal::line(&serde_json::to_string_pretty(&text)?)?);
    }
    terminal::line(&format!("node    {}", made.id))?;
    terminal::line(&format!("domain  {} ({})", made.domain.name, made.domain.key))?;
    terminal::line(&format!("config  {}", data.config().display()))?;
    if made.founded {
        terminal::line(&format!(
            "key     {} signs the list of issuers alone: it may be kept offline",
            data.domain_key().display()
        ))?;
    }
    Ok(terminal::line(&format!("next    tombolo run --data-dir {}", data.path().display()))?)
}

/// Runs the daemon until it is told to stop.
pub(crate) async fn run(
    global: &Global,
    config: Option<PathBuf>,
    role: Option<Role>,
    listen: Vec<String>,
) -> anyhow::Result<()> {
    // From here on it ends in order, however early it is told to.
    let shutdown = shutdown_signal()?;
    let data = global.data_dir();
    // Without a node there, that is what to say, not that its configuration is missing.
    data.node_secret()?;
    let files = open_files::raise();
    let mut config = Config::read(&config.unwrap_or_else(|| data.config()))?;
    let wanted = u64::from(config.transport.max_connections) + OTHER_FILES;
    if let Some(files) = files.filter(|files| *files < wanted) {
        tracing::warn!(
            files,
            wanted,
            "few files may be open: others could use them up by connecting (see `ulimit -n`)"
        );
    }
    if let Some(role) = role {
        config.role = role;
    }
    if !listen.is_empty() {
        config.listen = listen;
    }
    if let Some(api) = global.api_to_serve()? {
        config.api = api;
    }
    let daemon = Box::pin(Daemon::start(&data, config)).await?;
    let Party { node, addresses } = Party { node: daemon.id, addresses: daemon.addresses.clone() };
    if global.json() {
        let ready = json!({ "ready": true, "id": node.to_string(), "addresses": addresses, "api": format!("http://{}", daemon.api) });
        terminal::line(&ready.to_string())?;
    } else {
        terminal::line(&format!("ready {node} api http://{} listening {}", daemon.api, addresses.join(" ")))?;
    }
    Box::pin(daemon.serve(shutdown)).await
}

/// Reads the address to serve the API on.
pub(crate) fn parse_api_address(text: &str) -> anyhow::Result<SocketAddr> {
    let address = text.trim_start_matches("http://").trim_end_matches('/');
    Ok(address
        .parse()
        .map_err(|_| WrongUsage(format!("--api {text}: to serve on, an address and a port such as 127.0.0.1:4647")))?)
}

/// Returns a future that ends when the system asks this process to end.
fn shutdown_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("can not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can not listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
