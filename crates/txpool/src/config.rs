//! Bounds of the pool.

use lonja_primitives::RecoveredTransaction;

/// What a transaction costs in memory beyond its own bytes: the decoded form, its places in the indexes.
const OVERHEAD_BYTES: usize = 768;

/// The encoded form is kept for sending on, and the decoded form holds the call data a second time.
const COPIES: usize = 2;

/// Bounds and rules of a pool. Bytes are memory, not wire size: see [`footprint_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Memory for all transactions together.
    pub max_bytes: usize,
    /// Memory for the transactions of one sender, so that one cannot fill the pool with large ones.
    pub max_bytes_per_sender: usize,
    /// Transactions in all.
    pub max_transactions: usize,
    /// Transactions of one sender.
    pub max_per_sender: usize,
    /// How much more (percent) a replacement has to offer per gas than the transaction it replaces.
    pub price_bump_percent: u32,
    /// How long a queued transaction may wait before it is dropped, milliseconds.
    pub lifetime_ms: u64,
}

impl Default for PoolConfig {
    /// Fits a machine of 4 GB: a quarter of a gigabyte, and about as many small transactions as that holds; a
    /// third of it for one sender, since a member's gateway often sends everything from one account; 10 % and
    /// three hours as in geth.
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_bytes_per_sender: 64 << 20,
            max_transactions: 150_000,
            max_per_sender: 50_000,
            price_bump_percent: 10,
            lifetime_ms: 3 * 60 * 60 * 1000,
        }
    }
}

/// Memory that the pool accounts for a transaction, bytes.
pub(crate) fn footprint_bytes(tx: &RecoveredTransaction) -> usize {
    tx.raw().len().saturating_mul(COPIES).saturating_add(OVERHEAD_BYTES)
}
