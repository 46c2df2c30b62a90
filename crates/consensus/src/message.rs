//! QBFT messages: their layouts, signatures and limits.
//!
//! On the wire a message is one code byte followed by its RLP form, exactly as QBFT's devp2p subprotocol sends
//! it. What is decoded promises nothing beyond its shape; [`ConsensusMessage::verify`] recovers who signed it
//! and every message inside it. The rules take [`Verified`] parts only.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use alloy_primitives::{Address, B256};
use lonja_primitives::{Block, Signature, SignatureError};
use thiserror::Error;

mod codec;
mod limits;
#[cfg(test)]
mod tests;
mod verified;

pub use codec::Payload;
pub use limits::{
    JUSTIFICATION_BYTES, MAX_MESSAGE_BYTES, MAX_ROUND, MAX_TRANSACTIONS, MAX_VOTE_MESSAGE_BYTES,
    MessageLimits,
};
pub use verified::{Verified, VerifiedMessage, VerifiedProposal, VerifiedRoundChange};

/// Code of PROPOSAL.
pub const PROPOSAL_CODE: u8 = 0x12;
/// Code of PREPARE.
pub const PREPARE_CODE: u8 = 0x13;
/// Code of COMMIT.
pub const COMMIT_CODE: u8 = 0x14;
/// Code of ROUND-CHANGE.
pub const ROUND_CHANGE_CODE: u8 = 0x15;

/// What a message is about: an attempt at a height. Ordered by height, then round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    /// Height.
    pub sequence: u64,
    /// Attempt, from 0.
    pub round: u32,
}

/// "I take this block for the proposal of this round."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepare {
    /// Height.
    pub sequence: u64,
    /// Round.
    pub round: u32,
    /// The proposed block, by the digest rule of the network.
    pub digest: B256,
}

/// "A quorum prepared this block in this round."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Height.
    pub sequence: u64,
    /// Round.
    pub round: u32,
    /// The proposed block, by the digest rule of the network.
    pub digest: B256,
    /// The sender's commit seal for the header.
    pub seal: Signature,
}

/// What a validator saw prepared, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreparedClaim {
    /// In which round.
    pub round: u32,
    /// Which block.
    pub digest: B256,
}

/// "I want to try again in this round, and this is what I saw prepared before."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundChange {
    /// Height.
    pub sequence: u64,
    /// The round asked for.
    pub round: u32,
    /// The highest prepared round, if any.
    pub prepared: Option<PreparedClaim>,
}

/// "This is the block of this round."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Height.
    pub sequence: u64,
    /// Round.
    pub round: u32,
    /// The block, without seals.
    pub block: Block,
}

/// A payload and a signature over it. Nothing is promised about the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    /// What is signed.
    pub payload: T,
    /// By whom, once recovered.
    pub signature: Signature,
}

/// PROPOSAL as it travels: the proposal and why its sender may propose this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalMessage {
    /// The proposal.
    pub proposal: Signed<Proposal>,
    /// A quorum asked for the round; empty in round 0.
    pub round_changes: Vec<Signed<RoundChange>>,
    /// The block was prepared in the highest round that any of them claims.
    pub prepares: Vec<Signed<Prepare>>,
}

/// ROUND-CHANGE as it travels: the request and the proof of its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundChangeMessage {
    /// The request.
    pub round_change: Signed<RoundChange>,
    /// The block claimed to be prepared, with the round field of that round.
    pub block: Option<Block>,
    /// A quorum prepared it.
    pub prepares: Vec<Signed<Prepare>>,
}

/// A decoded message. Only its shape is known to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConsensusMessage {
    Proposal(Box<ProposalMessage>),
    Prepare(Signed<Prepare>),
    Commit(Signed<Commit>),
    RoundChange(Box<RoundChangeMessage>),
}

/// Why bytes are not a message, or why a message is nobody's. All are the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum MessageError {
    #[error("the message is empty")]
    Empty,
    #[error("the message code 0x{0:02x} is unknown")]
    UnknownCode(u8),
    #[error("the message has {bytes} bytes, {limit} are the most for its kind")]
    TooLong { bytes: usize, limit: usize },
    #[error("the message lists {got} {what}, {limit} are the most")]
    TooMany { what: &'static str, got: usize, limit: usize },
    #[error("the message does not decode: {0}")]
    Malformed(#[from] alloy_rlp::Error),
    #[error("the signature of the {what} is invalid: {error}")]
    Signature { what: &'static str, error: SignatureError },
    #[error("the sender {0} is not allowed to take part")]
    NotAdmitted(Address),
}

impl ConsensusMessage {
    /// The height and round it is about; for ROUND-CHANGE the round asked for.
    pub fn view(&self) -> View {
        match self {
            Self::Proposal(message) => message.proposal.payload.view(),
            Self::Prepare(signed) => signed.payload.view(),
            Self::Commit(signed) => signed.payload.view(),
            Self::RoundChange(message) => message.round_change.payload.view(),
        }
    }

    /// Its code on the wire.
    pub fn code(&self) -> u8 {
        match self {
            Self::Proposal(_) => PROPOSAL_CODE,
            Self::Prepare(_) => PREPARE_CODE,
            Self::Commit(_) => COMMIT_CODE,
            Self::RoundChange(_) => ROUND_CHANGE_CODE,
        }
    }
}

macro_rules! view_of {
    ($($payload:ty),*) => {$(
        impl $payload {
            /// The height and round it is about.
            pub fn view(&self) -> View {
                View { sequence: self.sequence, round: self.round }
            }
        }
    )*};
}

view_of!(Prepare, Commit, RoundChange, Proposal);
