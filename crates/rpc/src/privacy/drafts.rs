//! Private transactions before anybody signs them: completed, and refused where they could not be sent.

use super::terms::Terms;
use super::{RpcPrivacy, parties};
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::accounts::fill::{fill_legacy, next_nonce};
use crate::methods::accounts::request::SendRequest;
use crate::methods::accounts::signing::{Authority, Unsigned, sign_private};
use crate::methods::accounts::view::UnsignedView;
use crate::methods::eth::{check_permitted, estimate_shared, refusal};
use crate::params::{BlockSelector, Quantity};
use alloy_consensus::{Signed, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use lonja_chain::SubmitError;
use lonja_evm::{CallRequest, PrivateMessage, intrinsic_gas};
use lonja_primitives::transaction::PRIVATE_MARK;
use lonja_primitives::{BlockRules, Fork, PayloadHash, RecoveredTransaction, SealedHeader, Transaction};
use std::sync::Arc;

/// What stands in the place of the hash until it is known: no byte of it costs less than one of a real hash.
const ANY_HASH: [u8; PayloadHash::LENGTH] = [0xff; PayloadHash::LENGTH];

/// As much gas as a transaction may ask for under any rules.
const GAS_MOST: u64 = 1 << 24;

/// `v` of a private transaction that nobody signed, as GoQuorum gives it.
const V_UNSIGNED: u64 = 37;

/// A private transaction that lacks its nonce and the name of its payload.
pub(super) struct Draft {
    pub(super) request: SendRequest,
    pub(super) payload: Bytes,
    pub(super) gas_limit: u64,
    shell_gas: u64,
}

/// The block that a transaction may come into next.
pub(super) struct NextBlock {
    pub(super) rules: BlockRules,
    gas_limit: u64,
}

impl NextBlock {
    pub(super) fn new(context: &Context) -> Result<Self, RpcError> {
        let head: SealedHeader = context.header(context.head().number)?;
        let (spec, number) = (&context.node.spec, head.number.saturating_add(1));
        Ok(Self {
            rules: spec.rules_at(number, head.timestamp),
            gas_limit: spec.limits_at(number).gas_limit.unwrap_or(head.gas_limit),
        })
    }

    /// What the shell costs, or why the door would not take it whatever its nonce.
    pub(super) fn shell_gas(&self, tx: &RecoveredTransaction) -> Result<u64, RpcError> {
        let gas = intrinsic_gas(&self.rules, tx).map_err(|error| refusal(SubmitError::Rules(error)))?;
        if tx.gas_limit() > self.gas_limit {
            let (limit, got) = (self.gas_limit, tx.gas_limit());
            return Err(refusal(SubmitError::GasLimit { limit, got }));
        }
        Ok(gas)
    }
}

impl Draft {
    /// Completes a request. Blocks, and executes the message where no gas limit is given.
    pub(super) fn new(
        context: &Context,
        next: &NextBlock,
        mut request: SendRequest,
    ) -> Result<Self, RpcError> {
        request.check(context.node.spec.chain_id)?;
        if request.has_access_list() {
            return Err(RpcError::InvalidParams("a private transaction has no accessList".to_owned()));
        }
        let payload = request.payload()?;
        if !request.value().is_zero() {
            return Err(refusal(SubmitError::PrivateValue));
        }
        if payload.is_empty() {
            let words = format!("{}, and without data there is nothing to share", SubmitError::PrivateValue);
            return Err(RpcError::Refused(words));
        }
        let gas_limit = match request.gas {
            Some(gas) => gas.0,
            None => enough_gas(context, &next.rules, &request, &payload)?,
        };
        let shell = shell(&next.rules, request.kind(), gas_limit, &ANY_HASH)?;
        let shell_gas = next.shell_gas(&shell)?;
        request.gas = Some(Quantity(gas_limit));
        permitted(context, request.from, request.to, gas_limit)?;
        Ok(Self { payload, gas_limit, shell_gas, request })
    }

    /// The payload as it will run.
    pub(super) fn message(&self, nonce: u64) -> PrivateMessage {
        PrivateMessage {
            sender: self.request.from,
            nonce,
            kind: self.request.kind(),
            payload: self.payload.clone(),
            gas_limit: self.gas_limit,
            shell_gas: self.shell_gas,
        }
    }

    /// The transaction, with the name of its payload. A nonce that nobody chose is the account's next. Blocks.
    pub(super) fn finish(
        &self,
        context: &Context,
        nonce: Option<u64>,
        hash: &PayloadHash,
    ) -> Result<TxLegacy, RpcError> {
        let mut request = self.request.clone();
        if nonce.is_some() {
            request.nonce = nonce.map(Quantity);
        }
        request.replace_payload(Bytes::copy_from_slice(hash.as_slice()));
        let tx = fill_legacy(context, &request)?;
        Ok(TxLegacy { chain_id: None, ..tx })
    }

    /// The nonce that the transaction has if it is sent next. Blocks.
    pub(super) fn likely_nonce(&self, context: &Context) -> Result<u64, RpcError> {
        self.request.nonce.map_or_else(|| next_nonce(context, &self.request.from), |nonce| Ok(nonce.0))
    }
}

/// Gas for the payload as it runs, and for the hash as everybody sees it.
fn enough_gas(
    context: &Context,
    rules: &BlockRules,
    request: &SendRequest,
    payload: &Bytes,
) -> Result<u64, RpcError> {
    let gas = estimate_shared(context, &request.message()?)?;
    Ok(gas.saturating_add(hash_gas_beyond(rules, request.kind(), payload)))
}

/// How much more the hash of a payload costs than its bytes do. The floor under what data costs (EIP-7623) is there for the
/// hash alone: under the payload's bytes it would be met by what they do.
pub(crate) fn hash_gas_beyond(rules: &BlockRules, kind: TxKind, payload: &[u8]) -> u64 {
    let gas = |rules: &BlockRules, data: &[u8]| {
        shell(rules, kind, GAS_MOST, data).ok().and_then(|tx| intrinsic_gas(rules, &tx).ok())
    };
    let without_floor = BlockRules { fork: rules.fork.min(Fork::Cancun), ..*rules };
    match (gas(rules, &ANY_HASH), gas(&without_floor, payload)) {
        (Some(hash), Some(payload)) => hash.saturating_sub(payload),
        _ => 0,
    }
}

/// What everybody sees of a private transaction, signed by nobody.
fn shell(
    rules: &BlockRules,
    kind: TxKind,
    gas_limit: u64,
    data: &[u8],
) -> Result<RecoveredTransaction, RpcError> {
    let tx = TxLegacy {
        chain_id: Some(PRIVATE_MARK),
        nonce: 0,
        gas_price: 0,
        gas_limit,
        to: kind,
        value: U256::ZERO,
        input: Bytes::copy_from_slice(data),
    };
    let nobody = Signature::new(U256::from(1), U256::from(1), false);
    let raw = Transaction::from(Signed::new_unhashed(tx, nobody)).encoded_2718();
    RecoveredTransaction::stored(raw.into(), Address::ZERO, rules.chain_id)
        .map_err(|error| RpcError::Internal(format!("an own transaction is not one: {error}")))
}

/// Refuses what the network's contracts would, before anybody gets the payload.
pub(super) fn permitted(
    context: &Context,
    sender: Address,
    to: Option<Address>,
    gas_limit: u64,
) -> Result<(), RpcError> {
    let request = CallRequest {
        from: Some(sender),
        to,
        gas: Some(gas_limit),
        data: Bytes::from_static(&ANY_HASH),
        ..CallRequest::default()
    };
    check_permitted(context, BlockSelector::Latest, &request)
}

/// `eth_fillTransaction`: stores the payload, and completes a transaction that names it for another signer. Nobody else
/// gets the payload.
pub(crate) async fn fill(context: Arc<Context>, request: SendRequest) -> Result<UnsignedView, RpcError> {
    let terms = Terms::read(&context, &request.private)?;
    let privacy: Arc<RpcPrivacy> = Arc::clone(parties(&context)?);
    let _place = context.private.distribute()?;
    let owned = Arc::clone(&context);
    let draft = move || Draft::new(&owned, &NextBlock::new(&owned)?, request);
    let draft = context.workers.heavy.run(draft).await?;
    let hash = privacy.manager.store_raw(draft.payload.clone(), terms.from).await?;
    let owned = Arc::clone(&context);
    let job = move || {
        let tx = draft.finish(&owned, None, &hash)?;
        UnsignedView::new(Unsigned::Legacy(tx), draft.request.from, V_UNSIGNED)
    };
    context.workers.reads.run(job).await
}

/// `eth_signTransaction`: signs a transaction whose data is the name of a payload already. Blocks.
pub(crate) fn sign(
    context: &Context,
    request: &SendRequest,
    authority: &Authority,
) -> Result<Bytes, RpcError> {
    Terms::read(context, &request.private)?;
    if !request.value().is_zero() {
        return Err(refusal(SubmitError::PrivateValue));
    }
    let bytes = request.payload()?.len();
    if bytes != PayloadHash::LENGTH {
        return Err(RpcError::Refused(format!(
            "the data of a private transaction is the hash of its payload, 64 bytes, as eth_fillTransaction or the \
             private transaction manager gives it; these are {bytes} bytes, which everybody would see"
        )));
    }
    sign_private(context, request.from, authority, fill_legacy(context, request)?)
}
