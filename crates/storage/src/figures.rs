//! What there is to know about a chain's size and growth.

use crate::open::{header_at, read_head};
use crate::tables::META_HORIZON;
use crate::{Head, KvRead, StoreError, Table};

/// A day of a chain's time.
const DAY_SECONDS: u64 = 86_400;

/// A chain in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainFigures {
    /// The newest block.
    pub head: Head,
    /// Its time, Unix seconds.
    pub head_timestamp: u64,
    /// The oldest block whose state can be read.
    pub oldest_state: u64,
    /// Blocks made in the last 24 hours of the chain's time.
    pub blocks_last_day: u64,
    /// Seconds they took; less than a day for a young chain.
    pub last_day_seconds: u64,
}

/// Reads the figures.
pub fn chain_figures(kv: &dyn KvRead) -> Result<ChainFigures, StoreError> {
    let head = read_head(kv)?;
    let horizon = kv.get(Table::Meta, META_HORIZON)?;
    let horizon = horizon.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
    let from = head.timestamp.saturating_sub(DAY_SECONDS);
    let oldest = horizon.unwrap_or_default();
    // The first block after genesis, whose time may be anything, that is younger than a day.
    let (mut low, mut high) = (1, head.number.max(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match header_at(kv, middle)?.timestamp > from {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    let first = if head.number == 0 { head.clone() } else { header_at(kv, low)? };
    Ok(ChainFigures {
        head: Head { number: head.number, hash: head.hash() },
        head_timestamp: head.timestamp,
        oldest_state: oldest,
        blocks_last_day: head.number.saturating_sub(first.number),
        last_day_seconds: head.timestamp.saturating_sub(first.timestamp),
    })
}
