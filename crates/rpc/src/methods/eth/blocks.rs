//! Blocks, headers, receipts of a block.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector, Quantity};
use crate::privacy::results;
use crate::register::Table;
use crate::view::{BlockView, HeaderView, ReceiptView};
use alloy_primitives::{B256, U64};
use jsonrpsee::types::Params;

pub(super) fn register(table: &mut Table) {
    table.read("eth_getBlockByNumber", block_by_number);
    table.read("eth_getBlockByHash", block_by_hash);
    table.read("eth_getHeaderByNumber", header_by_number);
    table.read("eth_getHeaderByHash", header_by_hash);
    table.heavy("eth_getBlockReceipts", block_receipts);
    table.read("eth_getBlockTransactionCountByNumber", transaction_count_by_number);
    table.read("eth_getBlockTransactionCountByHash", transaction_count_by_hash);
    table.read("eth_getUncleCountByBlockNumber", uncle_count_by_number);
    table.read("eth_getUncleCountByBlockHash", uncle_count_by_hash);
    table.inline("eth_getUncleByBlockNumberAndIndex", uncle_by_number);
    table.inline("eth_getUncleByBlockHashAndIndex", uncle_by_hash);
}

/// The first parameter as a height; `None` for an unknown block.
fn by_number(context: &Context, args: &Args<'_>) -> Result<Option<u64>, RpcError> {
    context.height(args.required(0, "block")?)
}

/// The first parameter as a block hash; the height, `None` for an unknown block.
fn by_hash(context: &Context, args: &Args<'_>) -> Result<Option<u64>, RpcError> {
    context.height(BlockSelector::Hash(args.required::<B256>(0, "hash")?))
}

fn block_by_number(context: &Context, params: &Params<'_>) -> Result<Option<BlockView>, RpcError> {
    let args = Args::new(params, 2)?;
    block(context, by_number(context, &args)?, &args)
}

fn block_by_hash(context: &Context, params: &Params<'_>) -> Result<Option<BlockView>, RpcError> {
    let args = Args::new(params, 2)?;
    block(context, by_hash(context, &args)?, &args)
}

/// With hashes unless the second parameter asks for whole transactions. geth wants it to be there; other nodes,
/// and so some tools, do not.
fn block(context: &Context, number: Option<u64>, args: &Args<'_>) -> Result<Option<BlockView>, RpcError> {
    let full = args.optional(1, "fullTransactions")?.unwrap_or(false);
    number.map(|number| context.block(number)?.block_view(full)).transpose()
}

fn header_by_number(context: &Context, params: &Params<'_>) -> Result<Option<HeaderView>, RpcError> {
    header(context, by_number(context, &Args::new(params, 1)?)?)
}

fn header_by_hash(context: &Context, params: &Params<'_>) -> Result<Option<HeaderView>, RpcError> {
    header(context, by_hash(context, &Args::new(params, 1)?)?)
}

fn header(context: &Context, number: Option<u64>) -> Result<Option<HeaderView>, RpcError> {
    number.map(|number| Ok(HeaderView::new(&context.header(number)?))).transpose()
}

fn block_receipts(context: &Context, params: &Params<'_>) -> Result<Option<Vec<ReceiptView>>, RpcError> {
    match by_number(context, &Args::new(params, 1)?)? {
        Some(number) => results::receipts(context, &*context.block(number)?),
        None => Ok(None),
    }
}

fn transaction_count_by_number(context: &Context, params: &Params<'_>) -> Result<Option<U64>, RpcError> {
    transaction_count(context, by_number(context, &Args::new(params, 1)?)?)
}

fn transaction_count_by_hash(context: &Context, params: &Params<'_>) -> Result<Option<U64>, RpcError> {
    transaction_count(context, by_hash(context, &Args::new(params, 1)?)?)
}

fn transaction_count(context: &Context, number: Option<u64>) -> Result<Option<U64>, RpcError> {
    number.map(|number| Ok(U64::from(context.block(number)?.transactions.len()))).transpose()
}

/// No block has uncles, but tools ask.
fn uncle_count_by_number(context: &Context, params: &Params<'_>) -> Result<Option<U64>, RpcError> {
    Ok(by_number(context, &Args::new(params, 1)?)?.map(|_| U64::ZERO))
}

fn uncle_count_by_hash(context: &Context, params: &Params<'_>) -> Result<Option<U64>, RpcError> {
    Ok(by_hash(context, &Args::new(params, 1)?)?.map(|_| U64::ZERO))
}

fn uncle_by_number(_context: &Context, params: &Params<'_>) -> Result<(), RpcError> {
    let args = Args::new(params, 2)?;
    args.required::<BlockSelector>(0, "block")?;
    args.required::<Quantity<u64>>(1, "index").map(|_| ())
}

fn uncle_by_hash(_context: &Context, params: &Params<'_>) -> Result<(), RpcError> {
    let args = Args::new(params, 2)?;
    args.required::<B256>(0, "hash")?;
    args.required::<Quantity<u64>>(1, "index").map(|_| ())
}
