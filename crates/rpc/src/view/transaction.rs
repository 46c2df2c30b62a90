//! Transactions, in a block or waiting.

use alloy_consensus::Transaction as _;
use alloy_eips::Typed2718;
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, U64, U128, U256};
use lonja_primitives::transaction::signed_chain_id;
use lonja_primitives::{RecoveredTransaction, Transaction};
use serde::Serialize;

/// A transaction, as `eth_getTransactionByHash` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionView {
    block_hash: Option<B256>,
    block_number: Option<U64>,
    transaction_index: Option<U64>,
    hash: B256,
    from: Address,
    to: Option<Address>,
    nonce: U64,
    value: U256,
    gas: U64,
    gas_price: U128,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_priority_fee_per_gas: Option<U128>,
    input: Bytes,
    #[serde(rename = "type")]
    transaction_type: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<AccessList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<Vec<SignedAuthorization>>,
    v: U128,
    r: U256,
    s: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<U64>,
}

/// Where a transaction stands in the chain, and what it paid there per gas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) block_hash: B256,
    pub(crate) block_number: u64,
    pub(crate) index: u32,
    pub(crate) gas_price: u128,
}

impl TransactionView {
    /// One that waits.
    pub(crate) fn waiting(tx: &RecoveredTransaction) -> Self {
        Self::new(tx.tx(), tx.sender(), tx.chain_id(), None)
    }

    /// One that stands in the chain with this id.
    pub(crate) fn included(tx: &Transaction, sender: Address, chain_id: u64, place: Place) -> Self {
        Self::new(tx, sender, signed_chain_id(tx, chain_id), Some(place))
    }

    fn new(tx: &Transaction, sender: Address, chain_id: Option<u64>, place: Option<Place>) -> Self {
        let typed = !tx.is_legacy();
        let dynamic = tx.max_priority_fee_per_gas();
        Self {
            block_hash: place.map(|place| place.block_hash),
            block_number: place.map(|place| U64::from(place.block_number)),
            transaction_index: place.map(|place| U64::from(place.index)),
            hash: *tx.tx_hash(),
            from: sender,
            to: tx.to(),
            nonce: U64::from(tx.nonce()),
            value: tx.value(),
            gas: U64::from(tx.gas_limit()),
            gas_price: U128::from(gas_price(tx, place)),
            max_fee_per_gas: dynamic.map(|_| U128::from(tx.max_fee_per_gas())),
            max_priority_fee_per_gas: dynamic.map(U128::from),
            input: tx.input().clone(),
            transaction_type: U64::from(tx.ty()),
            chain_id: chain_id.map(U64::from),
            access_list: tx.access_list().cloned(),
            authorization_list: tx.authorization_list().map(<[_]>::to_vec),
            v: U128::from(recovery_value(tx)),
            r: tx.signature().r(),
            s: tx.signature().s(),
            y_parity: typed.then(|| U64::from(tx.signature().v())),
        }
    }
}

/// Types 0 and 1 sign a price, which stays what it is whatever was charged. Types 2 and 4 show what was paid once
/// they are in a block, and their upper bound before (geth's rule).
fn gas_price(tx: &Transaction, place: Option<Place>) -> u128 {
    match (tx.gas_price(), place) {
        (Some(signed), _) => signed,
        (None, Some(place)) => place.gas_price,
        (None, None) => tx.max_fee_per_gas(),
    }
}

/// `v`: the parity for typed transactions; of legacy ones 27 or 28, plus the chain id's part (EIP-155), or 37 or 38
/// where they are private.
fn recovery_value(tx: &Transaction) -> u128 {
    let parity = u128::from(tx.signature().v());
    if !tx.is_legacy() {
        return parity;
    }
    match tx.chain_id() {
        Some(chain_id) => u128::from(chain_id) * 2 + 35 + parity,
        None => 27 + parity,
    }
}
