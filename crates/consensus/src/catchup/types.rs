//! What goes into the catch-up machine and what comes out of it.

use crate::machine::ChainPosition;
use alloy_primitives::B256;
use lonja_primitives::{Block, CertifiedBlock, NodeId};
use std::sync::Arc;

/// One event.
#[derive(Clone, Debug)]
pub enum CatchUpInput {
    /// A peer says where its chain stands.
    PeerHead {
        /// Who.
        peer: NodeId,
        /// Height of its head.
        number: u64,
        /// Hash of its head.
        hash: B256,
    },
    /// A peer is not connected any more.
    PeerGone(NodeId),
    /// The answer to a request: blocks in order from the first asked for, possibly fewer than asked for.
    Blocks {
        /// Who answers.
        peer: NodeId,
        /// Which request.
        request: u64,
        /// The blocks, with seals.
        blocks: Vec<Block>,
    },
    /// A request could not be sent or was refused.
    RequestFailed {
        /// Who was asked.
        peer: NodeId,
        /// Which request.
        request: u64,
    },
    /// A block became durable.
    NewHead(Arc<ChainPosition>),
    /// Time has passed.
    Tick,
}

/// One decision.
// Made once and moved once: boxing the block would cost more than it saves.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatchUpOutput {
    /// Ask `peer` for blocks `from .. from + count`.
    Request {
        /// Whom.
        peer: NodeId,
        /// Name of the request in the answer.
        request: u64,
        /// First height.
        from: u64,
        /// How many.
        count: u64,
    },
    /// Store this block; blocks come in height order. One at or below the head is to be skipped: the validators
    /// were faster.
    Import(CertifiedBlock),
    /// The peer sent what no honest peer sends.
    Blame {
        /// Who.
        peer: NodeId,
        /// What.
        reason: String,
    },
    /// The chain has split: stop, and say why. Nothing comes after it.
    Halt {
        /// The evidence.
        reason: String,
    },
}
