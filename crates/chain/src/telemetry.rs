//! Metrics: one histogram of seconds per step, counters for what is refused.

use metrics::{counter, gauge, histogram};
use std::time::Instant;

/// A step that is worth a histogram.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Senders from signatures.
    Recover,
    /// Insertion into the pool, and its update after a block.
    Pool,
    /// A block built, roots included.
    Build,
    /// A proposal checked, roots included.
    Check,
    /// The state root.
    Root,
    /// A block made durable.
    Persist,
    /// A certified block written.
    Commit,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Recover => "lonja_recover_seconds",
            Self::Pool => "lonja_pool_seconds",
            Self::Build => "lonja_build_seconds",
            Self::Check => "lonja_check_seconds",
            Self::Root => "lonja_root_seconds",
            Self::Persist => "lonja_persist_seconds",
            Self::Commit => "lonja_commit_seconds",
        }
    }
}

/// Does the work and records how long it took.
pub(crate) fn timed<T>(step: Step, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    histogram!(step.name()).record(start.elapsed().as_secs_f64());
    result
}

pub(crate) fn executed(gas: u64) {
    counter!("lonja_blocks_executed_total").increment(1);
    counter!("lonja_gas_executed_total").increment(gas);
}

pub(crate) fn execution_reused() {
    counter!("lonja_executions_reused_total").increment(1);
}

pub(crate) fn committed(number: u64, transactions: usize) {
    gauge!("lonja_head_written").set(number as f64);
    counter!("lonja_transactions_committed_total").increment(transactions as u64);
}

pub(crate) fn published(number: u64) {
    gauge!("lonja_head_number").set(number as f64);
}

pub(crate) fn accepted(origin: &'static str, count: usize) {
    counter!("lonja_transactions_accepted_total", "origin" => origin).increment(count as u64);
}

pub(crate) fn refused(origin: &'static str, reason: &'static str) {
    counter!("lonja_transactions_refused_total", "origin" => origin, "reason" => reason).increment(1);
}

pub(crate) fn dropped_at_build() {
    counter!("lonja_transactions_dropped_total").increment(1);
}
