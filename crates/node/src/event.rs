//! What can wake the node, and what it may answer. Two closed lists: everything that crosses the loop is here.

use alloy_primitives::{Address, B256, Bytes};
use lonja_consensus::machine::{BuildRequest, ChainPosition, Verdict};
use lonja_consensus::message::VerifiedMessage;
use lonja_p2p::wire::Message;
use lonja_primitives::{Block, CertifiedBlock, NodeId, VoteKind};
use std::sync::Arc;

/// Everything that can wake the node's loop.
#[derive(Debug)]
pub enum Event {
    /// A session with a peer stands; the peer's head is what it said at the handshake.
    PeerUp {
        /// Who.
        peer: NodeId,
        /// Height of its head.
        number: u64,
        /// Hash of its head.
        hash: B256,
    },
    /// The session ended.
    PeerDown(NodeId),
    /// A peer says that its head moved.
    PeerHead {
        /// Who.
        peer: NodeId,
        /// Height of its head.
        number: u64,
        /// Hash of its head.
        hash: B256,
    },
    /// A consensus message, decoded and with its signatures checked.
    Consensus {
        /// The peer it came from, not necessarily its author.
        from: NodeId,
        /// The message.
        message: Box<VerifiedMessage>,
        /// Its bytes as received.
        bytes: Bytes,
        /// Validators that the author cannot reach and asks us to pass it to.
        relay_to: Vec<Address>,
    },
    /// Blocks that answer a request of ours.
    Blocks {
        /// Who answered.
        peer: NodeId,
        /// The number of the request.
        request: u64,
        /// The blocks, decoded but otherwise unchecked.
        blocks: Vec<Block>,
    },
    /// A block we asked for is built, or cannot be.
    Built {
        /// Height of the request.
        height: u64,
        /// Round of the request.
        round: u32,
        /// The block, or why there is none.
        result: Result<Block, String>,
    },
    /// A proposal has been executed.
    Checked {
        /// Height of the proposal.
        height: u64,
        /// The digest that was asked about.
        digest: B256,
        /// The outcome.
        verdict: Verdict,
    },
    /// A block is written; its successor may be worked on. Not yet durable.
    Committed(Arc<ChainPosition>),
    /// Everything up to this block is on disk and may be spoken of.
    Durable {
        /// Height.
        number: u64,
        /// Hash.
        hash: B256,
    },
    /// Whether transactions wait that a block could include.
    WorkWaiting(bool),
    /// The operator wants to vote on a validator.
    Propose(Address, VoteKind),
    /// The operator takes the vote back.
    Discard(Address),
    /// The disk has (or lacks) room: see [`Room`].
    Room(Room),
    /// The deadline that [`crate::core::NodeCore::deadline`] named has come.
    Tick,
}

/// How much the disk still allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Everything.
    Enough,
    /// Blocks of others are still written, but we vote for nothing new.
    NoVoting,
    /// Nothing is written; reads are served.
    ReadOnly,
}

/// What the loop asks its edges to do. Commands are carried out in order; a `Persist` is durable before the
/// `Send` behind it leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Append a record to the consensus log, durably.
    Persist(Bytes),
    /// Records of heights below this may be dropped from the log.
    Forget {
        /// The lowest height still needed.
        below_height: u64,
    },
    /// Send to these peers.
    Send {
        /// To whom.
        to: Vec<NodeId>,
        /// What.
        message: Message,
    },
    /// Tell every peer about our durable head.
    Announce {
        /// Height.
        number: u64,
        /// Hash.
        hash: B256,
    },
    /// Build a block.
    Build(BuildRequest),
    /// Execute a proposal and compare its roots.
    Check {
        /// Height.
        height: u64,
        /// Digest under which the answer is expected.
        digest: B256,
        /// The block.
        block: Block,
    },
    /// Write a certified block.
    Commit(Box<CertifiedBlock>),
    /// A peer sent something that no honest peer sends.
    Penalise {
        /// Who.
        peer: NodeId,
        /// What it did.
        reason: String,
    },
    /// An invariant of ours or of the network is broken: stop the node.
    Halt(String),
}
