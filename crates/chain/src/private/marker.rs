//! The payload of a privacy marker transaction: a signed private transaction, as the JSON object that GoQuorum makes of it.
//! White space after it is padding, so that lengths do not tell payloads apart.

use alloy_consensus::{Signed, Transaction as _, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U64, U256};
use lonja_primitives::transaction::PRIVATE_MARK;
use lonja_primitives::{RecoveredTransaction, Transaction};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The smallest length of a padded payload, bytes; the others are its doubles.
const LEAST_SIZE_CLASS: usize = 1024;

/// Why a marker carries nothing that can be executed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MarkerError {
    /// Not the JSON of a transaction.
    #[error("the payload of the marker is no transaction: {0}")]
    Malformed(String),
    /// A transaction, but not a private one.
    #[error("the transaction in the marker is not private")]
    NotPrivate,
    /// Its signature does not hold.
    #[error("the transaction in the marker: {0}")]
    Invalid(String),
}

#[derive(Serialize, Deserialize)]
struct Inner {
    #[serde(rename = "type", default)]
    kind: U64,
    nonce: U64,
    #[serde(rename = "gasPrice")]
    gas_price: U256,
    gas: U64,
    value: U256,
    input: Bytes,
    v: U64,
    r: U256,
    s: U256,
    to: Option<Address>,
    /// For people; the fields above say what it is.
    #[serde(default)]
    hash: Option<alloy_primitives::B256>,
}

/// The payload that carries a private transaction, padded to the next size class. `None` where it is not one.
pub fn encode(tx: &Transaction) -> Option<Bytes> {
    let Transaction::Legacy(signed) = tx else { return None };
    let inner = signed.tx();
    if inner.chain_id != Some(PRIVATE_MARK) {
        return None;
    }
    let signature = signed.signature();
    let json = serde_json::to_vec(&Inner {
        kind: U64::ZERO,
        nonce: U64::from(inner.nonce),
        gas_price: U256::from(inner.gas_price),
        gas: U64::from(inner.gas_limit),
        value: inner.value,
        input: inner.input.clone(),
        v: U64::from(37 + u64::from(signature.v())),
        r: signature.r(),
        s: signature.s(),
        to: inner.to.to().copied(),
        hash: Some(*tx.tx_hash()),
    });
    let mut json = json.ok()?;
    let mut size = LEAST_SIZE_CLASS;
    while size < json.len() {
        size = size.saturating_mul(2);
    }
    json.resize(size, b'\n');
    Some(json.into())
}

/// The private transaction that a marker's payload carries.
pub fn decode(payload: &[u8], chain_id: u64) -> Result<RecoveredTransaction, MarkerError> {
    // The words of the parser would repeat what stands there, and that is a secret.
    let malformed = |error: serde_json::Error| {
        MarkerError::Malformed(format!("line {}, column {}", error.line(), error.column()))
    };
    let inner: Inner = serde_json::from_slice(payload).map_err(malformed)?;
    let odd = match inner.v.to::<u64>() {
        37 => false,
        38 => true,
        _ => return Err(MarkerError::NotPrivate),
    };
    let too_large = |_| MarkerError::Malformed("its gas price has more than 128 bits".to_owned());
    let tx = TxLegacy {
        chain_id: Some(PRIVATE_MARK),
        nonce: inner.nonce.to(),
        gas_price: u128::try_from(inner.gas_price).map_err(too_large)?,
        gas_limit: inner.gas.to(),
        to: inner.to.map_or(TxKind::Create, TxKind::Call),
        value: inner.value,
        input: inner.input,
    };
    let signed = Signed::new_unhashed(tx, Signature::new(inner.r, inner.s, odd));
    let raw = Transaction::from(signed).encoded_2718();
    let tx = RecoveredTransaction::recover(raw.into(), chain_id)
        .map_err(|error| MarkerError::Invalid(error.to_string()))?;
    if tx.is_private() && tx.tx().value().is_zero() { Ok(tx) } else { Err(MarkerError::NotPrivate) }
}
