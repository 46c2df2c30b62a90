//! Logs of many blocks, by address and topics.

use alloy_primitives::{Address, B256, Bloom, BloomInput, Log, keccak256};
use lonja_primitives::{Receipt, SealedHeader};
use lonja_storage::{Reader, StoreError};
use std::ops::RangeInclusive;
use thiserror::Error;

/// Which logs are wanted, as `eth_getLogs` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// By any of these contracts; empty: by any at all.
    pub addresses: Vec<Address>,
    /// By position, any of these topics; an empty list takes any topic, but one must be there. Positions
    /// behind the last list are free.
    pub topics: Vec<Vec<B256>>,
}

/// A log with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLog {
    /// The log.
    pub log: Log,
    /// Height of its block.
    pub block_number: u64,
    /// Hash of its block.
    pub block_hash: B256,
    /// Timestamp of its block, seconds.
    pub block_timestamp: u64,
    /// Its transaction.
    pub transaction_hash: B256,
    /// The transaction's place in the block.
    pub transaction_index: u32,
    /// The log's place in the block.
    pub log_index: u32,
}

/// Why a search ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogsError {
    /// More matches than the caller wants; a shorter range may fit.
    #[error("more than {max} logs match, the blocks up to {complete_to:?} alone do not exceed that")]
    TooMany {
        /// The bound.
        max: usize,
        /// The last block whose logs still fitted; `None` when those of the first block are too many.
        complete_to: Option<u64>,
    },
    /// The caller asked to stop.
    #[error("the search was stopped at block {0}")]
    Stopped(u64),
    /// The range begins before the oldest block there is.
    #[error("the blocks before {0} are not here (yet): ask from block {0} on")]
    NotHere(u64),
    /// Our own disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Every log of the published blocks in `range` that the filter takes, in order. Only blocks whose bloom does
/// not exclude a match are read. At most `max_results`; `stop` is asked before each block.
pub fn logs(
    reader: &Reader,
    range: RangeInclusive<u64>,
    filter: &LogFilter,
    max_results: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<FoundLog>, LogsError> {
    let oldest = reader.oldest_block();
    if *range.start() < oldest && *range.end() > 0 {
        return Err(LogsError::NotHere(oldest));
    }
    let sieve = Sieve::new(filter);
    let mut found = Vec::new();
    let first = *range.start();
    for number in range {
        if stop() {
            return Err(LogsError::Stopped(number));
        }
        let Some(header) = reader.header(number)? else { break };
        if !sieve.may_match(&header.logs_bloom) {
            continue;
        }
        block_logs(reader, &header, filter, &mut found)?;
        if found.len() > max_results {
            let complete_to = number.checked_sub(1).filter(|before| *before >= first);
            return Err(LogsError::TooMany { max: max_results, complete_to });
        }
    }
    Ok(found)
}

fn block_logs(
    reader: &Reader,
    header: &SealedHeader,
    filter: &LogFilter,
    found: &mut Vec<FoundLog>,
) -> Result<(), StoreError> {
    let number = header.number;
    let receipts = reader.receipts(number)?.unwrap_or_default();
    if !receipts.iter().any(|receipt| receipt.logs.iter().any(|log| filter.matches(log))) {
        return Ok(());
    }
    let transactions = reader.block(number)?.map(|block| block.transactions).unwrap_or_default();
    if transactions.len() != receipts.len() {
        return Err(StoreError::Damaged(format!("block {number} has receipts of other transactions")));
    }
    let mut next_log = 0u32;
    for (index, (receipt, raw)) in (0u32..).zip(receipts.into_iter().zip(&transactions)) {
        let Receipt { logs, .. } = receipt;
        let mut transaction_hash = None;
        for log in logs {
            let log_index = next_log;
            next_log = next_log.saturating_add(1);
            if !filter.matches(&log) {
                continue;
            }
            found.push(FoundLog {
                log,
                block_number: number,
                block_hash: header.hash(),
                block_timestamp: header.timestamp,
                transaction_hash: *transaction_hash.get_or_insert_with(|| keccak256(raw)),
                transaction_index: index,
                log_index,
            });
        }
    }
    Ok(())
}

impl LogFilter {
    /// Whether a log is wanted.
    pub fn matches(&self, log: &Log) -> bool {
        let topics = log.topics();
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.len() <= topics.len()
            && self.topics.iter().zip(topics).all(|(any, topic)| any.is_empty() || any.contains(topic))
    }

    /// Whether a block with this bloom may have a log that is wanted. Callers with many blocks use [`logs`],
    /// which prepares the filter once.
    pub fn may_match(&self, bloom: &Bloom) -> bool {
        Sieve::new(self).may_match(bloom)
    }
}

/// The filter as blooms: every group must have a member that the block's bloom contains.
struct Sieve(Vec<Vec<Bloom>>);

impl Sieve {
    fn new(filter: &LogFilter) -> Self {
        let bloom = |bytes: &[u8]| Bloom::from(BloomInput::Raw(bytes));
        let addresses = filter.addresses.iter().map(|address| bloom(address.as_slice())).collect();
        let topics =
            filter.topics.iter().map(|any| any.iter().map(|topic| bloom(topic.as_slice())).collect());
        let groups = std::iter::once(addresses).chain(topics);
        Self(groups.filter(|group: &Vec<Bloom>| !group.is_empty()).collect())
    }

    fn may_match(&self, bloom: &Bloom) -> bool {
        self.0.iter().all(|group| group.iter().any(|member| bloom.contains(member)))
    }
}
