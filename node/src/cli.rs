//! The command line: what can be typed, and which function does it.

mod client;
mod domain;
pub(crate) mod exit;
mod intents;
mod market;
mod node;
mod partner;
mod sim;
pub(crate) mod tables;
pub(crate) mod terminal;
mod upkeep;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use kernel::{Quantity, Span};
use rear_proto::membership::Role;

pub use exit::Exit;

use crate::data_dir::DataDir;

/// Joins clusters into one pool of compute, peer to peer.
#[derive(Debug, Parser)]
#[command(name = "tombolo", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The node's data directory [default: the platform's, such as ~/.local/share/tombolo]
    #[arg(long, global = true, value_name = "DIR", env = "TOMBOLO_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// The local daemon's API, such as http://127.0.0.1:4647 [default: found through the data directory];
    /// for `run`, the address to serve it on
    #[arg(long, global = true, value_name = "ADDR")]
    api: Option<String>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    /// Say more; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Offers and uses capacity.
    Node,
    /// Speaks for its domain across the border, and holds what its nodes offer; may offer and use, too.
    Supernode,
    /// Keeps and serves other domains' offers; is party to no contract.
    Catalogue,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Node => Self::Node,
            RoleArg::Supernode => Self::Supernode,
            RoleArg::Catalogue => Self::Catalogue,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole thing on this machine: real daemons, an intent, its workload's page, and the tear-down
    Demo(DemoArgs),
    /// Make a node: its key, its configuration, and its domain or its membership of one
    Init(InitArgs),
    /// Run the daemon
    Run(RunArgs),
    /// Run as an ordinary node (`tombolo node run`)
    #[command(subcommand)]
    Node(RunOnly),
    /// Run as a supernode (`tombolo supernode run`)
    #[command(subcommand)]
    Supernode(RunOnly),
    /// Run as a catalogue (`tombolo catalogue run`)
    #[command(subcommand)]
    Catalogue(RunOnly),
    /// The domain: who is in it, who may come, who must go
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Partners: other domains that this one trades with; at a supernode
    #[command(subcommand)]
    Partner(PartnerCommand),
    /// Who this node is and how it is
    Status(TableArgs),
    /// The nodes that it is connected to, or was
    Peers(TableArgs),
    /// What this node offers
    Flavours(FlavoursArgs),
    /// What others offer, as far as this node knows
    Candidates(TableArgs),
    /// Holds, given and taken
    Reservations(TableArgs),
    /// Contracts, as provider and as consumer
    Contracts(TableArgs),
    /// What contracts and local uses do to this node's resources
    Allocations(TableArgs),
    /// The virtual routers, one per contract
    Routers(TableArgs),
    /// How others have done so far
    Ratings(TableArgs),
    /// Ask for flavours now (LIST_FLAVOURS)
    Discover(DiscoverArgs),
    /// Reserve a flavour by hand
    Reserve(ReserveArgs),
    /// Purchase what is held
    Purchase {
        /// The reservation's id
        reservation: String,
    },
    /// Renew a contract now
    Renew {
        /// The contract's id
        contract: String,
    },
    /// End a reservation, a contract or an allocation
    Release {
        /// Its id
        id: String,
    },
    /// Run what intents describe
    Submit(SubmitArgs),
    /// The intents, or one of them
    Intents(IntentsArgs),
    /// What a workload prints
    Logs(LogsArgs),
    /// Run an intent no longer
    Delete(DeleteArgs),
    /// Verify the ledger, or two against each other
    Audit(AuditArgs),
    /// Build the tables again from the ledger; the daemon must not be running
    Repair,
    /// Simulate worlds of thousands of nodes, with every fault, from one seed
    Sim(sim::SimArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Which stories to show
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4", value_name = "N")]
    pub(crate) stories: Vec<u8>,
    /// Leave the data directories and say where they are
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Found a domain of this name, with this node as its first issuer [default: home]
    #[arg(long, value_name = "NAME", conflicts_with = "join")]
    pub(crate) domain: Option<String>,
    /// Join a domain by a token from `tombolo domain invite`
    #[arg(long, value_name = "TOKEN")]
    pub(crate) join: Option<String>,
    /// What the node is to be [default: node, or what the token says]
    #[arg(long)]
    role: Option<RoleArg>,
    /// Offer nothing; what this machine has free is not measured
    #[arg(long)]
    pub(crate) no_offer: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Another configuration than that of the data directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the node is to be, whatever the configuration says
    #[arg(long)]
    role: Option<RoleArg>,
    /// A multiaddress to listen on, instead of those of the configuration; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum RunOnly {
    /// Run the daemon
    Run(RunArgs),
}

#[derive(Debug, Subcommand)]
enum DomainCommand {
    /// Print a token with which one node may join
    Invite {
        /// What it is to be
        #[arg(long, default_value = "node")]
        role: RoleArg,
        /// For how long the token is good
        #[arg(long, default_value = "1h", value_name = "SPAN")]
        ttl: Span,
    },
    /// The members that this node knows
    Members(TableArgs),
    /// Take a node out of the domain: its connections close and its contracts end
    Remove {
        /// The node's id
        node: String,
    },
}

