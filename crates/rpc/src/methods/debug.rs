//! `debug_trace*`: what happened inside of transactions, as geth tells it. Private state has its own methods of this
//! namespace, see [`crate::privacy`].

mod options;

use super::eth::{call_time_out, request_of, with_context};
use crate::blocks::FullBlock;
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector};
use crate::privacy::states::Place;
use crate::privacy::traces::{Running, SecondPass, Told};
use crate::register::Table;
use alloy_primitives::B256;
use jsonrpsee::types::Params;
use lonja_evm::{BlockEnv, BlockReplay, ExecuteError, TraceError, Tracing, trace_call};
use lonja_primitives::RecoveredTransaction;
use options::TraceOptions;
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::{Duration, Instant};

/// What an answer needs beyond the traces in it, bytes: the envelope, and per transaction of a block its hash.
const ENVELOPE_BYTES: usize = 1_024;
const ITEM_BYTES: usize = 100;

pub(crate) fn register(table: &mut Table) {
    table.traces("debug_traceTransaction", trace_transaction);
    table.traces("debug_traceBlockByNumber", trace_block);
    table.traces("debug_traceBlockByHash", trace_block_by_hash);
    table.traces("debug_traceCall", trace_message);
}

/// A transaction of a block that was looked at.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TracedView {
    tx_hash: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    /// Why there is nothing to tell of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What is looked at and for how long.
struct Looking {
    tracing: Tracing,
    time: Duration,
    began: Instant,
}

impl Looking {
    fn new(context: &Context, options: &TraceOptions) -> Result<Self, RpcError> {
        let time =
            options.time()?.map_or(context.limits.call_time, |asked| asked.min(context.limits.call_time));
        let bytes_max = (context.limits.response_bytes as usize).saturating_sub(ENVELOPE_BYTES);
        Ok(Self { tracing: options.tracing(bytes_max)?, time, began: Instant::now() })
    }

    fn time_left(&self) -> Duration {
        self.time.saturating_sub(self.began.elapsed())
    }

    fn refusal(&self, error: TraceError) -> RpcError {
        refusal(error, self.time)
    }
}

fn trace_transaction(context: &Context, params: &Params<'_>) -> Result<Box<RawValue>, RpcError> {
    let args = Args::new(params, 2)?;
    let hash: B256 = args.required(0, "hash")?;
    let looking = Looking::new(context, &TraceOptions::read(&args, 1)?)?;
    let location = context.node.reader.transaction_location(&hash)?;
    let (number, index) = location.ok_or_else(|| RpcError::Refused("transaction not found".to_owned()))?;
    let traced = traced(context, &*context.block(number)?, Some(index), &looking)?.pop();
    match traced.map(|traced| (traced.result, traced.error)) {
        Some((Some(result), _)) => Ok(result),
        Some((None, error)) => Err(RpcError::Refused(error.unwrap_or_default())),
        None => {
            let text = format!("transaction {hash} is not at place {index} of block {number}");
            Err(RpcError::Internal(text))
        }
    }
}

fn trace_block(context: &Context, params: &Params<'_>) -> Result<Vec<TracedView>, RpcError> {
    let args = Args::new(params, 2)?;
    let selector: BlockSelector = args.required(0, "block")?;
    let looking = Looking::new(context, &TraceOptions::read(&args, 1)?)?;
    let block = context.block(context.known_height(selector)?)?;
    traced(context, &block, None, &looking)
}

fn trace_block_by_hash(context: &Context, params: &Params<'_>) -> Result<Vec<TracedView>, RpcError> {
    // Refuses a number, for which there is the other method.
    let _: B256 = Args::new(params, 2)?.required(0, "hash")?;
    trace_block(context, params)
}

fn trace_message(context: &Context, params: &Params<'_>) -> Result<Box<RawValue>, RpcError> {
    let args = Args::new(params, 3)?;
    let request = request_of(context, &args)?;
    let options = TraceOptions::read(&args, 2)?;
    let (looking, overrides) = (Looking::new(context, &options)?, options.overrides()?);
    let selector = args.optional(1, "block")?.unwrap_or(BlockSelector::Latest);
    let place = Place::of(context, selector, request.to.as_ref())?;
    let time_left = || looking.time_left();
    let told = with_context(context, &place, &time_left, |call| {
        trace_call(call, &request, &overrides, &looking.tracing)
    })?;
    told.map_err(|error| looking.refusal(error))
}

