//! `lonja init`: makes a data directory for a network.

use crate::files;
use clap::Args;
use eyre::{Context, Result};
use lonja_primitives::Signer;
use std::fs;
use std::path::PathBuf;

/// Options of `lonja init`.
#[derive(Args, Debug)]
pub struct InitCommand {
    /// Genesis file of the network
    #[arg(long)]
    genesis: PathBuf,
    /// Data directory to make
    #[arg(long, env = "LONJA_DATA_DIR", default_value_os_t = files::default_data_dir())]
    data_dir: PathBuf,
}

impl InitCommand {
    /// Installs the genesis file and makes a node key where there is none.
    pub fn run(self) -> Result<()> {
        let (text, genesis) = files::read_genesis(&self.genesis)?;
        fs::create_dir_all(&self.data_dir)
            .wrap_err_with(|| format!("cannot make {}", self.data_dir.display()))?;
        files::print_warnings(&genesis);
        let changes = files::install_genesis(&self.data_dir, &text, &genesis)?;
        let (key, _) = files::read_or_make_key(&self.data_dir.join(files::NODE_KEY))?;
        println!("data directory  {}", self.data_dir.display());
        println!("chain id        {}", genesis.spec.chain_id);
        println!("genesis         {}", genesis.header.hash());
        println!("node address    {}", key.address());
        println!("node id         {}", key.node_id());
        if !changes.is_empty() {
            println!(
                "\nnew rules, which the node takes over at its next start unless its chain has blocks for them:"
            );
            changes.iter().for_each(|change| println!("  {change}"));
        }
        println!("\nstart it:  lonja node --data-dir {}", self.data_dir.display());
        Ok(())
    }
}
