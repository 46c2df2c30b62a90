//! Payloads that are stored before anybody knows who gets them.

use super::open::wiped;
use super::seal::{Drawn, Letter};
use super::{Addressing, EncodedPayload, EnvelopeError, Nonce, RecipientBox, within};
use crate::crypto::{SealingKey, payload_hash};
use crate::keyring::Keyring;
use crate::limits::MAX_PAYLOAD_BYTES;
use crate::surroundings::{Machine, Surroundings, draw};
use crate::{PayloadHash, PublicKey, RawPayload};
use alloy_primitives::Bytes;

/// A payload sealed for nobody but its sender.
#[derive(Clone, PartialEq, Eq)]
pub struct RawTransaction {
    /// The payload, sealed with a master key.
    pub cipher_text: Bytes,
    /// That key, boxed by the sender for itself. With the payload's own nonce: that is Tessera's format, and no harm, since
    /// the two keys differ.
    pub sealed_key: RecipientBox,
    /// The nonce of both.
    pub nonce: Nonce,
    /// Who stored it.
    pub sender: PublicKey,
}

impl RawTransaction {
    /// Seals a payload with a fresh master key. `sender` has to be ours.
    pub fn encrypt(keyring: &Keyring, sender: PublicKey, payload: &[u8]) -> Result<Self, EnvelopeError> {
        Self::encrypt_from(&Machine, keyring, sender, payload)
    }

    /// As [`encrypt`](Self::encrypt), with these random numbers.
    pub(crate) fn encrypt_from(
        surroundings: &dyn Surroundings,
        keyring: &Keyring,
        sender: PublicKey,
        payload: &[u8],
    ) -> Result<Self, EnvelopeError> {
        let (master_key, nonce) = (SealingKey::drawn(surroundings)?, draw(surroundings)?);
        Self::encrypt_with(keyring, sender, payload, &master_key, nonce)
    }

    pub(super) fn encrypt_with(
        keyring: &Keyring,
        sender: PublicKey,
        payload: &[u8],
        master_key: &SealingKey,
        nonce: Nonce,
    ) -> Result<Self, EnvelopeError> {
        within(payload.len(), MAX_PAYLOAD_BYTES, "payload bytes")?;
        let sealed_key = keyring.shared_key(&sender, &sender)?.seal_key(&nonce, master_key);
        Ok(Self { cipher_text: master_key.seal(&nonce, payload).into(), sealed_key, nonce, sender })
    }

    /// The payload's name. It stays the same when the payload is sent.
    pub fn hash(&self) -> PayloadHash {
        payload_hash(&self.cipher_text)
    }

    fn master_key(&self, keyring: &Keyring) -> Result<SealingKey, EnvelopeError> {
        let opened = keyring.shared_key(&self.sender, &self.sender)?.open_key(&self.nonce, &self.sealed_key);
        opened.map_err(|_| EnvelopeError::DoesNotOpen(self.hash()))
    }

    /// The payload in clear.
    pub fn decrypt(&self, keyring: &Keyring) -> Result<RawPayload, EnvelopeError> {
        let payload = self.master_key(keyring)?.open(&self.nonce, &self.cipher_text);
        let payload = payload.map_err(|_| EnvelopeError::DoesNotOpen(self.hash()))?;
        Ok(RawPayload { payload: wiped(payload), sender: self.sender })
    }

    /// Puts it into an envelope: the same ciphertext and nonce, and a box for every recipient. The boxes' nonce follows from
    /// the master key, so that who sends it again makes the same envelope again, and copies from before fit to it.
    pub fn wrap(
        &self,
        keyring: &Keyring,
        addressing: &Addressing<'_>,
    ) -> Result<EncodedPayload, EnvelopeError> {
        self.wrap_with(keyring, addressing, self.master_key(keyring)?.derived_nonce())
    }

    pub(super) fn wrap_with(
        &self,
        keyring: &Keyring,
        addressing: &Addressing<'_>,
        recipient_nonce: Nonce,
    ) -> Result<EncodedPayload, EnvelopeError> {
        let master_key = self.master_key(keyring)?;
        let drawn = Drawn { master_key, cipher_text_nonce: self.nonce, recipient_nonce };
        let letter = Letter { sender: self.sender, cipher_text: self.cipher_text.clone() };
        EncodedPayload::address(keyring, letter, addressing, &drawn)
    }
}
