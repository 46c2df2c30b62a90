//! The transactions of one account, in nonce order: those that wait to be offered, and those under way.

use super::workload::Signed;
use alloy_primitives::B256;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Instant;

/// An account that has fewer transactions left to offer gets more signed.
const LOW: u64 = 6;
/// So many at a time.
const PORTION: u64 = 12;

/// How far one transaction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Not offered yet, or refused.
    #[default]
    Here,
    /// Offered and not answered.
    UnderWay,
    /// The node took it.
    Accepted,
    /// Seen in a block.
    Finalised,
}

/// One transaction.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its hash.
    pub hash: B256,
    /// The request that sends it.
    pub request: Bytes,
    /// How far it is.
    pub stage: Stage,
    /// The last time it was offered: the one that counted, if any did.
    pub submitted: Option<Instant>,
}

/// One account's. What is finalised is forgotten from the front, so that a long run takes no more memory than a short one.
#[derive(Debug, Default)]
pub struct Lane {
    /// Nonce of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    /// The nonce that is offered next.
    next: u64,
    /// Signed, or ordered to be: the nonces below this one.
    ordered: u64,
}

impl Lane {
    /// More transactions, following those that are there.
    pub fn extend(&mut self, signed: Vec<Signed>) {
        let entry = |Signed { hash, request }| Entry { hash, request, stage: Stage::Here, submitted: None };
        self.entries.extend(signed.into_iter().map(entry));
        self.ordered = self.ordered.max(self.end());
    }

    /// The transaction with this nonce, unless it is finalised and forgotten, or not signed yet.
    pub fn entry(&self, nonce: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(nonce.checked_sub(self.first)?).ok()?)
    }

    /// As [`Lane::entry`].
    pub fn entry_mut(&mut self, nonce: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(nonce.checked_sub(self.first)?).ok()?)
    }

    /// The nonce to be offered now: the lowest that nobody has.
    pub fn take(&mut self) -> Option<u64> {
        loop {
            let (nonce, stage) = (self.next, self.entry(self.next)?.stage);
            self.next += 1;
            if stage == Stage::Here {
                return Some(nonce);
            }
        }
    }

    /// What should be signed now, and counts as ordered from then on; nothing beyond `limit`.
    pub fn order(&mut self, limit: u64) -> Option<std::ops::Range<u64>> {
        let left = self.end().saturating_sub(self.next);
        if left >= LOW || self.ordered > self.end() || self.ordered >= limit {
            return None;
        }
        let from = self.ordered;
        self.ordered = limit.min(from.saturating_add(PORTION));
        Some(from..self.ordered)
    }

    /// This one was refused: it comes before later ones, which would be of no use alone.
    pub fn again(&mut self, nonce: u64) {
        self.next = self.next.min(nonce.max(self.first));
    }

    /// Forgets what is finalised.
    pub fn trim(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.stage == Stage::Finalised) {
            self.entries.pop_front();
            self.first += 1;
        }
        self.next = self.next.max(self.first);
    }

    /// Refused ones with later ones behind them that the node took.
    pub fn holes(&self) -> Vec<u64> {
        let taken = |entry: &Entry| matches!(entry.stage, Stage::Accepted | Stage::Finalised);
        let before = self.entries.iter().rposition(taken).unwrap_or(0);
        let refused = |entry: &Entry| entry.stage == Stage::Here && entry.submitted.is_some();
        let numbered = (self.first..).zip(self.entries.iter().take(before));
        numbered.filter(|(_, entry)| refused(entry)).map(|(nonce, _)| nonce).collect()
    }

    /// What is not finalised, or stands behind what is not.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(count: u8) -> Vec<Signed> {
        (0..count).map(|n| Signed { hash: B256::repeat_byte(n), request: Bytes::new() }).collect()
    }

    fn set(lane: &mut Lane, nonce: u64, stage: Stage) {
        lane.entry_mut(nonce).unwrap().stage = stage;
    }

    #[test]
    fn what_was_refused_comes_first_again() {
        let mut lane = Lane::default();
        lane.extend(signed(4));
        assert_eq!((lane.take(), lane.take(), lane.take()), (Some(0), Some(1), Some(2)));
        set(&mut lane, 0, Stage::Accepted);
        set(&mut lane, 2, Stage::UnderWay);
        lane.again(1);
        assert_eq!((lane.take(), lane.take(), lane.take()), (Some(1), Some(3), None));
        lane.extend(signed(1));
        assert_eq!(lane.take(), Some(4));
    }

    #[test]
    fn finalised_ones_are_forgotten_from_the_front() {
        let mut lane = Lane::default();
        lane.extend(signed(4));
        set(&mut lane, 0, Stage::Finalised);
        set(&mut lane, 2, Stage::Finalised);
        lane.trim();
        assert!(lane.entry(0).is_none() && lane.entry(1).is_some() && lane.entry(3).is_some());
        assert!(lane.entry(4).is_none());
        lane.again(0);
        assert_eq!(lane.take(), Some(1));
        set(&mut lane, 1, Stage::Finalised);
        lane.trim();
        assert_eq!((lane.entries().count(), lane.take()), (1, Some(3)));
    }

    #[test]
    fn a_hole_is_refused_and_has_a_taken_one_behind_it() {
        let mut lane = Lane::default();
        lane.extend(signed(4));
        assert!(lane.holes().is_empty());
        for nonce in [0, 3] {
            lane.entry_mut(nonce).unwrap().submitted = Some(Instant::now());
        }
        assert!(lane.holes().is_empty());
        set(&mut lane, 2, Stage::Accepted);
        assert_eq!(lane.holes(), [0]);
    }

    #[test]
    fn signing_is_ordered_once_in_portions_up_to_the_limit() {
        let mut lane = Lane::default();
        lane.extend(signed(10));
        assert_eq!(lane.order(30), None, "ten are left");
        (0..5).for_each(|_| assert!(lane.take().is_some()));
        assert_eq!(lane.order(10), None, "no more are wanted");
        assert_eq!(lane.order(20), Some(10..20));
        assert_eq!(lane.order(20), None, "ordered already");
        lane.extend(signed(10));
        (0..15).for_each(|_| assert!(lane.take().is_some()));
        assert_eq!(lane.order(20), None);
        assert_eq!(lane.order(1_000), Some(20..20 + PORTION));
    }
}
