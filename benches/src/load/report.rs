//! What a measurement says: for people as a table, for programs as JSON.

use super::ledger::{SeenBlock, Tally};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Threads shown per process.
const THREADS_SHOWN: usize = 12;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How the tool was called.
    pub command: Vec<String>,
    /// `web3_clientVersion` of the metered node.
    pub client: String,
    /// Length of the measured window, seconds.
    pub seconds: f64,
    /// Transactions per second that were to be offered; 0 for as many as are taken.
    pub rate: u32,
    /// Whether signed transactions ran out before the end.
    pub exhausted: bool,
    /// Transactions finalised per second, from the first to the last block seen within the window.
    pub finalised_per_s: f64,
    /// Transactions offered within the window per second, each time counted.
    pub offered_per_s: f64,
    /// Of them refused or not answered, per second.
    pub refused_per_s: f64,
    /// What became of those accepted within the window.
    pub transactions: Transactions,
    /// Reasons of refusals over the whole run, each with how often it was given.
    pub reasons: BTreeMap<String, u64>,
    /// From submission until seen in a block, of those offered within the window.
    pub latency_ms: Spread,
    /// Blocks seen within the window.
    pub blocks: Blocks,
    /// Processes watched.
    pub processes: Vec<Process>,
    /// Where the machine's processors were.
    pub machine: Processors,
}

/// Counts.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Transactions {
    pub accepted: u64,
    pub finalised: u64,
    pub lost: u64,
}

/// Quantiles of a quantity.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct Spread {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

/// Blocks.
#[derive(Debug, Serialize)]
pub struct Blocks {
    /// How many.
    pub count: usize,
    /// How many without transactions.
    pub empty: usize,
    /// Transactions in each.
    pub transactions: Spread,
    /// Encoded size of each, bytes.
    pub bytes: Spread,
    /// Time between the sight of one and the next, milliseconds.
    pub interval_ms: Spread,
    /// Gas used per second.
    pub gas_per_s: f64,
}

/// A process over the window.
#[derive(Debug, Serialize)]
pub struct Process {
    /// Name.
    pub name: String,
    /// CPU time used, seconds.
    pub cpu_s: f64,
    /// The same per finalised transaction, microseconds.
    pub cpu_us_per_transaction: f64,
    /// Resident memory at the end, MiB.
    pub rss_mib: f64,
    /// Most that ever was, MiB.
    pub peak_rss_mib: f64,
    /// Growth of its data on disk from the first to the last transaction of the run, bytes per transaction.
    pub disk_bytes_per_transaction: Option<f64>,
    /// CPU time by name of thread, seconds, greatest first.
    pub threads: Vec<(String, f64)>,
}

/// CPU seconds over the window, all processors together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Processors {
    /// How many processors.
    pub count: usize,
    /// Used by the watched processes.
    pub watched_s: f64,
    /// Used by this tool.
    pub tool_s: f64,
    /// Used by everybody else: noise, when it is not next to nothing.
    pub others_s: f64,
    /// Taken away by the host.
    pub stolen_s: f64,
}

