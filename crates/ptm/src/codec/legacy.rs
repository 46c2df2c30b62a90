//! Tessera's first encoding. There is no version in it: each version appended fields, and a reader takes what is there.

use super::wire::MAX_FIELD_BYTES;
use super::{CodecError, Reader, WireEnvelope, put_array, put_count, put_field};
use crate::PrivacyMode;
use crate::limits::{MAX_AFFECTED, MAX_RECIPIENTS};
use alloy_primitives::Bytes;

/// Reads an envelope of any version. Bytes after the last known field are left to later versions.
pub fn decode(bytes: &Bytes) -> Result<WireEnvelope, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut envelope = WireEnvelope {
        sender: reader.field(MAX_FIELD_BYTES, "the sender's key")?,
        cipher_text: reader.field(MAX_FIELD_BYTES, "the ciphertext")?,
        cipher_text_nonce: reader.field(MAX_FIELD_BYTES, "the ciphertext's nonce")?,
        boxes: reader.array(MAX_RECIPIENTS, MAX_FIELD_BYTES, "the recipients' boxes")?,
        recipient_nonce: reader.field(MAX_FIELD_BYTES, "the recipients' nonce")?,
        ..WireEnvelope::default()
    };
    if !reader.is_empty() {
        envelope.recipients = reader.array(MAX_RECIPIENTS, MAX_FIELD_BYTES, "the recipients' keys")?;
    }
    if !reader.is_empty() {
        read_protection(&mut reader, &mut envelope)?;
    }
    envelope.check()
}

/// What came with the second version and after.
fn read_protection(reader: &mut Reader<'_>, envelope: &mut WireEnvelope) -> Result<(), CodecError> {
    let what = "the privacy flag";
    let flag = reader.field(MAX_FIELD_BYTES, what)?;
    let [flag] = *flag.as_ref() else {
        return Err(CodecError::WrongLength { what, got: flag.len(), want: 1 });
    };
    envelope.mode = PrivacyMode::from_flag(flag.into()).unwrap_or_default();
    let what = "the affected transactions";
    for _ in 0..reader.count(MAX_AFFECTED, what)? {
        let hash = reader.field(MAX_FIELD_BYTES, what)?;
        envelope.affected.push((hash, reader.field(MAX_FIELD_BYTES, what)?));
    }
    if envelope.mode == PrivacyMode::StateValidation && !reader.is_empty() {
        envelope.exec_hash = reader.field(MAX_FIELD_BYTES, "the execution hash")?;
    }
    if envelope.mode == PrivacyMode::MandatoryRecipients && !reader.is_empty() {
        envelope.mandatory = reader.array(MAX_RECIPIENTS, MAX_FIELD_BYTES, "the mandatory recipients")?;
    }
    if !reader.is_empty() {
        envelope.group = reader.field(MAX_FIELD_BYTES, "the privacy group's id")?;
    }
    Ok(())
}

/// Writes an envelope with all fields that it has.
pub fn encode(envelope: &WireEnvelope) -> Vec<u8> {
    let mut out = Vec::with_capacity(size_hint(envelope));
    put_field(&mut out, &envelope.sender);
    put_field(&mut out, &envelope.cipher_text);
    put_field(&mut out, &envelope.cipher_text_nonce);
    put_array(&mut out, &envelope.boxes);
    put_field(&mut out, &envelope.recipient_nonce);
    put_array(&mut out, &envelope.recipients);
    put_field(&mut out, &[envelope.mode.flag()]);
    put_count(&mut out, envelope.affected.len());
    for (hash, security_hash) in &envelope.affected {
        put_field(&mut out, hash);
        put_field(&mut out, security_hash);
    }
    if !envelope.exec_hash.is_empty() {
        put_field(&mut out, &envelope.exec_hash);
    }
    if envelope.mode == PrivacyMode::MandatoryRecipients {
        put_array(&mut out, &envelope.mandatory);
    }
    if !envelope.group.is_empty() {
        put_field(&mut out, &envelope.group);
    }
    out
}

/// About how long an encoded envelope gets, in either encoding.
pub(super) fn size_hint(envelope: &WireEnvelope) -> usize {
    let keys = envelope.recipients.len().saturating_add(envelope.mandatory.len()).saturating_mul(40);
    let boxes = envelope.boxes.len().saturating_mul(56);
    let affected = envelope.affected.len().saturating_mul(160);
    let fields = envelope.cipher_text.len().saturating_add(envelope.group.len()).saturating_add(512);
    fields.saturating_add(keys).saturating_add(boxes).saturating_add(affected)
}
