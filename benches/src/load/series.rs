//! The run second by second.

use super::ledger::{Finalised, Second, SeenBlock};
use super::process::Watched;
use super::report::{SeriesOfMemory, SeriesSecond, Spread};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Joins answers, blocks and latencies by second of the run. The transactions of a block are spread evenly over the time
/// since the block before it: with a block a second, seconds would otherwise hold none or two of them by chance.
pub fn seconds(
    start: Instant,
    answers: &[Second],
    blocks: &[SeenBlock],
    finalised: &[Finalised],
) -> Vec<SeriesSecond> {
    let throughput = spread(start, blocks);
    let latencies = latencies(finalised);
    let count = answers.len().max(throughput.len()).max(latencies.len());
    let second = |second: usize| {
        let answers = answers.get(second).copied().unwrap_or_default();
        let latencies = latencies.get(second).cloned().unwrap_or_default();
        let quantiles = (!latencies.is_empty()).then(|| Spread::of(latencies));
        SeriesSecond {
            second: second as u64,
            offered: answers.offers,
            refused: answers.refusals,
            finalised: throughput.get(second).copied().unwrap_or(0.0),
            latency_p50_ms: quantiles.map(|spread| spread.p50),
            latency_p99_ms: quantiles.map(|spread| spread.p99),
        }
    };
    (0..count).map(second).collect()
}

/// Transactions per second of the run.
fn spread(start: Instant, blocks: &[SeenBlock]) -> Vec<f64> {
    let mut seconds = Vec::new();
    let mut from = 0.0;
    for block in blocks {
        let to = block.seen.saturating_duration_since(start).as_secs_f64();
        let per_second = if to > from { block.ours as f64 / (to - from) } else { 0.0 };
        let last = to as usize;
        if seconds.len() <= last {
            seconds.resize(last + 1, 0.0);
        }
        for (second, sum) in seconds.iter_mut().enumerate().skip(from as usize) {
            let overlap = to.min((second + 1) as f64) - f64::max(from, second as f64);
            *sum += per_second * overlap.max(0.0);
        }
        from = to;
    }
    seconds
}

/// Latencies, milliseconds, by the second in which a transaction was finalised.
fn latencies(finalised: &[Finalised]) -> Vec<Vec<f64>> {
    let mut seconds: Vec<Vec<f64>> = Vec::new();
    for Finalised { submitted_ms, latency_us } in finalised {
        let second = (u64::from(*submitted_ms) + u64::from(*latency_us) / 1_000) as usize / 1_000;
        if seconds.len() <= second {
            seconds.resize(second + 1, Vec::new());
        }
        seconds[second].push(f64::from(*latency_us) / 1e3);
    }
    seconds
}

/// Looks at the memory of processes once a second.
pub struct MemoryWatch {
    watched: Vec<Watched>,
    series: RefCell<Vec<Vec<u64>>>,
}

impl MemoryWatch {
    /// Of these processes.
    pub fn new(watched: &[Watched]) -> Rc<Self> {
        let series = RefCell::new(vec![Vec::new(); watched.len()]);
        Rc::new(Self { watched: watched.to_vec(), series })
    }

    /// Never returns.
    pub async fn run(self: Rc<Self>) {
        loop {
            for (process, series) in self.watched.iter().zip(self.series.borrow_mut().iter_mut()) {
                series.push(process.rss_bytes());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Most that a process had at any look.
    pub fn peak_bytes(&self, process: usize) -> u64 {
        self.series.borrow().get(process).and_then(|series| series.iter().copied().max()).unwrap_or(0)
    }

    /// What was seen.
    pub fn series(&self) -> Vec<SeriesOfMemory> {
        let of = |(process, series): (&Watched, &Vec<u64>)| SeriesOfMemory {
            name: process.name.clone(),
            rss_mib: series.iter().map(|bytes| (bytes >> 20) as u32).collect(),
        };
        self.watched.iter().zip(self.series.borrow().iter()).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: Instant, at_ms: u64, ours: usize) -> SeenBlock {
        let seen = start + Duration::from_millis(at_ms);
        SeenBlock { seen, transactions: ours, ours, gas_used: 0, bytes: 0 }
    }

    #[test]
    fn a_block_counts_in_the_seconds_since_the_one_before() {
        let start = Instant::now();
        let blocks = [block(start, 500, 100), block(start, 2_500, 400), block(start, 2_500, 7)];
        assert_eq!(spread(start, &blocks), [200.0, 200.0, 100.0]);
        assert!(spread(start, &[]).is_empty());
    }

    #[test]
    fn latencies_count_in_the_second_of_finality() {
        let start = Instant::now();
        let finalised = [
            Finalised { submitted_ms: 100, latency_us: 300_000 },
            Finalised { submitted_ms: 500, latency_us: 2_000_000 },
            Finalised { submitted_ms: 2_100, latency_us: 100_000 },
        ];
        let answers = [Second { offers: 5, refusals: 2 }];
        let series = seconds(start, &answers, &[block(start, 2_000, 4)], &finalised);
        assert_eq!(series.len(), 3);
        assert_eq!((series[0].offered, series[0].refused, series[0].finalised), (5, 2, 2.0));
        assert_eq!((series[0].latency_p50_ms, series[1].latency_p50_ms), (Some(300.0), None));
        assert_eq!((series[2].latency_p50_ms, series[2].latency_p99_ms), (Some(100.0), Some(2_000.0)));
    }
}
