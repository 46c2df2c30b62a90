//! Logs of private transactions, among those that everybody sees.

use super::results::Results;
use crate::context::Context;
use crate::error::RpcError;
use lonja_chain::history::{FoundLog, LogFilter};
use lonja_storage::StoreError;
use std::ops::RangeInclusive;

/// Beyond so many alternatives it is dearer to prepare a filter for the blooms of blocks than to look at their logs.
const SIEVE_ALTERNATIVES_MAX: usize = 64;

/// Why a search ended early.
#[derive(Debug)]
pub(crate) enum SearchError {
    /// The time was up at this block.
    Stopped(u64),
    Failed(RpcError),
}

impl From<RpcError> for SearchError {
    fn from(error: RpcError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for SearchError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Private logs of a range of blocks that the filter takes, in order, up to the private head. Ends behind the block in which
/// there are more than `most`.
pub(crate) fn search(
    context: &Context,
    filter: &LogFilter,
    range: RangeInclusive<u64>,
    most: usize,
    time_is_up: &dyn Fn() -> bool,
) -> Result<Vec<FoundLog>, SearchError> {
    let Some(privacy) = &context.node.privacy else { return Ok(Vec::new()) };
    let alternatives = filter.addresses.len().saturating_add(filter.topics.iter().map(Vec::len).sum());
    let mut found = Vec::new();
    let mut from = *range.start();
    while let Some(number) = privacy.reader.next_block(from)?.filter(|number| number <= range.end()) {
        if time_is_up() {
            return Err(SearchError::Stopped(number));
        }
        let bloom = privacy.reader.bloom_at(number)?;
        let may_match =
            bloom.is_some_and(|bloom| alternatives > SIEVE_ALTERNATIVES_MAX || filter.may_match(&bloom));
        if may_match {
            let block = context.passing_block(number)?;
            found.extend(Results::read(privacy, &block)?.logs(&block, filter, &|_| true));
        }
        if found.len() > most {
            break;
        }
        from = number.saturating_add(1);
    }
    Ok(found)
}

/// Both in the order of the chain: by block, and by place in it.
pub(crate) fn merge(public: Vec<FoundLog>, private: Vec<FoundLog>) -> Vec<FoundLog> {
    if private.is_empty() {
        return public;
    }
    let mut all = public;
    all.extend(private);
    all.sort_by_key(|log| (log.block_number, log.log_index));
    all
}
