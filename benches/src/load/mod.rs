//! `lonja-benches load`: offers plain transfers and meters what the network makes of them.
//!
//! Everything is signed and encoded first. Then transactions are offered for a warm-up and for the measured window,
//! while the meter reads every block at one node; at the end the tool waits until what was accepted is in
//! blocks, and counts.

mod devnet;
mod funding;
mod ledger;
mod meter;
mod process;
mod report;
mod rpc;
mod sender;
mod workload;

use alloy_primitives::U256;
use clap::Args;
use devnet::Devnet;
use eyre::{Context, Result, bail, eyre};
use ledger::{Answers, Ledger, SeenBlock};
use lonja_primitives::NodeKey;
use meter::Meter;
use process::{Machine, Usage, Watched};
use report::{Blocks, Process, Processors, Report, Spread, Transactions};
use rpc::Endpoint;
use sender::{Pace, Sender};
use serde_json::json;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;
use workload::{Terms, Workload};

/// After the last offer, what is accepted counts as lost when none of it has come into a block for this time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How often the end of the draining is looked for.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// Options of `load`.
#[derive(Args, Debug)]
pub struct LoadCommand {
    /// Where transactions are sent; may be given several times
    #[arg(long, value_name = "URL", required_unless_present = "devnet")]
    rpc: Vec<String>,
    /// Where blocks are read (default: the first --rpc)
    #[arg(long, value_name = "URL")]
    meter: Option<String>,
    /// Start a devnet with this lonja binary, measure it, and stop it
    #[arg(long, value_name = "LONJA", conflicts_with_all = ["rpc", "meter", "pid"])]
    devnet: Option<PathBuf>,
    /// Validators of the devnet
    #[arg(long, default_value_t = 4)]
    validators: u16,
    /// Block period of the devnet, milliseconds
    #[arg(long, default_value_t = 1000)]
    block_period_ms: u64,
    /// Added to all ports of the devnet
    #[arg(long, default_value_t = 1000)]
    port_offset: u16,
    /// Folder for the devnet's data, made and removed (default: a temporary one)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the devnet's data and logs where they are
    #[arg(long)]
    keep: bool,
    /// Transactions offered per second, whatever the network does; 0: as many as it takes
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Transactions are signed ahead for no more than this rate: the network is not expected to take more
    #[arg(long, default_value_t = 8000)]
    most: u32,
    /// With --rate 0: how many transactions may wait to be finalised
    #[arg(long, default_value_t = 10_000)]
    outstanding: usize,
    /// With --rate 0: requests under way at the same time
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Length of the measured window
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Load before the measured window, seconds
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// Sending accounts, with fresh keys (made a multiple of --batch)
    #[arg(long, default_value_t = 1000)]
    accounts: usize,
    /// Transactions per JSON-RPC batch; 1 sends plain requests
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Private key (hex) that pays the accounts first; they then send one wei each time. Without it transfers are of
    /// nothing, which needs free gas. A devnet's first account pays by itself
    #[arg(long, value_name = "KEY")]
    fund: Option<String>,
    /// Wei per gas (default: what the node says)
    #[arg(long)]
    gas_price: Option<u128>,
    /// Process to be watched; may be given several times
    #[arg(long, value_name = "NAME=PID")]
    pid: Vec<Watched>,
    /// How often the metered node is asked for its next block, milliseconds
    #[arg(long, default_value_t = 20)]
    poll_ms: u64,
    /// Write the report to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was used until some moment.
struct Sample {
    at: Instant,
    answers: Answers,
    usage: Vec<Usage>,
    own: Usage,
    machine: Machine,
}

/// The network under test.
struct Target {
    senders: Vec<Endpoint>,
    meter: Endpoint,
    watched: Vec<Watched>,
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
            let watched = self.pid.clone();
            return self.measure(Target { senders, meter, watched }, None).await;
        };
        let (validators, block_period_ms) = (self.validators, self.block_period_ms);
        let shape = devnet::Shape { validators, block_period_ms, port_offset: self.port_offset };
        let temporary = || std::env::temp_dir().join(format!("lonja-load-{}", std::process::id()));
        let dir = self.dir.clone().unwrap_or_else(temporary);
        let devnet = Devnet::start(lonja, shape, dir, self.keep).await?;
        let (senders, watched) = (vec![devnet.rpc.clone()], devnet.processes.clone());
        let measured =
            self.measure(Target { senders, meter: devnet.rpc.clone(), watched }, Some(&devnet)).await;
        devnet.stop().await?;
        measured
    }

    async fn measure(&self, target: Target, devnet: Option<&Devnet>) -> Result<()> {
        let workload = Rc::new(self.prepare(&target.meter, devnet.is_some()).await?);
        let ledger = Rc::new(RefCell::new(Ledger::new(workload.hashes())));
        let client: Option<String> = target.meter.call("web3_clientVersion", json!([])).await.unwrap_or(None);
        let next = target.meter.number("eth_blockNumber", json!([])).await? + 1;
        let disk_before = devnet.map(Devnet::disk_bytes).unwrap_or_default();
        let meter = Meter::new(target.meter.clone(), ledger.clone(), Duration::from_millis(self.poll_ms));
        let batch = usize::from(self.batch);
        let sender = Rc::new(Sender::new(workload, ledger.clone(), target.senders.clone(), batch));
        let local = LocalSet::new();
        local.spawn_local(meter.run(next));
        let [from, to] = local.run_until(self.offer(sender.clone(), &ledger, &target.watched)).await?;
        drop(local);
        let ledger = ledger.borrow();
        let mut report = self.report(&ledger, &target.watched, &from, &to);
        report.client = client.unwrap_or_else(|| target.meter.url().to_owned());
        report.exhausted = sender.exhausted();
        if let Some(devnet) = devnet {
            let all: usize = ledger.blocks().iter().map(|block| block.ours).sum();
            for (process, ((_, before), (_, after))) in
                report.processes.iter_mut().zip(disk_before.iter().zip(devnet.disk_bytes()))
            {
                process.disk_bytes_per_transaction =
                    Some((after as f64 - *before as f64) / all.max(1) as f64);
            }
        }
        report.print();
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_vec_pretty(&report)?)
                .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Makes and funds accounts; signs.
    async fn prepare(&self, node: &Endpoint, is_devnet: bool) -> Result<Workload> {
        let batch = usize::from(self.batch);
        let rate = if self.rate == 0 { self.most } else { self.rate.min(self.most) } as usize;
        let count = rate.saturating_mul((self.warm_up + self.seconds) as usize);
        let accounts = self.accounts.max(1).next_multiple_of(batch);
        let each = count.div_ceil(accounts) + 1;
        let keys: Vec<NodeKey> = (0..accounts).map(|_| NodeKey::generate()).collect();
        let gas_price = match self.gas_price {
            Some(price) => price,
            None => u128::from(node.number("eth_gasPrice", json!([])).await?),
        };
        let chain_id = node.number("eth_chainId", json!([])).await?;
        let funder = self.fund.as_deref().or(is_devnet.then_some(devnet::FUNDED_KEY));
        let terms = Terms { chain_id, gas_price, value: U256::from(u8::from(funder.is_some())) };
        if let Some(key) = funder {
            let funder = NodeKey::from_hex(key).wrap_err("--fund")?;
            funding::fund(node, &funder, &keys, terms, each as u64).await?;
        }
        let started = Instant::now();
        let workload = Workload::sign(&keys, terms, each, batch);
        println!("{} transfers of {accounts} accounts signed in {:.1?}", workload.len(), started.elapsed());
        Ok(workload)
    }

    /// Offers until the end of the window and waits for what was accepted; gives what was used at the window's ends.
    async fn offer(
        &self,
        sender: Rc<Sender>,
        ledger: &RefCell<Ledger>,
        watched: &[Watched],
    ) -> Result<[Sample; 2]> {
        let (connections, outstanding) = (self.connections.max(1), self.outstanding.max(1));
        let pace = match self.rate {
            0 => Pace::Saturate { connections, outstanding },
            rate => Pace::Rate(rate),
        };
        let start = Instant::now();
        let window = start + Duration::from_secs(self.warm_up);
        let end = window + Duration::from_secs(self.seconds);
        let sending = tokio::task::spawn_local(sender.clone().run(pace, end));
        tokio::time::sleep_until(window.into()).await;
        let from = Sample::take(ledger.borrow().answers(), watched)?;
        tokio::time::sleep_until(end.into()).await;
        let to = Sample::take(ledger.borrow().answers(), watched)?;
        sending.await?;
        let filling = tokio::task::spawn_local(async move { sender.fill_holes().await });
        let (mut waiting, mut since) = (usize::MAX, Instant::now());
        while ledger.borrow().outstanding() > 0 && since.elapsed() < DRAIN_TIMEOUT {
            if ledger.borrow().outstanding() < waiting {
                (waiting, since) = (ledger.borrow().outstanding(), Instant::now());
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        filling.abort();
        if ledger.borrow().blocks().is_empty() {
            bail!("no block was seen during the whole measurement");
        }
        Ok([from, to])
    }

    fn report(&self, ledger: &Ledger, watched: &[Watched], from: &Sample, to: &Sample) -> Report {
        let seconds = to.at.duration_since(from.at).as_secs_f64();
        let within = |block: &&SeenBlock| (from.at..to.at).contains(&block.seen);
        let blocks: Vec<SeenBlock> = ledger.blocks().iter().filter(within).copied().collect();
        let finalised: usize = blocks.iter().map(|block| block.ours).sum();
        let tally = ledger.tally(from.at, to.at);
        let processes: Vec<Process> = watched
            .iter()
            .zip(from.usage.iter().zip(&to.usage))
            .map(|(process, (before, after))| process_over(process, before, after, finalised))
            .collect();
        let watched_s = processes.iter().map(|process| process.cpu_s).sum::<f64>();
        let tool_s = to.own.cpu_s - from.own.cpu_s;
        Report {
            command: std::env::args().skip(1).collect(),
            client: String::new(),
            seconds,
            rate: self.rate,
            exhausted: false,
            finalised_per_s: report::rate(&blocks),
            offered_per_s: (to.answers.offers - from.answers.offers) as f64 / seconds,
            refused_per_s: (to.answers.refusals - from.answers.refusals) as f64 / seconds,
            reasons: ledger.reasons().clone(),
            latency_ms: Spread::of(report::milliseconds(&tally.latencies)),
            transactions: Transactions::of(&tally),
            blocks: Blocks::of(&blocks),
            processes,
            machine: Processors {
                count: std::thread::available_parallelism().map_or(1, usize::from),
                watched_s,
                tool_s,
                others_s: to.machine.busy_s - from.machine.busy_s - watched_s - tool_s,
                stolen_s: to.machine.stolen_s - from.machine.stolen_s,
            },
        }
    }
}

impl Sample {
    fn take(answers: Answers, watched: &[Watched]) -> Result<Self> {
        let own = Watched { name: "this tool".into(), pid: std::process::id() };
        Ok(Self {
            at: Instant::now(),
            answers,
            usage: watched.iter().map(Watched::usage).collect::<Result<_>>()?,
            own: own.usage()?,
            machine: Machine::now()?,
        })
    }
}

fn process_over(process: &Watched, before: &Usage, after: &Usage, finalised: usize) -> Process {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let cpu_s = after.cpu_s - before.cpu_s;
    Process {
        name: process.name.clone(),
        cpu_s,
        cpu_us_per_transaction: cpu_s * 1e6 / finalised.max(1) as f64,
        rss_mib: mib(after.rss_bytes),
        peak_rss_mib: mib(after.peak_rss_bytes),
        disk_bytes_per_transaction: None,
        threads: after.threads_since(before),
    }
}
