//! Headers and their hashes.

use crate::extra::{ExtraError, HeaderFormat, block_hash};
use alloy_primitives::{B256, U256, b256};
use std::ops::Deref;

/// A block header. Fifteen fields, and the base fee from London on; lonja's chains carry no withdrawals,
/// blobs, beacon roots or requests.
pub type Header = alloy_consensus::Header;

/// Marks a header as Istanbul's: the end of "Practical byzantine fault tolerance".
pub const ISTANBUL_MIX_HASH: B256 = b256!("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365");

/// Difficulty of every Istanbul block.
pub const ISTANBUL_DIFFICULTY: U256 = U256::ONE;

/// A header whose hash is known. The hash is Istanbul's: without commit seals and, for QBFT, with round 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedHeader {
    header: Header,
    hash: B256,
}

impl SealedHeader {
    /// Hashes the header in the given format.
    pub fn seal(header: Header, format: HeaderFormat) -> Result<Self, ExtraError> {
        let hash = block_hash(&header, format)?;
        Ok(Self { header, hash })
    }

    /// Joins a header and its hash, known from the store or just computed.
    pub fn new_unchecked(header: Header, hash: B256) -> Self {
        Self { header, hash }
    }

    /// The block hash.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Gives the header up.
    pub fn into_header(self) -> Header {
        self.header
    }
}

impl Deref for SealedHeader {
    type Target = Header;

    fn deref(&self) -> &Header {
        &self.header
    }
}
