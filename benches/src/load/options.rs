//! Options of `load`.

use super::process::{DataFolder, Watched};
use super::workload::Kind;
use clap::Args;
use std::path::PathBuf;

/// Reads per second of the mixed workload, unless said otherwise.
const MIXED_READS: u32 = 500;
/// Requests per second at a fixed rate, at least.
const BATCHES_PER_SECOND_MIN: usize = 20;

/// Options of `load`.
#[derive(Args, Debug)]
pub struct LoadCommand {
    /// Where transactions are sent, http:// or ws://; may be given several times
    #[arg(long, value_name = "URL", required_unless_present = "devnet")]
    pub rpc: Vec<String>,
    /// Where blocks are read, http:// or ws:// (default: the first --rpc)
    #[arg(long, value_name = "URL")]
    pub meter: Option<String>,
    /// Start a devnet with this lonja binary, measure it, and stop it
    #[arg(long, value_name = "LONJA", conflicts_with_all = ["rpc", "meter", "pid", "data"])]
    pub devnet: Option<PathBuf>,
    /// Validators of the devnet
    #[arg(long, default_value_t = 4)]
    pub validators: u16,
    /// Block period of the devnet, milliseconds
    #[arg(long, default_value_t = 1000)]
    pub block_period_ms: u64,
    /// Added to all ports of the devnet
    #[arg(long, default_value_t = 1000)]
    pub port_offset: u16,
    /// Talk to the devnet over WebSocket instead of HTTP
    #[arg(long, requires = "devnet")]
    pub websocket: bool,
    /// Start the devnet with a registry, and enter the sending accounts in it: what permissions cost
    #[arg(long, requires = "devnet")]
    pub registry: bool,
    /// Folder for the devnet's data, made and removed (default: a temporary one)
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Leave the devnet's data and logs where they are
    #[arg(long)]
    pub keep: bool,
    /// What is sent
    #[arg(long, value_enum, default_value_t = Kind::Transfers)]
    pub workload: Kind,
    /// Fresh slots that each call of the storage workload writes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub slots: u64,
    /// Reads per second beside the transactions, in turn of --rpc (default: 500 in the mixed workload, else none)
    #[arg(long, value_name = "RATE")]
    pub reads: Option<u32>,
    /// Transactions offered per second, whatever the network does; 0: as many as it takes
    #[arg(long, default_value_t = 1000)]
    pub rate: u32,
    /// With --rate 0: how many transactions may wait to be finalised
    #[arg(long, default_value_t = 10_000)]
    pub outstanding: usize,
    /// With --rate 0: requests under way at the same time
    #[arg(long, default_value_t = 4)]
    pub connections: usize,
    /// Length of the measured window
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Load before the measured window, seconds
    #[arg(long, default_value_t = 5)]
    pub warm_up: u64,
    /// Sending accounts, with fresh keys (made a multiple of --batch)
    #[arg(long, default_value_t = 1000)]
    pub accounts: usize,
    /// Transactions signed before the run (half a KiB of memory each); what is needed beyond is signed on the side
    #[arg(long, default_value_t = 300_000)]
    pub ahead: u64,
    /// Transactions per JSON-RPC batch (at low rates fewer, so that there are 20 a second); 1 sends plain requests
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub batch: u16,
    /// Private key (hex) that pays the accounts first and makes the contracts; plain transfers are of one wei then.
    /// Without it they are of nothing, and gas must be free. A devnet's first account pays by itself
    #[arg(long, value_name = "KEY")]
    pub fund: Option<String>,
    /// Wei per gas (default: what the node says)
    #[arg(long)]
    pub gas_price: Option<u128>,
    /// Process to be watched; may be given several times
    #[arg(long, value_name = "NAME=PID")]
    pub pid: Vec<Watched>,
    /// Data folder of a watched process, by its name in --pid; may be given several times
    #[arg(long, value_name = "NAME=DIR")]
    pub data: Vec<DataFolder>,
    /// How often the metered node is asked for its next block, milliseconds
    #[arg(long, default_value_t = 20)]
    pub poll_ms: u64,
    /// Write the report to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw throughput, latency and memory over time into this file
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

impl LoadCommand {
    /// Sending accounts: whole batches.
    pub fn account_count(&self) -> usize {
        self.accounts.max(1).next_multiple_of(self.batch_size())
    }

    /// Transactions per request. With rare great batches latency would say when they came, by chance, between blocks.
    pub fn batch_size(&self) -> usize {
        let most = if self.rate == 0 { usize::MAX } else { self.rate as usize / BATCHES_PER_SECOND_MIN };
        usize::from(self.batch).min(most).max(1)
    }

    /// Reads per second.
    pub fn reads_per_second(&self) -> u32 {
        self.reads.unwrap_or(if self.workload == Kind::Mixed { MIXED_READS } else { 0 })
    }

    /// The most transactions that the run can need, by account; nothing where that depends on the network.
    pub fn each_needed(&self) -> Option<u64> {
        let count = u64::from(self.rate).saturating_mul(self.warm_up.saturating_add(self.seconds));
        // One more: the turns of the accounts need not end evenly.
        (self.rate > 0).then(|| count.div_ceil(self.account_count() as u64) + 1)
    }

    /// The watched processes, with their data folders.
    pub fn watched(&self) -> eyre::Result<Vec<Watched>> {
        let mut watched = self.pid.clone();
        for DataFolder { name, folder } in &self.data {
            let process = watched.iter_mut().find(|process| process.name == *name);
            let process =
                process.ok_or_else(|| eyre::eyre!("--data {name}=…: there is no --pid {name}=…"))?;
            process.data = Some(folder.clone());
        }
        Ok(watched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        load: LoadCommand,
    }

    fn options(words: &str) -> LoadCommand {
        Cli::parse_from(["load", "--rpc", "ws://node"].into_iter().chain(words.split_whitespace())).load
    }

    #[test]
    fn what_a_run_needs_is_known_where_the_rate_is() {
        let load = options("--rate 1000 --warm-up 5 --seconds 15 --accounts 130 --batch 50");
        assert_eq!((load.account_count(), load.each_needed()), (150, Some(135)));
        assert_eq!(options("--rate 0").each_needed(), None);
    }

    #[test]
    fn batches_are_smaller_at_low_rates() {
        let batch = |words| options(words).batch_size();
        assert_eq!((batch("--rate 10000"), batch("--rate 0"), batch("--rate 0 --batch 7")), (50, 50, 7));
        assert_eq!((batch("--rate 100"), batch("--rate 5")), (5, 1));
    }

    #[test]
    fn reads_belong_to_the_mixed_workload() {
        assert_eq!(options("--workload mixed").reads_per_second(), MIXED_READS);
        assert_eq!(options("--workload erc20").reads_per_second(), 0);
        assert_eq!(options("--workload erc20 --reads 7").reads_per_second(), 7);
    }

    #[test]
    fn data_folders_belong_to_processes() {
        let watched = options("--pid a=1 --pid b=2 --data b=/d").watched().unwrap();
        assert_eq!((&watched[0].data, &watched[1].data), (&None, &Some("/d".into())));
        assert!(options("--pid a=1 --data c=/d").watched().is_err());
    }
}
