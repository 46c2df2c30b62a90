//! Payloads that were pushed a moment ago, and may still be withdrawn by who pushed them.
//!
//! A send that fails at one recipient is withdrawn from the others. That has to be possible only as long as nobody can have
//! built on the payload: for some minutes, and not after it was looked up, for then a block may name it.

use crate::PayloadHash;
use lonja_primitives::NodeId;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long a payload can be withdrawn: longer than the slowest send.
pub(super) const WITHDRAW_TIME: Duration = Duration::from_secs(300);

/// How many are remembered: what arrives in those minutes at some fifty a second. Those that are pushed out stay.
const MAX_RECENT: usize = 16_384;

struct Entry {
    pushed_by: NodeId,
    /// The newest attempt that pushed it.
    attempt: u64,
    at: Instant,
    leaving: bool,
}

/// What a push finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: what is stored of it is there for good.
    Nothing,
    /// An older attempt of the same node, whose envelope may be replaced.
    Older,
    /// A newer one of it, or one of another node.
    Other,
    /// It is just leaving.
    Leaving,
}

/// Payloads that may still be withdrawn.
#[derive(Default)]
pub(super) struct Recent {
    entries: HashMap<PayloadHash, Entry>,
    order: VecDeque<(Instant, PayloadHash)>,
}

impl Recent {
    /// A node pushes a payload, which can be withdrawn by the number of its newest attempt. With attempt 0 it is for good.
    pub(super) fn push(&mut self, hash: &PayloadHash, by: &NodeId, attempt: u64) -> Found {
        let found = match self.entries.get_mut(hash) {
            None => Found::Nothing,
            Some(entry) if entry.leaving => return Found::Leaving,
            Some(entry) if entry.pushed_by == *by && (attempt == 0 || entry.attempt <= attempt) => {
                entry.attempt = attempt;
                Found::Older
            }
            Some(_) => Found::Other,
        };
        if attempt == 0 {
            self.entries.remove(hash);
        }
        found
    }

    /// A payload is about to be stored that was not here.
    pub(super) fn note(&mut self, hash: PayloadHash, pushed_by: NodeId, attempt: u64, now: Instant) {
        while let Some((at, oldest)) = self.order.front().copied() {
            let expired = now.saturating_duration_since(at) > WITHDRAW_TIME;
            if !expired && self.order.len() < MAX_RECENT {
                break;
            }
            self.order.pop_front();
            if self.entries.get(&oldest).is_some_and(|entry| entry.at == at && !entry.leaving) {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(hash, Entry { pushed_by, attempt, at: now, leaving: false });
        self.order.push_back((now, hash));
    }

    /// It cannot be withdrawn any more: somebody looks at it, or it was here before. `false` where it is just leaving.
    pub(super) fn settle(&mut self, hash: &PayloadHash) -> bool {
        if self.entries.get(hash).is_some_and(|entry| entry.leaving) {
            return false;
        }
        self.entries.remove(hash);
        true
    }

    /// Who pushed it, where it may still be withdrawn.
    pub(super) fn pushed_by(&self, hash: &PayloadHash, now: Instant) -> Option<NodeId> {
        let young = |entry: &&Entry| now.saturating_duration_since(entry.at) <= WITHDRAW_TIME;
        self.entries.get(hash).filter(young).map(|entry| entry.pushed_by)
    }

    /// It begins to leave, where this node may withdraw this attempt; [`gone`](Self::gone) when that is done.
    pub(super) fn leave(&mut self, hash: &PayloadHash, by: &NodeId, attempt: u64, now: Instant) -> bool {
        let may = self.pushed_by(hash, now).is_some_and(|pushed_by| pushed_by == *by);
        match self.entries.get_mut(hash) {
            Some(entry) if may && entry.attempt == attempt && !entry.leaving => {
                entry.leaving = true;
                true
            }
            _ => false,
        }
    }

    /// It has left.
    pub(super) fn gone(&mut self, hash: &PayloadHash) {
        self.entries.remove(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B512;

    fn hash(number: u64) -> PayloadHash {
        PayloadHash::from_data(&number.to_be_bytes())
    }

    fn node(number: u8) -> NodeId {
        NodeId(B512::repeat_byte(number))
    }

    #[test]
    fn who_pushed_withdraws_once_in_time_and_before_anybody_looks() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        for number in 0..5 {
            recent.note(hash(number), node(1), 7, now);
        }
        assert!(!recent.leave(&hash(0), &node(2), 7, now), "somebody else");
        assert!(recent.leave(&hash(0), &node(1), 7, now + WITHDRAW_TIME));
        assert!(!recent.leave(&hash(0), &node(1), 7, now), "it is leaving already");
        assert!(!recent.settle(&hash(0)), "who looks has to wait");
        assert_eq!(recent.push(&hash(0), &node(1), 8), Found::Leaving);
        recent.gone(&hash(0));
        assert!(recent.settle(&hash(0)));
        assert!(recent.settle(&hash(1)));
        assert!(!recent.leave(&hash(1), &node(1), 7, now), "somebody looked");
        let late = now + WITHDRAW_TIME + Duration::from_secs(1);
        assert!(!recent.leave(&hash(2), &node(1), 7, late));
        assert!(!recent.leave(&hash(9), &node(1), 7, now), "never pushed");
    }

    #[test]
    fn only_the_newest_attempt_is_withdrawn() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        recent.note(hash(1), node(1), 5, now);
        assert_eq!(recent.push(&hash(1), &node(1), 6), Found::Older);
        assert_eq!(recent.push(&hash(1), &node(1), 5), Found::Other, "it comes late");
        assert_eq!(recent.push(&hash(1), &node(2), 9), Found::Other);
        assert_eq!(recent.push(&hash(2), &node(1), 6), Found::Nothing);
        assert!(!recent.leave(&hash(1), &node(1), 5, now));
        assert!(recent.leave(&hash(1), &node(1), 6, now));
        recent.note(hash(3), node(1), 5, now);
        assert_eq!(recent.push(&hash(3), &node(1), 0), Found::Older, "it is for good now");
        assert!(!recent.leave(&hash(3), &node(1), 5, now) && !recent.leave(&hash(3), &node(1), 0, now));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        for number in 0..MAX_RECENT as u64 + 10 {
            recent.note(hash(number), node(1), 7, now);
        }
        assert_eq!((recent.entries.len(), recent.order.len()), (MAX_RECENT, MAX_RECENT));
        assert!(!recent.leave(&hash(9), &node(1), 7, now) && recent.leave(&hash(10), &node(1), 7, now));
        recent.note(hash(1), node(1), 7, now + WITHDRAW_TIME * 2);
        assert_eq!(recent.order.len(), 1);
        assert_eq!(recent.entries.len(), 2, "what is leaving is not forgotten");
    }
}
