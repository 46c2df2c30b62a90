//! The ROUND-CHANGEs of one height.

use crate::message::VerifiedRoundChange;
use alloy_primitives::Address;
use std::collections::BTreeMap;

/// Per validator the first ROUND-CHANGE to the current round and the one to its highest round: at most two.
#[derive(Debug, Default)]
pub(super) struct Requests(BTreeMap<Address, BTreeMap<u32, VerifiedRoundChange>>);

impl Requests {
    /// Whether a request is worth checking: not known, and not below what is kept.
    pub(super) fn is_wanted(&self, current: u32, author: &Address, round: u32) -> bool {
        let Some(kept) = self.0.get(author) else { return round >= current };
        let highest = kept.last_key_value().map_or(0, |(round, _)| *round);
        !kept.contains_key(&round) && (round == current || (round > current && round > highest))
    }

    /// Keeps a valid request that [`Requests::is_wanted`].
    pub(super) fn add(&mut self, current: u32, message: VerifiedRoundChange) {
        let (author, round) = (message.round_change.author(), message.round_change.round);
        let kept = self.0.entry(author).or_default();
        kept.retain(|at, _| *at == current || round <= current);
        kept.insert(round, message);
    }

    /// Drops what is below `round`.
    pub(super) fn enter(&mut self, round: u32) {
        self.0.retain(|_, kept| {
            *kept = kept.split_off(&round);
            !kept.is_empty()
        });
    }

    /// The requests for exactly this round, in address order.
    pub(super) fn at(&self, round: u32) -> Vec<&VerifiedRoundChange> {
        self.0.values().filter_map(|kept| kept.get(&round)).collect()
    }

    /// How many validators are in this round or a later one.
    pub(super) fn reached(&self, round: u32) -> usize {
        self.0.values().filter(|kept| kept.range(round..).next().is_some()).count()
    }

    /// Whether this validator is in this round or a later one.
    pub(super) fn has_reached(&self, author: &Address, round: u32) -> bool {
        self.0.get(author).is_some_and(|kept| kept.range(round..).next().is_some())
    }

    /// The highest round above `current` that more than `faulty` validators have reached, so that a correct
    /// one among them asked for it or for more.
    ///
    /// Going to the lowest round of all that are ahead, and again from there, ends in the same round; this
    /// gets there at once.
    pub(super) fn jump_target(&self, current: u32, faulty: usize) -> Option<u32> {
        let highest = self.0.values().filter_map(|kept| kept.last_key_value().map(|(round, _)| *round));
        let mut ahead: Vec<u32> = highest.filter(|round| *round > current).collect();
        ahead.sort_unstable_by(|a, b| b.cmp(a));
        ahead.get(faulty).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::RoundChange;
    use crate::testing::key;
    use lonja_primitives::Signer;

    fn request(author: u8, round: u32) -> VerifiedRoundChange {
        let payload = RoundChange { sequence: 1, round, prepared: None };
        VerifiedRoundChange::sign(payload, None, Vec::new(), &key(author))
    }

    fn offer(requests: &mut Requests, current: u32, author: u8, round: u32) -> bool {
        let wanted = requests.is_wanted(current, &key(author).address(), round);
        if wanted {
            requests.add(current, request(author, round));
        }
        wanted
    }

    #[test]
    fn two_per_sender_at_most() {
        let mut requests = Requests::default();
        assert!(offer(&mut requests, 2, 1, 5));
        assert!(!offer(&mut requests, 2, 1, 5));
        assert!(!offer(&mut requests, 2, 1, 4), "between the current and the highest");
        assert!(!offer(&mut requests, 2, 1, 1), "below the current");
        assert!(offer(&mut requests, 2, 1, 2));
        assert!(offer(&mut requests, 2, 1, 9));
        let kept: Vec<u32> = requests.0.values().flat_map(|kept| kept.keys().copied()).collect();
        assert_eq!(kept, [2, 9]);
        requests.enter(3);
        assert_eq!((requests.reached(3), requests.at(3).len(), requests.at(9).len()), (1, 0, 1));
        requests.enter(10);
        assert!(requests.0.is_empty());
    }

    #[test]
    fn the_jump_needs_more_senders_than_may_be_faulty() {
        let mut requests = Requests::default();
        offer(&mut requests, 0, 1, 1_000);
        assert_eq!(requests.jump_target(0, 1), None);
        offer(&mut requests, 0, 2, 3);
        assert_eq!(requests.jump_target(0, 1), Some(3));
        offer(&mut requests, 0, 3, 7);
        assert_eq!(requests.jump_target(0, 1), Some(7));
        assert_eq!(requests.jump_target(7, 1), None);
        assert_eq!(requests.jump_target(0, 2), Some(3));
    }
}
