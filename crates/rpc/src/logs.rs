//! Searching for logs within the limits of the RPC.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::{BlockSelector, LogFilter};
use crate::privacy::results::Results;
use crate::privacy::{RpcPrivacy, logs};
use crate::view::LogView;
use lonja_chain::history::{self, FoundLog, LogsError};
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
    let found = attempt(context, &filter.search(), range, Realm::Both);
    found.map(views).map_err(|error| refusal(context, error))
}

/// Wanted logs of a range, as many whole blocks as fit the limit of results; at least one block.
pub(crate) fn search_some(
    context: &Context,
    filter: &LogFilter,
    range: RangeInclusive<u64>,
    realm: Realm,
) -> Result<Found, RpcError> {
    let (first, mut last) = (*range.start(), *range.end());
    let filter = filter.search();
    loop {
        match attempt(context, &filter, first..=last, realm) {
            Ok(logs) => return Ok(Found { logs: views(logs), next: last.saturating_add(1) }),
            // Ever shorter: each time at least by the block that is too many.
            Err(SearchError::TooMany { complete_to: Some(to) }) => last = to,
            Err(SearchError::TooMany { complete_to: None }) => {
                let logs = block_logs(context, &filter, first, realm)?;
                return Ok(Found { logs: views(logs), next: first.saturating_add(1) });
            }
            Err(error) => return Err(refusal(context, error)),
        }
    }
}

/// Whose logs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Realm {
    Public,
    Private,
    Both,
}

/// Why a search ended without a result.
#[derive(Debug)]
enum SearchError {
    /// More than are handed out at once; `complete_to` is the last block whose logs still fit.
    TooMany {
        complete_to: Option<u64>,
    },
    /// The time was up at this block.
    Stopped(u64),
    Failed(RpcError),
}

fn attempt(
    context: &Context,
    filter: &history::LogFilter,
    range: RangeInclusive<u64>,
    realm: Realm,
) -> Result<Vec<FoundLog>, SearchError> {
    let (most, time_is_up) = (context.limits.log_results, context.time_limit());
    let mut found = Vec::new();
    if realm != Realm::Private {
        found = history::logs(&context.node.reader, range.clone(), filter, most, &time_is_up)?;
    }
    if realm != Realm::Public {
        let private = logs::search(context, filter, range.clone(), most, &time_is_up)?;
        found = logs::merge(found, private);
    }
    match found.get(most) {
        Some(too_many) => {
            let before = too_many.block_number.checked_sub(1);
            Err(SearchError::TooMany { complete_to: before.filter(|before| before >= range.start()) })
        }
        None => Ok(found),
    }
}

/// Everything of one block.
fn block_logs(
    context: &Context,
    filter: &history::LogFilter,
    number: u64,
    realm: Realm,
) -> Result<Vec<FoundLog>, RpcError> {
    let block = context.passing_block(number)?;
    let mut found = if realm == Realm::Private { Vec::new() } else { block.logs(filter) };
    if let Some(privacy) = context.node.privacy.as_ref().filter(|_| realm != Realm::Public) {
        found.extend(Results::read(privacy, &block)?.logs(&block, filter, &|_| true));
    }
    Ok(found)
}

/// Wanted logs of single private transactions.
pub(crate) fn late_logs(
    context: &Context,
    privacy: &RpcPrivacy,
    filter: &LogFilter,
    places: &[(u64, u32)],
) -> Result<Vec<LogView>, RpcError> {
    let mut found = Vec::new();
    for (number, index) in places {
        let block = context.passing_block(*number)?;
        let results = context.private.results.of(privacy, &block)?;
        found.extend(results.logs(&block, &filter.search(), &|other| other == *index));
    }
    Ok(views(found))
}

fn views(found: Vec<FoundLog>) -> Vec<LogView> {
    found.into_iter().map(LogView::from).collect()
}

impl From<LogsError> for SearchError {
    fn from(error: LogsError) -> Self {
        match error {
            LogsError::TooMany { complete_to, .. } => Self::TooMany { complete_to },
            LogsError::Stopped(number) => Self::Stopped(number),
            LogsError::Store(error) => Self::Failed(error.into()),
            error @ LogsError::NotHere(_) => Self::Failed(RpcError::Refused(error.to_string())),
        }
    }
}

impl From<logs::SearchError> for SearchError {
    fn from(error: logs::SearchError) -> Self {
        match error {
            logs::SearchError::Stopped(number) => Self::Stopped(number),
            logs::SearchError::Failed(error) => Self::Failed(error),
        }
    }
}

fn refusal(context: &Context, error: SearchError) -> RpcError {
    let max = context.limits.log_results;
    match error {
        SearchError::Failed(error) => error,
        SearchError::TooMany { complete_to: None } => {
            RpcError::Limit(format!("query returned more than {max} results within one block"))
        }
        SearchError::TooMany { complete_to: Some(last) } => RpcError::Limit(format!(
            "query returned more than {max} results: ask for a range up to block {last:#x}"
        )),
        SearchError::Stopped(number) => RpcError::Limit(format!(
            "query timed out after {} s at block {number:#x}: ask for a smaller range",
            context.limits.call_time.as_secs_f64()
        )),
    }
}
