//! The envelope in which a payload travels and is kept.

mod open;
mod raw;
mod seal;

use crate::codec::Codec;
use crate::crypto::{CryptoError, payload_hash};
use crate::keyring::{Keyring, KeyringError};
use crate::{Metadata, PayloadHash, PrivacyMode, PtmError, PublicKey};
use alloy_primitives::{B512, Bytes};
pub(crate) use open::Opened;
pub use raw::RawTransaction;
pub use seal::{Addressing, AffectedTransaction};
use std::collections::HashSet;
use std::fmt;
use thiserror::Error;

/// A nonce of XSalsa20: 24 bytes.
pub type Nonce = [u8; 24];

/// The master key of an envelope, sealed for one recipient: 16 bytes of tag, then 32 of ciphertext.
pub type RecipientBox = [u8; 48];

/// Shows that the sender could open the transaction that created an affected contract: SHA3-512 over the new ciphertext,
/// the old ciphertext and the old master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityHash(pub B512);

/// A payload under its master key, and the master key under each recipient's.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedPayload {
    /// Who sent it.
    pub sender: PublicKey,
    /// The payload, sealed with the master key: tag first.
    pub cipher_text: Bytes,
    /// Nonce of the payload.
    pub cipher_text_nonce: Nonce,
    /// The master key, sealed for the recipient at the same place in `recipients`. Fewer than those where the envelope was
    /// received.
    pub boxes: Vec<RecipientBox>,
    /// Nonce of all boxes.
    pub recipient_nonce: Nonce,
    /// Who receives, the sender included, as far as it is known here. Empty in envelopes of very old versions.
    pub recipients: Vec<PublicKey>,
    /// How the contracts are protected.
    pub mode: PrivacyMode,
    /// The transactions that created the private contracts which this one calls, each once.
    pub affected: Vec<(PayloadHash, SecurityHash)>,
    /// As in [`Metadata`]: not empty with [`PrivacyMode::StateValidation`], empty otherwise.
    pub exec_hash: Bytes,
    /// Not empty with [`PrivacyMode::MandatoryRecipients`], empty otherwise.
    pub mandatory: Vec<PublicKey>,
    /// Id of the privacy group that it was sent to.
    pub group: Option<Bytes>,
}

/// Why an envelope cannot be made, opened or changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// The key is not among the recipients.
    #[error("recipient not found in listed keys: {0}")]
    NotARecipient(PublicKey),
    /// The key is a recipient, and this copy has no box for it.
    #[error("this copy of the payload has no box for {0}")]
    NoBox(PublicKey),
    /// No key of ours opens it.
    #[error("No suitable recipient keys found to decrypt payload for : {0}")]
    DoesNotOpen(PayloadHash),
    /// A key that is needed is not ours, or is none.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// What was asked for contradicts itself.
    #[error("{0}")]
    Rule(&'static str),
    /// Something is larger than allowed.
    #[error("{what} of {size} is above the limit of {limit}")]
    TooLarge {
        /// What, with its unit.
        what: &'static str,
        /// Its size.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Two envelopes of one name differ in what their copies have in common.
    #[error("Invalid existing transaction")]
    Different,
}

impl From<CryptoError> for EnvelopeError {
    fn from(error: CryptoError) -> Self {
        Self::Keyring(error.into())
    }
}

impl From<EnvelopeError> for PtmError {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::NotARecipient(key) | EnvelopeError::NoBox(key) => Self::NotARecipient(key),
            EnvelopeError::DoesNotOpen(hash) => Self::NoKey(hash),
            EnvelopeError::Keyring(KeyringError::NotManaged(key)) => Self::UnknownSender(key),
            EnvelopeError::Keyring(KeyringError::Crypto(CryptoError::NoRandomness)) => {
                Self::Unavailable(error.to_string())
            }
            EnvelopeError::Keyring(_) | EnvelopeError::Rule(_) => Self::BadRequest(error.to_string()),
            EnvelopeError::TooLarge { what, size, limit } => Self::TooLarge { what, size, limit },
            EnvelopeError::Different => Self::Store(error.to_string()),
        }
    }
}

