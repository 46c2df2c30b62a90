//! Calls that change nothing, and estimates.

use super::call_request::{BlockOverrideArgs, RequestArgs, StateOverrideArgs};
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::permissions::{Standpoint, fault};
use crate::params::{Args, BlockSelector};
use crate::privacy::drafts::hash_gas_beyond;
use crate::privacy::parties;
use crate::privacy::states::Place;
use crate::register::Table;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Bytes, TxKind, U64};
use jsonrpsee::types::Params;
use lonja_chain::SubmitError;
use lonja_evm::{BlockEnv, CallContext, CallError, CallOutcome, CallRequest, Overrides, revert_reason};
use lonja_permissioning::TransactionQuestion;
use serde::Serialize;
use std::time::Duration;

pub(super) fn register(table: &mut Table) {
    table.heavy("eth_call", call);
    table.heavy("eth_estimateGas", estimate_gas);
    table.heavy("eth_createAccessList", create_access_list);
}

/// The least that the head's gas limit stands for when no cap for calls is configured (geth's default cap).
const CALL_GAS_FLOOR: u64 = 50_000_000;

/// An access list and what the message uses with it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessListView {
    access_list: AccessList,
    gas_used: U64,
    /// What the message fails with.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn call(context: &Context, params: &Params<'_>) -> Result<Bytes, RpcError> {
    let args = Args::new(params, 4)?;
    let (request, overrides) = (request_of(context, &args)?, overrides(&args)?);
    let place = Place::of(context, block(&args)?, request.to.as_ref())?;
    match at_place(context, &place, |call| lonja_evm::call(call, &request, &overrides))? {
        CallOutcome::Success { output, .. } => Ok(output),
        CallOutcome::Revert { output, .. } => Err(reverted(output)),
        CallOutcome::Halt { reason, .. } => Err(RpcError::Refused(reason)),
    }
}

fn estimate_gas(context: &Context, params: &Params<'_>) -> Result<U64, RpcError> {
    let args = Args::new(params, 4)?;
    let (request, overrides) = (request_of(context, &args)?, overrides(&args)?);
    let block = block(&args)?;
    check_permitted(context, block, &request)?;
    let place = Place::of(context, block, request.to.as_ref())?;
    let gas = at_place(context, &place, |call| lonja_evm::estimate_gas(call, &request, &overrides))?;
    Ok(U64::from(gas.saturating_add(gas_if_private(context, &place, &args, &request)?)))
}

/// A message that may be sent as a private transaction also needs gas for the hash that stands in the place of its data.
/// GoQuorum's rule for which one that is: one that names its value, and names 0.
fn gas_if_private(
    context: &Context,
    place: &Place,
    args: &Args<'_>,
    request: &CallRequest,
) -> Result<u64, RpcError> {
    let rules = context.rules(&context.header(place.number)?);
    if !rules.privacy.transactions || !args.required::<RequestArgs>(0, "transaction")?.names_no_value() {
        return Ok(0);
    }
    Ok(hash_gas_beyond(&rules, request.to.map_or(TxKind::Create, TxKind::Call), &request.data))
}

/// The gas limit to give a message that is sent next. Blocks.
pub(crate) fn estimate(context: &Context, request: &CallRequest) -> Result<u64, RpcError> {
    check_permitted(context, BlockSelector::Latest, request)?;
    let place = Place::of(context, BlockSelector::Latest, request.to.as_ref())?;
    at_place(context, &place, |call| lonja_evm::estimate_gas(call, request, &Overrides::default()))
}

/// As [`estimate`], for the payload of a private transaction: on both states, whatever it calls. Blocks.
pub(crate) fn estimate_shared(context: &Context, request: &CallRequest) -> Result<u64, RpcError> {
    let place = Place::shared(context, parties(context)?)?;
    at_place(context, &place, |call| lonja_evm::estimate_gas(call, request, &Overrides::default()))
}

fn create_access_list(context: &Context, params: &Params<'_>) -> Result<AccessListView, RpcError> {
    let args = Args::new(params, 2)?;
    let request = request_of(context, &args)?;
    let block = block(&args)?;
    check_permitted(context, block, &request)?;
    let place = Place::of(context, block, request.to.as_ref())?;
    let (access_list, gas_used, error) =
        at_place(context, &place, |call| lonja_evm::create_access_list(call, &request))?;
    Ok(AccessListView { access_list, gas_used: U64::from(gas_used), error })
}

