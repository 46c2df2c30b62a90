//! Who may be connected: what the permission contracts say at our own newest block, and the operator's own list, which
//! can only close.
//!
//! The chain thread asks for a new gate while it commits a block, before anybody hears of the block: whoever the block
//! revoked gets nothing more, and nothing about the next block is sent before that.
//!
//! A node whose newest block is an old one may permit nobody who is still there. Peers that proved to it what a later
//! block says of them ([`crate::meet`]) are *vouched for* until its own chain has come there.

use crate::addresses::Poke;
use lonja_chain::PeerJudge;
use lonja_p2p::{Host, P2p, PeerAddress, PeerGate, PeerRule, PeerVerdict};
use lonja_permissioning::{ConnectionVerdict, OwnEnd};
use lonja_primitives::{NodeId, SealedHeader};
use metrics::{gauge, histogram};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The rule that the peer-to-peer network obeys.
#[derive(Clone, Debug)]
struct ChainRule {
    judge: PeerJudge,
    /// The operator's own list; empty for all.
    only: Arc<BTreeSet<NodeId>>,
    /// Those whom a later block than ours permits.
    vouched: BTreeSet<NodeId>,
}

impl PeerRule for ChainRule {
    fn judge(&self, peer: &NodeId, at: Option<(&str, u16)>) -> PeerVerdict {
        if !self.only.is_empty() && !self.only.contains(peer) {
            return PeerVerdict::Refused(
                "it is not among the nodes that this node's configuration allows".into(),
            );
        }
        if self.vouched.contains(peer) {
            return PeerVerdict::Allowed;
        }
        match self.judge.judge(*peer, at) {
            Ok(ConnectionVerdict::Allowed) => PeerVerdict::Allowed,
            Ok(ConnectionVerdict::NeedsAddress) => PeerVerdict::NeedsAddress,
            Ok(ConnectionVerdict::Refused(refusal)) => PeerVerdict::Refused(refusal.reason),
            Err(error) => PeerVerdict::Refused(format!("this node's state cannot be read: {error}")),
        }
    }
}

/// The gate for the newest block of `judge`, where nobody is vouched for.
pub fn gate_of(judge: &PeerJudge, only: &Arc<BTreeSet<NodeId>>) -> PeerGate {
    gate_with(judge, only, BTreeSet::new())
}

fn gate_with(judge: &PeerJudge, only: &Arc<BTreeSet<NodeId>>, vouched: BTreeSet<NodeId>) -> PeerGate {
    if judge.is_asked() {
        return PeerGate::Ask(Arc::new(ChainRule { judge: judge.clone(), only: only.clone(), vouched }));
    }
    if only.is_empty() { PeerGate::Open } else { PeerGate::Only(BTreeSet::clone(only)) }
}

/// Where a peer listens, in the words that rules are asked in.
pub fn place_of(address: &PeerAddress) -> (String, u16) {
    let host = match address.host() {
        Host::Ip(ip) => ip.to_canonical().to_string(),
        Host::Name(name) => name.clone(),
    };
    (host, address.port())
}

/// Hands the network a new gate when a block changed what the old one depended on.
pub struct Gatekeeper {
    p2p: P2p,
    judge: PeerJudge,
    only: Arc<BTreeSet<NodeId>>,
    own: NodeId,
    /// Where this node listens, as it would tell others.
    at: Option<(String, u16)>,
    /// Whether this node itself was permitted when it was last asked.
    permitted: AtomicBool,
    /// Peers that a block above ours permits, with its height. Held while a gate is made: the last one made is in force.
    vouched: Mutex<BTreeMap<NodeId, u64>>,
    /// The registry's addresses are to be read anew.
    addresses: Poke,
}

impl Gatekeeper {
    /// For the network of this node.
    pub fn new(
        p2p: P2p,
        judge: PeerJudge,
        only: Arc<BTreeSet<NodeId>>,
        own: &OwnEnd,
        addresses: Poke,
    ) -> Self {
        let at = own.ip.map(|ip| (ip.to_string(), own.port));
        let (permitted, vouched) = (AtomicBool::new(true), Mutex::default());
        let keeper = Self { p2p, judge, only, own: own.node, at, permitted, vouched, addresses };
        keeper.look_at_ourselves();
        keeper
    }

    /// To be called when a block is written, before anybody hears of it: when this returns, whom it no longer permits takes
    /// and gets nothing more. `differs` says whether answers of the contracts may be others than before the block.
    pub fn block_written(&self, number: u64, differs: bool) {
        if !differs && !self.vouched.lock().values().any(|until| *until <= number) {
            return;
        }
        let begun = Instant::now();
        self.renew();
        histogram!("lonja_permission_revocation_seconds").record(begun.elapsed().as_secs_f64());
        self.look_at_ourselves();
        if differs {
            self.addresses.poke();
        }
    }

    /// Lets a peer in that the block of this height permits, until our own chain has come there. The operator's own list
    /// closes all the same.
    pub fn vouch(&self, peer: NodeId, number: u64) {
        let mut vouched = self.vouched.lock();
        let until = vouched.entry(peer).or_default();
        *until = number.max(*until);
        drop(vouched);
        self.renew();
    }

    fn renew(&self) {
        let mut vouched = self.vouched.lock();
        let head = self.judge.head().number;
        vouched.retain(|_, until| *until > head);
        self.p2p.set_gate(gate_with(&self.judge, &self.only, vouched.keys().copied().collect()));
    }

    /// The newest block written, and so the one that the gate goes by.
    pub fn head(&self) -> SealedHeader {
        self.judge.head()
    }

    /// Which of these peers our newest block permits at their addresses, and which it does not. Left out are those that the
    /// operator's own list closes to, and those vouched for. `None` where no contract decides.
    pub fn sort(&self, peers: Vec<PeerAddress>) -> Option<Sorted> {
        if !self.judge.is_asked() {
            return None;
        }
        let mut sorted = Sorted::default();
        let vouched = self.vouched.lock().clone();
        for address in peers {
            let node = address.node_id();
            if vouched.contains_key(&node) || (!self.only.is_empty() && !self.only.contains(&node)) {
                continue;
            }
            let (host, port) = place_of(&address);
            match self.judge.judge(node, Some((&host, port))) {
                Ok(ConnectionVerdict::Allowed) => sorted.permitted += 1,
                _ => sorted.strangers.push(address),
            }
        }
        Some(sorted)
    }

    /// The others go by the same contracts: an operator should know why nobody answers.
    fn look_at_ourselves(&self) {
        let at = self.at.as_ref().map(|(host, port)| (host.as_str(), *port));
        let verdict = self.judge.judge(self.own, at);
        let refused = match &verdict {
            Ok(ConnectionVerdict::Refused(refusal)) => Some(refusal),
            _ => None,
        };
        gauge!("lonja_permission_own_node").set(if refused.is_some() { 0.0 } else { 1.0 });
        let before = self.permitted.swap(refused.is_none(), Ordering::Relaxed);
        match refused {
            Some(refusal) if before => tracing::warn!(
                node = %self.own,
                "at this node's newest block the network does not permit this node: {refusal}. Others will not connect \
                 to it until that changes on chain; `lonja permission why` tells more"
            ),
            None if !before => tracing::info!(node = %self.own, "the network permits this node now"),
            _ => {}
        }
    }
}

/// Peers by what our newest block says of them.
#[derive(Debug, Default)]
pub struct Sorted {
    /// How many it permits.
    pub permitted: usize,
    /// Those it does not.
    pub strangers: Vec<PeerAddress>,
}

#[cfg(test)]
mod tests;
