//! `lonja genesis`: make, explain and check genesis files.

pub mod registry;

use crate::files;
use alloy_primitives::{Address, U256};
use clap::{ArgAction, Args, Subcommand};
use eyre::{Context, Result, bail, eyre};
use lonja_permissioning::registry::plan::EXAMPLE;
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::Privacy;
use lonja_primitives::transaction::PRIVATE_MARK;
use lonja_primitives::{Genesis, Signer};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// Genesis files: the rules of a network and its first state.
#[derive(Debug, Subcommand)]
pub enum GenesisCommand {
    /// Make a genesis file for a new network
    New(NewArgs),
    /// Say in words every rule that a genesis file sets, from which block on, and its hash
    Explain {
        /// Genesis file (lonja's, GoQuorum's or Besu's shape)
        file: PathBuf,
    },
    /// Check a genesis file; exits with 1 when it is refused
    Check {
        /// Genesis file (lonja's, GoQuorum's or Besu's shape)
        file: PathBuf,
        /// Fail unless the genesis block has this hash
        #[arg(long)]
        hash: Option<alloy_primitives::B256>,
    },
}

/// Options of `lonja genesis new`.
#[derive(Args, Debug)]
pub struct NewArgs {
    /// Chain id; choose one that no other network uses
    #[arg(long, default_value_t = 1337)]
    chain_id: u64,
    /// Address of a first validator; may be repeated or separated by commas
    #[arg(long = "validator", value_delimiter = ',')]
    validators: Vec<Address>,
    /// Make this many validator keys, in folders validator-1, validator-2, … beside the genesis file; one that is
    /// there already is kept
    #[arg(long, default_value_t = 0, conflicts_with = "validators")]
    make_validators: u16,
    /// Plan of members, nodes, accounts and policy: the network governs itself by contracts that stand in block 0.
    /// The plan names the first validators
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["validators", "make_validators"])]
    registry: Option<PathBuf>,
    /// Print a plan with every field explained, and do nothing else
    #[arg(long, exclusive = true)]
    registry_example: bool,
    /// Time between blocks, milliseconds
    #[arg(long, default_value_t = 1000)]
    block_period_ms: u64,
    /// Time after which an empty block is made, milliseconds (default: the block period)
    #[arg(long)]
    empty_block_period_ms: Option<u64>,
    /// Whether the network may have private transactions, protected contracts and privacy markers
    #[arg(long, value_name = "true|false", default_value_t = true, action = ArgAction::Set)]
    private: bool,
    /// Account and balance in wei at block 0, as ADDRESS=WEI; may be repeated
    #[arg(long = "balance", value_name = "ADDRESS=WEI", value_parser = parse_balance)]
    balances: Vec<(Address, U256)>,
    /// File to write; `-` for standard output
    #[arg(long, short, default_value = "genesis.json")]
    out: PathBuf,
}

fn parse_balance(text: &str) -> Result<(Address, U256), String> {
    let (address, wei) = text.split_once('=').ok_or("ADDRESS=WEI is expected")?;
    let address = address.parse().map_err(|_| format!("{address} is not an address"))?;
    let wei = wei.parse().map_err(|_| format!("{wei} is not an amount of wei"))?;
    Ok((address, wei))
}

impl GenesisCommand {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self {
            Self::New(args) => args.run(),
            Self::Explain { file } => {
                let (_, genesis) = files::read_genesis(&file)?;
                print!("{}", genesis.explain());
                print!("{}", registry::explain(&genesis));
                let unvoted = lonja_node::unvoted_blocks(&genesis.spec);
                if !unvoted.is_empty() {
                    println!("\nBlocks of older formats, which lonja verifies but does not vote on");
                    unvoted.iter().for_each(|blocks| println!("  {blocks}"));
                }
                Ok(())
            }
            Self::Check { file, hash } => {
                let (_, genesis) = files::read_genesis(&file)?;
                files::print_warnings(&genesis);
                for blocks in lonja_node::unvoted_blocks(&genesis.spec) {
                    eprintln!("note: lonja verifies {blocks}, but does not vote on them");
                }
                let found = genesis.header.hash();
                if let Some(wanted) = hash.filter(|wanted| *wanted != found) {
                    bail!("{}: the genesis hash is {found}, not {wanted}", file.display());
                }
                println!("{}: fine; chain id {}, genesis {found}", file.display(), genesis.spec.chain_id);
                Ok(())
            }
        }
    }
}

