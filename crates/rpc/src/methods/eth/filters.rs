//! Logs, and filters that clients poll.

use crate::context::Context;
use crate::error::RpcError;
use crate::filters::{Kind, LogsFrom, Poll, hashes};
use crate::logs::{Realm, late_logs, range, search, search_some};
use crate::params::{Args, BlockSelector, LogFilter, Quantity};
use crate::privacy::RpcPrivacy;
use crate::register::Table;
use crate::view::{LogView, TransactionView};
use alloy_primitives::{B128, B256};
use jsonrpsee::types::Params;
use serde::Serialize;

pub(super) fn register(table: &mut Table) {
    table.heavy("eth_getLogs", logs);
    table.read("eth_newFilter", new_log_filter);
    table.inline("eth_newBlockFilter", new_block_filter);
    table.inline("eth_newPendingTransactionFilter", new_transaction_filter);
    table.heavy("eth_getFilterChanges", changes);
    table.heavy("eth_getFilterLogs", filter_logs);
    table.inline("eth_uninstallFilter", uninstall);
}

/// What a poll answers, by the kind of the filter.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<LogView>),
    Transactions(Vec<TransactionView>),
}

fn logs(context: &Context, params: &Params<'_>) -> Result<Vec<LogView>, RpcError> {
    all_logs(context, log_filter(params)?)
}

fn all_logs(context: &Context, filter: LogFilter) -> Result<Vec<LogView>, RpcError> {
    match range(context, &filter)? {
        Some(range) => search(context, &filter, range),
        None => Ok(Vec::new()),
    }
}

fn log_filter(params: &Params<'_>) -> Result<LogFilter, RpcError> {
    Args::new(params, 1)?.optional::<LogFilter>(0, "filter")?.unwrap_or_default().checked()
}

/// Waits for logs of blocks after the head, or from a later `fromBlock` on.
fn new_log_filter(context: &Context, params: &Params<'_>) -> Result<B128, RpcError> {
    let filter = log_filter(params)?;
    // What `eth_getLogs` would refuse can never find anything.
    range(context, &filter)?;
    let after_head = context.head().number.saturating_add(1);
    let next = match filter.from_block {
        Some(BlockSelector::Number(number)) => number.max(after_head),
        _ => after_head,
    };
    context.filters.add(Kind::Logs { filter, from: LogsFrom::block(next) })
}

fn new_block_filter(context: &Context, _params: &Params<'_>) -> Result<B128, RpcError> {
    context.filters.add(Kind::Blocks { next: context.head().number.saturating_add(1) })
}

/// Hashes, or whole transactions when the parameter is `true`.
fn new_transaction_filter(context: &Context, params: &Params<'_>) -> Result<B128, RpcError> {
    let full = Args::new(params, 1)?.optional(0, "fullTransactions")?.unwrap_or(false);
    context.filters.add(Kind::Transactions { arrivals: context.node.transactions.subscribe(), full })
}

fn filter_id(params: &Params<'_>) -> Result<B128, RpcError> {
    let Quantity(id) = Args::new(params, 1)?.required::<Quantity<u128>>(0, "filterId")?;
    Ok(B128::from(id.to_be_bytes()))
}

fn uninstall(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    Ok(context.filters.remove(&filter_id(params)?))
}

fn filter_logs(context: &Context, params: &Params<'_>) -> Result<Vec<LogView>, RpcError> {
    all_logs(context, context.filters.log_filter(&filter_id(params)?)?)
}

fn changes(context: &Context, params: &Params<'_>) -> Result<Changes, RpcError> {
    let id = filter_id(params)?;
    match context.filters.poll(&id)? {
        Poll::Blocks { next } => new_blocks(context, &id, next),
        Poll::Logs { filter, from } => new_logs(context, &id, &filter, from),
        Poll::Transactions { arrived, full: false } => Ok(Changes::Hashes(hashes(&arrived))),
        Poll::Transactions { arrived, full: true } => {
            Ok(Changes::Transactions(arrived.iter().map(TransactionView::waiting).collect()))
        }
    }
}

/// The last height up to this head that one poll looks at: a client that polls rarely gets the rest with its next polls.
fn last_of_poll(context: &Context, head: u64, next: u64) -> u64 {
    head.min(next.saturating_add(context.limits.log_blocks.saturating_sub(1)))
}

fn new_blocks(context: &Context, id: &B128, next: u64) -> Result<Changes, RpcError> {
    let last = last_of_poll(context, context.head().number, next);
    let hashes: Result<Vec<B256>, RpcError> =
        (next..=last).map(|number| Ok(context.header(number)?.hash())).collect();
    let hashes = hashes?;
    context.filters.advance(id, last.saturating_add(1));
    Ok(Changes::Hashes(hashes))
}

fn new_logs(context: &Context, id: &B128, filter: &LogFilter, from: LogsFrom) -> Result<Changes, RpcError> {
    let to = match filter.to_block {
        Some(BlockSelector::Number(to)) => to,
        _ => u64::MAX,
    };
    let last = last_of_poll(context, context.head().number, from.next).min(to);
    let mut found = Vec::new();
    if from.next <= last {
        let public = search_some(context, filter, from.next..=last, Realm::Public)?;
        context.filters.advance(id, public.next);
        found = public.logs;
    }
    if let Some(privacy) = &context.node.privacy {
        found.extend(new_private_logs(context, privacy, id, filter, &from, to)?);
    }
    Ok(Changes::Logs(found))
}

/// Those up to the private head, and those that turned up late.
fn new_private_logs(
    context: &Context,
    privacy: &RpcPrivacy,
    id: &B128,
    filter: &LogFilter,
    from: &LogsFrom,
    to: u64,
) -> Result<Vec<LogView>, RpcError> {
    let (mut logs, mut next) = (late_logs(context, privacy, filter, &from.late)?, from.next_private);
    let last = last_of_poll(context, privacy.reader.head().number, next).min(to);
    if next <= last {
        let found = search_some(context, filter, next..=last, Realm::Private)?;
        logs.extend(found.logs);
        next = found.next;
    }
    context.filters.advance_private(id, next, &from.late);
    Ok(logs)
}
