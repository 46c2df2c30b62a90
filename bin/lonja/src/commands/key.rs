//! `lonja key`: make and show node keys.

use crate::files;
use clap::Subcommand;
use eyre::Result;
use lonja_node::identity;
use lonja_primitives::{NodeKey, Signer};
use std::path::PathBuf;

/// Keys of nodes. One key is the node's p2p identity and, on a validator, what it votes with.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new key and write it to a file (mode 0600); an existing file is never overwritten
    New {
        /// File to write
        #[arg(default_value = "node.key")]
        file: PathBuf,
    },
    /// Show what belongs to a key: node id, address, enode. The secret itself is not shown
    Show {
        /// Key file, or a data directory with a node.key in it
        #[arg(default_value = "node.key")]
        file: PathBuf,
        /// Host to put into the enode address
        #[arg(long, default_value = "127.0.0.1")]
        host: String,
        /// Port to put into the enode address
        #[arg(long, default_value_t = 30303)]
        port: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl KeyCommand {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self {
            Self::New { file } => {
                let key = NodeKey::generate();
                files::write_key(&file, &key)?;
                println!("wrote {}", file.display());
                print_key(&key, "127.0.0.1", 30303, false);
            }
            Self::Show { file, host, port, json } => {
                let file = if file.is_dir() { file.join("node.key") } else { file };
                let key = files::read_key(&file)?;
                // The node may run with a key from elsewhere, so this is no error.
                if let Some(Err(warning)) =
                    file.parent().map(|folder| identity::check(folder, &key.node_id()))
                {
                    eprintln!("warning: {warning}");
                }
                print_key(&key, &host, port, json);
            }
        }
        Ok(())
    }
}

fn print_key(key: &NodeKey, host: &str, port: u16, json: bool) {
    let id = key.node_id();
    let enode = format!("enode://{id}@{host}:{port}");
    if json {
        let value = serde_json::json!({ "address": key.address(), "nodeId": id.to_string(), "enode": enode });
        println!("{value:#}");
    } else {
        println!("address  {}\nnode id  {id}\nenode    {enode}", key.address());
    }
}
