//! Opening envelopes.

use super::{AffectedTransaction, EncodedPayload, EnvelopeError, RecipientBox};
use crate::crypto::SealingKey;
use crate::keyring::Keyring;
use crate::{PayloadHash, PrivacyMode, PublicKey};
use alloy_primitives::Bytes;
use zeroize::Zeroizing;

/// What one of our keys opened.
pub(crate) struct Opened {
    /// That key.
    pub(crate) own: PublicKey,
    pub(crate) master_key: SealingKey,
    pub(crate) payload: Bytes,
}

/// Bytes that are wiped when the last who has them drops them.
pub(crate) fn wiped(bytes: Vec<u8>) -> Bytes {
    Bytes(bytes::Bytes::from_owner(Zeroizing::new(bytes)))
}

impl EncodedPayload {
    /// Opens it with the first of our keys that can.
    pub(crate) fn open(&self, keyring: &Keyring) -> Result<Opened, EnvelopeError> {
        for own in self.candidates(keyring) {
            if let Ok(master_key) = self.master_key_with(keyring, &own)
                && let Ok(payload) = self.payload(&master_key)
            {
                return Ok(Opened { own, master_key, payload });
            }
        }
        Err(EnvelopeError::DoesNotOpen(self.hash()))
    }

    /// The payload in clear, opened with one of our keys.
    pub fn decrypt_with(&self, keyring: &Keyring, own: &PublicKey) -> Result<Bytes, EnvelopeError> {
        self.payload(&self.master_key_with(keyring, own)?)
    }

    /// The payload in clear, and the first of our keys that opens it.
    pub fn decrypt(&self, keyring: &Keyring) -> Result<(PublicKey, Bytes), EnvelopeError> {
        self.open(keyring).map(|opened| (opened.own, opened.payload))
    }

    /// The affected transactions whose security hash does not show that the sender has them: those that are unknown here,
    /// and those whose hash is wrong.
    pub fn unproven(&self, known: &[AffectedTransaction]) -> Vec<PayloadHash> {
        let proven = |hash: &PayloadHash, claimed| {
            let affected = known.iter().find(|affected| affected.hash == *hash);
            affected.is_some_and(|affected| affected.security_hash(&self.cipher_text) == claimed)
        };
        let unproven = self.affected.iter().filter(|(hash, claimed)| !proven(hash, *claimed));
        unproven.map(|(hash, _)| *hash).collect()
    }

    /// The master key, by whichever key of ours opens a box *and* the payload.
    pub(super) fn master_key(&self, keyring: &Keyring) -> Result<SealingKey, EnvelopeError> {
        self.open(keyring).map(|opened| opened.master_key)
    }

    /// The master key, from the first box alone.
    pub(crate) fn first_master_key(&self, keyring: &Keyring) -> Result<SealingKey, EnvelopeError> {
        let unopened = || EnvelopeError::DoesNotOpen(self.hash());
        let first = *self.boxes.first().ok_or_else(unopened)?;
        if let Some(recipient) = self.recipients.first().filter(|_| keyring.manages(&self.sender)) {
            return self.unseal(keyring, &self.sender, first, recipient);
        }
        let keys = keyring.keys().iter();
        let mut opened = keys.filter_map(|own| self.unseal(keyring, own, first, &self.sender).ok());
        opened.next().ok_or_else(unopened)
    }

    fn payload(&self, master_key: &SealingKey) -> Result<Bytes, EnvelopeError> {
        let opened = master_key.open(&self.cipher_text_nonce, &self.cipher_text);
        opened.map(wiped).map_err(|_| EnvelopeError::DoesNotOpen(self.hash()))
    }

    fn master_key_with(&self, keyring: &Keyring, own: &PublicKey) -> Result<SealingKey, EnvelopeError> {
        let (sealed, other) = self.seat(own)?;
        self.unseal(keyring, own, sealed, &other)
    }

    fn unseal(
        &self,
        keyring: &Keyring,
        own: &PublicKey,
        sealed: RecipientBox,
        other: &PublicKey,
    ) -> Result<SealingKey, EnvelopeError> {
        let opened = keyring.shared_key(own, other)?.open_key(&self.recipient_nonce, &sealed);
        opened.map_err(|_| EnvelopeError::DoesNotOpen(self.hash()))
    }

    /// The box that one of our keys opens, and with whom that key is shared.
    fn seat(&self, own: &PublicKey) -> Result<(RecipientBox, PublicKey), EnvelopeError> {
        let sender = self.sender;
        let nameless = self.mode != PrivacyMode::StateValidation;
        let Some(first) = self.recipients.first() else {
            let place = if nameless { 0 } else { self.place(own)? };
            return Ok((self.box_at(place, own)?, sender));
        };
        let own_box = self.place(own).and_then(|place| self.box_at(place, own));
        // A sender opens what it sealed for another: very old versions did not count it among the recipients, and a copy
        // that a recipient hands back has no box for it.
        match own_box {
            Err(_) if *own == sender => Ok((self.box_at(0, own)?, *first)),
            own_box => Ok((own_box?, sender)),
        }
    }

    /// The keys of ours that may open it.
    fn candidates(&self, keyring: &Keyring) -> Vec<PublicKey> {
        if self.recipients.is_empty() {
            return keyring.keys().to_vec();
        }
        keyring.managed_among(self.recipients.iter().chain([&self.sender]))
    }
}
