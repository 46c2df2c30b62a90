//! The PREPAREs and COMMITs of one height, of the current round and of later ones.

use crate::message::{Commit, Prepare, Verified};
use alloy_primitives::{Address, B256};
use std::collections::BTreeMap;

/// Later rounds for which votes of one validator are kept: the lowest ones, which come first.
const FUTURE_ROUNDS: usize = 8;
/// Values of one validator kept per round and kind. An honest one names a single value; the second is kept so
/// that a wrong vote does not use up the place of a right one.
const VALUES: usize = 2;

/// What became of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Kept, and the first of its author in this round.
    New,
    /// Kept, but the author has already named another value in this round: a proven fault.
    Equivocation,
    /// Known already, or beyond the bounds.
    No,
}

/// Votes by round. Only what may still count is kept.
#[derive(Debug, Default)]
pub(super) struct Ballots(BTreeMap<u32, Round>);

#[derive(Debug, Default)]
struct Round {
    prepares: BTreeMap<(Address, B256), Verified<Prepare>>,
    commits: BTreeMap<(Address, B256), Verified<Commit>>,
}

impl Round {
    fn has_author(&self, author: &Address) -> bool {
        values(&self.prepares, author) + values(&self.commits, author) > 0
    }

    fn remove_author(&mut self, author: &Address) {
        self.prepares.retain(|(voter, _), _| voter != author);
        self.commits.retain(|(voter, _), _| voter != author);
    }
}

fn values<T>(votes: &BTreeMap<(Address, B256), T>, author: &Address) -> usize {
    votes.range((*author, B256::ZERO)..=(*author, B256::repeat_byte(0xff))).count()
}

fn store<T>(votes: &mut BTreeMap<(Address, B256), T>, author: Address, digest: B256, vote: T) -> Stored {
    let before = values(votes, &author);
    if votes.contains_key(&(author, digest)) || before >= VALUES {
        return Stored::No;
    }
    votes.insert((author, digest), vote);
    if before == 0 { Stored::New } else { Stored::Equivocation }
}

impl Ballots {
    /// Keeps a PREPARE for the current round or a later one.
    pub(super) fn add_prepare(&mut self, current: u32, prepare: Verified<Prepare>) -> Stored {
        let (author, digest) = (prepare.author(), prepare.digest);
        match self.make_room(current, prepare.round, &author) {
            Some(round) => store(&mut round.prepares, author, digest, prepare),
            None => Stored::No,
        }
    }

    /// Keeps a COMMIT for the current round or a later one.
    pub(super) fn add_commit(&mut self, current: u32, commit: Verified<Commit>) -> Stored {
        let (author, digest) = (commit.author(), commit.digest);
        match self.make_room(current, commit.round, &author) {
            Some(round) => store(&mut round.commits, author, digest, commit),
            None => Stored::No,
        }
    }

    /// The PREPAREs for a value, one per author, in address order.
    pub(super) fn prepares(&self, round: u32, digest: B256) -> Vec<&Verified<Prepare>> {
        let all = self.0.get(&round).into_iter().flat_map(|round| round.prepares.iter());
        all.filter(|((_, value), _)| *value == digest).map(|(_, vote)| vote).collect()
    }

    /// The COMMITs for a value, one per author, in address order.
    pub(super) fn commits(&self, round: u32, digest: B256) -> Vec<&Verified<Commit>> {
        let all = self.0.get(&round).into_iter().flat_map(|round| round.commits.iter());
        all.filter(|((_, value), _)| *value == digest).map(|(_, vote)| vote).collect()
    }

    /// Takes out a COMMIT that turned out to be bad.
    pub(super) fn remove_commit(&mut self, round: u32, author: Address, digest: B256) {
        if let Some(round) = self.0.get_mut(&round) {
            round.commits.remove(&(author, digest));
        }
    }

    /// Drops the votes of rounds below `round`.
    pub(super) fn enter(&mut self, round: u32) {
        self.0 = self.0.split_off(&round);
    }

    /// The place for a vote, or `None` when its author already has votes in enough lower future rounds. Votes
    /// of its highest round give way to those of a lower one.
    fn make_room(&mut self, current: u32, round: u32, author: &Address) -> Option<&mut Round> {
        if round < current {
            return None;
        }
        if round > current {
            let later = self.0.range(current.saturating_add(1)..);
            let mine: Vec<u32> = later.filter(|(_, r)| r.has_author(author)).map(|(at, _)| *at).collect();
            let full = mine.len() >= FUTURE_ROUNDS && !mine.contains(&round);
            match mine.last() {
                Some(highest) if full && round > *highest => return None,
                Some(highest) if full => self.remove_author(*highest, author),
                _ => {}
            }
        }
        Some(self.0.entry(round).or_default())
    }

    fn remove_author(&mut self, round: u32, author: &Address) {
        if let Some(votes) = self.0.get_mut(&round) {
            votes.remove_author(author);
            if votes.prepares.is_empty() && votes.commits.is_empty() {
                self.0.remove(&round);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::key;

    fn prepare(author: u8, round: u32, value: u8) -> Verified<Prepare> {
        Verified::sign(Prepare { sequence: 1, round, digest: B256::repeat_byte(value) }, &key(author))
    }

    #[test]
    fn one_value_per_author_counts_and_the_second_proves_a_fault() {
        let mut ballots = Ballots::default();
        assert_eq!(ballots.add_prepare(0, prepare(1, 0, 9)), Stored::New);
        assert_eq!(ballots.add_prepare(0, prepare(1, 0, 9)), Stored::No);
        assert_eq!(ballots.add_prepare(0, prepare(1, 0, 7)), Stored::Equivocation);
        assert_eq!(ballots.add_prepare(0, prepare(1, 0, 5)), Stored::No);
        assert_eq!(ballots.add_prepare(0, prepare(2, 0, 7)), Stored::New);
        assert_eq!(ballots.prepares(0, B256::repeat_byte(7)).len(), 2);
        assert_eq!(ballots.prepares(0, B256::repeat_byte(9)).len(), 1);
        assert_eq!(ballots.prepares(0, B256::repeat_byte(5)).len(), 0);
    }

    #[test]
    fn the_lowest_future_rounds_of_each_author_are_kept() {
        let mut ballots = Ballots::default();
        for round in (100..120).rev() {
            assert_eq!(ballots.add_prepare(2, prepare(1, round, 9)), Stored::New);
        }
        assert_eq!(ballots.add_prepare(2, prepare(1, 108, 9)), Stored::No);
        assert_eq!(ballots.add_prepare(2, prepare(2, 108, 9)), Stored::New);
        assert_eq!(ballots.0.keys().copied().collect::<Vec<_>>(), (100..=108).collect::<Vec<_>>());
        assert_eq!(ballots.add_prepare(2, prepare(1, 2, 9)), Stored::New);
        assert_eq!(ballots.add_prepare(2, prepare(1, 1, 9)), Stored::No);
        ballots.enter(105);
        assert_eq!(ballots.0.len(), 4);
    }
}