impl Spread {
    /// Of these values, in any order.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = (values.len() as f64 * share).ceil() as usize;
            values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

impl Transactions {
    /// From the ledger's counts.
    pub fn of(tally: &Tally) -> Self {
        Self { accepted: tally.accepted, finalised: tally.latencies.len() as u64, lost: tally.lost }
    }
}

/// Latencies in milliseconds.
pub fn milliseconds(latencies: &[Duration]) -> Vec<f64> {
    latencies.iter().map(|latency| latency.as_secs_f64() * 1e3).collect()
}

/// Our transactions per second between the first and the last of these blocks. Those in the first came before the
/// time that is counted.
pub fn rate(blocks: &[SeenBlock]) -> f64 {
    per_second(blocks, |block| block.ours as f64)
}

fn per_second(blocks: &[SeenBlock], what: impl Fn(&SeenBlock) -> f64) -> f64 {
    let ([first, .., last], [_, counted @ ..]) = (blocks, blocks) else { return 0.0 };
    let seconds = last.seen.duration_since(first.seen).as_secs_f64();
    if seconds > 0.0 { counted.iter().map(what).sum::<f64>() / seconds } else { 0.0 }
}

impl Blocks {
    /// Of blocks in the order in which they were seen.
    pub fn of(blocks: &[SeenBlock]) -> Self {
        let spread = |value: fn(&SeenBlock) -> f64| Spread::of(blocks.iter().map(value).collect());
        let interval = |(earlier, later): (&SeenBlock, &SeenBlock)| {
            later.seen.duration_since(earlier.seen).as_secs_f64()
        };
        let intervals = blocks.iter().zip(blocks.iter().skip(1)).map(interval).map(|seconds| seconds * 1e3);
        Self {
            count: blocks.len(),
            empty: blocks.iter().filter(|block| block.transactions == 0).count(),
            transactions: spread(|block| block.transactions as f64),
            bytes: spread(|block| block.bytes as f64),
            interval_ms: Spread::of(intervals.collect()),
            gas_per_s: per_second(blocks, |block| block.gas_used as f64),
        }
    }
}

impl Report {
    /// Prints it for people.
    pub fn print(&self) {
        let rate = if self.rate == 0 { "as many as are taken".into() } else { format!("{}/s", self.rate) };
        println!("\n{}, {:.0} s, {rate}", self.client, self.seconds);
        if self.exhausted {
            println!("the signed transactions ran out before the end: sign more with --most");
        }
        println!("\n  finalised   {:>9.1} tx/s", self.finalised_per_s);
        println!(
            "  offered     {:>9.1} tx/s, of which {:.1} refused",
            self.offered_per_s, self.refused_per_s
        );
        let t = &self.transactions;
        println!("  of {} accepted: {} finalised, {} lost", t.accepted, t.finalised, t.lost);
        for (reason, count) in &self.reasons {
            println!("    refused {count} times in all: {reason}");
        }
        println!("\n  {:<26}{:>9}{:>9}{:>9}{:>9}", "", "p50", "p90", "p99", "max");
        row("submit to finalised, ms", self.latency_ms);
        row("block interval, ms", self.blocks.interval_ms);
        row("block transactions", self.blocks.transactions);
        row("block size, bytes", self.blocks.bytes);
        let b = &self.blocks;
        println!("  {} blocks ({} empty), {:.1} Mgas/s", b.count, b.empty, b.gas_per_s / 1e6);
        self.print_processes();
    }

    fn print_processes(&self) {
        if !self.processes.is_empty() {
            println!("\n  process          CPU s   us/tx   RSS MiB   peak   disk B/tx   threads, CPU s");
        }
        for p in &self.processes {
            let shown = p.threads.iter().filter(|(_, cpu_s)| *cpu_s >= 0.05).take(THREADS_SHOWN);
            let threads: Vec<String> = shown.map(|(name, cpu_s)| format!("{name} {cpu_s:.2}")).collect();
            let disk = p.disk_bytes_per_transaction.map_or("-".into(), |bytes| format!("{bytes:.0}"));
            println!(
                "  {:<14}{:>8.2}{:>8.0}{:>10.0}{:>7.0}{:>12}   {}",
                p.name,
                p.cpu_s,
                p.cpu_us_per_transaction,
                p.rss_mib,
                p.peak_rss_mib,
                disk,
                threads.join(", ")
            );
        }
        let m = &self.machine;
        println!(
            "\n  {} processors for {:.0} s: network {:.1} s, this tool {:.1} s, others {:.1} s, stolen {:.1} s",
            m.count, self.seconds, m.watched_s, m.tool_s, m.others_s, m.stolen_s
        );
    }
}

fn row(name: &str, spread: Spread) {
    let Spread { p50, p90, p99, max } = spread;
    println!("  {name:<26}{p50:>9.0}{p90:>9.0}{p99:>9.0}{max:>9.0}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let spread = Spread::of((1..=100).rev().map(f64::from).collect());
        assert_eq!((spread.p50, spread.p90, spread.p99, spread.max), (50.0, 90.0, 99.0, 100.0));
        assert_eq!(Spread::of(vec![7.0]).p50, 7.0);
        assert_eq!(Spread::of(Vec::new()).max, 0.0);
    }

    #[test]
    fn the_rate_counts_what_came_after_the_first_block() {
        let start = Instant::now();
        let block = |second, ours| SeenBlock {
            seen: start + Duration::from_secs(second),
            transactions: ours,
            ours,
            gas_used: 0,
            bytes: 0,
        };
        let blocks = [block(10, 5_000), block(11, 100), block(13, 200)];
        assert_eq!(rate(&blocks), 100.0);
        assert_eq!((rate(&blocks[..1]), rate(&[])), (0.0, 0.0));
        assert_eq!(Blocks::of(&blocks).interval_ms.max, 2_000.0);
    }
}
