//! Which peers know which transactions: what is not worth sending them.

use alloy_primitives::B256;
use alloy_primitives::map::B256Map;
use lonja_primitives::NodeId;
use std::collections::VecDeque;

/// Transactions remembered. Some ten seconds of a fully loaded chain; what is forgotten costs a needless message.
const TRANSACTIONS_MAX: usize = 1 << 16;

/// Peers told apart: as many as a set has bits. Nothing is remembered of a peer beyond that, who then hears of some
/// transactions in vain.
const PEERS_MAX: usize = u128::BITS as usize;

/// A set of peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerSet(u128);

impl PeerSet {
    /// Those in either.
    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in here. Of nobody that cannot be said: that is the set of a peer not remembered.
    pub(super) fn has(self, other: Self) -> bool {
        other.0 != 0 && self.0 & other.0 == other.0
    }
}

/// The memory. A transaction comes in with the first peer that knows it; the oldest goes when there are too many.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whose the bits are. A free place is empty.
    peers: Vec<Option<NodeId>>,
    transactions: B256Map<PeerSet>,
    order: VecDeque<B256>,
}

impl Known {
    /// The set of this peer alone.
    pub(super) fn set_of(&mut self, peer: &NodeId) -> PeerSet {
        let free = |place: &Option<NodeId>| place.is_none();
        let own = |place: &Option<NodeId>| place.as_ref() == Some(peer);
        if let Some(place) = self.peers.iter().position(own) {
            return PeerSet(1 << place);
        }
        match self.peers.iter().position(free) {
            Some(place) => {
                self.peers[place] = Some(*peer);
                PeerSet(1 << place)
            }
            None if self.peers.len() < PEERS_MAX => {
                self.peers.push(Some(*peer));
                PeerSet(1 << (self.peers.len() - 1))
            }
            None => PeerSet::default(),
        }
    }

    /// Forgets a peer that is gone: what was on the way to it may be lost, and another may have its place.
    pub(super) fn forget_peer(&mut self, peer: &NodeId) {
        let own = |place: &Option<NodeId>| place.as_ref() == Some(peer);
        let Some(place) = self.peers.iter().position(own) else { return };
        self.peers[place] = None;
        self.transactions.values_mut().for_each(|set| set.0 &= !(1 << place));
    }

    /// These peers know the transaction.
    pub(super) fn add(&mut self, hash: B256, peers: PeerSet) {
        use alloy_primitives::map::Entry::{Occupied, Vacant};
        match self.transactions.entry(hash) {
            Occupied(mut entry) => *entry.get_mut() = entry.get().with(peers),
            Vacant(entry) => {
                entry.insert(peers);
                self.order.push_back(hash);
            }
        }
        if self.order.len() > TRANSACTIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.transactions.remove(&oldest);
        }
    }

    /// Who knows the transaction; nothing when no peer was ever heard of that does.
    pub(super) fn of(&self, hash: &B256) -> Option<PeerSet> {
        self.transactions.get(hash).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::NodeKey;

    fn peer(number: u16) -> NodeId {
        let mut bytes = [1; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        NodeKey::from_bytes(&bytes).unwrap().node_id()
    }

    #[test]
    fn who_knows_what_adds_up() {
        let (mut known, hash) = (Known::default(), B256::repeat_byte(7));
        let (one, two, three) = (known.set_of(&peer(1)), known.set_of(&peer(2)), known.set_of(&peer(3)));
        assert_eq!(known.set_of(&peer(2)), two);
        assert_eq!(known.of(&hash), None);
        known.add(hash, one);
        known.add(hash, three);
        let set = known.of(&hash).unwrap();
        assert!(set.has(one) && !set.has(two) && set.has(three) && set.has(one.with(three)));
        assert!(!set.has(one.with(two)));
    }

    #[test]
    fn the_place_of_a_peer_that_left_is_clean() {
        let (mut known, hash) = (Known::default(), B256::repeat_byte(7));
        let both = known.set_of(&peer(1)).with(known.set_of(&peer(2)));
        known.add(hash, both);
        known.forget_peer(&peer(1));
        known.forget_peer(&peer(9));
        let third = known.set_of(&peer(3));
        assert!(!known.of(&hash).unwrap().has(third));
        assert!(known.of(&hash).unwrap().has(known.set_of(&peer(2))));
    }

    #[test]
    fn too_many_peers_and_transactions_are_not_remembered() {
        let mut known = Known::default();
        let sets: Vec<PeerSet> = (0..=PEERS_MAX as u16).map(|number| known.set_of(&peer(number))).collect();
        let last = sets[PEERS_MAX];
        known.add(B256::ZERO, last.with(sets[0]));
        assert!(known.of(&B256::ZERO).unwrap().has(sets[0]) && !known.of(&B256::ZERO).unwrap().has(last));
        for number in 0..TRANSACTIONS_MAX as u64 {
            known.add(B256::from(alloy_primitives::U256::from(number + 1)), sets[0]);
        }
        assert_eq!(known.of(&B256::ZERO), None);
        assert_eq!((known.order.len(), known.transactions.len()), (TRANSACTIONS_MAX, TRANSACTIONS_MAX));
    }
}