#[derive(Debug, Subcommand)]
enum PartnerCommand {
    /// Print a token with which another domain may become a partner; it works once
    Invite {
        /// What that domain is to be called here: small letters, digits and hyphens
        #[arg(long, value_name = "NAME")]
        name: String,
        /// For how long the token is good
        #[arg(long, default_value = "1h", value_name = "SPAN")]
        ttl: Span,
    },
    /// Become a partner of the domain that made a token; waits for that domain
    Accept {
        /// The token
        token: String,
        /// What that domain is to be called here: small letters, digits and hyphens
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// The partners that this node knows
    List(TableArgs),
    /// Let a partner begin nothing new here; what is agreed goes on by its terms
    Suspend {
        /// What it is called here
        name: String,
    },
    /// Let a suspended partner use what is exposed to it again
    Resume {
        /// What it is called here
        name: String,
    },
    /// Have a partner no longer: what was agreed with it ends
    Remove {
        /// What it is called here
        name: String,
    },
}

#[derive(Debug, Args)]
struct TableArgs {
    /// Show it again whenever it may have changed
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct FlavoursArgs {
    #[command(flatten)]
    table: TableArgs,
    #[command(subcommand)]
    command: Option<FlavoursCommand>,
}

#[derive(Debug, Subcommand)]
enum FlavoursCommand {
    /// Offer what a file describes (YAML or JSON)
    Offer {
        /// The file
        file: PathBuf,
    },
    /// Offer a flavour no longer; contracts on it go on
    Withdraw {
        /// The flavour's id
        id: String,
    },
}

#[derive(Debug, Args)]
struct DiscoverArgs {
    /// What is wanted, such as 'cpu>=2, memory>=4Gi, arch=amd64, price<=0.10EUR/h'; everything, when empty
    #[arg(default_value = "")]
    selector: String,
    /// The most flavours to show
    #[arg(long, default_value_t = 64)]
    limit: u32,
    /// For each candidate that does not match, the filter that ruled it out
    #[arg(long)]
    explain: bool,
}

#[derive(Debug, Args)]
struct ReserveArgs {
    /// The flavour's id, as `discover` shows it
    flavour: String,
    /// With whom, where several offer it
    #[arg(long, value_name = "NODE")]
    provider: Option<String>,
    /// Cores, such as 500m
    #[arg(long)]
    cpu: Option<Quantity>,
    /// Memory, such as 64Mi
    #[arg(long)]
    memory: Option<Quantity>,
    /// Number of workloads
    #[arg(long)]
    pods: Option<Quantity>,
    /// Storage, such as 1Gi
    #[arg(long)]
    storage: Option<Quantity>,
    /// Number of accelerators
    #[arg(long)]
    gpu: Option<Quantity>,
    /// Hold it only; `purchase` it later
    #[arg(long)]
    hold: bool,
    /// For how long
    #[arg(long, default_value = "1h", value_name = "SPAN")]
    term: Span,
    /// Within which time it will be used; beyond the seller's default it is owed from the start
    #[arg(long, default_value = "5m", value_name = "SPAN")]
    activate_within: Span,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Intents, as YAML
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Wait until they run, with a line for each step
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait
    #[arg(long, default_value = "1m", value_name = "SPAN")]
    pub(crate) timeout: Span,
    /// Run it on a contract made by hand
    #[arg(long, value_name = "ID")]
    pub(crate) contract: Option<String>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct IntentsArgs {
    #[command(flatten)]
    table: TableArgs,
    #[command(subcommand)]
    command: Option<IntentsCommand>,
}

#[derive(Debug, Subcommand)]
enum IntentsCommand {
    /// One intent, with where its workloads run and where their ports are
    Show {
        /// The intent's id, or the start of it, or its name
        id: String,
        /// The story as it happened: step, node, manager, time
        #[arg(long)]
        steps: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The intent's id, or the start of it, or its name
    pub(crate) id: String,
    /// Which replica, where there are several
    #[arg(long)]
    pub(crate) workload: Option<String>,
    /// Go on as it prints
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The intent's id, or the start of it, or its name
    pub(crate) id: String,
    /// Wait until everything is given back
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait
    #[arg(long, default_value = "1m", value_name = "SPAN")]
    pub(crate) timeout: Span,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Another party's ledger, to find contradictions with
    #[arg(long, value_name = "LEDGER")]
    pub(crate) against: Option<PathBuf>,
}

impl Global {
    pub(crate) fn data_dir(&self) -> DataDir {
        DataDir::new(self.data_dir.clone().unwrap_or_else(DataDir::default_path))
    }

    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    pub(crate) fn api(&self) -> Option<&str> {
        self.api.as_deref()
    }

