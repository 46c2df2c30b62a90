//! The words of the manager's interface.

use crate::{PayloadHash, base64};
use alloy_primitives::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Who takes part in private transactions: a Curve25519 public key. Written as standard base64 with padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// The text or the bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a public key is 32 bytes in standard base64 with padding")]
pub struct PublicKeyError;

impl PublicKey {
    /// Length in bytes.
    pub const LENGTH: usize = 32;
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        base64::decode_array(text).map(Self).ok_or(PublicKeyError)
    }
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| PublicKeyError)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How a private contract is protected. The flags are values, not bits.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrivacyMode {
    /// Not at all: who learns its address may send to it.
    #[default]
    Standard = 0,
    /// Only its participants may send to it.
    PartyProtection = 1,
    /// As before, and named parties must take part in every transaction.
    MandatoryRecipients = 2,
    /// The same participants always, and the same resulting state at each of them.
    StateValidation = 3,
}

impl PrivacyMode {
    /// The mode of a privacy flag, `None` for a value that has none.
    pub fn from_flag(flag: u64) -> Option<Self> {
        match flag {
            0 => Some(Self::Standard),
            1 => Some(Self::PartyProtection),
            2 => Some(Self::MandatoryRecipients),
            3 => Some(Self::StateValidation),
            _ => None,
        }
    }

    /// The privacy flag, 0 to 3.
    pub fn flag(self) -> u8 {
        self as u8
    }
}

/// What goes with a payload besides its bytes and parties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// How the contracts are protected.
    pub mode: PrivacyMode,
    /// The transactions that created the private contracts which this one calls.
    pub affected: Vec<PayloadHash>,
    /// Root over the states of all affected contracts after the transaction, with
    /// [`PrivacyMode::StateValidation`] only. The ASCII text as it is on the wire: base64 of 32 bytes, 44 characters.
    pub exec_hash: Bytes,
    /// Who must take part, with [`PrivacyMode::MandatoryRecipients`] only.
    pub mandatory: Vec<PublicKey>,
    /// Id of the privacy group that the payload was sent to.
    pub group: Option<Bytes>,
}

/// A payload to encrypt, keep and hand to its recipients.
#[derive(Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// Call data or init code, at least one byte.
    pub payload: Bytes,
    /// Who sends; the manager's default key where it is `None`.
    pub from: Option<PublicKey>,
    /// Who receives besides the sender. Where [`Metadata::group`] is given, its members stand in place of these.
    pub to: Vec<PublicKey>,
    /// What goes with it.
    pub metadata: Metadata,
}

/// A payload that is stored already ([`PrivateTransactionManager::store_raw`]), to hand to its recipients.
///
/// [`PrivateTransactionManager::store_raw`]: crate::PrivateTransactionManager::store_raw
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendSigned {
    /// Name of the stored payload.
    pub hash: PayloadHash,
    /// Who receives besides the sender.
    pub to: Vec<PublicKey>,
    /// What goes with it.
    pub metadata: Metadata,
}

/// A payload was handed to all its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its name on the chain.
    pub hash: PayloadHash,
    /// Keys of this manager among sender and recipients.
    pub managed_parties: Vec<PublicKey>,
    /// Who sent it.
    pub sender: PublicKey,
}

/// A payload in clear, with what a node needs to execute it.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivatePayload {
    /// Call data or init code.
    pub payload: Bytes,
    /// What goes with it.
    pub metadata: Metadata,
    /// Keys of this manager among the recipients.
    pub managed_parties: Vec<PublicKey>,
    /// Who sent it.
    pub sender: PublicKey,
}

/// A stored payload in clear that was not sent yet.
#[derive(Clone, PartialEq, Eq)]
pub struct RawPayload {
    /// Call data or init code.
    pub payload: Bytes,
    /// Who stored it.
    pub sender: PublicKey,
}

/// What a manager knows of a hash. The four answers are never to be confused: a node that takes `Unavailable` for
/// `NotOurs` has another private state than its partners from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The payload.
    Found(PrivatePayload),
    /// No payload of this name is here: this node is not a party.
    NotOurs,
    /// It was here and was erased for good; a tombstone is left.
    Erased,
    /// Nobody can say now, with the reason. Ask again.
    Unavailable(String),
}

/// Writes lengths in place of payloads: these must not stand in logs.
fn without_payload(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    payload: &Bytes,
    rest: &[(&str, &dyn fmt::Debug)],
) -> fmt::Result {
    let mut out = f.debug_struct(name);
    out.field("payload_bytes", &payload.len());
    for (name, value) in rest {
        out.field(name, value);
    }
    out.finish()
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest: [(&str, &dyn fmt::Debug); 3] =
            [("from", &self.from), ("to", &self.to), ("metadata", &self.metadata)];
        without_payload(f, "SendRequest", &self.payload, &rest)
    }
}

impl fmt::Debug for PrivatePayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest: [(&str, &dyn fmt::Debug); 3] = [
            ("metadata", &self.metadata),
            ("managed_parties", &self.managed_parties),
            ("sender", &self.sender),
        ];
        without_payload(f, "PrivatePayload", &self.payload, &rest)
    }
}

impl fmt::Debug for RawPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        without_payload(f, "RawPayload", &self.payload, &[("sender", &self.sender)])
    }
}

#[cfg(test)]
mod tests;
