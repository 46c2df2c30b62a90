//! How envelopes are written: Tessera's two encodings.
//!
//! Nothing on the wire says which one is used; both ends work it out from what they announced ([`negotiation`]).

pub mod cbor;
pub mod legacy;
pub mod negotiation;
mod reader;
pub mod wire;

use crate::limits::MAX_ENVELOPE_BYTES;
use crate::{EncodedPayload, PtmError};
use alloy_primitives::Bytes;
pub(crate) use reader::{Reader, put_array, put_count, put_field};
use thiserror::Error;
pub use wire::WireEnvelope;

/// An encoding of envelopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Lengths of 8 bytes and nothing else; later versions append fields.
    Legacy,
    /// A map in CBOR, since API version 5.0.
    Cbor,
}

/// Why bytes are not what they should be. `what` names the place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The bytes end before this does.
    #[error("the bytes end inside {what}")]
    Truncated {
        /// Where.
        what: &'static str,
    },
    /// A length or count is below zero or above what is allowed.
    #[error("{what}: {size} is more than the {limit} allowed")]
    TooLarge {
        /// Where.
        what: &'static str,
        /// What is said there; lengths below zero read as huge ones.
        size: u64,
        /// What is allowed.
        limit: usize,
    },
    /// A field has another length than it must have.
    #[error("{what} has {got} bytes, {want} are expected")]
    WrongLength {
        /// Where.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The right one.
        want: usize,
    },
    /// Something else stands there than should.
    #[error("{what} is not {want}")]
    WrongType {
        /// Where.
        what: &'static str,
        /// What should stand there.
        want: &'static str,
    },
    /// A field or an entry comes twice.
    #[error("{what} comes twice")]
    Twice {
        /// Which.
        what: &'static str,
    },
    /// Fields contradict each other.
    #[error("{0}")]
    Rule(&'static str),
}

impl From<CodecError> for PtmError {
    fn from(error: CodecError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl Codec {
    /// Reads an envelope. Fields of the wrong length are refused.
    pub fn decode(self, bytes: &Bytes) -> Result<EncodedPayload, CodecError> {
        within(bytes.len(), MAX_ENVELOPE_BYTES, "the envelope")?;
        let wire = match self {
            Self::Legacy => legacy::decode(bytes)?,
            Self::Cbor => cbor::decode(bytes)?,
        };
        EncodedPayload::try_from(wire)
    }

    /// Writes an envelope.
    pub fn encode(self, envelope: &EncodedPayload) -> Vec<u8> {
        let wire = WireEnvelope::from(envelope);
        match self {
            Self::Legacy => legacy::encode(&wire),
            Self::Cbor => cbor::encode(&wire),
        }
    }
}

/// Holds a size against its limit.
pub(crate) fn within(size: usize, limit: usize, what: &'static str) -> Result<(), CodecError> {
    if size > limit {
        return Err(CodecError::TooLarge { what, size: size as u64, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