/// An estimate is asked for what is to be sent, so whoever may not send it hears so now, by the rule that the pool and the
/// blocks go by. `eth_call` only looks, and looking is anybody's.
pub(crate) fn check_permitted(
    context: &Context,
    selector: BlockSelector,
    request: &CallRequest,
) -> Result<(), RpcError> {
    let Some(sender) = request.from else { return Ok(()) };
    let standpoint = Standpoint::at(context, selector)?;
    let question = TransactionQuestion {
        sender,
        target: request.to,
        value: request.value,
        gas_price: request.gas_price.unwrap_or(0),
        gas_limit: request.gas.unwrap_or(0),
        payload: &request.data,
    };
    let mut judge = standpoint.judge();
    let Err(refusal) = judge.transaction(&question).map_err(fault)? else { return Ok(()) };
    let refusal = judge.transaction_in_words(&question, refusal).map_err(fault)?;
    Err(RpcError::NotPermitted(SubmitError::NotPermitted(refusal).to_string()))
}

/// The message that the first parameter is.
pub(crate) fn request_of(context: &Context, args: &Args<'_>) -> Result<CallRequest, RpcError> {
    args.required::<RequestArgs>(0, "transaction")?.into_request(context.node.spec.chain_id)
}

fn overrides(args: &Args<'_>) -> Result<Overrides, RpcError> {
    let state = args.optional::<StateOverrideArgs>(2, "stateOverrides")?.unwrap_or_default();
    let block = args.optional::<BlockOverrideArgs>(3, "blockOverrides")?.unwrap_or_default();
    Ok(Overrides { state: state.into_overrides(), block: block.into_overrides()? })
}

/// The block that the second parameter names.
fn block(args: &Args<'_>) -> Result<BlockSelector, RpcError> {
    Ok(args.optional(1, "block")?.unwrap_or(BlockSelector::Latest))
}

/// Runs something on the state after a block, in that block's environment.
fn at_place<T>(
    context: &Context,
    place: &Place,
    run: impl FnOnce(&CallContext<'_>) -> Result<T, CallError>,
) -> Result<T, RpcError> {
    let result = with_context(context, place, &context.time_left(), run)?;
    result.map_err(|error| call_refusal(error, context.limits.call_time))
}

/// Gives what a message needs to be run on the state after a block, in that block's environment.
pub(crate) fn with_context<T>(
    context: &Context,
    place: &Place,
    time_left: &(dyn Fn() -> Duration + Sync),
    run: impl FnOnce(&CallContext<'_>) -> T,
) -> Result<T, RpcError> {
    let header = context.header(place.number)?;
    let env = BlockEnv::from_header(&header);
    Ok(place.with(|state, private| {
        run(&CallContext {
            rules: context.rules(&header),
            env: &env,
            state,
            private,
            gas_cap: context.limits.call_gas.unwrap_or(header.gas_limit.max(CALL_GAS_FLOOR)),
            time_left,
        })
    }))
}

/// What a client is told whose message did not run; `time` is what it had.
pub(crate) fn call_refusal(error: CallError, time: Duration) -> RpcError {
    match error {
        CallError::Reverted(output) => reverted(output),
        CallError::BadRequest(reason) => RpcError::InvalidParams(reason),
        CallError::State(error) => error.into(),
        CallError::Internal(reason) => RpcError::Internal(reason),
        CallError::Stopped => RpcError::Refused(call_time_out(time)),
        CallError::PrecompileTooLong => RpcError::Refused(format!(
            "{}: a precompiled contract would not end in the time left",
            call_time_out(time)
        )),
        CallError::Invalid(_) | CallError::Failed(_) | CallError::GasAllowance(_) => {
            RpcError::Refused(error.to_string())
        }
    }
}

/// geth's words for a message whose time was up.
pub(crate) fn call_time_out(time: Duration) -> String {
    format!("execution aborted (timeout = {}s)", time.as_secs_f64())
}

/// Code 3 with the returned bytes, from which tools decode custom errors.
fn reverted(data: Bytes) -> RpcError {
    let message = match revert_reason(&data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    RpcError::Reverted { message, data }
}
