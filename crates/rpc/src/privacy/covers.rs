//! Privacy marker transactions: what everybody sees is a public transaction to one address that is the same for all, with
//! the hash of a payload which carries the private transaction.

use super::drafts::{NextBlock, permitted};
use super::{RpcPrivacy, drafts::Draft};
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::permissions::{Standpoint, fault};
use alloy_consensus::{Signed, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B64, Bytes, Signature, TxKind, U256};
use lonja_chain::private::marker;
use lonja_evm::intrinsic_gas;
use lonja_permissioning::{Ledger, TransactionQuestion};
use lonja_primitives::spec::{MARKER_PRECOMPILE, MarkerRule};
use lonja_primitives::{BlockRules, NodeKey, PayloadHash, RecoveredTransaction, Signer, Transaction};

/// Where nonces begin that are drawn. No account comes so far by counting, so that no contract made by a drawn nonce stands
/// where a public one may come to stand; and JavaScript still tells each from the next.
const DRAWN_FROM: u64 = 1 << 52;

/// More than a marker needs, and no more than a transaction may ask for.
const GAS_MOST: u64 = 1 << 24;

/// Who signs what everybody sees of a private transaction.
pub(super) enum Cover {
    /// The sender, its private transaction: there is no marker.
    Open,
    /// The sender, a marker.
    Own,
    /// A key that signs this one marker, so that the chain does not show who deals.
    Stranger(NodeKey),
}

impl Cover {
    /// What this transaction is sent under. Blocks.
    pub(super) fn choose(
        context: &Context,
        next: &NextBlock,
        privacy: &RpcPrivacy,
        draft: &Draft,
    ) -> Result<Self, RpcError> {
        let Some(rule) = next.rules.privacy.markers.filter(|_| privacy.markers) else {
            return Ok(Self::Open);
        };
        let gas_limit = marker_gas(&next.rules)?;
        // Whoever names a nonce counts the transactions of its account, and sees them all by that count.
        let may_hide = rule == MarkerRule::AnySigner && next.rules.free_gas && draft.request.nonce.is_none();
        if may_hide {
            let key = NodeKey::generate();
            if is_permitted(context, key.address(), gas_limit)? {
                return Ok(Self::Stranger(key));
            }
        }
        permitted(context, draft.request.from, Some(MARKER_PRECOMPILE), gas_limit)?;
        Ok(Self::Own)
    }
}

/// Whether an account that nobody has seen may send a marker, and has gas for it.
fn is_permitted(context: &Context, sender: Address, gas_limit: u64) -> Result<bool, RpcError> {
    let standpoint = Standpoint::after(context, context.head().number)?;
    let question = TransactionQuestion {
        sender,
        target: Some(MARKER_PRECOMPILE),
        value: U256::ZERO,
        gas_price: 0,
        gas_limit,
        payload: &[0xff; PayloadHash::LENGTH],
    };
    let mut judge = standpoint.judge();
    if judge.transaction(&question).map_err(fault)?.is_err() {
        return Ok(false);
    }
    Ok(Ledger::default().admit(&mut judge, sender, gas_limit).map_err(fault)?.is_ok())
}

/// The nonce of a private transaction that has none of its account's: it only decides where a contract comes to stand.
pub(super) fn drawn_nonce() -> u64 {
    DRAWN_FROM | (u64::from_be_bytes(B64::random().0) % DRAWN_FROM)
}

/// The payload that carries a signed private transaction.
pub(super) fn payload(tx: &RecoveredTransaction) -> Result<Bytes, RpcError> {
    marker::encode(tx.tx())
        .ok_or_else(|| RpcError::Internal("a marker carries private transactions".to_owned()))
}

/// The marker for a payload, yet to be signed.
pub(super) fn unsigned(
    rules: &BlockRules,
    nonce: u64,
    gas_price: u128,
    carried: &PayloadHash,
) -> Result<TxLegacy, RpcError> {
    Ok(TxLegacy {
        chain_id: Some(rules.chain_id),
        nonce,
        gas_price,
        gas_limit: marker_gas(rules)?,
        to: TxKind::Call(MARKER_PRECOMPILE),
        value: U256::ZERO,
        input: Bytes::copy_from_slice(carried.as_slice()),
    })
}

/// What any marker needs: the precompiled contract takes nothing.
fn marker_gas(rules: &BlockRules) -> Result<u64, RpcError> {
    let tx = TxLegacy {
        chain_id: Some(rules.chain_id),
        nonce: 0,
        gas_price: 0,
        gas_limit: GAS_MOST,
        to: TxKind::Call(MARKER_PRECOMPILE),
        value: U256::ZERO,
        input: Bytes::from_static(&[0xff; PayloadHash::LENGTH]),
    };
    let nobody = Signature::new(U256::from(1), U256::from(1), false);
    let raw = Transaction::from(Signed::new_unhashed(tx, nobody)).encoded_2718();
    let tx = RecoveredTransaction::stored(raw.into(), Address::ZERO, rules.chain_id)
        .map_err(|error| RpcError::Internal(format!("an own transaction is not one: {error}")))?;
    intrinsic_gas(rules, &tx).map_err(|error| RpcError::Refused(error.to_string()))
}
