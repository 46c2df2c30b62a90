//! `personal_`: the node's accounts and their passwords. On the local socket only.

use super::accounts::request::SendRequest;
use super::accounts::sending::send;
use super::accounts::signing::Authority;
use super::accounts::view::SignedView;
use super::accounts::{message_signature, signed_transaction};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, Count};
use crate::register::Table;
use alloy_primitives::{Address, Bytes, eip191_hash_message};
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::types::Params;
use lonja_accounts::Password;
use lonja_primitives::{NodeKey, Signature};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// How long an account stays unlocked when no time is named (geth's value), seconds.
const UNLOCKED_S: u64 = 300;

/// How soon after its time a key is wiped. It is not used any more in any case.
const FORGET_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn register(table: &mut Table) {
    table.read("personal_listAccounts", list_accounts);
    table.heavy("personal_newAccount", new_account);
    table.heavy("personal_importRawKey", import_raw_key);
    table.heavy("personal_unlockAccount", unlock_account);
    table.read("personal_lockAccount", lock_account);
    table.heavy("personal_sign", sign);
    table.inline("personal_ecRecover", ec_recover);
    table.waiting("personal_sendTransaction", send_transaction);
    table.heavy("personal_signTransaction", sign_transaction);
}

/// Wipes keys whose time is over, until stopped.
pub(crate) async fn forget_expired(context: Arc<Context>, stop: CancellationToken) {
    let mut every = tokio::time::interval(FORGET_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => context.node.accounts.forget_expired(),
        }
    }
}

fn list_accounts(context: &Context, _params: &Params<'_>) -> Result<Vec<Address>, RpcError> {
    Ok(context.node.accounts.addresses()?)
}

fn new_account(context: &Context, params: &Params<'_>) -> Result<Address, RpcError> {
    let password = password(&Args::new(params, 1)?, 0)?;
    Ok(context.node.accounts.create(&password)?.address)
}

fn import_raw_key(context: &Context, params: &Params<'_>) -> Result<Address, RpcError> {
    let args = Args::new(params, 2)?;
    let Secret(key) = args.required(0, "key")?;
    let key = NodeKey::from_hex(&key).map_err(|error| RpcError::InvalidParams(error.to_string()))?;
    Ok(context.node.accounts.import(&key, &password(&args, 1)?)?.address)
}

/// With 0 seconds: for as long as the node runs.
fn unlock_account(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    let args = Args::new(params, 3)?;
    let account: Address = args.required(0, "address")?;
    let password = password(&args, 1)?;
    let Count(seconds) = args.optional(2, "seconds")?.unwrap_or(Count(UNLOCKED_S));
    if let Some(reason) = &context.unlocking_refused {
        return Err(RpcError::Refused(reason.clone()));
    }
    let lasting = (seconds != 0).then(|| Duration::from_secs(seconds));
    context.node.accounts.unlock(account, &password, lasting)?;
    tracing::info!(%account, seconds, "an account was unlocked over IPC");
    Ok(true)
}

fn lock_account(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    let account: Address = Args::new(params, 1)?.required(0, "address")?;
    Ok(context.node.accounts.lock(account))
}

fn sign(context: &Context, params: &Params<'_>) -> Result<Bytes, RpcError> {
    let args = Args::new(params, 3)?;
    let message: Bytes = args.required(0, "data")?;
    let account: Address = args.required(1, "address")?;
    message_signature(context, account, &Authority::Password(password(&args, 2)?), &message)
}

/// Who signed a message with `eth_sign` or `personal_sign`.
fn ec_recover(_context: &Context, params: &Params<'_>) -> Result<Address, RpcError> {
    let args = Args::new(params, 2)?;
    let message: Bytes = args.required(0, "data")?;
    let signature: Bytes = args.required(1, "signature")?;
    let Ok(mut signature) = <[u8; 65]>::try_from(signature.as_ref()) else {
        return Err(RpcError::InvalidParams("signature must be 65 bytes long".to_owned()));
    };
    signature[64] = match signature[64] {
        27 => 0,
        28 => 1,
        _ => {
            return Err(RpcError::InvalidParams("invalid Ethereum signature (V is not 27 or 28)".to_owned()));
        }
    };
    Signature(signature)
        .recover_lenient(eip191_hash_message(&message))
        .map_err(|error| RpcError::InvalidParams(error.to_string()))
}

fn send_transaction(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let args = Args::new(&params, 2)?;
        let request = SendRequest::read(&args, 0)?;
        let authority = Authority::Password(password(&args, 1)?);
        let hash = send(context, request, authority).await?;
        to_raw_value(&hash).map_err(|error| RpcError::Internal(error.to_string()))
    }
    .boxed()
}

fn sign_transaction(context: &Context, params: &Params<'_>) -> Result<SignedView, RpcError> {
    let args = Args::new(params, 2)?;
    let request = SendRequest::read(&args, 0)?;
    signed_transaction(context, &request, &Authority::Password(password(&args, 1)?))
}

/// A string that stands in no error, whatever else is written in its place.
struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer) {
            Ok(Value::String(text)) => Ok(Self(Zeroizing::new(text))),
            _ => Err(serde::de::Error::custom("a text is expected")),
        }
    }
}

fn password(args: &Args<'_>, index: usize) -> Result<Password, RpcError> {
    let Secret(text) = args.required(index, "password")?;
    Ok(Password::from(text.as_str()))
}

#[cfg(test)]
mod tests;
