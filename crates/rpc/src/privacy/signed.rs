//! Private transactions that somebody else signed: their payload was stored before, by `eth_fillTransaction` or by the
//! manager's own interface, and goes to the parties now.

use super::covers;
use super::drafts::NextBlock;
use super::metadata::metadata;
use super::terms::{Terms, not_private};
use super::{RpcPrivacy, parties};
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::accounts::request::PrivateFields;
use crate::methods::accounts::sending::submit;
use crate::methods::eth::{check_permitted, refusal};
use crate::params::{Args, BlockSelector};
use crate::register::Table;
use alloy_primitives::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::types::Params;
use lonja_chain::SubmitError;
use lonja_evm::{CallRequest, PrivateMessage};
use lonja_primitives::{PayloadHash, RecoveredTransaction, StateView};
use lonja_ptm::{Metadata, SendRequest as Parcel, SendSigned, Sent};
use lonja_txpool::PoolError;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

pub(super) fn register(table: &mut Table) {
    table.waiting("eth_sendRawPrivateTransaction", send_raw);
    table.waiting("eth_distributePrivateTransaction", distribute);
}

/// Gives the payload of a signed transaction to its parties, and the transaction to the pool. Never in a marker: who signs
/// elsewhere signs that too.
fn send_raw(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let (raw, fields) = arguments(&params)?;
        answer(
            finished(async move {
                let signed = Signed::new(context, raw, &fields).await?;
                signed.share().await?;
                submit(&signed.context, signed.tx.raw().clone()).await
            })
            .await?,
        )
    }
    .boxed()
}

/// Gives the payload of a signed transaction to its parties, and then the transaction itself as another payload; the name
/// of that one is the data of a marker that the client signs.
fn distribute(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let (raw, fields) = arguments(&params)?;
        let carried = finished(async move {
            let signed = Signed::new(context, raw, &fields).await?;
            signed.check_markers()?;
            signed.carry().await
        });
        answer(Bytes::copy_from_slice(carried.await?.as_slice()))
    }
    .boxed()
}

fn arguments(params: &Params<'_>) -> Result<(Bytes, PrivateFields), RpcError> {
    let args = Args::new(params, 2)?;
    Ok((args.required(0, "transaction")?, PrivateFields::read(&args, 1)?))
}

fn answer<T: Serialize>(result: T) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(&result).map_err(|error| RpcError::Internal(error.to_string()))
}

/// What was begun is finished, also for a client that goes away meanwhile.
async fn finished<T: Send + 'static>(
    job: impl Future<Output = Result<T, RpcError>> + Send + 'static,
) -> Result<T, RpcError> {
    let done = tokio::spawn(job).await;
    done.unwrap_or_else(|error| Err(RpcError::Internal(format!("sending failed: {error}"))))
}

/// A signed private transaction that the door would take, as far as that shows.
struct Signed {
    context: Arc<Context>,
    privacy: Arc<RpcPrivacy>,
    terms: Terms,
    tx: RecoveredTransaction,
    hash: PayloadHash,
    shell_gas: u64,
    _place: tokio::sync::OwnedSemaphorePermit,
}

impl Signed {
    async fn new(context: Arc<Context>, raw: Bytes, fields: &PrivateFields) -> Result<Self, RpcError> {
        let chain_id = context.node.spec.chain_id;
        let privacy = Arc::clone(parties(&context)?);
        let place = context.private.distribute()?;
        let (owned, fields) = (Arc::clone(&context), fields.clone());
        let look = move || {
            let tx = RecoveredTransaction::recover(raw, chain_id)
                .map_err(|error| refusal(SubmitError::Invalid(error)))?;
            let hash = tx.payload_hash().filter(|_| tx.is_private()).ok_or_else(not_private)?;
            let terms = Terms::read(&owned, &fields)?;
            Ok((hash, terms, check(&owned, &tx)?, tx))
        };
        let (hash, terms, shell_gas, tx) = context.workers.reads.run(look).await?;
        let terms = terms.supervised(&context, &privacy, tx.sender()).await?;
        Ok(Self { context, privacy, terms, tx, hash, shell_gas, _place: place })
    }

    fn check_markers(&self) -> Result<(), RpcError> {
        let next = self.context.head().number.saturating_add(1);
        match self.context.node.spec.privacy_at(next).markers {
            Some(_) => Ok(()),
            None => Err(RpcError::Refused(
                "privacy marker transactions are not enabled on this network".to_owned(),
            )),
        }
    }

    /// Hands the stored payload to its parties.
    async fn share(&self) -> Result<Sent, RpcError> {
        let stored = self.privacy.manager.raw_payload(self.hash).await?;
        if let Some(from) = self.terms.from.filter(|from| *from != stored.sender) {
            return Err(RpcError::Refused(format!(
                "The PrivateFrom address retrieved from the privacy manager does not match private PrivateFrom \
                 ({from}) specified in transaction arguments."
            )));
        }
        let message = PrivateMessage {
            sender: self.tx.sender(),
            nonce: self.tx.nonce(),
            kind: self.tx.kind(),
            payload: stored.payload,
            gas_limit: self.tx.gas_limit(),
            shell_gas: self.shell_gas,
        };
        let metadata = metadata(&self.context, &self.privacy, &self.terms, message).await?;
        let parcel = SendSigned { hash: self.hash, to: self.terms.to.clone(), metadata };
        Ok(self.privacy.manager.send_signed(parcel).await?)
    }

    /// As [`Signed::share`], and then the transaction itself.
    async fn carry(&self) -> Result<PayloadHash, RpcError> {
        let sender = self.share().await?.sender;
        let parcel = Parcel {
            payload: covers::payload(&self.tx)?,
            from: Some(sender),
            to: self.terms.to.clone(),
            metadata: Metadata::default(),
        };
        Ok(self.privacy.manager.send(parcel).await?.hash)
    }
}

/// Refuses what the door would refuse: else the parties would have a payload for nothing. What the shell costs. Blocks.
fn check(context: &Context, tx: &RecoveredTransaction) -> Result<u64, RpcError> {
    let gas = NextBlock::new(context)?.shell_gas(tx)?;
    let bytes = tx.input().len();
    if bytes != PayloadHash::LENGTH {
        return Err(refusal(SubmitError::PrivateData { bytes }));
    }
    let account = context.state(context.head().number)?.account(&tx.sender())?.unwrap_or_default();
    if tx.nonce() < account.nonce {
        let (next, got) = (account.nonce, tx.nonce());
        return Err(refusal(SubmitError::Pool(PoolError::NonceTooLow { next, got })));
    }
    let request = CallRequest {
        from: Some(tx.sender()),
        to: tx.kind().to().copied(),
        gas: Some(tx.gas_limit()),
        gas_price: Some(tx.max_fee_per_gas()),
        data: tx.input().clone(),
        ..CallRequest::default()
    };
    check_permitted(context, BlockSelector::Latest, &request)?;
    Ok(gas)
}