/// Executes a block once more and tells of one of its transactions, or of all of them. Of a private transaction, or of what
/// a marker carries, a party hears what ran here, everybody else what everybody sees.
fn traced(
    context: &Context,
    block: &FullBlock,
    only: Option<u32>,
    looking: &Looking,
) -> Result<Vec<TracedView>, RpcError> {
    let header = &block.header;
    let Some(parent) = header.number.checked_sub(1) else {
        return Err(RpcError::Refused("genesis is not traceable".to_owned()));
    };
    let looks_at = |index: u32| only.is_none_or(|only| index == only);
    let transactions = transactions(context, block, only)?;
    let looked_at: Vec<_> =
        (0u32..).zip(&transactions).filter(|(index, _)| looks_at(*index)).map(|(_, tx)| tx).collect();
    let public = context.state(parent)?;
    let second = SecondPass::of(context, block, &looked_at)?;
    let mut second = second.as_ref().map(|second| second.begin(&public, looks_at)).transpose()?;
    let time_left = || looking.time_left();
    let mut replay = BlockReplay::new(*block.rules(), BlockEnv::from_header(header), &public, &time_left);
    let mut bytes_left = looking.tracing.bytes_max();
    let mut views = Vec::with_capacity(looked_at.len());
    for (index, tx) in (0u32..).zip(&transactions) {
        let tracing = looks_at(index).then(|| looking.tracing.within(bytes_left));
        let told =
            told_of((index, tx), &mut replay, second.as_mut(), (&time_left, looking), tracing.as_ref())?;
        if let Some(told) = told {
            let (result, error) = (told.as_ref().ok().cloned(), told.err());
            let bytes = result.as_ref().map_or(0, |result| result.get().len());
            bytes_left = bytes_left.saturating_sub(bytes.saturating_add(ITEM_BYTES));
            views.push(TracedView { tx_hash: tx.hash(), result, error });
        }
    }
    second.map_or(Ok(()), |second| second.check())?;
    Ok(views)
}

/// Executes the next transaction, and tells of it where that is asked for: where something ran here, of that.
fn told_of<'a>(
    (index, tx): (u32, &RecoveredTransaction),
    replay: &mut BlockReplay<'a>,
    second: Option<&mut Running<'_, '_>>,
    (time_left, looking): (&'a (dyn Fn() -> Duration + Sync), &Looking),
    tracing: Option<&Tracing>,
) -> Result<Option<Told>, RpcError> {
    let second = second.filter(|second| second.ran(index));
    match (second, tracing) {
        (Some(second), _) => {
            replay.pass(tx).map_err(|error| looking.refusal(error))?;
            second.run(index, tx, replay.changes(), (time_left, looking.time), tracing)
        }
        (None, Some(tracing)) => {
            let told = replay.trace(tx, tracing).map_err(|error| looking.refusal(error))?;
            Ok(Some(Ok(told)))
        }
        (None, None) => replay.pass(tx).map(|()| None).map_err(|error| looking.refusal(error)),
    }
}

/// The transactions of a block, up to the one that is asked for.
fn transactions(
    context: &Context,
    block: &FullBlock,
    only: Option<u32>,
) -> Result<Vec<RecoveredTransaction>, RpcError> {
    let count = only.map_or(usize::MAX, |only| (only as usize).saturating_add(1));
    let raws = block.transactions.iter().zip(&block.senders).take(count);
    let stored = |(raw, sender): (&alloy_primitives::Bytes, &alloy_primitives::Address)| {
        RecoveredTransaction::stored(raw.clone(), *sender, context.node.spec.chain_id).map_err(|error| {
            RpcError::Internal(format!("a transaction of block {}: {error}", block.header.number))
        })
    };
    raws.map(stored).collect()
}

/// What a client is told where there is no trace; `time` is what it had.
pub(crate) fn refusal(error: TraceError, time: Duration) -> RpcError {
    match error {
        TraceError::Stopped => RpcError::Refused(call_time_out(time)),
        TraceError::TooLong { .. } => RpcError::Limit(error.to_string()),
        TraceError::Call(error) => super::eth::call_refusal(error, time),
        TraceError::Execute(ExecuteError::State(error)) => error.into(),
        TraceError::Execute(error) => RpcError::Internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
