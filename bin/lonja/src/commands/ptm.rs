//! `lonja ptm`: the manager of private transactions as a process of its own, and its keys.

mod keygen;
mod keys;
mod options;
mod recover;
pub mod secrets;
mod serve;
mod tessera;

use clap::Subcommand;
use eyre::Result;
pub use recover::Incomplete;

/// The manager of private transactions as a process of its own, for nodes that have none in them (GoQuorum, Besu, a lonja with
/// --ptm remote), in one network with Tessera; and its keys, in Tessera's files.
#[derive(Debug, Subcommand)]
pub enum PtmCommand {
    /// Make a key pair: FILE.key with the private key and FILE.pub with the public one
    Keygen(keygen::KeygenArgs),
    /// Show the public keys of key files, or of a running manager
    Keys(keys::KeysArgs),
    /// Run a manager that serves nodes, clients and other managers
    Serve(Box<serve::ServeArgs>),
    /// Get back from other managers what was lost with the store: before the node starts again
    Recover(Box<recover::RecoverArgs>),
}

impl PtmCommand {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Keygen(args) => args.run(),
            Self::Keys(args) => args.run(),
            Self::Serve(args) => args.run(),
            Self::Recover(args) => args.run(),
        }
    }
}
