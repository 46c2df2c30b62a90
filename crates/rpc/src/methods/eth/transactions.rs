//! Transactions: looking them up, sending them in.

use crate::context::Context;
use crate::error::{LATER, NOT_PERMITTED, RpcError};
use crate::params::{Args, BlockSelector, Quantity};
use crate::privacy::results;
use crate::register::Table;
use crate::submit::Outcomes;
use crate::view::{ReceiptView, TransactionView};
use alloy_primitives::{B256, Bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::types::Params;
use lonja_chain::{Door, SubmitError};
use lonja_txpool::Origin;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// While more waits than the next blocks take, the queue before the door stands still, and refuses when it is full. No
/// batch waits longer than this: a chain without a quorum still takes transactions, slowly.
const CONGESTED_MAX: Duration = Duration::from_secs(1);
const CONGESTED_LOOK: Duration = Duration::from_millis(5);

pub(super) fn register(table: &mut Table) {
    table.read("eth_getTransactionByHash", by_hash);
    table.read("eth_getTransactionByBlockHashAndIndex", by_block_hash_and_index);
    table.read("eth_getTransactionByBlockNumberAndIndex", by_block_number_and_index);
    table.read("eth_getTransactionReceipt", receipt);
    table.read("eth_getRawTransactionByHash", raw_by_hash);
    table.read("eth_getRawTransactionByBlockHashAndIndex", raw_by_block_hash_and_index);
    table.read("eth_getRawTransactionByBlockNumberAndIndex", raw_by_block_number_and_index);
    table.waiting("eth_sendRawTransaction", send_raw);
}

/// Block and index of a transaction that is in the chain.
fn location(context: &Context, hash: &B256) -> Result<Option<(u64, u32)>, RpcError> {
    Ok(context.node.reader.transaction_location(hash)?)
}

fn by_hash(context: &Context, params: &Params<'_>) -> Result<Option<TransactionView>, RpcError> {
    let hash: B256 = Args::new(params, 1)?.required(0, "hash")?;
    // The pool first: a transaction that is included between the two looks is then seen by the second.
    let waiting = context.node.pool.lock().get(&hash);
    match location(context, &hash)? {
        Some((number, index)) => context.block(number)?.transaction_view(index),
        None => Ok(waiting.as_ref().map(TransactionView::waiting)),
    }
}

fn receipt(context: &Context, params: &Params<'_>) -> Result<Option<ReceiptView>, RpcError> {
    let hash: B256 = Args::new(params, 1)?.required(0, "hash")?;
    let Some((number, index)) = location(context, &hash)? else { return Ok(None) };
    results::receipt(context, &*context.block(number)?, index)
}

fn raw_by_hash(context: &Context, params: &Params<'_>) -> Result<Option<Bytes>, RpcError> {
    let hash: B256 = Args::new(params, 1)?.required(0, "hash")?;
    let waiting = context.node.pool.lock().get(&hash).map(|tx| tx.raw().clone());
    match location(context, &hash)? {
        Some((number, index)) => raw_at(context, number, index),
        None => Ok(waiting),
    }
}

fn by_block_hash_and_index(
    context: &Context,
    params: &Params<'_>,
) -> Result<Option<TransactionView>, RpcError> {
    let Some((number, index)) = place_by_hash(context, params)? else { return Ok(None) };
    context.block(number)?.transaction_view(index)
}

fn by_block_number_and_index(
    context: &Context,
    params: &Params<'_>,
) -> Result<Option<TransactionView>, RpcError> {
    let Some((number, index)) = place_by_number(context, params)? else { return Ok(None) };
    context.block(number)?.transaction_view(index)
}

fn raw_by_block_hash_and_index(context: &Context, params: &Params<'_>) -> Result<Option<Bytes>, RpcError> {
    let Some((number, index)) = place_by_hash(context, params)? else { return Ok(None) };
    raw_at(context, number, index)
}

fn raw_by_block_number_and_index(context: &Context, params: &Params<'_>) -> Result<Option<Bytes>, RpcError> {
    let Some((number, index)) = place_by_number(context, params)? else { return Ok(None) };
    raw_at(context, number, index)
}

fn raw_at(context: &Context, number: u64, index: u32) -> Result<Option<Bytes>, RpcError> {
    Ok(context.block(number)?.transactions.get(index as usize).cloned())
}

fn place_by_hash(context: &Context, params: &Params<'_>) -> Result<Option<(u64, u32)>, RpcError> {
    let args = Args::new(params, 2)?;
    place(context, BlockSelector::Hash(args.required::<B256>(0, "hash")?), &args)
}

fn place_by_number(context: &Context, params: &Params<'_>) -> Result<Option<(u64, u32)>, RpcError> {
    let args = Args::new(params, 2)?;
    place(context, args.required(0, "block")?, &args)
}

fn place(context: &Context, block: BlockSelector, args: &Args<'_>) -> Result<Option<(u64, u32)>, RpcError> {
    let index: Quantity<u64> = args.required(1, "index")?;
    let number = context.height(block)?;
    Ok(number.map(|number| (number, u32::try_from(index.0).unwrap_or(u32::MAX))))
}

/// Answers when the pool has taken the transaction, not when a block has.
fn send_raw(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let raw: Bytes = Args::new(&params, 1)?.required(0, "transaction")?;
        let hash = context.submitter.submit(raw).await?;
        to_raw_value(&hash).map_err(|error| RpcError::Internal(error.to_string()))
    }
    .boxed()
}

/// Takes a batch through the door.
pub(crate) fn submit_batch(door: &Door, raws: Vec<Bytes>) -> Outcomes {
    let until = Instant::now() + CONGESTED_MAX;
    while door.is_congested() && Instant::now() < until {
        std::thread::sleep(CONGESTED_LOOK);
    }
    door.submit(raws, Origin::Local).into_iter().map(|outcome| outcome.map_err(refusal)).collect()
}

/// What a client is told whose transaction is refused.
pub(crate) fn refusal(error: SubmitError) -> RpcError {
    match error {
        SubmitError::State(error) => error.into(),
        other => match other.code() {
            NOT_PERMITTED => RpcError::NotPermitted(other.to_string()),
            LATER => RpcError::Limit(other.to_string()),
            _ => RpcError::Refused(other.to_string()),
        },
    }
}
