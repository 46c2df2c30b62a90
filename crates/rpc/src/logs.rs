//! Searching for logs within the limits of the RPC.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::{BlockSelector, LogFilter};
use crate::view::LogView;
use lonja_chain::history::{self, LogsError};
use std::ops::RangeInclusive;

/// What a search found, and where it would go on.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) logs: Vec<LogView>,
    /// The first height that was not searched.
    pub(crate) next: u64,
}

/// The heights that a filter covers; `None` when it covers none (it begins above the head).
pub(crate) fn range(context: &Context, filter: &LogFilter) -> Result<Option<RangeInclusive<u64>>, RpcError> {
    if let Some(hash) = filter.block_hash {
        let number = context.height(BlockSelector::Hash(hash))?.ok_or_else(RpcError::unknown_block)?;
        return Ok(Some(number..=number));
    }
    let head = context.head().number;
    let from = height(context, filter.from_block, head)?;
    let to = height(context, filter.to_block, head)?;
    if from > to && filter.to_block.is_some() {
        return Err(RpcError::InvalidParams(
            "invalid block range params: fromBlock is above toBlock".to_owned(),
        ));
    }
    let to = to.min(head);
    Ok((from <= to).then_some(from..=to))
}

/// A bound of a filter, which may lie above the head.
fn height(context: &Context, selector: Option<BlockSelector>, head: u64) -> Result<u64, RpcError> {
    match selector {
        None => Ok(head),
        Some(BlockSelector::Number(number)) => Ok(number),
        Some(other) => context.known_height(other),
    }
}

/// All wanted logs of a range, or a refusal that names the limit that was hit.
pub(crate) fn search(
    context: &Context,
    filter: &LogFilter,
    range: RangeInclusive<u64>,
) -> Result<Vec<LogView>, RpcError> {
    let blocks = range.end().saturating_sub(*range.start()).saturating_add(1);
    let most = context.limits.log_blocks;
    if blocks > most {
        return Err(RpcError::Limit(format!(
            "query exceeds max block range: {blocks} blocks asked for, at most {most} are searched at once"
        )));
    }
    attempt(context, filter, range).map_err(|error| refusal(context, error))
}

/// Wanted logs of a range, as many whole blocks as fit the limit of results; at least one block.
pub(crate) fn search_some(
    context: &Context,
    filter: &LogFilter,
    range: RangeInclusive<u64>,
) -> Result<Found, RpcError> {
    let (first, last) = (*range.start(), *range.end());
    match attempt(context, filter, range) {
        Ok(logs) => Ok(Found { logs, next: last.saturating_add(1) }),
        Err(LogsError::TooMany { complete_to: None, .. }) => {
            let logs = context.passing_block(first)?.logs(&filter.search());
            Ok(Found { logs, next: first.saturating_add(1) })
        }
        Err(LogsError::TooMany { complete_to: Some(last), .. }) => {
            let logs = attempt(context, filter, first..=last);
            let logs = logs.map_err(|error| refusal(context, error))?;
            Ok(Found { logs, next: last.saturating_add(1) })
        }
        Err(error) => Err(refusal(context, error)),
    }
}

fn attempt(
    context: &Context,
    filter: &LogFilter,
    range: RangeInclusive<u64>,
) -> Result<Vec<LogView>, LogsError> {
    let (most, time_is_up) = (context.limits.log_results, context.time_limit());
    let found = history::logs(&context.node.reader, range, &filter.search(), most, &time_is_up)?;
    Ok(found.into_iter().map(LogView::from).collect())
}

fn refusal(context: &Context, error: LogsError) -> RpcError {
    match error {
        LogsError::Store(error) => error.into(),
        LogsError::TooMany { max, complete_to: None } => {
            RpcError::Limit(format!("query returned more than {max} results within one block"))
        }
        LogsError::TooMany { max, complete_to: Some(last) } => RpcError::Limit(format!(
            "query returned more than {max} results: ask for a range up to block {last:#x}"
        )),
        error @ LogsError::NotHere(_) => RpcError::Refused(error.to_string()),
        LogsError::Stopped(number) => RpcError::Limit(format!(
            "query timed out after {} s at block {number:#x}: ask for a smaller range",
            context.limits.call_time.as_secs_f64()
        )),
    }
}
