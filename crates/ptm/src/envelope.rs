//! The envelope in which a payload travels and is kept.

use crate::{PayloadHash, PrivacyMode, PublicKey};
use alloy_primitives::{B512, Bytes};

/// A nonce of XSalsa20: 24 bytes.
pub type Nonce = [u8; 24];

/// The master key of an envelope, sealed for one recipient: 16 bytes of tag, then 32 of ciphertext.
pub type RecipientBox = [u8; 48];

/// Shows that the sender could open the transaction that created an affected contract: SHA3-512 over the new ciphertext,
/// the old ciphertext and the old master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityHash(pub B512);

/// A payload under its master key, and the master key under each recipient's.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// As in [`Metadata`](crate::Metadata): not empty with [`PrivacyMode::StateValidation`], empty otherwise.
    pub exec_hash: Bytes,
    /// Not empty with [`PrivacyMode::MandatoryRecipients`], empty otherwise.
    pub mandatory: Vec<PublicKey>,
    /// Id of the privacy group that it was sent to.
    pub group: Option<Bytes>,
}
