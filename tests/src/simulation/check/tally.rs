//! Who validates, counted from the headers alone and written down a second time, so that a mistake in the first
//! counting shows.

use alloy_primitives::Address;
use lonja_primitives::spec::ClientRules;
use lonja_primitives::{Vote, VoteKind};
use std::collections::{BTreeMap, BTreeSet};

/// The validators of the next height, and who wants whom in or out.
#[derive(Clone, Debug)]
pub struct Tally {
    rules: ClientRules,
    epoch_length: u64,
    validators: BTreeSet<Address>,
    /// By candidate, then by voter: true for adding.
    votes: BTreeMap<Address, BTreeMap<Address, bool>>,
}

impl Tally {
    /// At block 0.
    pub fn new(rules: ClientRules, epoch_length: u64, validators: impl IntoIterator<Item = Address>) -> Self {
        Self { rules, epoch_length, validators: validators.into_iter().collect(), votes: BTreeMap::new() }
    }

    /// Who may seal the next block.
    pub fn validators(&self) -> &BTreeSet<Address> {
        &self.validators
    }

    /// The least number of seals: two thirds, rounded up.
    pub fn quorum(&self) -> usize {
        (2 * self.validators.len()).div_ceil(3)
    }

    /// How many may be faulty.
    pub fn faulty(&self) -> usize {
        (self.validators.len() - 1) / 3
    }

    /// Counts a block's vote.
    pub fn count(&mut self, number: u64, author: Address, vote: Option<Vote>) {
        let epoch = number.is_multiple_of(self.epoch_length);
        if epoch {
            self.votes.clear();
        }
        let Some(Vote { recipient, kind }) = vote else { return };
        if epoch && self.rules == ClientRules::Besu {
            return;
        }
        let add = kind == VoteKind::Add;
        let on_it = self.votes.entry(recipient).or_default();
        on_it.remove(&author);
        // For Besu any vote waits; for GoQuorum only one that would change something.
        if self.rules == ClientRules::Besu || add != self.validators.contains(&recipient) {
            on_it.insert(author, add);
        }
        let ayes = on_it.values().filter(|vote| **vote).count();
        let noes = on_it.len() - ayes;
        let majority = self.validators.len() / 2;
        if ayes > majority {
            self.decide(recipient, true);
        } else if noes > majority {
            self.decide(recipient, false);
        }
    }

    fn decide(&mut self, candidate: Address, add: bool) {
        let changes = add != self.validators.contains(&candidate) && (add || self.validators.len() > 1);
        if !changes && self.rules == ClientRules::GoQuorum {
            return;
        }
        if changes && add {
            self.validators.insert(candidate);
        } else if changes {
            self.validators.remove(&candidate);
        }
        self.votes.remove(&candidate);
        if !add {
            self.votes.values_mut().for_each(|votes| votes.retain(|voter, _| *voter != candidate));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> Address {
        Address::with_last_byte(n)
    }

    fn vote(n: u8, kind: VoteKind) -> Option<Vote> {
        Some(Vote { recipient: address(n), kind })
    }

    #[test]
    fn a_majority_adds_and_drops_and_an_epoch_forgets() {
        let mut tally = Tally::new(ClientRules::Besu, 10, (1..=4).map(address));
        assert_eq!((tally.quorum(), tally.faulty()), (3, 1));
        for voter in 1..=2 {
            tally.count(voter.into(), address(voter), vote(9, VoteKind::Add));
        }
        assert!(!tally.validators().contains(&address(9)));
        tally.count(3, address(3), vote(9, VoteKind::Add));
        assert!(tally.validators().contains(&address(9)));
        for voter in 1..=2 {
            tally.count(7 + u64::from(voter), address(voter), vote(9, VoteKind::Drop));
        }
        tally.count(10, address(4), None);
        tally.count(11, address(3), vote(9, VoteKind::Drop));
        assert!(tally.validators().contains(&address(9)), "the votes before the epoch are gone");
    }
}
