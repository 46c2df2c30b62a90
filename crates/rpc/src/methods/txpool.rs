//! `txpool_`: what waits, and why.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::Args;
use crate::register::Table;
use crate::view::TransactionView;
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U64};
use jsonrpsee::types::Params;
use lonja_primitives::RecoveredTransaction;
use lonja_txpool::{SenderContent, WaitReason, Waiting};
use serde::Serialize;
use std::collections::BTreeMap;

pub(crate) fn register(table: &mut Table) {
    table.read("txpool_status", status);
    table.heavy("txpool_content", content);
    table.read("txpool_contentFrom", content_from);
    table.heavy("txpool_inspect", inspect);
    table.read("txpool_reason", reason);
}

/// Transactions by decimal nonce.
type ByNonce<T> = BTreeMap<String, T>;

/// geth's division: what the next block may take, and what waits for something.
#[derive(Debug, Serialize)]
struct Split<T> {
    pending: T,
    queued: T,
}

/// Why a transaction is not in a block, or that it is.
#[derive(Debug, Serialize)]
struct Reason {
    /// `included`, `pending`, `queued`, `dropped` or `unknown`.
    status: &'static str,
    /// A sentence.
    reason: String,
}

fn status(context: &Context, _params: &Params<'_>) -> Result<Split<U64>, RpcError> {
    let status = context.node.pool.lock().status();
    Ok(Split { pending: U64::from(status.pending), queued: U64::from(status.queued) })
}

fn content(
    context: &Context,
    _params: &Params<'_>,
) -> Result<Split<BTreeMap<String, ByNonce<TransactionView>>>, RpcError> {
    let content = context.node.pool.lock().content();
    Ok(by_sender(&content, &TransactionView::waiting))
}

/// A line per transaction: target, value and gas.
fn inspect(
    context: &Context,
    _params: &Params<'_>,
) -> Result<Split<BTreeMap<String, ByNonce<String>>>, RpcError> {
    let content = context.node.pool.lock().content();
    Ok(by_sender(&content, &line))
}

fn content_from(context: &Context, params: &Params<'_>) -> Result<Split<ByNonce<TransactionView>>, RpcError> {
    let address: Address = Args::new(params, 1)?.required(0, "address")?;
    let content = context.node.pool.lock().content_of(&address);
    Ok(split(&content, &TransactionView::waiting))
}

fn reason(context: &Context, params: &Params<'_>) -> Result<Reason, RpcError> {
    let hash: B256 = Args::new(params, 1)?.required(0, "hash")?;
    if let Some((number, index)) = context.node.reader.transaction_location(&hash)? {
        let reason = format!("in block {number} at position {index}");
        return Ok(Reason { status: "included", reason });
    }
    let pool = context.node.pool.lock();
    if pool.recently_included(&hash) {
        let reason = "in a block that is being written to disk".to_owned();
        return Ok(Reason { status: "included", reason });
    }
    let Some(transaction) = pool.get(&hash) else {
        return Ok(match pool.dropped_reason(&hash) {
            Some(reason) => Reason { status: "dropped", reason: reason.to_owned() },
            None => Reason { status: "unknown", reason: "this node has not seen it".to_owned() },
        });
    };
    let content = pool.content_of(&transaction.sender());
    let waiting = content.iter().find(|waiting| waiting.transaction.hash() == hash);
    let reason = waiting.map_or(WaitReason::Ready, |waiting| waiting.reason);
    let status = if reason == WaitReason::Ready { "pending" } else { "queued" };
    Ok(Reason { status, reason: reason.to_string() })
}

fn by_sender<T>(
    content: &[SenderContent],
    show: &dyn Fn(&RecoveredTransaction) -> T,
) -> Split<BTreeMap<String, ByNonce<T>>> {
    let mut all = Split { pending: BTreeMap::new(), queued: BTreeMap::new() };
    for sender in content {
        let Split { pending, queued } = split(&sender.transactions, show);
        if !pending.is_empty() {
            all.pending.insert(sender.address.to_checksum(None), pending);
        }
        if !queued.is_empty() {
            all.queued.insert(sender.address.to_checksum(None), queued);
        }
    }
    all
}

fn split<T>(content: &[Waiting], show: &dyn Fn(&RecoveredTransaction) -> T) -> Split<ByNonce<T>> {
    let mut all = Split { pending: BTreeMap::new(), queued: BTreeMap::new() };
    for waiting in content {
        let list = if waiting.reason == WaitReason::Ready { &mut all.pending } else { &mut all.queued };
        list.insert(waiting.transaction.nonce().to_string(), show(&waiting.transaction));
    }
    all
}

fn line(transaction: &RecoveredTransaction) -> String {
    let target = match transaction.kind().to() {
        Some(address) => address.to_checksum(None),
        None => "contract creation".to_owned(),
    };
    let tx = transaction.tx();
    format!("{target}: {} wei + {} gas × {} wei", tx.value(), tx.gas_limit(), tx.max_fee_per_gas())
}
