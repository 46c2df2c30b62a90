//! A block as the second pass reads it: which of its transactions name payloads.

use crate::error::ChainError;
use alloy_primitives::Bytes;
use alloy_rlp::Header as RlpHeader;
use lonja_primitives::spec::{ChainSpec, MARKER_PRECOMPILE};
use lonja_primitives::{PayloadHash, RecoveredTransaction, SealedHeader};
use lonja_storage::Reader;

/// Place of `to` in the lists of the transaction types.
const TO_LEGACY: usize = 3;
const TO_TYPE_1: usize = 4;
const TO_TYPES_2_AND_4: usize = 5;
/// Place of `v` in a legacy transaction.
const V_LEGACY: usize = 6;

/// How a transaction names a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// It is private itself.
    Direct,
    /// It is public, and marks a private one that is in the payload.
    Marker,
}

/// A transaction that names a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Place in the block.
    pub(super) index: u32,
    /// Of what.
    pub(super) hash: PayloadHash,
    pub(super) carrier: Carrier,
}

/// A block in which payloads are named.
pub(super) struct NamingBlock {
    pub(super) header: SealedHeader,
    pub(super) transactions: Vec<RecoveredTransaction>,
    pub(super) named: Vec<Named>,
}

/// The block with this number; `None` where nothing in it is private.
pub(super) fn read(
    reader: &Reader,
    spec: &ChainSpec,
    number: u64,
) -> Result<Option<NamingBlock>, ChainError> {
    let privacy = spec.privacy_at(number);
    if !privacy.transactions {
        return Ok(None);
    }
    let block = reader.block_with_senders(number)?;
    let (header, transactions, senders) =
        block.ok_or_else(|| ChainError::Halt(format!("block {number} is missing in the store")))?;
    if !transactions.iter().any(may_name) {
        return Ok(None);
    }
    let damaged =
        |error| ChainError::Halt(format!("a transaction of block {number} does not decode: {error}"));
    let transactions: Result<Vec<_>, _> = transactions
        .into_iter()
        .zip(senders)
        .map(|(raw, sender)| RecoveredTransaction::stored(raw, sender, spec.chain_id))
        .collect();
    let transactions = transactions.map_err(damaged)?;
    let named: Vec<Named> = (0u32..)
        .zip(&transactions)
        .filter_map(|(index, tx)| named(index, tx, privacy.markers.is_some()))
        .collect();
    Ok((!named.is_empty()).then_some(NamingBlock { header, transactions, named }))
}

/// Whether a transaction may name a payload: looked at quickly, since nearly every transaction of most networks does not.
fn may_name(raw: &Bytes) -> bool {
    let (place, rest) = match raw.first() {
        Some(0xc0..) => (TO_LEGACY, raw.as_ref()),
        Some(1) => (TO_TYPE_1, raw.get(1..).unwrap_or_default()),
        _ => (TO_TYPES_2_AND_4, raw.get(1..).unwrap_or_default()),
    };
    let marked = item(rest, place).is_some_and(|to| to == MARKER_PRECOMPILE.as_slice());
    let private = || item(rest, V_LEGACY).is_some_and(|v| matches!(v, [37 | 38]));
    marked || (place == TO_LEGACY && private())
}

/// The payload of an item of an RLP list.
fn item(list: &[u8], place: usize) -> Option<&[u8]> {
    let mut list = list;
    let mut items = RlpHeader::decode_bytes(&mut list, true).ok()?;
    for _ in 0..place {
        let header = RlpHeader::decode(&mut items).ok()?;
        items = items.get(header.payload_length..)?;
    }
    let header = RlpHeader::decode(&mut items).ok()?;
    items.get(..header.payload_length)
}

/// The payload that a transaction names. A marker whose data is no hash names none; what it is in a private transaction is
/// cut or filled to one, as everywhere.
fn named(index: u32, tx: &RecoveredTransaction, markers: bool) -> Option<Named> {
    use alloy_consensus::Transaction as _;
    if let Some(hash) = tx.payload_hash() {
        return Some(Named { index, hash, carrier: Carrier::Direct });
    }
    let input = tx.tx().input();
    let marks = markers && !tx.is_private() && tx.kind().to() == Some(&MARKER_PRECOMPILE);
    (marks && !input.is_empty()).then(|| Named {
        index,
        hash: PayloadHash::from_data(input),
        carrier: Carrier::Marker,
    })
}
