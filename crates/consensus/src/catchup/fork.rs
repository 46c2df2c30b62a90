//! Looking into a peer that has another block than we at a height we know: a lie, or a split chain.

use super::CatchUp;
use crate::header::{HeaderError, certify};
use crate::{Now, ValidatorSet};
use alloy_primitives::B256;
use lonja_primitives::{Block, NodeId, SealedHeader};
use std::collections::VecDeque;

/// Heights for which a foreign block can still be judged. A split shows with the first block after it, so a
/// few are enough to find where it began.
const HEIGHTS: usize = 32;

/// The last heights: what is needed to judge a block at one of them.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Known>);

#[derive(Debug)]
struct Known {
    parent: SealedHeader,
    validators: ValidatorSet,
    hash: B256,
}

impl History {
    pub(super) fn push(&mut self, parent: SealedHeader, validators: ValidatorSet, hash: B256) {
        if self.0.len() >= HEIGHTS {
            self.0.pop_front();
        }
        self.0.push_back(Known { parent, validators, hash });
    }

    pub(super) fn hash_at(&self, number: u64) -> Option<B256> {
        self.at(number).map(|known| known.hash)
    }

    fn at(&self, number: u64) -> Option<&Known> {
        self.0.iter().find(|known| known.parent.number.checked_add(1) == Some(number))
    }
}

impl CatchUp {
    /// Asks suspects for their block at the height in question.
    pub(super) fn probe(&mut self, now: Now) {
        for (peer, number) in self.peers.suspects(now.mono_ms) {
            if !self.is_busy(&peer) {
                self.request(now, peer, number, 1, true);
            }
        }
    }

    /// Judges the block a suspect has at a height of ours.
    pub(super) fn probed(&mut self, peer: NodeId, number: u64, blocks: Vec<Block>) {
        let Some((block, known)) = blocks.into_iter().next().zip(self.history.at(number)) else {
            return self.peers.clear_suspicion(&peer);
        };
        let ours = known.hash;
        match certify(&self.spec, block, &known.parent, &known.validators) {
            Ok(certified) if certified.hash() != ours => {
                self.halt(number, certified.hash(), &format!("peer {peer}"));
            }
            Ok(_) => self.blame(peer, format!("claims another block {number} than it has")),
            Err(HeaderError::Parent { .. }) => self.suspect_below(peer, number),
            Err(error) => self.blame(peer, format!("block {number}: {error}")),
        }
    }

    /// Its block does not follow ours, so the chains part further down.
    fn suspect_below(&mut self, peer: NodeId, number: u64) {
        let below = number.saturating_sub(1);
        if self.history.hash_at(below).is_some() {
            self.peers.suspect(&peer, below);
        } else {
            let reason = format!("is on another chain that parts from ours below block {number}");
            self.blame(peer, reason);
        }
    }
}
