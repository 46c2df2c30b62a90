//! Senders of many transactions at once, each recovered at most once per node.

use crate::telemetry::{Step, timed};
use alloy_primitives::{B256, Bytes, keccak256};
use lonja_primitives::{RecoveredTransaction, TransactionError};
use lonja_txpool::TxPool;
use parking_lot::Mutex;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::LazyLock;

/// Below this many, handing work to the pool of workers costs more than it saves.
const PARALLEL_HASHES: usize = 64;
/// The same for recoveries, which are a hundred times dearer: a millisecond of them. A node under load has many such
/// batches, and waking workers for each would cost it more than the time that one batch gains.
pub(crate) const PARALLEL_RECOVERIES: usize = 32;

/// Workers of the doors, one pool for the process. They are not the workers that hash tries and recover
/// blocks: those must never stand in line behind a flood of new transactions.
static DOOR_WORKERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let workers = ThreadPoolBuilder::new().thread_name(|index| format!("door-{index}")).build();
    workers.inspect_err(|error| tracing::warn!(%error, "new transactions share the workers of blocks")).ok()
});

/// Does parallel work on the doors' workers.
pub(crate) fn on_door_workers<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match &*DOOR_WORKERS {
        Some(workers) => workers.install(work),
        None => work(),
    }
}

/// keccak-256 of each.
pub(crate) fn hashes(raws: &[Bytes]) -> Vec<B256> {
    if raws.len() < PARALLEL_HASHES {
        return raws.iter().map(keccak256).collect();
    }
    raws.par_iter().with_min_len(PARALLEL_HASHES).map(keccak256).collect()
}

/// Applies `recover` to each, on all processors where that pays; the order is kept.
pub(crate) fn in_parallel<T: Send, U: Send>(items: Vec<T>, recover: impl Fn(T) -> U + Send + Sync) -> Vec<U> {
    timed(Step::Recover, || {
        if items.len() < PARALLEL_RECOVERIES {
            return items.into_iter().map(recover).collect();
        }
        items.into_par_iter().map(recover).collect()
    })
}

/// The transactions of a block. Those that wait in the pool are taken from there; the others are decoded and
/// their senders recovered in parallel. An error comes with the index of the transaction.
pub(crate) fn block_transactions(
    raws: &[Bytes],
    pool: &Mutex<TxPool>,
    chain_id: u64,
) -> Result<Vec<RecoveredTransaction>, (usize, TransactionError)> {
    let hashes = hashes(raws);
    let mut known: Vec<Option<RecoveredTransaction>> = {
        let pool = pool.lock();
        hashes.iter().map(|hash| pool.get(hash)).collect()
    };
    let unknown: Vec<(usize, Bytes)> = known
        .iter()
        .zip(raws)
        .enumerate()
        .filter(|(_, (known, _))| known.is_none())
        .map(|(index, (_, raw))| (index, raw.clone()))
        .collect();
    if !unknown.is_empty() {
        let recover = |(index, raw)| (index, RecoveredTransaction::recover(raw, chain_id));
        for (index, result) in in_parallel(unknown, recover) {
            let tx = result.map_err(|error| (index, error))?;
            if let Some(place) = known.get_mut(index) {
                *place = Some(tx);
            }
        }
    }
    Ok(known.into_iter().flatten().collect())
}