impl NewArgs {
    fn run(mut self) -> Result<()> {
        if self.registry_example {
            print!("{EXAMPLE}");
            return Ok(());
        }
        if self.out.exists() {
            bail!("{} exists already; it is not overwritten", self.out.display());
        }
        if self.private && self.chain_id == PRIVATE_MARK {
            bail!(
                "chain id 1 is Ethereum's, where nothing is private: choose another, or add --private false"
            );
        }
        self.make_keys()?;
        if self.validators.is_empty() && self.registry.is_none() {
            bail!(
                "a network needs validators: --validator ADDRESS (once for each), --make-validators N, or --registry PLAN"
            );
        }
        let mut network = self.network();
        if let Some(plan) = &self.registry {
            registry::add(&mut network, plan)?;
        }
        let text = network.to_json();
        let genesis = Genesis::from_json(&text).map_err(|error| eyre!("{error}"))?;
        files::print_warnings(&genesis);
        if self.out.as_os_str() == "-" {
            print!("{text}");
            return Ok(());
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.out);
        let file = file.as_mut().map_err(|e| eyre!("cannot write {}: {e}", self.out.display()))?;
        write!(file, "{text}")?;
        println!(
            "wrote {}; chain id {}, genesis {}",
            self.out.display(),
            self.chain_id,
            genesis.header.hash()
        );
        println!("next:  lonja init --genesis {} --data-dir DIR   on every node", self.out.display());
        Ok(())
    }

    fn network(&self) -> NewNetwork {
        NewNetwork {
            chain_id: self.chain_id,
            validators: self.validators.clone(),
            balances: self.balances.iter().copied().collect::<BTreeMap<_, _>>(),
            block_period_ms: Some(self.block_period_ms),
            empty_block_period_ms: self.empty_block_period_ms,
            privacy: if self.private { Privacy::OF_NEW_NETWORKS } else { Privacy::default() },
            ..NewNetwork::default()
        }
    }

    fn make_keys(&mut self) -> Result<()> {
        let beside = self.out.parent().map(PathBuf::from).unwrap_or_default();
        for n in 1..=self.make_validators {
            let folder = beside.join(format!("validator-{n}"));
            fs::create_dir_all(&folder).wrap_err_with(|| format!("cannot make {}", folder.display()))?;
            let file = folder.join(files::NODE_KEY);
            let (key, made) = files::read_or_make_key(&file)?;
            eprintln!("{}  {}", folder.display(), key.address());
            if !made {
                eprintln!("warning: kept {}, which was there", file.display());
            }
            self.validators.push(key.address());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct New {
        #[command(flatten)]
        args: NewArgs,
    }

    const VALIDATOR: &str = "0x0101010101010101010101010101010101010101";

    fn new(more: &[&str]) -> NewArgs {
        let args = ["new", "--validator", VALIDATOR, "--out", "-"].iter().chain(more);
        New::try_parse_from(args).unwrap_or_else(|error| panic!("{error}")).args
    }

    fn privacy(more: &[&str]) -> Privacy {
        let genesis = Genesis::from_json(&new(more).network().to_json()).unwrap();
        *genesis.spec.privacy_at(0)
    }

    #[test]
    fn new_networks_may_have_private_transactions() {
        assert_eq!(privacy(&[]), Privacy::OF_NEW_NETWORKS);
        assert_eq!(privacy(&["--private", "true"]), Privacy::OF_NEW_NETWORKS);
        assert_eq!(privacy(&["--private", "false"]), Privacy::default());
        assert!(New::try_parse_from(["new", "--private"]).is_err());
        assert!(New::try_parse_from(["new", "--private", "maybe"]).is_err());
    }

    #[test]
    fn chain_id_one_has_none() {
        let error = new(&["--chain-id", "1"]).run().unwrap_err().to_string();
        assert!(error.contains("--private false"), "{error}");
        assert!(new(&["--chain-id", "1", "--private", "false"]).run().is_ok());
    }
}
