//! What a measurement says, as JSON for programs; `table` says it for people, `plot` draws it.

use super::ledger::{SeenBlock, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// How the tool was called.
    pub command: Vec<String>,
    /// `web3_clientVersion` of the metered node.
    pub client: String,
    /// What was sent.
    pub workload: String,
    /// Load before the measured window, seconds.
    pub warm_up: f64,
    /// Length of the measured window, seconds.
    pub seconds: f64,
    /// Transactions per second that were to be offered; 0 for as many as are taken.
    pub rate: u32,
    /// Transactions finalised per second (goodput), from the first to the last block seen within the window.
    pub finalised_per_s: f64,
    /// Transactions offered within the window per second, each time counted.
    pub offered_per_s: f64,
    /// Of them refused or not answered, per second.
    pub refused_per_s: f64,
    /// What became of those offered within the window.
    pub transactions: Transactions,
    /// The same over the whole run, from the first to the last.
    pub whole_run: Transactions,
    /// Of some accepted and lost ones that the metered node was asked for at the end: how many it still has waiting.
    pub lost_still_waiting: Option<Share>,
    /// Reasons of refusals over the whole run, code and words, each with how often it was given.
    pub reasons: BTreeMap<String, u64>,
    /// From submission until its block and receipt could be read, of those offered within the window.
    pub latency_ms: Spread,
    /// Blocks seen within the window.
    pub blocks: Blocks,
    /// Reads made beside the transactions.
    pub reads: Vec<Reads>,
    /// Processes watched.
    pub processes: Vec<Process>,
    /// Where the machine's processors were.
    pub machine: Processors,
    /// What this tool itself did.
    pub tool: Tool,
    /// The run second by second, warm-up and draining included.
    pub series: Vec<SeriesSecond>,
    /// Memory of the watched processes, second by second.
    pub memory: Vec<SeriesOfMemory>,
}

/// Counts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Transactions {
    /// Taken by the node, or found in a block whatever it had answered.
    pub accepted: u64,
    /// In a block.
    pub finalised: u64,
    /// Accepted, and in no block when nothing more came.
    pub lost: u64,
    /// Offered, never answered, and in no block.
    pub unanswered: u64,
}

/// Some of many.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Share {
    /// Looked at.
    pub of: u64,
    /// Found so.
    pub count: u64,
}

/// Quantiles of a quantity.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Spread {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

/// Blocks.
#[derive(Debug, Default, Serialize, Deserialize)]
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

/// Reads by one method.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reads {
    /// Name of the method.
    pub method: String,
    /// Answered within the window.
    pub answered: u64,
    /// Refused or not answered over the whole run.
    pub errors: u64,
    /// Why, the last time.
    pub last_error: Option<String>,
    /// From question to answer, within the window.
    pub latency_ms: Spread,
}

/// A process over the window.
#[derive(Debug, Serialize, Deserialize)]
pub struct Process {
    /// Name.
    pub name: String,
    /// CPU time used, seconds.
    pub cpu_s: f64,
    /// The same per finalised transaction, microseconds.
    pub cpu_us_per_transaction: f64,
    /// Resident memory at the end of the window, MiB.
    pub rss_mib: f64,
    /// Most over the whole run, MiB.
    pub peak_rss_mib: f64,
    /// Growth of its data on disk over the whole run, bytes per finalised transaction; nothing where their folder is
    /// not known.
    pub disk_bytes_per_transaction: Option<f64>,
    /// CPU time by name of thread, seconds, greatest first.
    pub threads: Vec<(String, f64)>,
}

/// CPU seconds over the window, all processors together.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
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

/// What this tool itself did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Tool {
    /// Processors it took in the window, on average.
    pub processors: f64,
    /// Most memory it ever had, MiB.
    pub peak_rss_mib: f64,
    /// Transactions signed before the run.
    pub signed_ahead: u64,
    /// Transactions signed while it ran.
    pub signed_meanwhile: u64,
    /// Transactions not offered although it was time, over the whole run: too many requests were under way.
    pub held_back: u64,
    /// The same: not signed in time.
    pub unsigned: u64,
    /// Reads not made in time: too many were under way.
    pub reads_held_back: u64,
}

/// One second of the run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SeriesSecond {
    /// Which, from 0.
    pub second: u64,
    /// Transactions offered, each time counted.
    pub offered: u64,
    /// Refused or not answered.
    pub refused: u64,
    /// Finalised; those of a block are spread over the time since the block before.
    pub finalised: f64,
    /// Latency of those finalised in this second, where there were any.
    pub latency_p50_ms: Option<f64>,
    /// The same.
    pub latency_p99_ms: Option<f64>,
}

/// Memory of a process, looked at every second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeriesOfMemory {
    /// The process.
    pub name: String,
    /// Resident memory, MiB.
    pub rss_mib: Vec<u32>,
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
        let finalised = tally.latencies.len() as u64;
        Self { accepted: finalised + tally.lost, finalised, lost: tally.lost, unanswered: tally.unanswered }
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
        let three = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((three.p50, three.p90), (2.0, 3.0));
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

    #[test]
    fn what_is_finalised_was_accepted() {
        let latencies = vec![Duration::from_millis(1); 5];
        let counts = Transactions::of(&Tally { lost: 2, unanswered: 1, latencies });
        assert_eq!((counts.accepted, counts.finalised, counts.lost, counts.unanswered), (7, 5, 2, 1));
    }

    #[test]
    fn a_report_can_be_read_again() {
        let written = serde_json::to_string(&Report { rate: 7, ..Report::default() }).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&written).unwrap().rate, 7);
    }
}
