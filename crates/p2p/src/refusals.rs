//! Who was refused and who refuses us, remembered for people who ask why two nodes do not meet.

use crate::{
    budget::Bucket,
    identity::short,
    limits::{LOGGED_REFUSALS_PER_MINUTE, MAX_REFUSALS, MAX_UNWANTED_BY, UNWANTED_MEMORY},
};
use lonja_primitives::NodeId;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Instant, SystemTime},
};

/// A connection that this node did not make, did not let in, or ended because its gate changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whom.
    pub peer: NodeId,
    /// `host:port`: where it connected from, or would have been dialed.
    pub address: String,
    /// Why, for people; of a rule its own words.
    pub reason: String,
    /// When, the last time.
    pub when: SystemTime,
    /// Whether the peer dialed.
    pub inbound: bool,
}

/// What is remembered, and how much of it may still be logged.
#[derive(Debug)]
pub(crate) struct Refusals {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Oldest first. A peer stands here once for each direction.
    recent: VecDeque<Refused>,
    unwanted_by: BTreeMap<NodeId, Instant>,
    logged: Bucket,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        let logged = Bucket::per_minute(LOGGED_REFUSALS_PER_MINUTE, Instant::now());
        Self { state: Mutex::new(State { recent: VecDeque::new(), unwanted_by: BTreeMap::new(), logged }) }
    }

    /// Remembers a refusal. `true` when the same one was not remembered yet.
    pub(crate) fn note(&self, peer: &NodeId, address: &str, reason: &str, inbound: bool) -> bool {
        let refused = Refused {
            peer: *peer,
            address: address.to_owned(),
            reason: reason.to_owned(),
            when: SystemTime::now(),
            inbound,
        };
        let mut state = self.state.lock();
        let same = |old: &Refused| old.peer == *peer && old.inbound == inbound;
        let old = state.recent.iter().position(same).and_then(|index| state.recent.remove(index));
        if state.recent.len() >= MAX_REFUSALS {
            state.recent.pop_front();
        }
        state.recent.push_back(refused);
        old.is_none_or(|old| old.reason != reason)
    }

    /// A connection from outside was refused: counted, remembered when its key is known, and logged as far as strangers may
    /// fill the log.
    pub(crate) fn inbound(&self, peer: Option<&NodeId>, address: &str, why: &str, label: &'static str) {
        metrics::counter!("lonja_p2p_refused_connections_total", "reason" => label).increment(1);
        if let Some(peer) = peer {
            self.note(peer, address, why, true);
        }
        let peer = peer.map_or("unknown".to_owned(), short);
        if self.may_log() {
            tracing::info!(%peer, %address, "connection refused: {why}");
        } else {
            tracing::debug!(%peer, %address, "connection refused: {why}");
        }
    }

    /// A peer to be connected is not dialed. Logged when that is news.
    pub(crate) fn outbound(&self, peer: &NodeId, address: &str, why: &str) {
        let news = self.note(peer, address, why, false);
        let peer = short(peer);
        if news && self.may_log() {
            tracing::info!(%peer, %address, "peer is not dialed: {why}");
        } else {
            tracing::debug!(%peer, %address, "peer is not dialed: {why}");
        }
    }

    /// A peer does not permit this node.
    pub(crate) fn unwanted_by(&self, peer: NodeId, now: Instant) {
        let unwanted_by = &mut self.state.lock().unwanted_by;
        if unwanted_by.len() >= MAX_UNWANTED_BY
            && !unwanted_by.contains_key(&peer)
            && let Some(oldest) = unwanted_by.iter().min_by_key(|(_, when)| **when).map(|(peer, _)| *peer)
        {
            unwanted_by.remove(&oldest);
        }
        unwanted_by.insert(peer, now);
    }

    /// A peer permits this node after all.
    pub(crate) fn wanted_by(&self, peer: &NodeId) {
        self.state.lock().unwanted_by.remove(peer);
    }

    /// The refusals remembered, newest first.
    pub(crate) fn recent(&self) -> Vec<Refused> {
        self.state.lock().recent.iter().rev().cloned().collect()
    }

    /// The peers that lately did not permit this node.
    pub(crate) fn unwanting(&self, now: Instant) -> Vec<NodeId> {
        let unwanted_by = &mut self.state.lock().unwanted_by;
        unwanted_by.retain(|_, when| now.saturating_duration_since(*when) < UNWANTED_MEMORY);
        unwanted_by.keys().copied().collect()
    }

    fn may_log(&self) -> bool {
        self.state.lock().logged.try_take(1.0, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B512;
    use std::time::Duration;

    fn node(n: usize) -> NodeId {
        let mut id = B512::ZERO;
        id[..8].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn the_newest_of_each_peer_and_direction_is_kept() {
        let refusals = Refusals::new();
        assert!(refusals.note(&node(1), "a:1", "unknown", true));
        assert!(refusals.note(&node(2), "b:2", "unknown", true));
        assert!(!refusals.note(&node(1), "a:9", "unknown", true));
        assert!(refusals.note(&node(1), "a:1", "unknown", false));
        assert!(refusals.note(&node(2), "b:2", "revoked", true), "another reason is news");
        let brief = |r: &Refused| (r.peer, r.address.clone(), r.reason.clone(), r.inbound);
        let recent: Vec<_> = refusals.recent().iter().map(brief).collect();
        assert_eq!(
            recent,
            [
                (node(2), "b:2".to_owned(), "revoked".to_owned(), true),
                (node(1), "a:1".to_owned(), "unknown".to_owned(), false),
                (node(1), "a:9".to_owned(), "unknown".to_owned(), true),
            ]
        );
        for n in 0..MAX_REFUSALS {
            refusals.inbound(Some(&node(100 + n)), "c:3", "unknown", "not_permitted");
        }
        assert_eq!(refusals.recent().len(), MAX_REFUSALS);
        assert!(refusals.recent().iter().all(|r| r.peer != node(1)), "the oldest went");
        refusals.inbound(None, "d:4", "no node", "not_a_node");
        assert_eq!(refusals.recent()[0].peer, node(100 + MAX_REFUSALS - 1));
    }

    #[test]
    fn who_refuses_us_is_remembered_for_a_while() {
        let (refusals, start) = (Refusals::new(), Instant::now());
        refusals.unwanted_by(node(1), start);
        refusals.unwanted_by(node(2), start);
        assert_eq!(refusals.unwanting(start), [node(1), node(2)]);
        refusals.wanted_by(&node(1));
        assert_eq!(refusals.unwanting(start), [node(2)]);
        assert!(refusals.unwanting(start + UNWANTED_MEMORY).is_empty());
        for n in 0..MAX_UNWANTED_BY + 1 {
            refusals.unwanted_by(node(n), start + Duration::from_millis(n as u64));
        }
        let remembered = refusals.unwanting(start + Duration::from_secs(1));
        assert_eq!((remembered.len(), remembered.contains(&node(0))), (MAX_UNWANTED_BY, false));
    }
}
