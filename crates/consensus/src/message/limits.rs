//! How much of a message is taken from a peer.

use super::{COMMIT_CODE, MessageError, PREPARE_CODE, PROPOSAL_CODE, ROUND_CHANGE_CODE};

/// Longest message of any kind, bytes: the limit of QBFT's devp2p subprotocol.
pub const MAX_MESSAGE_BYTES: usize = 10 * 1024 * 1024;

/// Longest PREPARE or COMMIT, bytes. They have a fixed layout of about 180 bytes; the rest is room for nothing
/// in particular.
pub const MAX_VOTE_MESSAGE_BYTES: usize = 4 * 1024;

/// What a PROPOSAL or ROUND-CHANGE may have beyond its block, bytes: signed round changes and prepares of more
/// validators than a network has.
pub const JUSTIFICATION_BYTES: usize = 1024 * 1024;

/// Most transactions in a block of a message: as many of the shortest signed ones (about 60 bytes) as fit into
/// [`MAX_MESSAGE_BYTES`]. Without a bound, a message of one-byte entries would take far more memory decoded than
/// sent.
pub const MAX_TRANSACTIONS: usize = MAX_MESSAGE_BYTES / 60;

/// Highest round that is taken: Besu reads rounds as signed 32-bit integers.
pub const MAX_ROUND: u32 = i32::MAX as u32;

/// What is taken from a peer before any signature is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// Most entries in each list of round changes or prepares: the number of validators. A set can grow by one
    /// with each height, so whoever also takes messages of the next heights leaves that much room.
    pub validators: usize,
    /// Longest block of the network, bytes.
    pub block_bytes: usize,
}

impl MessageLimits {
    /// Longest message with this code, code byte included.
    pub fn message_bytes(&self, code: u8) -> Result<usize, MessageError> {
        match code {
            PREPARE_CODE | COMMIT_CODE => Ok(MAX_VOTE_MESSAGE_BYTES),
            PROPOSAL_CODE | ROUND_CHANGE_CODE => {
                Ok(self.block_bytes.saturating_add(JUSTIFICATION_BYTES).min(MAX_MESSAGE_BYTES))
            }
            other => Err(MessageError::UnknownCode(other)),
        }
    }
}
