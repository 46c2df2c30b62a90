//! Which block is next: the rules of Istanbul BFT in its QBFT form, and the verification of IBFT 1.0, IBFT 2.0
//! and QBFT headers.
//!
//! Validator sets and header votes, turn order and timers, header and seal checks, the messages with their
//! signatures, and the predicates that say when a message is justified.
//!
//! Never here: a clock, threads, an asynchronous runtime, sockets, files, random numbers, or maps whose order
//! differs from run to run. Time and messages come in as values, decisions go out as values, so that a whole
//! network runs in one test thread from one seed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

pub mod catchup;
pub mod header;
pub mod justification;
pub mod light;
pub mod machine;
pub mod message;
pub mod proposer;
#[cfg(test)]
pub(crate) mod testing;
pub mod timers;
pub mod validators;
pub mod votes;

pub use header::{HeaderError, Seals, certify, check_header};
pub use justification::{Height, Unjustified};
pub use message::{
    Commit, ConsensusMessage, MessageError, MessageLimits, Prepare, PreparedClaim, Proposal, ProposalMessage,
    RoundChange, RoundChangeMessage, Signed, Verified, VerifiedMessage, VerifiedProposal,
    VerifiedRoundChange, View,
};
pub use proposer::proposer;
pub use validators::{ValidatorSet, ValidatorSetError};
pub use votes::{VoteState, commitment, commits};

/// The time of one step, read by the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Wall clock, milliseconds since 1970: for timestamps only, it may jump.
    pub unix_ms: u64,
    /// Monotonic clock, milliseconds since any fixed point: for timers.
    pub mono_ms: u64,
}
