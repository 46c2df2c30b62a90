//! Transactions: decoded, checked and recovered once, at the door.

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844};
use alloy_eips::Typed2718;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use rayon::prelude::*;
use std::sync::Arc;
use thiserror::Error;

/// A signed transaction of type 0, 1, 2 or 4. Type 3 can be decoded by the type but never passes
/// [`decode_transaction`].
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// Why bytes are not a transaction we take. All are the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransactionError {
    /// The bytes do not decode, or something follows the transaction.
    #[error("the transaction does not decode: {0}")]
    Malformed(String),
    /// Neither a list (legacy) nor one of the types 1, 2 and 4.
    #[error("transaction type {0} is not known; 0, 1, 2 and 4 are accepted")]
    UnknownType(u8),
    /// Blob transactions carry data that a permissioned chain does not keep.
    #[error("blob transactions (type 3) are not accepted on this network")]
    Blob,
    /// The signature does not recover, or has a high `s` (EIP-2).
    #[error("the transaction's signature is invalid")]
    BadSignature,
    /// Signed for another chain (EIP-155).
    #[error("the transaction is signed for chain id {got}, this chain is {want}")]
    WrongChain {
        /// Chain id in the transaction.
        got: u64,
        /// Chain id of this network.
        want: u64,
    },
}

/// A transaction that is decoded, of an accepted type, for this chain, with its sender known. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RecoveredTransaction(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tx: Transaction,
    hash: B256,
    sender: Address,
    raw: Bytes,
}

impl RecoveredTransaction {
    /// Decodes the EIP-2718 form and recovers the sender: the costly step (about 55 µs), done once per node.
    pub fn recover(raw: Bytes, chain_id: u64) -> Result<Self, TransactionError> {
        let tx = decode_transaction(&raw)?;
        match tx.chain_id() {
            Some(got) if got != chain_id => return Err(TransactionError::WrongChain { got, want: chain_id }),
            _ => {}
        }
        let sender = tx.recover_signer().map_err(|_| TransactionError::BadSignature)?;
        Ok(Self(Arc::new(Inner { hash: *tx.tx_hash(), tx, sender, raw })))
    }

    /// The decoded transaction.
    pub fn tx(&self) -> &Transaction {
        &self.0.tx
    }

    /// keccak-256 of the EIP-2718 form.
    pub fn hash(&self) -> B256 {
        self.0.hash
    }

    /// Who signed it.
    pub fn sender(&self) -> Address {
        self.0.sender
    }

    /// The EIP-2718 form, as it travels and as it is stored.
    pub fn raw(&self) -> &Bytes {
        &self.0.raw
    }

    /// The sender's nonce.
    pub fn nonce(&self) -> u64 {
        self.0.tx.nonce()
    }

    /// Gas limit.
    pub fn gas_limit(&self) -> u64 {
        self.0.tx.gas_limit()
    }

    /// Value in wei.
    pub fn value(&self) -> U256 {
        self.0.tx.value()
    }

    /// Target, or creation.
    pub fn kind(&self) -> TxKind {
        self.0.tx.kind()
    }

    /// Type byte.
    pub fn tx_type(&self) -> u8 {
        self.0.tx.ty()
    }

    /// The most it may pay per gas: `gasPrice` or `maxFeePerGas`.
    pub fn max_fee_per_gas(&self) -> u128 {
        self.0.tx.max_fee_per_gas()
    }
}

/// Decodes an EIP-2718 transaction that fills `raw` exactly and is its only encoding; refuses blob
/// transactions and types that are not 0 (without type byte), 1, 2 and 4.
pub fn decode_transaction(raw: &[u8]) -> Result<Transaction, TransactionError> {
    match raw.first() {
        None => return Err(TransactionError::Malformed("it is empty".into())),
        Some(3) => return Err(TransactionError::Blob),
        Some(1 | 2 | 4 | 0xc0..=0xff) => {}
        Some(other) => return Err(TransactionError::UnknownType(*other)),
    }
    let mut rest = raw;
    let tx = Transaction::decode_2718(&mut rest).map_err(|e| TransactionError::Malformed(e.to_string()))?;
    if !rest.is_empty() {
        return Err(TransactionError::Malformed(format!("{} bytes follow it", rest.len())));
    }
    if tx.encode_2718_len() != raw.len() || tx.encoded_2718() != raw {
        return Err(TransactionError::Malformed("it is not in canonical form".into()));
    }
    Ok(tx)
}

/// Recovers many at once on the worker pool; the order is kept.
pub fn recover_all(raw: Vec<Bytes>, chain_id: u64) -> Vec<Result<RecoveredTransaction, TransactionError>> {
    raw.into_par_iter().map(|raw| RecoveredTransaction::recover(raw, chain_id)).collect()
}

#[cfg(test)]
mod tests;
