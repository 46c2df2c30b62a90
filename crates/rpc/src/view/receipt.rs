//! Receipts.

use super::LogView;
use crate::privacy::results::Placed;
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bloom, Bytes, U64, U128, logs_bloom};
use lonja_chain::history::{Outcome, contract_address};
use lonja_primitives::SealedHeader;
use serde::Serialize;

/// A receipt with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptView {
    transaction_hash: B256,
    transaction_index: U64,
    block_hash: B256,
    block_number: U64,
    from: Address,
    to: Option<Address>,
    cumulative_gas_used: U64,
    gas_used: U64,
    /// The created contract, also of a creation that failed, as geth has it.
    contract_address: Option<Address>,
    logs: Vec<LogView>,
    logs_bloom: Bloom,
    #[serde(rename = "type")]
    transaction_type: U64,
    status: U64,
    effective_gas_price: U128,
    /// Whether the transaction only marks a private one: GoQuorum's field, on networks that have such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_privacy_marker_transaction: Option<bool>,
    /// What a private transaction reverted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    revert_reason: Option<Bytes>,
    /// Why a private transaction failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl ReceiptView {
    /// `gas_price` is what was paid.
    pub(crate) fn new(header: &SealedHeader, outcome: &Outcome, gas_price: u128) -> Self {
        let Outcome { index, hash, sender, transaction, receipt, .. } = outcome;
        let logs = (outcome.first_log_index..).zip(&receipt.logs);
        Self {
            transaction_hash: *hash,
            transaction_index: U64::from(*index),
            block_hash: header.hash(),
            block_number: U64::from(header.number),
            from: *sender,
            to: transaction.to(),
            cumulative_gas_used: U64::from(receipt.cumulative_gas_used),
            gas_used: U64::from(outcome.gas_used),
            contract_address: contract_address(transaction, sender),
            logs: logs.map(|(place, log)| LogView::new(log, header, *hash, *index, place)).collect(),
            logs_bloom: receipt.bloom(),
            transaction_type: U64::from(receipt.tx_type),
            status: U64::from(u8::from(receipt.success)),
            effective_gas_price: U128::from(gas_price),
            is_privacy_marker_transaction: None,
            revert_reason: None,
            error: None,
        }
    }

    /// Puts what the payload gave in the place of what everybody sees of it.
    pub(crate) fn lay_over(&mut self, header: &SealedHeader, outcome: &Outcome, placed: &Placed) {
        let Placed { first_log_index, receipt, .. } = placed;
        let logs = (*first_log_index..).zip(&receipt.logs);
        let view = |(place, log)| LogView::new(log, header, outcome.hash, outcome.index, place);
        self.logs = logs.map(view).collect();
        self.logs_bloom = logs_bloom(&receipt.logs);
        self.status = U64::from(u8::from(receipt.success));
        self.revert_reason = Some(receipt.output.clone()).filter(|data| !receipt.success && !data.is_empty());
        self.error = receipt.error.clone();
    }
}
