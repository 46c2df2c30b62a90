//! Whom this node's operator wants added or dropped, and on whom the next block built here votes.

use crate::VoteState;
use alloy_primitives::Address;
use lonja_primitives::{Vote, VoteKind};
use std::collections::BTreeMap;

/// Candidates at most: more than an operator can have an opinion on.
pub const CANDIDATES_MAX: usize = 64;

/// The operator's wishes.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates {
    wishes: BTreeMap<Address, VoteKind>,
    last: Option<Address>,
}

impl Candidates {
    pub(super) fn propose(&mut self, address: Address, kind: VoteKind) {
        if self.wishes.len() < CANDIDATES_MAX || self.wishes.contains_key(&address) {
            self.wishes.insert(address, kind);
        }
    }

    pub(super) fn discard(&mut self, address: &Address) {
        self.wishes.remove(address);
    }

    /// Drops the wishes that came true.
    pub(super) fn prune(&mut self, votes: &VoteState) {
        let fulfilled = |address: &Address, kind: VoteKind| match kind {
            VoteKind::Add => votes.validators().contains(address),
            VoteKind::Drop => !votes.validators().contains(address),
        };
        self.wishes.retain(|address, kind| !fulfilled(address, *kind));
    }

    /// The vote for the next block: candidates take turns, so that each makes progress however many there are.
    pub(super) fn next(&mut self, votes: &VoteState) -> Option<Vote> {
        let meant = |(address, kind): &(&Address, &VoteKind)| votes.has_meaning(**address, **kind);
        let after = self.wishes.iter().filter(meant).find(|(address, _)| Some(**address) > self.last);
        let (recipient, kind) = after.or_else(|| self.wishes.iter().find(meant))?;
        let vote = Vote { recipient: *recipient, kind: *kind };
        self.last = Some(vote.recipient);
        Some(vote)
    }

    pub(super) fn list(&self) -> Vec<(Address, VoteKind)> {
        self.wishes.iter().map(|(address, kind)| (*address, *kind)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::harness::votes_of;

    fn address(n: u8) -> Address {
        Address::with_last_byte(n)
    }

    fn recipients(candidates: &mut Candidates, votes: &VoteState, count: usize) -> Vec<u8> {
        (0..count).map(|_| candidates.next(votes).map_or(0, |vote| vote.recipient[19])).collect()
    }

    #[test]
    fn candidates_take_turns_and_wishes_without_meaning_wait() {
        let votes = votes_of(vec![address(1), address(2)]);
        let mut candidates = Candidates::default();
        candidates.propose(address(9), VoteKind::Add);
        candidates.propose(address(2), VoteKind::Drop);
        candidates.propose(address(1), VoteKind::Add);
        candidates.propose(address(8), VoteKind::Drop);
        assert_eq!(recipients(&mut candidates, &votes, 4), [2, 9, 2, 9]);
        candidates.discard(&address(2));
        assert_eq!(recipients(&mut candidates, &votes, 2), [9, 9]);
    }

    #[test]
    fn a_wish_that_came_true_is_dropped() {
        let mut candidates = Candidates::default();
        candidates.propose(address(9), VoteKind::Add);
        candidates.propose(address(2), VoteKind::Drop);
        candidates.prune(&votes_of(vec![address(1), address(2), address(9)]));
        assert_eq!(candidates.list(), [(address(2), VoteKind::Drop)]);
    }

    #[test]
    fn the_number_of_candidates_is_bounded() {
        let mut candidates = Candidates::default();
        for n in 0..=200 {
            candidates.propose(address(n), VoteKind::Add);
        }
        assert_eq!(candidates.list().len(), CANDIDATES_MAX);
        candidates.propose(address(3), VoteKind::Drop);
        assert_eq!(candidates.list()[3], (address(3), VoteKind::Drop));
    }
}
