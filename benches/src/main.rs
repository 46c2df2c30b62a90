//! Measuring tools. `load` puts a network under load through JSON-RPC and says what became of it; `standard` measures the
//! standard cases with it. `private` compares private transactions with public ones.
//!
//! The first two speak JSON-RPC only and know nothing of lonja's insides, so that any Ethereum node can be measured by the
//! same yardstick. `chain` makes a chain in a file, for measuring imports and stores. What one component costs by itself is told by the benches in `benches/`.

mod chain;
mod load;
mod private;
mod standard;

use clap::{Parser, Subcommand};
use eyre::Result;

#[derive(Parser)]
#[command(name = "lonja-benches", about = "Measures Ethereum networks", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send transactions at a rate, or as many as the network takes, and meter what is finalised
    Load(Box<load::LoadCommand>),
    /// Measure the standard cases on fresh devnets and write reports, plots and a table
    Standard(standard::StandardCommand),
    /// Measure private writes between two members against public ones, on the same nodes
    Private(Box<private::PrivateCommand>),
    /// Make a chain in a file, for `lonja import`: always the same for the same options
    Chain(chain::ChainCommand),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Load(command) => alone(command.run()),
        Command::Private(command) => alone(command.run()),
        Command::Standard(command) => command.run(),
        Command::Chain(command) => command.run(),
    }
}

/// On one thread, which is enough for a tool, and leaves the others to the network under test.
fn alone(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
