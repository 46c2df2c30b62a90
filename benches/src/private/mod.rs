//! `lonja-benches private`: private writes between two members against public writes of the same contract, on the same
//! processes one after the other.
//!
//! Unlike `load` it starts the nodes itself, since they need keys and accounts, and knows what lonja's options are called. A
//! private transaction counts when both parties have executed it: a party shows its receipt from then on.

mod book;
mod client;
mod network;
mod run;
mod table;

use crate::load::options::LoadCommand;
use crate::load::rpc::Endpoint;
use crate::load::run::Run as PublicRun;
use crate::load::setup::Payer;
use crate::load::workload::{Action, Terms, Workload};
use crate::load::{Prepared, Target, contracts};
use alloy_primitives::{Address, B256, U64, U256};
use clap::{Args, Parser};
use eyre::{Context, Result, bail, eyre};
use lonja_primitives::{NodeKey, Signer};
use network::{Network, Shape};
use run::Run;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Case, share, table};

/// What private writes shall reach of the public rate.
const GOAL: f64 = 0.3;
/// How long the contract may take.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Options of `private`.
#[derive(Args, Debug)]
pub struct PrivateCommand {
    /// The lonja binary that is measured
    #[arg(long, value_name = "LONJA")]
    lonja: PathBuf,
    /// Length of each measured window
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Load before each measured window, seconds
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// Block period, milliseconds
    #[arg(long, default_value_t = 1000)]
    block_period_ms: u64,
    /// How many may wait for their execution
    #[arg(long, default_value_t = 10_000)]
    outstanding: usize,
    /// Accounts that send public transactions, signed ahead
    #[arg(long, default_value_t = 1000)]
    accounts: usize,
    /// Private transactions that are being sent at the same time; as many accounts sign them where clients do
    #[arg(long, default_value_t = 192)]
    in_flight: usize,
    /// Private transactions per JSON-RPC batch, as many as a node deals with side by side; 1 sends plain requests
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=100))]
    batch: u16,
    /// Accounts that each member signs for
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    held: u16,
    /// Only these, beside the public one
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Way>,
    /// How often nodes are asked for their next block, milliseconds
    #[arg(long, default_value_t = 20)]
    poll_ms: u64,
    /// Folder for the network's data, made and removed (default: a temporary one)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave data and logs where they are
    #[arg(long)]
    keep: bool,
    /// Write the measurements to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How transactions are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Public ones, signed ahead
    #[value(skip)]
    Public,
    /// Payloads are stored with the manager, and their names signed by clients
    Signed,
    /// Signed by the node
    Held,
    /// Signed by the node and put in markers
    Marked,
}

impl Way {
    const PRIVATE: [Self; 3] = [Self::Signed, Self::Held, Self::Marked];

    fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Signed => "private, signed by clients",
            Self::Held => "private, signed by the node",
            Self::Marked => "private, signed by the node, in markers",
        }
    }
}

