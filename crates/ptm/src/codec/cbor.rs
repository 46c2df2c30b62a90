//! Tessera's second encoding (API version 5.0): one CBOR map (RFC 8949) of eleven entries with text keys, in a fixed order.
//!
//! Reading is as lenient as Tessera's: any order, absent fields are empty, and the first unknown key ends the map. So no
//! field can ever be added.

mod item;

use super::wire::MAX_FIELD_BYTES;
use super::{CodecError, WireEnvelope};
use crate::limits::{MAX_AFFECTED, MAX_RECIPIENTS};
use crate::{PrivacyMode, base64};
use alloy_primitives::Bytes;
use item::{Items, Length, put_bytes, put_head, put_text};

/// Bytes of a map's key. The longest is the base64 form of a hash, 88 characters.
const MAX_KEY_BYTES: usize = 256;

/// The fields in the order in which they are written.
const FIELDS: [&str; 11] = [
    "sender",
    "cipherText",
    "nonce",
    "recipientNonce",
    "recipientBoxes",
    "recipients",
    "privacyFlag",
    "affected",
    "execHash",
    "mandatoryFor",
    "privacyGroupId",
];

/// Reads an envelope.
pub fn decode(bytes: &Bytes) -> Result<WireEnvelope, CodecError> {
    let mut items = Items::new(bytes);
    let mut envelope = WireEnvelope::default();
    let mut seen = Vec::with_capacity(FIELDS.len());
    let what = "the envelope";
    let mut left = items.map(what)?;
    while items.another(&mut left, what)? {
        let key = items.text(MAX_KEY_BYTES, what)?;
        let Some(field) = FIELDS.iter().find(|field| field.as_bytes() == key.as_ref()) else { break };
        if seen.contains(field) {
            return Err(CodecError::Twice { what: field });
        }
        seen.push(field);
        read_field(&mut items, &mut envelope, field)?;
    }
    envelope.check()
}

fn read_field(
    items: &mut Items<'_>,
    envelope: &mut WireEnvelope,
    field: &'static str,
) -> Result<(), CodecError> {
    match field {
        "sender" => envelope.sender = items.bytes(MAX_FIELD_BYTES, field)?,
        "cipherText" => envelope.cipher_text = items.bytes(MAX_FIELD_BYTES, field)?,
        "nonce" => envelope.cipher_text_nonce = items.bytes(MAX_FIELD_BYTES, field)?,
        "recipientNonce" => envelope.recipient_nonce = items.bytes(MAX_FIELD_BYTES, field)?,
        "recipientBoxes" => envelope.boxes = list(items, field)?,
        "recipients" => envelope.recipients = list(items, field)?,
        "privacyFlag" => {
            let flag = items.integer(field)?;
            envelope.mode = flag.and_then(PrivacyMode::from_flag).unwrap_or_default();
        }
        "affected" => envelope.affected = affected(items, field)?,
        "execHash" => envelope.exec_hash = items.bytes(MAX_FIELD_BYTES, field)?,
        "mandatoryFor" => envelope.mandatory = list(items, field)?,
        _ => envelope.group = items.bytes(MAX_FIELD_BYTES, field)?,
    }
    Ok(())
}

/// A list of byte strings, as many as there may be recipients.
fn list(items: &mut Items<'_>, what: &'static str) -> Result<Vec<Bytes>, CodecError> {
    let mut left = items.array(what)?;
    let mut found = Vec::new();
    while items.another(&mut left, what)? {
        room(found.len(), MAX_RECIPIENTS, what)?;
        found.push(items.bytes(MAX_FIELD_BYTES, what)?);
    }
    Ok(found)
}

fn affected(items: &mut Items<'_>, what: &'static str) -> Result<Vec<(Bytes, Bytes)>, CodecError> {
    let mut left: Length = items.map(what)?;
    let mut found = Vec::new();
    while items.another(&mut left, what)? {
        room(found.len(), MAX_AFFECTED, what)?;
        let hash = items.text(MAX_KEY_BYTES, what)?;
        let hash = std::str::from_utf8(&hash).ok().and_then(base64::decode);
        let hash = hash.ok_or(CodecError::WrongType { what, want: "a map with keys in base64" })?;
        found.push((hash.into(), items.bytes(MAX_FIELD_BYTES, what)?));
    }
    Ok(found)
}

/// Whether one more fits.
fn room(count: usize, limit: usize, what: &'static str) -> Result<(), CodecError> {
    super::within(count.saturating_add(1), limit, what)
}

/// Writes an envelope: always eleven entries, lengths as short as they go.
pub fn encode(envelope: &WireEnvelope) -> Vec<u8> {
    let mut out = Vec::with_capacity(super::legacy::size_hint(envelope));
    put_head(&mut out, item::MAP, FIELDS.len());
    for field in FIELDS {
        put_text(&mut out, field);
        write_field(&mut out, envelope, field);
    }
    out
}

fn write_field(out: &mut Vec<u8>, envelope: &WireEnvelope, field: &str) {
    match field {
        "sender" => put_bytes(out, &envelope.sender),
        "cipherText" => put_bytes(out, &envelope.cipher_text),
        "nonce" => put_bytes(out, &envelope.cipher_text_nonce),
        "recipientNonce" => put_bytes(out, &envelope.recipient_nonce),
        "recipientBoxes" => put_list(out, &envelope.boxes),
        "recipients" => put_list(out, &envelope.recipients),
        "privacyFlag" => put_head(out, item::UNSIGNED, envelope.mode.flag().into()),
        "affected" => {
            put_head(out, item::MAP, envelope.affected.len());
            for (hash, security_hash) in &envelope.affected {
                put_text(out, &base64::encode(hash));
                put_bytes(out, security_hash);
            }
        }
        "execHash" => put_bytes(out, &envelope.exec_hash),
        "mandatoryFor" => put_list(out, &envelope.mandatory),
        _ => put_bytes(out, &envelope.group),
    }
}

fn put_list(out: &mut Vec<u8>, list: &[Bytes]) {
    put_head(out, item::ARRAY, list.len());
    for bytes in list {
        put_bytes(out, bytes);
    }
}