    /// Returns the address to serve the API on, for `run`.
    fn api_to_serve(&self) -> anyhow::Result<Option<SocketAddr>> {
        self.api.as_deref().map(node::parse_api_address).transpose()
    }
}

/// Runs what was typed and says how it went.
pub async fn run(cli: Cli) -> Exit {
    match cli.global.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    Exit::of(Box::pin(dispatch(cli)).await)
}

/// Returns how much the program is to say of itself, by the count of `-v`.
pub fn log_level(cli: &Cli) -> &'static str {
    let daemon =
        matches!(cli.command, Command::Run(_) | Command::Node(_) | Command::Supernode(_) | Command::Catalogue(_));
    match (cli.global.verbose, daemon) {
        (0, false) => "warn",
        (0, true) => "info",
        (1, _) => "debug",
        (_, _) => "trace",
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let Cli { global, command } = cli;
    match command {
        Command::Demo(args) => crate::demo::run(&args.stories, args.keep, global.json).await,
        Command::Init(args) => {
            let role = args.role.map(Role::from);
            node::init(&global, args, role).await
        }
        Command::Run(args) => node::run(&global, args.config, args.role.map(Role::from), args.listen).await,
        Command::Node(RunOnly::Run(args)) => node::run(&global, args.config, Some(Role::Node), args.listen).await,
        Command::Supernode(RunOnly::Run(args)) => {
            node::run(&global, args.config, Some(Role::Supernode), args.listen).await
        }
        Command::Catalogue(RunOnly::Run(args)) => {
            node::run(&global, args.config, Some(Role::Catalogue), args.listen).await
        }
        Command::Domain(DomainCommand::Invite { role, ttl }) => domain::invite(&global, role.into(), ttl).await,
        Command::Domain(DomainCommand::Members(table)) => tables::show(&global, &tables::MEMBERS, table.watch).await,
        Command::Domain(DomainCommand::Remove { node }) => domain::remove(&global, &node).await,
        Command::Partner(PartnerCommand::Invite { name, ttl }) => partner::invite(&global, &name, ttl).await,
        Command::Partner(PartnerCommand::Accept { token, name }) => partner::accept(&global, &token, &name).await,
        Command::Partner(PartnerCommand::List(table)) => tables::show(&global, &tables::PARTNERS, table.watch).await,
        Command::Partner(PartnerCommand::Suspend { name }) => partner::switch(&global, &name, "suspend").await,
        Command::Partner(PartnerCommand::Resume { name }) => partner::switch(&global, &name, "resume").await,
        Command::Partner(PartnerCommand::Remove { name }) => partner::remove(&global, &name).await,
        Command::Status(table) => tables::show(&global, &tables::STATUS, table.watch).await,
        Command::Peers(table) => tables::show(&global, &tables::PEERS, table.watch).await,
        Command::Flavours(FlavoursArgs { table, command: None }) => {
            tables::show(&global, &tables::FLAVOURS, table.watch).await
        }
        Command::Flavours(FlavoursArgs { command: Some(FlavoursCommand::Offer { file }), .. }) => {
            market::offer(&global, &file).await
        }
        Command::Flavours(FlavoursArgs { command: Some(FlavoursCommand::Withdraw { id }), .. }) => {
            market::withdraw(&global, &id).await
        }
        Command::Candidates(table) => tables::show(&global, &tables::CANDIDATES, table.watch).await,
        Command::Reservations(table) => tables::show(&global, &tables::RESERVATIONS, table.watch).await,
        Command::Contracts(table) => tables::show(&global, &tables::CONTRACTS, table.watch).await,
        Command::Allocations(table) => tables::show(&global, &tables::ALLOCATIONS, table.watch).await,
        Command::Routers(table) => tables::show(&global, &tables::ROUTERS, table.watch).await,
        Command::Ratings(table) => tables::show(&global, &tables::RATINGS, table.watch).await,
        Command::Discover(args) => market::discover(&global, &args.selector, args.limit, args.explain).await,
        Command::Reserve(args) => {
            let asked = market::Asked {
                flavour: args.flavour,
                provider: args.provider,
                cpu: args.cpu,
                memory: args.memory,
                pods: args.pods,
                storage: args.storage,
                gpu: args.gpu,
                hold: args.hold,
                term: args.term,
                activate_within: args.activate_within,
            };
            market::reserve(&global, &asked).await
        }
        Command::Purchase { reservation } => market::purchase(&global, &reservation).await,
        Command::Renew { contract } => market::renew(&global, &contract).await,
        Command::Release { id } => market::release(&global, &id).await,
        Command::Submit(args) => intents::submit(&global, &args).await,
        Command::Intents(IntentsArgs { table, command: None }) => {
            tables::show(&global, &tables::INTENTS, table.watch).await
        }
        Command::Intents(IntentsArgs { command: Some(IntentsCommand::Show { id, steps }), .. }) => {
            intents::show(&global, &id, steps).await
        }
        Command::Logs(args) => intents::logs(&global, &args).await,
        Command::Delete(args) => intents::delete(&global, &args).await,
        Command::Audit(args) => upkeep::audit(&global, args.against.as_deref()),
        Command::Repair => upkeep::repair(&global),
        Command::Sim(args) => sim::sim(&global, args).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "tombolo", &mut std::io::stdout());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
