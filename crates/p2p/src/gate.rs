//! Who may be connected, and who is kept out for a while.

use crate::limits::{BAN_BASE, BAN_MOST, MAX_BANS};
use lonja_primitives::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Who may be connected, by value, replaced whole. Decided elsewhere; here it is obeyed when dialing, when a
/// connection comes in, and at once when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerGate {
    /// Everybody on the same chain.
    Open,
    /// These nodes only.
    Only(BTreeSet<NodeId>),
}

impl PeerGate {
    /// Whether this node may be connected.
    pub fn allows(&self, node: &NodeId) -> bool {
        match self {
            Self::Open => true,
            Self::Only(nodes) => nodes.contains(node),
        }
    }
}

/// Peers that broke the protocol and are kept out, longer each time. Bounded: of too many, the ones who would be
/// let in soonest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Bans(BTreeMap<NodeId, Ban>);

#[derive(Debug, Clone, Copy)]
struct Ban {
    until: Instant,
    strikes: u32,
}

impl Bans {
    /// Keeps a peer out and says for how long.
    pub(crate) fn strike(&mut self, node: NodeId, now: Instant) -> Duration {
        let strikes = self.0.get(&node).map_or(1, |ban| ban.strikes.saturating_add(1));
        let length = BAN_BASE.saturating_mul(1 << (strikes - 1).min(10)).min(BAN_MOST);
        if self.0.len() >= MAX_BANS
            && !self.0.contains_key(&node)
            && let Some(soonest) = self.0.iter().min_by_key(|(_, ban)| ban.until).map(|(node, _)| *node)
        {
            self.0.remove(&soonest);
        }
        self.0.insert(node, Ban { until: now + length, strikes });
        length
    }

    /// Whether a peer is kept out. Strikes are forgotten only when as much time again as the longest ban has passed.
    pub(crate) fn is_banned(&self, node: &NodeId, now: Instant) -> bool {
        self.0.get(node).is_some_and(|ban| now < ban.until)
    }

    /// Forgets bans long over.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.0.retain(|_, ban| now < ban.until + BAN_MOST);
    }

    /// Lets a peer in again.
    pub(crate) fn pardon(&mut self, node: &NodeId) {
        self.0.remove(node);
    }
}

/// Bad marks of a session, forgotten at one point a second.
#[derive(Debug)]
pub(crate) struct Points {
    level: f64,
    at: Instant,
}

impl Points {
    pub(crate) fn new(now: Instant) -> Self {
        Self { level: 0.0, at: now }
    }

    /// Adds bad marks and gives the sum.
    pub(crate) fn add(&mut self, points: u32, now: Instant) -> u32 {
        let forgotten = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level - forgotten).max(0.0) + f64::from(points);
        self.at = self.at.max(now);
        self.level as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_marks_add_up_and_are_forgotten() {
        let start = Instant::now();
        let mut points = Points::new(start);
        assert_eq!(points.add(25, start), 25);
        assert_eq!(points.add(25, start), 50);
        assert_eq!(points.add(5, start + Duration::from_secs(20)), 35);
        assert_eq!(points.add(5, start + Duration::from_secs(200)), 5);
    }
    use alloy_primitives::B512;

    fn node(n: usize) -> NodeId {
        let mut id = B512::ZERO;
        id[..8].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn a_gate_by_list_allows_its_list() {
        let gate = PeerGate::Only([node(1)].into());
        assert!(gate.allows(&node(1)) && !gate.allows(&node(2)));
        assert!(PeerGate::Open.allows(&node(2)));
        assert!(!PeerGate::Only(BTreeSet::new()).allows(&node(1)));
    }

    #[test]
    fn bans_grow_and_end() {
        let mut bans = Bans::default();
        let start = Instant::now();
        assert_eq!(bans.strike(node(1), start), BAN_BASE);
        assert!(bans.is_banned(&node(1), start));
        assert!(!bans.is_banned(&node(1), start + BAN_BASE));
        assert_eq!(bans.strike(node(1), start + BAN_BASE), BAN_BASE * 2);
        for _ in 0..40 {
            assert!(bans.strike(node(1), start) <= BAN_MOST);
        }
        bans.expire(start + BAN_MOST);
        assert_eq!(bans.strike(node(1), start), BAN_MOST, "strikes outlive the ban");
        bans.expire(start + BAN_MOST * 2);
        assert_eq!(bans.strike(node(1), start), BAN_BASE, "but not for ever");
        bans.pardon(&node(1));
        assert!(!bans.is_banned(&node(1), start));
    }

    #[test]
    fn the_list_is_bounded() {
        let mut bans = Bans::default();
        let start = Instant::now();
        for n in 0..MAX_BANS + 10 {
            bans.strike(node(n), start + Duration::from_secs(n as u64));
        }
        assert_eq!(bans.0.len(), MAX_BANS);
        let last = start + Duration::from_secs(MAX_BANS as u64 + 9);
        assert!(bans.is_banned(&node(MAX_BANS + 9), last));
        assert!(!bans.0.contains_key(&node(0)));
    }
}
