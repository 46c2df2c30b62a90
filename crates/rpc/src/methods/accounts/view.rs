//! Transactions that are not in the pool, as `eth_fillTransaction` and `eth_signTransaction` give them.

use super::signing::Unsigned;
use crate::error::RpcError;
use crate::view::TransactionView;
use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, U64, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use lonja_primitives::{RecoveredTransaction, Transaction};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A transaction and its bytes.
#[derive(Debug, Serialize)]
pub(crate) struct SignedView {
    raw: Bytes,
    tx: TransactionView,
}

/// A transaction that is yet to be signed, and its bytes with zeros in the place of the signature, as geth gives them.
#[derive(Debug, Serialize)]
pub(crate) struct UnsignedView {
    raw: Bytes,
    tx: Map<String, Value>,
}

impl SignedView {
    pub(crate) fn new(tx: &RecoveredTransaction) -> Self {
        Self { raw: tx.raw().clone(), tx: TransactionView::waiting(tx) }
    }
}

impl UnsignedView {
    /// `v` marks what the signer is to make of a legacy transaction: 37 for a private one, 0 otherwise.
    pub(crate) fn new(tx: Unsigned, sender: Address, v: u64) -> Result<Self, RpcError> {
        let failed = |error: serde_json::Error| RpcError::Internal(error.to_string());
        let fields = serde_json::to_value(&tx).map_err(failed)?;
        let Value::Object(mut fields) = fields else {
            return Err(RpcError::Internal("a transaction is written as an object".to_owned()));
        };
        let raw = encode(tx, v);
        for (name, value) in [
            ("from", json!(sender)),
            ("hash", json!(keccak256(&raw))),
            ("v", json!(U64::from(v))),
            ("r", json!(U256::ZERO)),
            ("s", json!(U256::ZERO)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        Ok(Self { raw, tx: fields })
    }
}

fn encode(tx: Unsigned, v: u64) -> Bytes {
    let Unsigned::Legacy(tx) = tx else {
        let nobody = Signature::new(U256::ZERO, U256::ZERO, false);
        return Transaction::new_unhashed(tx, nobody).encoded_2718().into();
    };
    let signature: [u64; 3] = [v, 0, 0];
    let length: usize = signature.iter().map(Encodable::length).sum();
    let mut raw = Vec::new();
    Header { list: true, payload_length: tx.rlp_encoded_fields_length() + length }.encode(&mut raw);
    tx.rlp_encode_fields(&mut raw);
    signature.iter().for_each(|number| number.encode(&mut raw));
    raw.into()
}
