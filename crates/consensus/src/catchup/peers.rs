//! Whom to ask: what peers claim, and how well they have kept their word.

use lonja_primitives::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Peers known at most; above the number of connections a node keeps.
const PEERS: usize = 1024;
/// After so many requests without an answer in a row a claim is not believed until the peer makes a new one.
const STRIKES: u32 = 3;
/// Rest of a peer after its first unanswered request; doubles with each further one.
const REST_MS: u64 = 500;
/// Longest rest.
const LONGEST_REST_MS: u64 = 60_000;

/// What is known about the connected peers.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<NodeId, Peer>);

#[derive(Debug, Default)]
struct Peer {
    /// Its head, as it says; `None` while it is not believed.
    claim: Option<u64>,
    /// Unanswered requests in a row.
    strikes: u32,
    rests_until_ms: u64,
    /// Requests given to it, so that equally good peers take turns.
    requests: u64,
    /// A height at which it seems to have another block than we.
    suspect: Option<u64>,
    /// Proven faulty; asked nothing until it connects anew.
    banned: bool,
}

impl Peer {
    fn believed_claim(&self) -> Option<u64> {
        self.claim.filter(|_| !self.banned && self.suspect.is_none())
    }
}

impl Peers {
    pub(super) fn claim(&mut self, peer: NodeId, number: u64) {
        if self.0.len() >= PEERS && !self.0.contains_key(&peer) {
            return;
        }
        self.0.entry(peer).or_default().claim = Some(number);
    }

    pub(super) fn remove(&mut self, peer: &NodeId) {
        self.0.remove(peer);
    }

    pub(super) fn best_claim(&self) -> Option<u64> {
        self.0.values().filter_map(Peer::believed_claim).max()
    }

    /// A free peer that claims to have `number`: the most reliable, then the least used one.
    pub(super) fn choose(
        &mut self,
        number: u64,
        now_ms: u64,
        busy: &BTreeSet<NodeId>,
    ) -> Option<(NodeId, u64)> {
        let usable = |peer: &Peer| peer.believed_claim().filter(|claim| *claim >= number);
        let (id, peer) = self
            .0
            .iter_mut()
            .filter(|(id, peer)| {
                usable(peer).is_some() && peer.rests_until_ms <= now_ms && !busy.contains(id)
            })
            .min_by_key(|(_, peer)| (peer.strikes, peer.requests))?;
        peer.requests = peer.requests.saturating_add(1);
        usable(peer).map(|claim| (*id, claim))
    }

    pub(super) fn delivered(&mut self, peer: &NodeId) {
        if let Some(peer) = self.0.get_mut(peer) {
            peer.strikes = 0;
        }
    }

    pub(super) fn strike(&mut self, peer: &NodeId, now_ms: u64) {
        let Some(peer) = self.0.get_mut(peer) else { return };
        peer.strikes = peer.strikes.saturating_add(1);
        let rest = REST_MS.saturating_mul(1_u64.checked_shl(peer.strikes).unwrap_or(u64::MAX) / 2);
        peer.rests_until_ms = now_ms.saturating_add(rest.min(LONGEST_REST_MS));
        if peer.strikes >= STRIKES {
            peer.claim = None;
            peer.suspect = None;
        }
    }

    pub(super) fn ban(&mut self, peer: &NodeId) {
        if let Some(peer) = self.0.get_mut(peer) {
            peer.banned = true;
        }
    }

    pub(super) fn suspect(&mut self, peer: &NodeId, number: u64) {
        if let Some(peer) = self.0.get_mut(peer) {
            peer.suspect = Some(number);
        }
    }

    pub(super) fn clear_suspicion(&mut self, peer: &NodeId) {
        if let Some(peer) = self.0.get_mut(peer) {
            peer.suspect = None;
        }
    }

    /// Peers to be asked for the block they seem to have at a height of ours.
    pub(super) fn suspects(&self, now_ms: u64) -> Vec<(NodeId, u64)> {
        let ready = |peer: &Peer| peer.suspect.filter(|_| !peer.banned && peer.rests_until_ms <= now_ms);
        self.0.iter().filter_map(|(id, peer)| ready(peer).map(|number| (*id, number))).collect()
    }

    /// When the next peer that could help has rested.
    pub(super) fn next_rested(&self, tip: u64, now_ms: u64) -> Option<u64> {
        let helps = |peer: &&Peer| {
            !peer.banned && (peer.suspect.is_some() || peer.claim.is_some_and(|claim| claim > tip))
        };
        let rests = self.0.values().filter(helps).map(|peer| peer.rests_until_ms);
        rests.filter(|until| *until > now_ms).min()
    }
}
