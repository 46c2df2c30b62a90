//! Making envelopes.

use super::{EncodedPayload, EnvelopeError, Nonce, SecurityHash, mode_rule, within};
use crate::crypto::{SealingKey, payload_hash, security_hash};
use crate::keyring::Keyring;
use crate::limits::{
    MAX_AFFECTED, MAX_EXEC_HASH_BYTES, MAX_GROUP_TEXT_BYTES, MAX_PAYLOAD_BYTES, MAX_RECIPIENTS,
};
use crate::surroundings::{Machine, Surroundings, draw};
use crate::{Metadata, PayloadHash, PublicKey};
use alloy_primitives::Bytes;

/// Whom an envelope is for, and what stands on it.
#[derive(Clone, Copy)]
pub struct Addressing<'a> {
    /// Everybody, the sender included, in the order of [`recipients_of_send`](super::recipients_of_send) or
    /// [`recipients_of_signed`](super::recipients_of_signed).
    pub recipients: &'a [PublicKey],
    /// What goes with it, except `affected`.
    pub metadata: &'a Metadata,
    /// The affected transactions, opened: what is written is a hash with their master keys.
    pub affected: &'a [AffectedTransaction],
}

/// The transaction that created an affected contract, as far as it is needed to show that we have it.
pub struct AffectedTransaction {
    /// Its name.
    pub hash: PayloadHash,
    cipher_text: Bytes,
    master_key: SealingKey,
}

/// What is drawn for one envelope.
pub(super) struct Drawn {
    pub(super) master_key: SealingKey,
    pub(super) cipher_text_nonce: Nonce,
    pub(super) recipient_nonce: Nonce,
}

/// A payload that is sealed with its master key.
pub(super) struct Letter {
    pub(super) sender: PublicKey,
    pub(super) cipher_text: Bytes,
}

impl AffectedTransaction {
    /// Opens a stored envelope: where we sent it, by its first box; where we received it, by whichever key of ours opens
    /// that one.
    pub fn open(keyring: &Keyring, envelope: &EncodedPayload) -> Result<Self, EnvelopeError> {
        Ok(Self::of(envelope.cipher_text.clone(), envelope.first_master_key(keyring)?))
    }

    pub(super) fn of(cipher_text: Bytes, master_key: SealingKey) -> Self {
        Self { hash: payload_hash(&cipher_text), cipher_text, master_key }
    }

    /// What a new payload with this ciphertext carries for it.
    pub fn security_hash(&self, new_cipher_text: &[u8]) -> SecurityHash {
        security_hash(new_cipher_text, &self.cipher_text, &self.master_key)
    }
}

impl Drawn {
    fn random(from: &dyn Surroundings) -> Result<Self, EnvelopeError> {
        Ok(Self {
            master_key: SealingKey::drawn(from)?,
            cipher_text_nonce: draw(from)?,
            recipient_nonce: draw(from)?,
        })
    }
}

impl Addressing<'_> {
    fn check(&self) -> Result<(), EnvelopeError> {
        let metadata = self.metadata;
        within(self.recipients.len(), MAX_RECIPIENTS, "recipients")?;
        within(metadata.mandatory.len(), MAX_RECIPIENTS, "mandatory recipients")?;
        within(self.affected.len(), MAX_AFFECTED, "affected transactions")?;
        within(metadata.exec_hash.len(), MAX_EXEC_HASH_BYTES, "bytes of execution hash")?;
        let group = metadata.group.as_ref().map_or(0, |group| group.len());
        within(group, MAX_GROUP_TEXT_BYTES, "bytes of privacy group id")?;
        let (no_exec_hash, no_mandatory) = (metadata.exec_hash.is_empty(), metadata.mandatory.is_empty());
        mode_rule(metadata.mode, no_exec_hash, no_mandatory).map_err(EnvelopeError::Rule)
    }
}

impl EncodedPayload {
    /// Seals a payload with a fresh master key, and that key for every recipient. `sender` has to be ours. Makes the rules
    /// of modes hold, and no others.
    pub fn encrypt(
        keyring: &Keyring,
        sender: PublicKey,
        payload: &[u8],
        addressing: &Addressing<'_>,
    ) -> Result<Self, EnvelopeError> {
        Self::encrypt_from(&Machine, keyring, sender, payload, addressing)
    }

    /// As [`encrypt`](Self::encrypt), with these random numbers.
    pub(crate) fn encrypt_from(
        surroundings: &dyn Surroundings,
        keyring: &Keyring,
        sender: PublicKey,
        payload: &[u8],
        addressing: &Addressing<'_>,
    ) -> Result<Self, EnvelopeError> {
        Self::encrypt_with(keyring, sender, payload, addressing, &Drawn::random(surroundings)?)
    }

    pub(super) fn encrypt_with(
        keyring: &Keyring,
        sender: PublicKey,
        payload: &[u8],
        addressing: &Addressing<'_>,
        drawn: &Drawn,
    ) -> Result<Self, EnvelopeError> {
        addressing.check()?;
        within(payload.len(), MAX_PAYLOAD_BYTES, "payload bytes")?;
        let cipher_text = drawn.master_key.seal(&drawn.cipher_text_nonce, payload).into();
        Self::address(keyring, Letter { sender, cipher_text }, addressing, drawn)
    }

    /// Puts what is sealed already into an envelope.
    pub(super) fn address(
        keyring: &Keyring,
        letter: Letter,
        addressing: &Addressing<'_>,
        drawn: &Drawn,
    ) -> Result<Self, EnvelopeError> {
        addressing.check()?;
        let Letter { sender, cipher_text } = letter;
        let seal = |recipient: &PublicKey| {
            let shared = keyring.shared_key(&sender, recipient)?;
            Ok(shared.seal_key(&drawn.recipient_nonce, &drawn.master_key))
        };
        let boxes = addressing.recipients.iter().map(seal).collect::<Result<_, EnvelopeError>>()?;
        let security = |affected: &AffectedTransaction| (affected.hash, affected.security_hash(&cipher_text));
        let affected = addressing.affected.iter().map(security).collect();
        let metadata = addressing.metadata.clone();
        Ok(Self {
            sender,
            cipher_text_nonce: drawn.cipher_text_nonce,
            boxes,
            recipient_nonce: drawn.recipient_nonce,
            recipients: addressing.recipients.to_vec(),
            mode: metadata.mode,
            affected,
            exec_hash: metadata.exec_hash,
            mandatory: metadata.mandatory,
            group: metadata.group.filter(|group| !group.is_empty()),
            cipher_text,
        })
    }
}
