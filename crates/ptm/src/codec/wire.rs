//! An envelope as the encodings see it: fields of any length. Tessera's encodings do not look at lengths; ours do in the
//! step from here to [`EncodedPayload`].

use super::{CodecError, within};
use crate::crypto::TAG_BYTES;
use crate::envelope::{each_once, mode_rule};
use crate::limits::{
    MAX_AFFECTED, MAX_EXEC_HASH_BYTES, MAX_GROUP_TEXT_BYTES, MAX_PAYLOAD_BYTES, MAX_RECIPIENTS,
};
use crate::{EncodedPayload, PayloadHash, PrivacyMode, PublicKey, SecurityHash};
use alloy_primitives::{B512, Bytes};
use std::collections::HashSet;

/// The fields of an envelope, in no particular shape. Those that are absent are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireEnvelope {
    /// Sender's public key.
    pub sender: Bytes,
    /// Sealed payload.
    pub cipher_text: Bytes,
    /// Its nonce.
    pub cipher_text_nonce: Bytes,
    /// The master key, sealed for recipients.
    pub boxes: Vec<Bytes>,
    /// The nonce of these.
    pub recipient_nonce: Bytes,
    /// Recipients' public keys.
    pub recipients: Vec<Bytes>,
    /// How contracts are protected. A flag that nobody knows reads as 0.
    pub mode: PrivacyMode,
    /// Hash and security hash of the transactions that created affected contracts.
    pub affected: Vec<(Bytes, Bytes)>,
    /// Execution hash.
    pub exec_hash: Bytes,
    /// Mandatory recipients' public keys.
    pub mandatory: Vec<Bytes>,
    /// Id of the privacy group.
    pub group: Bytes,
}

/// The longest field there is: a sealed payload.
pub(crate) const MAX_FIELD_BYTES: usize = MAX_PAYLOAD_BYTES + TAG_BYTES;

impl WireEnvelope {
    /// What even the most lenient reader refuses: an execution hash without validation of states, or the reverse;
    /// mandatory recipients likewise.
    pub(crate) fn check(self) -> Result<Self, CodecError> {
        mode_rule(self.mode, self.exec_hash.is_empty(), self.mandatory.is_empty())
            .map_err(CodecError::Rule)?;
        Ok(self)
    }
}

fn fixed<const N: usize>(bytes: &Bytes, what: &'static str) -> Result<[u8; N], CodecError> {
    let wrong = CodecError::WrongLength { what, got: bytes.len(), want: N };
    bytes.as_ref().try_into().map_err(|_| wrong)
}

fn fixed_list<const N: usize>(
    list: &[Bytes],
    limit: usize,
    what: &'static str,
) -> Result<Vec<[u8; N]>, CodecError> {
    within(list.len(), limit, what)?;
    list.iter().map(|bytes| fixed(bytes, what)).collect()
}

fn public_keys(list: &[Bytes], what: &'static str) -> Result<Vec<PublicKey>, CodecError> {
    Ok(fixed_list(list, MAX_RECIPIENTS, what)?.into_iter().map(PublicKey).collect())
}

fn affected(list: &[(Bytes, Bytes)]) -> Result<Vec<(PayloadHash, SecurityHash)>, CodecError> {
    let what = "an affected transaction";
    within(list.len(), MAX_AFFECTED, "affected transactions")?;
    let mut seen = HashSet::with_capacity(list.len());
    let mut found = Vec::with_capacity(list.len());
    for (hash, security_hash) in list {
        let hash = PayloadHash(B512::from(fixed(hash, "the hash of an affected transaction")?));
        let security_hash = SecurityHash(B512::from(fixed(security_hash, "a security hash")?));
        if !seen.insert(hash) {
            return Err(CodecError::Twice { what });
        }
        found.push((hash, security_hash));
    }
    Ok(found)
}

impl TryFrom<WireEnvelope> for EncodedPayload {
    type Error = CodecError;

    fn try_from(wire: WireEnvelope) -> Result<Self, CodecError> {
        let wire = wire.check()?;
        within(wire.cipher_text.len(), MAX_FIELD_BYTES, "the ciphertext")?;
        within(wire.exec_hash.len(), MAX_EXEC_HASH_BYTES, "the execution hash")?;
        within(wire.group.len(), MAX_GROUP_TEXT_BYTES, "the privacy group's id")?;
        Ok(Self {
            sender: PublicKey(fixed(&wire.sender, "the sender's key")?),
            cipher_text: wire.cipher_text,
            cipher_text_nonce: fixed(&wire.cipher_text_nonce, "the ciphertext's nonce")?,
            boxes: fixed_list(&wire.boxes, MAX_RECIPIENTS, "a recipient's box")?,
            recipient_nonce: fixed(&wire.recipient_nonce, "the recipients' nonce")?,
            recipients: public_keys(&wire.recipients, "a recipient's key")?,
            mode: wire.mode,
            affected: affected(&wire.affected)?,
            exec_hash: wire.exec_hash,
            mandatory: each_once(public_keys(&wire.mandatory, "a mandatory recipient's key")?),
            group: Some(wire.group).filter(|group| !group.is_empty()),
        })
    }
}

impl From<&EncodedPayload> for WireEnvelope {
    fn from(envelope: &EncodedPayload) -> Self {
        let keys = |list: &[PublicKey]| list.iter().map(|key| Bytes::copy_from_slice(&key.0)).collect();
        let pair = |(hash, security_hash): &(PayloadHash, SecurityHash)| {
            (Bytes::copy_from_slice(hash.as_slice()), Bytes::copy_from_slice(security_hash.0.as_slice()))
        };
        Self {
            sender: Bytes::copy_from_slice(&envelope.sender.0),
            cipher_text: envelope.cipher_text.clone(),
            cipher_text_nonce: Bytes::copy_from_slice(&envelope.cipher_text_nonce),
            boxes: envelope.boxes.iter().map(|sealed| Bytes::copy_from_slice(sealed)).collect(),
            recipient_nonce: Bytes::copy_from_slice(&envelope.recipient_nonce),
            recipients: keys(&envelope.recipients),
            mode: envelope.mode,
            affected: envelope.affected.iter().map(pair).collect(),
            exec_hash: envelope.exec_hash.clone(),
            mandatory: keys(&envelope.mandatory),
            group: envelope.group.clone().unwrap_or_default(),
        }
    }
}
