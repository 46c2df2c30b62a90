//! `lonja config`: what the node would run with.

use crate::settings::NodeArgs;
use clap::{Args, Subcommand};
use eyre::Result;
use std::path::PathBuf;

/// The configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the merged result of file, variables, flags and defaults, in the form of lonja.toml
    Show(Box<ShowArgs>),
}

/// Options of `lonja config show`: those of `lonja node`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Configuration file [default: lonja.toml in the data directory, if there]
    #[arg(long, env = "LONJA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

impl ConfigCommand {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let Self::Show(args) = self;
        let settings = args.node.resolve(args.config.as_deref())?;
        print!("{}", toml::to_string(&settings)?);
        Ok(())
    }
}
