//! `extraData` of Istanbul headers, and the hashes that depend on it.

use crate::{Header, Signature};
use alloy_primitives::{Address, B256, Bytes};
use thiserror::Error;

/// Which layout a header has. It follows from the height and the chain spec, never from the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderFormat {
    /// IBFT 1.0 (GoQuorum).
    Ibft1,
    /// IBFT 2.0 (Besu).
    Ibft2,
    /// QBFT.
    Qbft,
}

/// Whether a vote adds or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteKind {
    /// Add the recipient to the validators.
    Add,
    /// Drop it.
    Drop,
}

/// A proposer's vote on one validator, carried in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// On whom.
    pub recipient: Address,
    /// Add or drop.
    pub kind: VoteKind,
}

/// A signature over the commit digest, in a header.
pub type CommitSeal = Signature;

/// The decoded `extraData`, for all formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraData {
    /// Free bytes, at most 32.
    pub vanity: Bytes,
    /// Validators of this height in the order written.
    pub validators: Vec<Address>,
    /// The vote, for QBFT and IBFT 2.0 (IBFT 1.0 votes by coinbase and nonce).
    pub vote: Option<Vote>,
    /// Round in which the block was committed; 0 for IBFT 1.0.
    pub round: u32,
    /// IBFT 1.0's proposer seal: empty or 65 bytes; empty in the other formats.
    pub proposer_seal: Bytes,
    /// Commit seals in the order written.
    pub seals: Vec<CommitSeal>,
}

/// Why `extraData` is not what its format asks for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExtraError {
    /// Not the layout of the format.
    #[error("extraData does not decode as {format:?}: {reason}")]
    Malformed {
        /// The format of the height.
        format: HeaderFormat,
        /// What is wrong.
        reason: String,
    },
}

impl ExtraData {
    /// Decodes strictly: exactly the elements of the format, canonical integers, 65-byte seals, nothing behind.
    pub fn decode(_bytes: &[u8], _format: HeaderFormat) -> Result<Self, ExtraError> {
        unreachable!("being written")
    }

    /// Encodes for a header.
    pub fn encode(&self, _format: HeaderFormat) -> Bytes {
        unreachable!("being written")
    }
}

/// The block hash of a header in this format (without seals; QBFT: round 0).
pub fn block_hash(_header: &Header, _format: HeaderFormat) -> Result<B256, ExtraError> {
    unreachable!("being written")
}
