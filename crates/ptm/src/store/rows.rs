//! The rows of envelopes, of payloads not yet sent, and of the index.
//!
//! Each row begins with a version byte. An envelope's goes on with a byte of flags, its sequence number and when it was
//! stored, 8 bytes each, and ends with the envelope in CBOR.

use super::damaged;
use crate::arrivals::Arrival;
use crate::envelope::each_once;
use crate::{Codec, EncodedPayload, Nonce, PayloadHash, PtmError, PublicKey, RawTransaction, RecipientBox};
use alloy_primitives::{B512, Bytes};

const VERSION: u8 = 1;
const SENT_HERE: u8 = 1;
const HEAD_BYTES: usize = 1 + 1 + 8 + 8;

const NONCE_BYTES: usize = size_of::<Nonce>();
const BOX_BYTES: usize = size_of::<RecipientBox>();
const RAW_HEAD_BYTES: usize = 1 + 8 + PublicKey::LENGTH + NONCE_BYTES + BOX_BYTES;

/// Marks, behind the hash in the index of everything, that the payload was erased.
const ERASED: u8 = 1;

/// Stands in the index for everything that arrived. Nobody has this key: no secret can be agreed with it.
pub(super) const EVERYBODY: PublicKey = PublicKey([0; PublicKey::LENGTH]);

/// An envelope as it is stored.
pub(crate) struct EnvelopeRow {
    /// Grows with each envelope and each change of one.
    pub(crate) sequence: u64,
    /// When it was first stored here, in milliseconds since 1970.
    pub(crate) stored_ms: u64,
    /// Whether it was sent from here.
    pub(crate) sent_here: bool,
    pub(crate) envelope: EncodedPayload,
}

impl EnvelopeRow {
    pub(super) fn decode(hash: &PayloadHash, row: Vec<u8>) -> Result<Self, PtmError> {
        let row = Bytes::from(row);
        let wrong = || damaged(format!("the envelope {hash} has no head"));
        let head = row.first_chunk::<HEAD_BYTES>().ok_or_else(wrong)?;
        let [version, flags, rest @ ..] = head;
        let (sequence, stored_ms) = rest.split_at(8);
        if *version != VERSION {
            return Err(damaged(format!("the envelope {hash} has version {version}")));
        }
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).map_err(|_| wrong());
        let (sequence, stored_ms) = (number(sequence)?, number(stored_ms)?);
        let envelope = Codec::Cbor.decode(&row.slice(HEAD_BYTES..));
        let envelope = envelope.map_err(|error| damaged(format!("the envelope {hash}: {error}")))?;
        Ok(Self { sequence, stored_ms, sent_here: flags & SENT_HERE != 0, envelope })
    }

    /// Writes it. `cbor` is the envelope.
    pub(super) fn encode(&self, cbor: &[u8]) -> Vec<u8> {
        let mut row = Vec::with_capacity(HEAD_BYTES.saturating_add(cbor.len()));
        row.extend_from_slice(&[VERSION, if self.sent_here { SENT_HERE } else { 0 }]);
        row.extend_from_slice(&self.sequence.to_be_bytes());
        row.extend_from_slice(&self.stored_ms.to_be_bytes());
        row.extend_from_slice(cbor);
        row
    }

    /// The keys under which it is found in the index: its sender's, those it has a box for, and everybody's.
    pub(super) fn index_keys(&self) -> Vec<[u8; 40]> {
        let parties = self.envelope.boxed().map(|(key, _)| key).chain([self.envelope.sender]);
        let parties = parties.filter(|key| *key != EVERYBODY).chain([EVERYBODY]);
        each_once(parties).iter().map(|key| index_key(key, self.sequence)).collect()
    }
}

pub(super) fn index_key(key: &PublicKey, sequence: u64) -> [u8; 40] {
    let mut row = [0; 40];
    let (left, right) = row.split_at_mut(PublicKey::LENGTH);
    left.copy_from_slice(&key.0);
    right.copy_from_slice(&sequence.to_be_bytes());
    row
}

fn sequence_of(key: &[u8]) -> Result<u64, PtmError> {
    let last = key.last_chunk::<8>().ok_or_else(|| damaged("a key of the index is too short"))?;
    Ok(u64::from_be_bytes(*last))
}

pub(super) fn decode_index(key: &[u8], value: &[u8]) -> Result<(u64, PayloadHash), PtmError> {
    let hash = value.first_chunk::<64>().ok_or_else(|| damaged("a row of the index names no payload"))?;
    Ok((sequence_of(key)?, PayloadHash(B512::from(hash))))
}

pub(super) fn decode_arrival(key: &[u8], value: &[u8]) -> Result<(u64, Arrival), PtmError> {
    let (sequence, hash) = decode_index(key, value)?;
    let erased = value.get(PayloadHash::LENGTH) == Some(&ERASED);
    Ok((sequence, if erased { Arrival::Erased(hash) } else { Arrival::Stored(hash) }))
}

pub(super) fn erased_value(hash: &PayloadHash) -> Vec<u8> {
    let mut value = hash.as_slice().to_vec();
    value.push(ERASED);
    value
}

pub(super) fn encode_raw(raw: &RawTransaction, stored_ms: u64) -> Vec<u8> {
    let mut row = Vec::with_capacity(RAW_HEAD_BYTES.saturating_add(raw.cipher_text.len()));
    row.push(VERSION);
    row.extend_from_slice(&stored_ms.to_be_bytes());
    row.extend_from_slice(&raw.sender.0);
    row.extend_from_slice(&raw.nonce);
    row.extend_from_slice(&raw.sealed_key);
    row.extend_from_slice(&raw.cipher_text);
    row
}

pub(super) fn decode_raw(hash: &PayloadHash, row: Vec<u8>) -> Result<RawTransaction, PtmError> {
    fn take<const N: usize>(row: &Bytes, at: &mut usize) -> Option<[u8; N]> {
        let field = row.get(*at..)?.first_chunk::<N>()?;
        *at = at.checked_add(N)?;
        Some(*field)
    }
    let row = Bytes::from(row);
    let mut at = 0;
    let mut read = || {
        let version = take::<1>(&row, &mut at)?;
        let _stored_ms = take::<8>(&row, &mut at)?;
        let sender = PublicKey(take(&row, &mut at)?);
        let nonce = take(&row, &mut at)?;
        let sealed_key = take(&row, &mut at)?;
        let raw = RawTransaction { cipher_text: row.slice(at..), sealed_key, nonce, sender };
        (version == [VERSION]).then_some(raw)
    };
    read().ok_or_else(|| damaged(format!("the payload {hash}, which is not sent yet, does not read")))
}
