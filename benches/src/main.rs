//! Measuring tools. `load` puts a network under load through JSON-RPC and says what became of it; `standard` measures the
//! standard cases with it.
//!
//! The tool speaks JSON-RPC only and knows nothing of lonja's insides, so that any Ethereum node can be measured by the
//! same yardstick. What one component costs by itself is told by the benches in `benches/`.

mod load;
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
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Load(command) => {
            // One thread is enough for this tool, and leaves the others to the network under test.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(command.run())
        }
        Command::Standard(command) => command.run(),
    }
}
