//! `lonja`: a node of a permissioned Ethereum network, and the tools around it.

#[macro_use]
mod output;

mod checkpoint;
mod client;
mod commands;
mod files;
mod logging;
mod manager;
mod passwords;
mod progress;
mod settings;

use clap::{CommandFactory, Parser, Subcommand};
use commands::{
    account::AccountCommand, config::ConfigCommand, db::DbCommand, devnet::DevnetCommand,
    doctor::DoctorCommand, evm::EvmCommand, export::ExportCommand, genesis::GenesisCommand,
    import::ImportCommand, init::InitCommand, key::KeyCommand, node::NodeCommand,
    permission::PermissionCommand, private::PrivateCommand, ptm::Incomplete, ptm::PtmCommand,
    status::StatusCommand, validator::ValidatorCommand,
};
use eyre::Result;
use lonja_conformance::TransitionError;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A node of a permissioned Ethereum network: EVM, Istanbul BFT, finality in one block, no cryptocurrency.
#[derive(Parser, Debug)]
#[command(name = "lonja", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "First steps:  lonja devnet        a whole network on this machine\n              \
                        lonja genesis new   a network of your own")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a node
    Node(Box<NodeCommand>),
    /// Make a data directory for a network
    Init(InitCommand),
    /// Run a whole network on this machine: validators and a regular node
    Devnet(DevnetCommand),
    /// Make, explain and check genesis files
    #[command(subcommand)]
    Genesis(GenesisCommand),
    /// Make and show node keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make, list and import the accounts that a node signs for
    #[command(subcommand)]
    Account(AccountCommand),
    /// List validators and vote on them, at a running node
    #[command(subcommand)]
    Validator(ValidatorCommand),
    /// Who belongs to the network and what they may do: members, nodes, accounts, votes
    #[command(subcommand)]
    Permission(Box<PermissionCommand>),
    /// Look after the payloads of private transactions at a running node: recover, purge, prove
    #[command(subcommand)]
    Private(PrivateCommand),
    /// Run a manager of private transactions without a node, and make its keys
    #[command(subcommand)]
    Ptm(PtmCommand),
    /// One screen about a running node
    Status(StatusCommand),
    /// Find out what is wrong with a node: one check a line, with what to do
    Doctor(DoctorCommand),
    /// Write a chain's blocks to a file
    Export(ExportCommand),
    /// Take the blocks of files into a chain, verifying and executing all
    Import(ImportCommand),
    /// Look after the database of a data directory
    #[command(subcommand)]
    Db(DbCommand),
    /// Run the public Ethereum tests through this node's executor, state and block checks
    #[command(subcommand)]
    Evm(EvmCommand),
    /// Show the merged configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command).and_then(|()| output::finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_code(&error)
        }
    }
}

/// Tools around `evm t8n` and `ptm recover` tell outcomes apart by these.
fn exit_code(error: &eyre::Report) -> ExitCode {
    let transition = error.downcast_ref::<TransitionError>().map(TransitionError::exit_code);
    let code = transition.or_else(|| error.downcast_ref::<Incomplete>().map(Incomplete::exit_code));
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

fn run(command: Command) -> Result<()> {
    settings::refuse_unknown_variables(&Cli::command())?;
    match command {
        Command::Node(node) => node.run(),
        Command::Init(init) => init.run(),
        Command::Devnet(devnet) => block_on(devnet.run()),
        Command::Genesis(genesis) => genesis.run(),
        Command::Key(key) => key.run(),
        Command::Account(account) => account.run(),
        Command::Validator(validator) => block_on(validator.run()),
        Command::Permission(permission) => block_on(permission.run()),
        Command::Private(private) => block_on(private.run()),
        Command::Ptm(ptm) => ptm.run(),
        Command::Status(status) => block_on(status.run()),
        Command::Doctor(doctor) => block_on(doctor.run()),
        Command::Export(export) => export.run(),
        Command::Import(import) => import.run(),
        Command::Db(db) => db.run(),
        Command::Evm(evm) => evm.run(),
        Command::Config(config) => config.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lonja", &mut script);
            print!("{}", String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}

/// A small runtime for the commands that only talk to nodes.
fn block_on(task: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
