//! How much each peer may ask.

use lonja_primitives::NodeId;
use std::collections::HashMap;
use std::time::Instant;

/// Peers that are metered at a time: more than any node has sessions.
const MAX_METERED: usize = 1_024;

/// A rate: so many a second, and so many at once after a pause.
struct Rate {
    each_second: f64,
    at_once: f64,
}

/// What a peer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// A message and perhaps a durable write, which many share: as many as a session brings.
    Message,
    /// An operation on a curve, some 50 to 100 microseconds: a hundredth of one processor.
    Curve,
    /// An envelope read from the disk and sent.
    Envelope,
}

impl Effort {
    const ALL: usize = 3;

    fn rate(self) -> Rate {
        match self {
            Self::Message => Rate { each_second: 8_000.0, at_once: 16_000.0 },
            Self::Curve => Rate { each_second: 200.0, at_once: 2_000.0 },
            Self::Envelope => Rate { each_second: 1_000.0, at_once: 4_096.0 },
        }
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// What each peer has left.
#[derive(Default)]
pub(super) struct Meters {
    peers: HashMap<NodeId, [Bucket; Effort::ALL]>,
}

impl Meters {
    /// Takes `count` of an effort from what a peer has left. `false` where that is not enough, and nothing is taken.
    pub(super) fn take(&mut self, peer: &NodeId, effort: Effort, count: usize, now: Instant) -> bool {
        if self.peers.len() >= MAX_METERED && !self.peers.contains_key(peer) {
            self.forget_the_quietest();
        }
        let full = |effort: Effort| Bucket { left: effort.rate().at_once, at: now };
        let fresh = || [full(Effort::Message), full(Effort::Curve), full(Effort::Envelope)];
        let buckets = self.peers.entry(*peer).or_insert_with(fresh);
        let Some(bucket) = buckets.get_mut(effort as usize) else { return false };
        let rate = effort.rate();
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * rate.each_second).min(rate.at_once);
        bucket.at = now;
        let enough = bucket.left >= count as f64;
        if enough {
            bucket.left -= count as f64;
        }
        enough
    }

    fn forget_the_quietest(&mut self) {
        let last = |buckets: &[Bucket; Effort::ALL]| buckets.iter().map(|bucket| bucket.at).max();
        let quietest = self.peers.iter().min_by_key(|(_, buckets)| last(buckets)).map(|(peer, _)| *peer);
        if let Some(peer) = quietest {
            self.peers.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B512;
    use std::time::Duration;

    fn node(number: u64) -> NodeId {
        NodeId(B512::left_padding_from(&number.to_be_bytes()))
    }

    #[test]
    fn each_peer_has_its_own_allowance_which_comes_back() {
        let (mut meters, now) = (Meters::default(), Instant::now());
        assert!(meters.take(&node(1), Effort::Curve, 2_000, now));
        assert!(!meters.take(&node(1), Effort::Curve, 1, now));
        assert!(meters.take(&node(1), Effort::Message, 1, now), "another effort");
        assert!(meters.take(&node(2), Effort::Curve, 1, now), "another peer");
        let later = now + Duration::from_secs(1);
        assert!(!meters.take(&node(1), Effort::Curve, 201, later));
        assert!(meters.take(&node(1), Effort::Curve, 199, later));
        assert!(!meters.take(&node(3), Effort::Curve, 2_001, now + Duration::from_secs(3600)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (mut meters, now) = (Meters::default(), Instant::now());
        for number in 0..MAX_METERED as u64 + 5 {
            assert!(meters.take(&node(number), Effort::Message, 1, now + Duration::from_millis(number)));
        }
        assert_eq!(meters.peers.len(), MAX_METERED);
        assert!(!meters.peers.contains_key(&node(0)));
    }
}
