//! Chains in files: blocks in RLP one after the other, oldest first, as geth and its kin export them.

mod import;
mod read;
#[cfg(test)]
mod tests;

pub use import::{ImportError, ImportProgress, import};
pub use read::{BlockReader, FileError};

use alloy_primitives::Bytes;
use lonja_storage::{Reader, StoreError};

/// A stored block in the form that stands in a file; `None` above the head.
pub fn export_block(reader: &Reader, number: u64) -> Result<Option<Bytes>, StoreError> {
    Ok(reader.block(number)?.map(|block| alloy_rlp::encode(&block).into()))
}