/// Holds a size against its limit.
fn within(size: usize, limit: usize, what: &'static str) -> Result<(), EnvelopeError> {
    if size > limit { Err(EnvelopeError::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// The keys in their order, each at its first place only.
pub(crate) fn each_once(keys: impl IntoIterator<Item = PublicKey>) -> Vec<PublicKey> {
    let mut seen = HashSet::new();
    keys.into_iter().filter(|key| seen.insert(*key)).collect()
}

/// Everybody a node's payload goes to: who is named, the sender, and whom this manager always sends to.
pub fn recipients_of_send(
    to: &[PublicKey],
    sender: PublicKey,
    always_send_to: &[PublicKey],
) -> Vec<PublicKey> {
    each_once(to.iter().copied().chain([sender]).chain(always_send_to.iter().copied()))
}

/// The same for a payload that was stored before. Here the sender comes last.
pub fn recipients_of_signed(
    to: &[PublicKey],
    sender: PublicKey,
    always_send_to: &[PublicKey],
) -> Vec<PublicKey> {
    each_once(to.iter().chain(always_send_to).copied().chain([sender]))
}

/// Which fields a mode has and which it has not.
pub(crate) fn mode_rule(
    mode: PrivacyMode,
    no_exec_hash: bool,
    no_mandatory: bool,
) -> Result<(), &'static str> {
    match (mode == PrivacyMode::StateValidation, no_exec_hash) {
        (true, true) => return Err("validation of private states (privacy flag 3) needs an execution hash"),
        (false, false) => return Err("an execution hash goes with privacy flag 3 only"),
        _ => {}
    }
    match (mode == PrivacyMode::MandatoryRecipients, no_mandatory) {
        (true, true) => Err("privacy flag 2 needs mandatory recipients"),
        (false, false) => Err("mandatory recipients go with privacy flag 2 only"),
        _ => Ok(()),
    }
}

impl EncodedPayload {
    /// The payload's name.
    pub fn hash(&self) -> PayloadHash {
        payload_hash(&self.cipher_text)
    }

    /// Reads an envelope.
    pub fn decode(codec: Codec, bytes: &Bytes) -> Result<Self, crate::codec::CodecError> {
        codec.decode(bytes)
    }

    /// Writes it.
    pub fn encode(&self, codec: Codec) -> Vec<u8> {
        codec.encode(self)
    }

    /// What a node is told beside the payload.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            mode: self.mode,
            affected: self.affected.iter().map(|(hash, _)| *hash).collect(),
            exec_hash: self.exec_hash.clone(),
            mandatory: self.mandatory.clone(),
            group: self.group.clone(),
        }
    }

    /// The recipients whose boxes this copy has, with them.
    pub fn boxed(&self) -> impl Iterator<Item = (PublicKey, RecipientBox)> {
        self.recipients.iter().copied().zip(self.boxes.iter().copied())
    }

    fn place(&self, key: &PublicKey) -> Result<usize, EnvelopeError> {
        let place = self.recipients.iter().position(|recipient| recipient == key);
        place.ok_or(EnvelopeError::NotARecipient(*key))
    }

    fn box_at(&self, place: usize, key: &PublicKey) -> Result<RecipientBox, EnvelopeError> {
        self.boxes.get(place).copied().ok_or(EnvelopeError::NoBox(*key))
    }

    /// The copy for one recipient: its own box alone, and of the others not even the names, except where states are
    /// validated: there everybody has to know everybody.
    pub fn strip_for(&self, recipient: &PublicKey) -> Result<Self, EnvelopeError> {
        let place = self.place(recipient)?;
        let own_box = self.box_at(place, recipient)?;
        let mut recipients = vec![*recipient];
        if self.mode == PrivacyMode::StateValidation {
            recipients.extend(self.recipients.iter().filter(|key| *key != recipient));
        }
        let (affected, mandatory) = (self.affected.clone(), self.mandatory.clone());
        Ok(Self {
            boxes: vec![own_box],
            recipients,
            affected,
            mandatory,
            sender: self.sender,
            cipher_text: self.cipher_text.clone(),
            cipher_text_nonce: self.cipher_text_nonce,
            recipient_nonce: self.recipient_nonce,
            mode: self.mode,
            exec_hash: self.exec_hash.clone(),
            group: self.group.clone(),
        })
    }

    /// Makes a box for one more recipient, from any box that opens here. The sender's key or the recipient's has to be
    /// ours. Nothing changes where there is one already.
    pub fn add_recipient(&mut self, keyring: &Keyring, recipient: PublicKey) -> Result<(), EnvelopeError> {
        if self.boxes.len() > self.recipients.len() {
            return Err(EnvelopeError::Rule("an envelope that does not name its recipients takes no more"));
        }
        if self.place(&recipient).is_ok_and(|place| place < self.boxes.len()) {
            return Ok(());
        }
        within(self.boxes.len().saturating_add(1), crate::limits::MAX_RECIPIENTS, "recipients")?;
        let (own, other) =
            if keyring.manages(&self.sender) { (self.sender, recipient) } else { (recipient, self.sender) };
        let shared = keyring.shared_key(&own, &other)?;
        let new_box = shared.seal_key(&self.recipient_nonce, &self.master_key(keyring)?);
        self.recipients.retain(|key| *key != recipient);
        // Those with a box stand before those without, and none of them was the new one.
        self.recipients.insert(self.boxes.len(), recipient);
        self.boxes.push(new_box);
        Ok(())
    }

    /// Takes in the boxes of another copy of the same envelope, in front: so the first box is always one of ours.
    pub fn merge(&mut self, copy: &Self) -> Result<(), EnvelopeError> {
        if !self.is_copy_of(copy) || self.boxes.len() > self.recipients.len() {
            return Err(EnvelopeError::Different);
        }
        for (recipient, sealed) in copy.boxed() {
            if self.place(&recipient).is_ok_and(|place| place < self.boxes.len()) {
                continue;
            }
            within(self.boxes.len().saturating_add(1), crate::limits::MAX_RECIPIENTS, "recipients")?;
            self.recipients.retain(|key| *key != recipient);
            self.recipients.insert(0, recipient);
            self.boxes.insert(0, sealed);
        }
        Ok(())
    }

    /// As [`merge`](Self::merge), where the copies differ in the affected transactions: each recipient takes off its copy
    /// those that it cannot vouch for. Afterwards all of them are here.
    pub(crate) fn unite(&mut self, copy: &Self) -> Result<(), EnvelopeError> {
        for (hash, security_hash) in &copy.affected {
            match self.affected.iter().find(|(known, _)| known == hash) {
                None => self.affected.push((*hash, *security_hash)),
                Some((_, known)) if known == security_hash => {}
                Some(_) => return Err(EnvelopeError::Different),
            }
        }
        within(self.affected.len(), crate::limits::MAX_AFFECTED, "affected transactions")?;
        let affected = self.affected.clone();
        self.merge(&Self { affected, ..copy.clone() })
    }

    /// Whether everything is equal that all copies of an envelope have in common.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        let set = |envelope: &Self| envelope.affected.iter().copied().collect::<HashSet<_>>();
        self.sender == other.sender
            && self.cipher_text_nonce == other.cipher_text_nonce
            && self.recipient_nonce == other.recipient_nonce
            && self.mode == other.mode
            && self.exec_hash == other.exec_hash
            && self.cipher_text == other.cipher_text
            && set(self) == set(other)
    }
}

impl fmt::Debug for EncodedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedPayload")
            .field("sender", &self.sender)
            .field("cipher_text_bytes", &self.cipher_text.len())
            .field("boxes", &self.boxes.len())
            .field("recipients", &self.recipients)
            .field("mode", &self.mode)
            .field("affected", &self.affected.len())
            .field("exec_hash", &self.exec_hash)
            .field("mandatory", &self.mandatory)
            .field("group", &self.group)
            .finish()
    }
}

#[cfg(test)]
mod tests;
