//! What goes into the machine and what comes out of it.

use crate::{VerifiedMessage, VoteState};
use alloy_primitives::{Address, B256, Bytes};
use lonja_primitives::{Block, CertifiedBlock, NodeId, SealedHeader, VoteKind};
use std::sync::Arc;
use thiserror::Error;

/// Where the chain stands: its newest block and who may seal the next one.
#[derive(Clone, Debug)]
pub struct ChainPosition {
    /// The newest block.
    pub head: SealedHeader,
    /// Its builder, after whom the turns go on ([`crate::proposer::last_author`]); `None` at genesis.
    pub author: Option<Address>,
    /// Validators of the next height and the votes that wait. Where a contract chooses them, resolved by whoever
    /// executed the block: with pending validators the machine does not take part.
    pub votes: VoteState,
}

/// What execution said about a proposed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Executes, and all roots match.
    Valid,
    /// Broken for good; says what.
    Invalid(String),
    /// Could not be judged now; the machine asks again while the block matters.
    Unavailable(String),
}

/// One event.
// Made once and moved once: boxing the blocks would cost more than it saves.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Input {
    /// The chain has a new head, by agreement or by another path. It need not be durable yet: the log keeps what
    /// was signed for it until it is ([`Output::Forget`]).
    NewHead(Arc<ChainPosition>),
    /// A consensus message with good signatures.
    Message {
        /// The peer that sent it; `None` when it did not come from a peer.
        from: Option<NodeId>,
        /// The message.
        message: VerifiedMessage,
    },
    /// The block asked for by [`Output::BuildBlock`].
    Built {
        /// Height of the request.
        height: u64,
        /// Round of the request.
        round: u32,
        /// The block, without seals, with the `extraData` of the request; where it commits to the next validators
        /// ([`crate::votes::commits`]), with that commitment in place of the vanity.
        block: Block,
    },
    /// No block could be built. The round timer gives the turn to the next proposer.
    BuildFailed {
        /// Height of the request.
        height: u64,
        /// Round of the request.
        round: u32,
        /// Why.
        reason: String,
    },
    /// The answer to [`Output::CheckBlock`].
    Checked {
        /// Height of the question.
        height: u64,
        /// Digest of the question.
        digest: B256,
        /// The answer.
        verdict: Verdict,
    },
    /// Time has passed. Late, early and superfluous ticks are harmless.
    Tick,
    /// Whether transactions wait for a block.
    WorkWaiting(bool),
    /// Vote to add or drop this address in blocks built here, until it comes true or is discarded. Nothing where a
    /// contract chooses the validators.
    Propose(Address, VoteKind),
    /// Stop voting on this address.
    Discard(Address),
    /// False: sign nothing until true again (the node is far behind, or its disk is full).
    SetVoting(bool),
}

/// One decision. Outputs are final and are carried out in order.
// As with the inputs.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// An opaque record for the consensus log. It must be durable before the next output is carried out.
    Persist(Bytes),
    /// Records of lower heights are of no use once the head is durable.
    Forget {
        /// The first height whose records are needed in any case.
        below_height: u64,
    },
    /// A message of this node, encoded, to every other validator of the height.
    Send(Bytes),
    /// Build a block on the head; answered by [`Input::Built`] or [`Input::BuildFailed`].
    BuildBlock(BuildRequest),
    /// Execute a proposed block on the head and compare all roots; answered by [`Input::Checked`].
    CheckBlock {
        /// Its height.
        height: u64,
        /// Its name in the answer.
        digest: B256,
        /// The block, without seals.
        block: Block,
    },
    /// The block of this height, with its seals. Given at most once per height and process life.
    Decide(CertifiedBlock),
    /// Somebody is at fault beyond doubt. When `from` is given, parts of the message are not covered by its
    /// author's signature: the fault is that peer's, unless it only passed on what `validator` wrote. Without
    /// `from` the author itself signed what no honest validator signs.
    Blame {
        /// Author of the message.
        validator: Address,
        /// The peer that the message came from.
        from: Option<NodeId>,
        /// What was wrong.
        reason: String,
    },
}

/// How to build a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRequest {
    /// Height of the block.
    pub height: u64,
    /// Round it is wanted for.
    pub round: u32,
    /// Hash of the parent, which is the head.
    pub parent: B256,
    /// Seconds.
    pub timestamp: u64,
    /// Coinbase: the address of this validator.
    pub beneficiary: Address,
    /// The whole `extraData`: vanity, validators, vote, round, no seals.
    pub extra_data: Bytes,
    /// How long building may take, milliseconds.
    pub deadline_ms: u64,
}

/// Why the machine cannot start. A halt: starting without its records could make it sign twice.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// A record of the consensus log passes its checksum but is not one of ours.
    #[error("record {index} of the consensus log is not readable: {reason}")]
    Record {
        /// Position in the log, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
}

/// How far the current height has come, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not a validator of this height, or without a key: the machine only follows the head.
    Observing,
    /// Round 0 waits for the block time, or for something to put in a block.
    WaitingForBlockTime,
    /// No proposal of the current round is accepted yet.
    WaitingForProposal,
    /// A proposal is being executed.
    Checking,
    /// Accepted; prepares are being counted.
    Preparing,
    /// Prepared; commits are being counted.
    Committing,
    /// Decided; the chain is storing the block.
    Decided,
}

/// A look at the machine, for RPC and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The height being agreed on.
    pub height: u64,
    /// Its round.
    pub round: u32,
    /// Whose turn it is.
    pub proposer: Address,
    /// How far it has come.
    pub phase: Phase,
    /// Validators of this height, ascending.
    pub validators: Vec<Address>,
    /// Whether this node is one of them.
    pub is_validator: bool,
    /// Whether signing is allowed ([`Input::SetVoting`]).
    pub voting: bool,
    /// Whom this node votes to add or drop, ascending.
    pub candidates: Vec<(Address, VoteKind)>,
    /// Round of the prepared certificate held for this height.
    pub prepared_round: Option<u32>,
    /// Validators heard to be in this round or a later one through ROUND-CHANGEs, this node included.
    pub round_change_senders: usize,
}
