//! `eth_` methods that sign with the node's accounts.
//!
//! A transaction goes through five hands, each of which whoever sends in another way can use alone:
//! read ([`request::SendRequest`]), turn ([`sending::Turns`]), fill ([`fill::fill`], [`fill::fill_legacy`]), sign
//! ([`signing::sign`], [`signing::sign_private`]), submit ([`sending::submit`]).

pub(crate) mod fill;
pub(crate) mod request;
pub(crate) mod sending;
pub(crate) mod signing;
pub(crate) mod view;

use self::fill::fill;
use self::request::SendRequest;
use self::sending::send;
use self::signing::{Authority, read_back, sign};
use self::view::{SignedView, UnsignedView};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::Args;
use crate::privacy;
use crate::register::Table;
use alloy_primitives::{Address, Bytes, eip191_hash_message};
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::types::Params;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

pub(crate) fn register(table: &mut Table) {
    table.read("eth_accounts", accounts);
    table.read("eth_sign", sign_message);
    table.waiting("eth_sendTransaction", send_transaction);
    table.waiting("eth_fillTransaction", fill_transaction);
    table.read("eth_signTransaction", sign_transaction);
}

/// Every account, unlocked or not, as geth lists them.
fn accounts(context: &Context, _params: &Params<'_>) -> Result<Vec<Address>, RpcError> {
    Ok(context.node.accounts.addresses()?)
}

fn sign_message(context: &Context, params: &Params<'_>) -> Result<Bytes, RpcError> {
    let args = Args::new(params, 2)?;
    let account: Address = args.required(0, "address")?;
    let message: Bytes = args.required(1, "data")?;
    message_signature(context, account, &Authority::Unlocked, &message)
}

/// Signs a message as wallets do (EIP-191, version `E`), so that it can never be a transaction: `r ‖ s ‖ v` with `v` 27
/// or 28. Blocks.
pub(crate) fn message_signature(
    context: &Context,
    account: Address,
    authority: &Authority,
    message: &[u8],
) -> Result<Bytes, RpcError> {
    let mut signature = authority.sign(context, account, eip191_hash_message(message))?.0;
    signature[64] += 27;
    Ok(Bytes::copy_from_slice(&signature))
}

fn send_transaction(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let request = SendRequest::read(&Args::new(&params, 1)?, 0)?;
        let hash = send(context, request, Authority::Unlocked).await?;
        to_raw_value(&hash).map_err(|error| RpcError::Internal(error.to_string()))
    }
    .boxed()
}

/// Completes a transaction for another signer; nobody's key is needed.
fn fill_transaction(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let request = SendRequest::read(&Args::new(&params, 1)?, 0)?;
        let view = match request.private.is_private() {
            true => privacy::drafts::fill(context, request).await?,
            false => {
                let owned = Arc::clone(&context);
                let job = move || UnsignedView::new(fill(&owned, &request)?, request.from, 0);
                context.workers.heavy.run(job).await?
            }
        };
        to_raw_value(&view).map_err(|error| RpcError::Internal(error.to_string()))
    }
    .boxed()
}

fn sign_transaction(context: &Context, params: &Params<'_>) -> Result<SignedView, RpcError> {
    let request = SendRequest::read(&Args::new(params, 1)?, 0)?;
    signed_transaction(context, &request, &Authority::Unlocked)
}

/// Signs a transaction and keeps it from the pool. What it does not say is not found out: nobody sees when it is
/// sent, and whether its nonce still fits then. Blocks.
pub(crate) fn signed_transaction(
    context: &Context,
    request: &SendRequest,
    authority: &Authority,
) -> Result<SignedView, RpcError> {
    request.check_complete()?;
    authority.check(context, request.from)?;
    let raw = match request.private.is_private() {
        true => privacy::drafts::sign(context, request, authority)?,
        false => sign(context, request.from, authority, fill(context, request)?)?,
    };
    Ok(SignedView::new(&read_back(context, raw)?))
}

#[cfg(test)]
mod tests;
