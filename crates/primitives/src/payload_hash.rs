//! The name of a private payload: what stands on the chain in the payload's place.

use alloy_primitives::B512;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The 64 bytes that name a private payload: SHA3-512 of its ciphertext. People and Tessera write them in standard
/// base64 with padding, and so do [`Display`](fmt::Display), [`FromStr`] and serde.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadHash(pub B512);

/// The text is not the base64 form of 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a payload hash is 64 bytes in standard base64 with padding")]
pub struct PayloadHashError;

impl PayloadHash {
    /// Length in bytes.
    pub const LENGTH: usize = B512::len_bytes();

    /// The name that a private transaction's data stands for, as GoQuorum reads it: of longer data the last 64 bytes,
    /// and shorter data behind zeros.
    pub fn from_data(data: &[u8]) -> Self {
        let last = data.last_chunk::<{ Self::LENGTH }>();
        Self(last.map_or_else(|| B512::left_padding_from(data), B512::from))
    }

    /// The 64 bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Display for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadHash({self})")
    }
}

impl FromStr for PayloadHash {
    type Err = PayloadHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = STANDARD.decode(text).map_err(|_| PayloadHashError)?;
        B512::try_from(bytes.as_slice()).map(Self).map_err(|_| PayloadHashError)
    }
}

impl Serialize for PayloadHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PayloadHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
