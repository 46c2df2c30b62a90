//! Transactions: decoded, checked and recovered once, at the door.

use crate::{PayloadHash, Signer};
use alloy_consensus::crypto::secp256k1::recover_signer;
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, Signed, Transaction as _, TxEip4844, TxLegacy,
};
use alloy_eips::Typed2718;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use rayon::prelude::*;
use std::sync::Arc;
use thiserror::Error;

/// A signed transaction of type 0, 1, 2 or 4. Type 3 can be decoded by the type but never passes
/// [`decode_transaction`].
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// What EIP-155 reads as the chain id of `v` 37 and 38, by which legacy transactions are private. On a chain with this
/// id they are public: there no transaction is private.
pub const PRIVATE_MARK: u64 = 1;

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
    private: bool,
}

impl RecoveredTransaction {
    /// Decodes the EIP-2718 form and recovers the sender: the costly step (about 55 µs), done once per node.
    /// Whether the block it stands in may hold a private transaction is not asked here: that is a rule of the block.
    pub fn recover(raw: Bytes, chain_id: u64) -> Result<Self, TransactionError> {
        let tx = decode_transaction(&raw)?;
        let private = is_private(&tx, chain_id);
        match tx.chain_id() {
            Some(got) if got != chain_id && !private => {
                return Err(TransactionError::WrongChain { got, want: chain_id });
            }
            _ => {}
        }
        let sender = match &tx {
            Transaction::Legacy(signed) if private => {
                recover_signer(signed.signature(), private_signing_hash(signed.tx()))
            }
            _ => tx.recover_signer(),
        };
        let sender = sender.map_err(|_| TransactionError::BadSignature)?;
        Ok(Self(Arc::new(Inner { hash: *tx.tx_hash(), tx, sender, raw, private })))
    }

    /// A transaction of a block in the own store: its sender was recovered when the block came, and stands beside it.
    pub fn stored(raw: Bytes, sender: Address, chain_id: u64) -> Result<Self, TransactionError> {
        let tx = decode_transaction(&raw)?;
        let private = is_private(&tx, chain_id);
        Ok(Self(Arc::new(Inner { hash: *tx.tx_hash(), tx, sender, raw, private })))
    }

    /// The decoded transaction. Of a private one this type tells the chain id 1, which `v` 37 and 38 would mean: ask
    /// [`chain_id`](Self::chain_id) instead.
    pub fn tx(&self) -> &Transaction {
        &self.0.tx
    }

    /// Whether it is private: the public state sees nonce and intrinsic gas, and its data names a payload.
    pub fn is_private(&self) -> bool {
        self.0.private
    }

    /// Of a private transaction: the name of its payload. `None` where it is public, or has no data.
    pub fn payload_hash(&self) -> Option<PayloadHash> {
        let data = self.0.tx.input();
        (self.0.private && !data.is_empty()).then(|| PayloadHash::from_data(data))
    }

    /// The chain id it is signed for; `None` where it holds on any chain, as private ones do.
    pub fn chain_id(&self) -> Option<u64> {
        self.0.tx.chain_id().filter(|_| !self.0.private)
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

    /// Input of the call, or init code; of a private one the name of its payload.
    pub fn input(&self) -> &Bytes {
        self.0.tx.input()
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

/// Whether a transaction is private on the chain with this id: legacy, with `v` 37 or 38.
pub fn is_private(tx: &Transaction, chain_id: u64) -> bool {
    let marked = matches!(tx, Transaction::Legacy(signed) if signed.tx().chain_id == Some(PRIVATE_MARK));
    marked && chain_id != PRIVATE_MARK
}

/// The chain id that a transaction of the chain with this id is signed for; `None` where it holds on any, as private
/// ones do.
pub fn signed_chain_id(tx: &Transaction, chain_id: u64) -> Option<u64> {
    tx.chain_id().filter(|_| !is_private(tx, chain_id))
}

/// What the sender of a private transaction signs: the form before EIP-155, whatever chain id `tx` has.
pub fn private_signing_hash(tx: &TxLegacy) -> B256 {
    TxLegacy { chain_id: None, ..tx.clone() }.signature_hash()
}

/// Signs `tx` as a private transaction, whatever chain id it has.
pub fn sign_private(tx: TxLegacy, signer: &dyn Signer) -> Transaction {
    let bytes = signer.sign(private_signing_hash(&tx)).0;
    let signature = Signature::from_bytes_and_parity(&bytes[..64], bytes[64] == 1);
    private_form(tx, signature)
}

/// The private form of a legacy transaction that was signed with `v` 27 or 28, which becomes 37 or 38. One that is in
/// private form already comes back as it is; `None` for any other, whose signature would not hold.
pub fn to_private(tx: Transaction) -> Option<Transaction> {
    match tx {
        Transaction::Legacy(signed) if matches!(signed.tx().chain_id, None | Some(PRIVATE_MARK)) => {
            let (tx, signature, _) = signed.into_parts();
            Some(private_form(tx, signature))
        }
        _ => None,
    }
}

fn private_form(tx: TxLegacy, signature: Signature) -> Transaction {
    Signed::new_unhashed(TxLegacy { chain_id: Some(PRIVATE_MARK), ..tx }, signature).into()
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