impl PrivateCommand {
    /// Measures.
    pub async fn run(&self) -> Result<()> {
        let temporary = || std::env::temp_dir().join(format!("lonja-private-{}", std::process::id()));
        let dir = self.dir.clone().unwrap_or_else(temporary);
        let shape = Shape { block_period_ms: self.block_period_ms, accounts: self.held.into() };
        let network = Network::start(&self.lonja, shape, dir, self.keep).await?;
        let measured = self.measure(&network).await;
        network.stop().await?;
        let cases = measured?;
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_vec_pretty(&cases)?)
                .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        }
        println!("\n{}", table(&cases));
        self.judge(&cases);
        Ok(())
    }

    fn judge(&self, cases: &[Case]) {
        let Some((public, others)) = cases.split_first() else { return };
        for case in others {
            let share = share(case, public.report.finalised_per_s);
            let verdict = if share >= GOAL { "reached" } else { "missed" };
            let name = case.way.name();
            println!(
                "{name}: {:.1} % of the public rate; the goal of {:.0} % is {verdict}",
                share * 100.0,
                GOAL * 100.0
            );
        }
    }

    async fn measure(&self, network: &Network) -> Result<Vec<Case>> {
        let member = &network.members[0];
        let chain_id = member.rpc.number("eth_chainId", json!([])).await?;
        let terms = Terms { chain_id, gas_price: 0 };
        println!("{}: {}", member.name, member.rpc.url());
        let client: Option<String> = member.rpc.call("web3_clientVersion", json!([])).await?;
        let mut cases = Vec::new();
        let mut done = |mut case: Case| {
            case.report.client = client.clone().unwrap_or_default();
            case.report.print();
            cases.push(case);
        };
        done(self.measure_public(network, terms).await?);
        let vault = shared_vault(network).await?;
        for way in Way::PRIVATE {
            if self.only.is_empty() || self.only.contains(&way) {
                let book = Default::default();
                done(Run { options: self, network, terms, vault, way, book }.measure().await?);
            }
        }
        Ok(cases)
    }

    /// The measure of the others: by the tool that measures every public load.
    async fn measure_public(&self, network: &Network, terms: Terms) -> Result<Case> {
        let member = &network.members[0].rpc;
        let mut payer = Payer::new(member, NodeKey::generate(), terms).await?;
        let action = Action::Vault(payer.vault().await?);
        let options = self.load_options(member)?;
        let keys: Vec<NodeKey> = (0..options.account_count()).map(|_| NodeKey::generate()).collect();
        let accounts = keys.iter().map(Signer::address).collect();
        let workload = Arc::new(Workload::new(keys, terms, action));
        let prepared = Prepared { workload, accounts, token: None, each_max: u64::MAX };
        let (senders, watched) = (vec![member.clone()], network.watched.clone());
        let target = Target { senders, meter: member.clone(), watched };
        let mut run = PublicRun::new(&options, &target, &prepared);
        let window = run.offer().await?;
        let mut report = run.report(&window)?;
        report.workload = Way::Public.name().to_owned();
        let per_s = [report.finalised_per_s; 3];
        Ok(Case { way: Way::Public, per_s, executed_well: [0; 2], report })
    }

    fn load_options(&self, member: &Endpoint) -> Result<LoadCommand> {
        #[derive(Parser)]
        struct Words {
            #[command(flatten)]
            load: LoadCommand,
        }
        let pairs = [
            ("--rpc", member.url().to_owned()),
            ("--rate", "0".to_owned()),
            ("--seconds", self.seconds.to_string()),
            ("--warm-up", self.warm_up.to_string()),
            ("--accounts", self.accounts.to_string()),
            ("--outstanding", self.outstanding.to_string()),
            ("--poll-ms", self.poll_ms.to_string()),
            ("--ahead", ((self.seconds + self.warm_up) * SIGNED_PER_SECOND).to_string()),
        ];
        let words = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        Ok(Words::try_parse_from(["load".to_owned()].into_iter().chain(words))?.load)
    }
}

/// Public transactions that are signed ahead for every second: more than a small machine takes.
const SIGNED_PER_SECOND: u64 = 8_000;

/// Makes the contract that keeps a word, private to both members.
async fn shared_vault(network: &Network) -> Result<Address> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Receipt {
        status: Option<U64>,
        contract_address: Option<Address>,
    }
    let [sender, receiver] = &network.members;
    let params = json!([{
        "from": sender.accounts.first(),
        "data": contracts::vault(),
        "gas": U256::from(contracts::CREATE_GAS),
        "privateFor": [receiver.key],
    }]);
    let hash: Option<B256> = sender.rpc.call("eth_sendTransaction", params).await?;
    let started = Instant::now();
    loop {
        // The receiver's receipt says that the contract is there too.
        let receipt: Option<Receipt> = receiver.rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
        match receipt {
            Some(receipt) if receipt.status == Some(U64::ONE) => {
                return receipt.contract_address.ok_or_else(|| eyre!("the private contract has no address"));
            }
            Some(_) => bail!("the private contract could not be made"),
            None if started.elapsed() > CREATE_TIMEOUT => bail!("the private contract was not made in time"),
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        private: PrivateCommand,
    }

    #[test]
    fn the_public_load_has_the_same_window() {
        let words = ["private", "--lonja", "lonja", "--seconds", "7", "--only", "held,marked"];
        let command = Cli::parse_from(words).private;
        assert_eq!(command.only, [Way::Held, Way::Marked]);
        let load = command.load_options(&Endpoint::new("node:1").unwrap()).unwrap();
        assert_eq!((load.rate, load.seconds, load.ahead, load.account_count()), (0, 7, 96_000, 1_000));
    }
}
