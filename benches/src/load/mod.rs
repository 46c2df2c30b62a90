//! `lonja-benches load`: offers transactions and meters what the network makes of them.
//!
//! Accounts and contracts are prepared, and transactions signed and encoded, before the clock starts. Then transactions are
//! offered for a warm-up and for the measured window, while the meter reads every block at one node; at the end the
//! tool waits until what was accepted is in blocks, and counts.

pub mod contracts;
mod devnet;
mod lane;
pub mod ledger;
pub mod meter;
pub mod options;
mod plot;
pub mod process;
mod reads;
pub mod report;
pub mod rpc;
pub mod run;
pub mod sample;
mod sender;
pub mod series;
pub mod setup;
mod signing;
mod table;
mod websocket;
pub mod workload;

use alloy_primitives::{Address, B256, U256};
use devnet::Devnet;
use eyre::{Context, Result, eyre};
use lonja_primitives::{NodeKey, Signer};
pub use options::LoadCommand;
use process::Watched;
use report::Share;
use rpc::Endpoint;
use run::Run;
use serde::Deserialize;
use serde_json::json;
use setup::Payer;
use std::sync::Arc;
use std::time::Instant;
use workload::{Action, Kind, Terms, Workload};

/// Where the number of transactions is not known before, accounts get enough for so many per second.
const PAID_PER_SECOND_MAX: u64 = 20_000;
/// So many lost transactions are asked for at the end.
const LOST_ASKED_MAX: usize = 100;

/// The network under test.
pub struct Target {
    /// Where transactions are sent.
    pub senders: Vec<Endpoint>,
    /// Where blocks are read.
    pub meter: Endpoint,
    /// Its processes.
    pub watched: Vec<Watched>,
}

/// What is ready before the clock starts.
pub struct Prepared {
    /// What is sent.
    pub workload: Arc<Workload>,
    /// Whoever sends.
    pub accounts: Vec<Address>,
    /// The token, where there is one.
    pub token: Option<Address>,
    /// No account will need, or can pay for, more transactions.
    pub each_max: u64,
}

impl LoadCommand {
    /// Measures.
    pub async fn run(&self) -> Result<()> {
        let Some(lonja) = &self.devnet else {
            let senders: Vec<Endpoint> =
                self.rpc.iter().map(|url| Endpoint::new(url)).collect::<Result<_>>()?;
            let meter = match (&self.meter, senders.first()) {
                (Some(url), _) => Endpoint::new(url)?,
                (None, first) => first.cloned().ok_or_else(|| eyre!("--rpc is needed"))?,
            };
            return self.measure(Target { senders, meter, watched: self.watched()? }, None).await;
        };
        let shape = devnet::Shape {
            validators: self.validators,
            block_period_ms: self.block_period_ms,
            port_offset: self.port_offset,
            websocket: self.websocket,
            registry: self.registry,
        };
        let temporary = || std::env::temp_dir().join(format!("lonja-load-{}", std::process::id()));
        let dir = self.dir.clone().unwrap_or_else(temporary);
        let devnet = Devnet::start(lonja, shape, dir, self.keep).await?;
        let (senders, watched) = (vec![devnet.rpc.clone()], devnet.processes.clone());
        let target = Target { senders, meter: devnet.rpc.clone(), watched };
        let measured = self.measure(target, Some(devnet::FUNDED_KEY)).await;
        devnet.stop().await?;
        measured
    }

    async fn measure(&self, target: Target, funded_key: Option<&str>) -> Result<()> {
        let client: Option<String> = target.meter.call("web3_clientVersion", json!([])).await.unwrap_or(None);
        let prepared = self.prepare(&target.meter, self.fund.as_deref().or(funded_key)).await?;
        let mut run = Run::new(self, &target, &prepared);
        let window = run.offer().await?;
        let mut report = run.report(&window)?;
        report.client = client.unwrap_or_else(|| target.meter.url().to_owned());
        report.lost_still_waiting = still_waiting(&target.meter, run.lost(LOST_ASKED_MAX)).await;
        report.print();
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_vec_pretty(&report)?)
                .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(path) = &self.plot {
            std::fs::write(path, plot::draw(&report))
                .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Makes accounts and what they need on the chain.
    async fn prepare(&self, node: &Endpoint, funder: Option<&str>) -> Result<Prepared> {
        let started = Instant::now();
        let keys: Vec<NodeKey> = (0..self.account_count()).map(|_| NodeKey::generate()).collect();
        let accounts: Vec<Address> = keys.iter().map(Signer::address).collect();
        let gas_price = match self.gas_price {
            Some(price) => price,
            None => u128::from(node.number("eth_gasPrice", json!([])).await?),
        };
        let terms = Terms { chain_id: node.number("eth_chainId", json!([])).await?, gas_price };
        let payer_key = funder.map(NodeKey::from_hex).transpose().wrap_err("--fund")?;
        let mut payer = Payer::new(node, payer_key.unwrap_or_else(NodeKey::generate), terms).await?;
        if self.registry {
            payer.register(&accounts).await?;
        }
        let each_max = self.each_max(funder.is_some());
        let needs_token = match self.workload {
            Kind::Erc20 | Kind::Mixed => true,
            Kind::Transfers | Kind::Storage => false,
        };
        let token = match needs_token {
            true => Some(payer.token(&accounts, U256::from(u32::MAX)).await?),
            false => None,
        };
        let action = match (self.workload, token) {
            (Kind::Erc20, Some(token)) => Action::Token(token),
            (Kind::Storage, _) => Action::Slots(payer.slots().await?, self.slots),
            _ => Action::Transfer(U256::from(u8::from(funder.is_some()))),
        };
        if funder.is_some() {
            let fee = U256::from(gas_price) * U256::from(action.gas());
            let wei = (action.value() + fee).saturating_mul(U256::from(each_max.saturating_add(1)));
            payer.fund(&accounts, wei).await?;
        }
        println!("{} accounts prepared in {:.1?}", accounts.len(), started.elapsed());
        let workload = Arc::new(Workload::new(keys, terms, action));
        Ok(Prepared { workload, accounts, token, each_max })
    }

    fn each_max(&self, is_paid: bool) -> u64 {
        let paid = PAID_PER_SECOND_MAX.saturating_mul(self.warm_up.saturating_add(self.seconds));
        let unknown = if is_paid { paid / self.account_count() as u64 + 1 } else { u64::MAX };
        self.each_needed().unwrap_or(unknown)
    }
}

/// How many of these transactions the node still has.
async fn still_waiting(node: &Endpoint, hashes: Vec<B256>) -> Option<Share> {
    #[derive(Deserialize)]
    struct Found {}
    let (mut count, of) = (0, hashes.len() as u64);
    for hash in hashes {
        let found = node.call::<Found>("eth_getTransactionByHash", json!([hash])).await.ok()?;
        count += u64::from(found.is_some());
    }
    (of > 0).then_some(Share { of, count })
}
