//! The state of one height.

use super::ballots::Ballots;
use super::requests::Requests;
use super::timing::Clocks;
use crate::message::{VerifiedMessage, VerifiedProposal, VerifiedRoundChange};
use alloy_primitives::{Address, B256, Bytes};
use lonja_primitives::Block;
use std::collections::{BTreeSet, VecDeque};

/// Rounds further ahead than this are not taken: no network of honest validators gets there, and numbers near
/// the end of the range would leave no room to go on.
pub(super) const ROUNDS_AHEAD: u32 = 10_000;
/// Blocks of one height remembered as good, and questions to the chain that are open. Each round adds one.
const REMEMBERED: usize = 64;

/// One height, from the head before it to its decision.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub number: u64,
    /// This node takes part.
    pub active: bool,
    pub round: u32,
    /// Round 0 has begun, or is over.
    pub started: bool,
    pub decided: bool,
    pub proposed: Proposed,
    pub ballots: Ballots,
    pub requests: Requests,
    pub clocks: Clocks,
    /// A block for the current round was asked for.
    pub building: Option<u32>,
    /// No block could be built for the current round.
    pub build_failed: bool,
    pub prepare_sent: bool,
    pub commit_sent: bool,
    /// Our request for the current round, for repetition.
    pub request: Option<Bytes>,
    pub equivocators: BTreeSet<Address>,
    /// Hashes of blocks that execute well. A block keeps its hash when it is proposed again.
    good: VecDeque<B256>,
    /// Questions to the chain: digest asked for, block hash.
    asked: VecDeque<(B256, B256)>,
}

/// What has become of the proposal of the current round.
// One per height, in place.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, Default)]
pub(super) enum Proposed {
    /// There is none.
    #[default]
    None,
    /// It is justified, but its time is ahead of our clock.
    Early(Candidate),
    /// The chain executes it.
    Checking {
        candidate: Candidate,
        /// When to ask again: the chain could not tell.
        retry_ms: Option<u64>,
    },
    /// It is good; votes for it count.
    Accepted(Candidate),
    /// It does not execute, and the proposer has no second try. Kept is its digest.
    Refused(B256),
}

/// A proposed block.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// As proposed: round field as the digest rule asks, no seals.
    pub block: Block,
    /// Its name in votes of this round.
    pub digest: B256,
    /// Its hash.
    pub hash: B256,
    /// Built for this round, and not prepared in an earlier one.
    pub fresh: bool,
}

impl Proposed {
    /// The digest of the proposal, if there is one.
    pub(super) fn digest(&self) -> Option<B256> {
        match self {
            Self::None => None,
            Self::Refused(digest) => Some(*digest),
            Self::Early(candidate) | Self::Checking { candidate, .. } | Self::Accepted(candidate) => {
                Some(candidate.digest)
            }
        }
    }

    /// The block of the proposal, while it may still be decided.
    pub(super) fn candidate(&self) -> Option<&Candidate> {
        match self {
            Self::None | Self::Refused(_) => None,
            Self::Early(candidate) | Self::Checking { candidate, .. } | Self::Accepted(candidate) => {
                Some(candidate)
            }
        }
    }
}

impl Run {
    pub(super) fn new(number: u64, active: bool) -> Self {
        Self { number, active, ..Self::default() }
    }

    /// Enters a round and clears what belonged to the one before. The prepared certificate lives with the
    /// voter and is not touched.
    pub(super) fn enter(&mut self, round: u32) {
        self.round = round;
        self.started = true;
        self.proposed = Proposed::None;
        self.building = None;
        self.build_failed = false;
        self.prepare_sent = false;
        self.commit_sent = false;
        self.request = None;
        self.ballots.enter(round);
        self.requests.enter(round);
    }

    pub(super) fn is_good(&self, hash: &B256) -> bool {
        self.good.contains(hash)
    }

    pub(super) fn mark_good(&mut self, hash: B256) {
        if !self.is_good(&hash) {
            push_bounded(&mut self.good, hash);
        }
    }

    pub(super) fn ask(&mut self, digest: B256, hash: B256) {
        if !self.asked.contains(&(digest, hash)) {
            push_bounded(&mut self.asked, (digest, hash));
        }
    }

    /// Closes a question: the hash of the block it was about.
    pub(super) fn answered(&mut self, digest: &B256) -> Option<B256> {
        let at = self.asked.iter().position(|(asked, _)| asked == digest)?;
        self.asked.remove(at).map(|(_, hash)| hash)
    }
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}

/// About how much memory a message takes.
pub(super) fn memory_bytes(message: &VerifiedMessage) -> usize {
    const SIGNED: usize = 256;
    match message {
        VerifiedMessage::Prepare(_) | VerifiedMessage::Commit(_) => SIGNED,
        VerifiedMessage::Proposal(message) => {
            let VerifiedProposal { proposal, round_changes, prepares } = message.as_ref();
            let parts = round_changes.len().saturating_add(prepares.len()).saturating_add(1);
            proposal.block.size().saturating_add(parts.saturating_mul(SIGNED))
        }
        VerifiedMessage::RoundChange(message) => {
            let VerifiedRoundChange { block, prepares, .. } = message.as_ref();
            let parts = prepares.len().saturating_add(1);
            block.as_ref().map_or(0, Block::size).saturating_add(parts.saturating_mul(SIGNED))
        }
    }
}
