//! Completing a transaction: what its sender left out follows from the chain.

use super::request::{Form, Found, SendRequest};
use super::signing::Unsigned;
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::eth::{estimate, suggested_price};
use alloy_consensus::TxLegacy;
use alloy_primitives::Address;
use lonja_chain::SubmitError;
use std::time::{SystemTime, UNIX_EPOCH};

/// A public transaction in the form that was asked for. Blocks, and executes the message where no gas limit is given.
pub(crate) fn fill(context: &Context, request: &SendRequest) -> Result<Unsigned, RpcError> {
    let spec = &context.node.spec;
    request.check(spec.chain_id)?;
    let head = context.header(context.head().number)?;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let next = spec.rules_at(head.number.saturating_add(1), head.timestamp.max(now_s));
    Ok(match request.form(next.fork)? {
        Form::Legacy => request.legacy(find(context, request)?)?.into(),
        Form::AccessList => request.with_access_list(find(context, request)?)?.into(),
        Form::DynamicFee => request.dynamic(find(context, request)?)?.into(),
    })
}

/// A transaction of type 0, whatever the client or the newest rules would choose: the only type that can be private. As
/// [`fill`] otherwise; who puts a hash in the place of the payload names the gas limit before, or has the hash estimated.
pub(crate) fn fill_legacy(context: &Context, request: &SendRequest) -> Result<TxLegacy, RpcError> {
    request.check(context.node.spec.chain_id)?;
    if request.has_access_list() {
        return Err(RpcError::InvalidParams("a private transaction has no accessList".to_owned()));
    }
    request.legacy(find(context, request)?)
}

/// The nonce last: where two of one sender are filled at the same time, each must be sent before the next one is filled
/// ([`super::sending::Turns`]), and an estimate takes its time.
fn find(context: &Context, request: &SendRequest) -> Result<Found, RpcError> {
    let gas_limit = match request.gas {
        Some(gas) => gas.0,
        None => estimate(context, &request.message()?)?,
    };
    let price = if request.has_price() { 0 } else { suggested_price(context)? };
    let nonce = match request.nonce {
        Some(nonce) => nonce.0,
        None => next_nonce(context, &request.from)?,
    };
    Ok(Found { chain_id: context.node.spec.chain_id, nonce, gas_limit, price })
}

/// The nonce of the account's next transaction.
pub(crate) fn next_nonce(context: &Context, sender: &Address) -> Result<u64, RpcError> {
    context.node.door.next_nonce(sender).map_err(|error| match error {
        SubmitError::State(error) => error.into(),
        other => RpcError::Internal(other.to_string()),
    })
}
