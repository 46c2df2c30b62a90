//! Logs.

use alloy_primitives::{Address, B256, Bytes, Log, U64};
use lonja_chain::history::FoundLog;
use lonja_primitives::SealedHeader;
use serde::Serialize;

/// A log with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogView {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_hash: B256,
    block_number: U64,
    block_timestamp: U64,
    transaction_hash: B256,
    transaction_index: U64,
    /// Position among all logs of the block.
    log_index: U64,
    /// Always false: a block that is there is final.
    removed: bool,
}

impl LogView {
    pub(crate) fn new(
        log: &Log,
        header: &SealedHeader,
        transaction_hash: B256,
        transaction_index: u32,
        log_index: u32,
    ) -> Self {
        Self::from(FoundLog {
            log: log.clone(),
            block_number: header.number,
            block_hash: header.hash(),
            block_timestamp: header.timestamp,
            transaction_hash,
            transaction_index,
            log_index,
        })
    }
}

impl From<FoundLog> for LogView {
    fn from(found: FoundLog) -> Self {
        let (topics, data) = found.log.data.split();
        Self {
            address: found.log.address,
            topics,
            data,
            block_hash: found.block_hash,
            block_number: U64::from(found.block_number),
            block_timestamp: U64::from(found.block_timestamp),
            transaction_hash: found.transaction_hash,
            transaction_index: U64::from(found.transaction_index),
            log_index: U64::from(found.log_index),
            removed: false,
        }
    }
}
