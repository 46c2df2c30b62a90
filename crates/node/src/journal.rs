//! The journal of waiting transactions: what was taken from clients survives a killed process.
//!
//! Transactions of peers are left out: the node that took them in has them.

use alloy_primitives::Bytes;
use lonja_primitives::RecoveredTransaction;
use lonja_storage::{Durability, RecordLog, StoreError};
use lonja_txpool::{Origin, TxPool};
use parking_lot::Mutex;
use std::path::Path;

/// The file is written anew with what still waits when it has grown by this many bytes since the last time.
const REWRITE_AFTER_BYTES: u64 = 16 << 20;

/// The journal file.
pub struct Journal {
    log: RecordLog,
    rewritten_at_bytes: u64,
}

impl Journal {
    /// Opens or makes the file; gives what is in it. Of a damaged file all is taken that can be read: the transactions
    /// in it were promised to survive a killed process, not a broken disk, and a node must start.
    pub fn open(path: &Path) -> Result<(Self, Vec<Bytes>), StoreError> {
        let (log, records) = match RecordLog::open(path) {
            Ok((log, records, _)) => (log, records),
            Err(StoreError::Damaged(_)) => {
                let (log, records, bytes) = RecordLog::salvage(path)?;
                let (file, read) = (path.display(), records.len());
                tracing::error!(
                    "{file} is damaged: {bytes} bytes of it cannot be read, {read} waiting transactions can. Who sent \
                     the others must send them again; the damaged file is kept as {file}.damaged. Check the disk"
                );
                (log, records)
            }
            Err(error) => return Err(error),
        };
        let rewritten_at_bytes = log.length_bytes();
        Ok((Self { log, rewritten_at_bytes }, records.into_iter().map(Bytes::from).collect()))
    }

    /// Writes down what a client sent; returns when it survives a killed process.
    pub fn append(
        &mut self,
        transactions: &[RecoveredTransaction],
        origin: Origin,
    ) -> Result<(), StoreError> {
        if origin != Origin::Local {
            return Ok(());
        }
        let raws: Vec<&[u8]> = transactions.iter().map(|tx| tx.raw().as_ref()).collect();
        self.log.append_all(&raws, Durability::Os)
    }

    /// Whether it has grown enough to be written anew.
    pub fn is_long(&self) -> bool {
        self.log.length_bytes().saturating_sub(self.rewritten_at_bytes) > REWRITE_AFTER_BYTES
    }

    /// Keeps only what still waits. What comes into the pool meanwhile waits for this journal, and is appended
    /// behind; the pool itself is not held up by the disk.
    pub fn rewrite(&mut self, pool: &Mutex<TxPool>) -> Result<(), StoreError> {
        let waiting = pool.lock().all_raw();
        self.log.rewrite(&waiting)?;
        self.rewritten_at_bytes = self.log.length_bytes();
        Ok(())
    }
}
