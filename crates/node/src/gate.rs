//! Who may be connected: what the permission contracts say at our own newest block, and the operator's own list, which
//! can only close.
//!
//! The chain thread asks for a new gate while it commits a block, before anybody hears of the block: whoever the block
//! revoked gets nothing more, and nothing about the next block is sent before that.

use lonja_chain::PeerJudge;
use lonja_p2p::{P2p, PeerGate, PeerRule, PeerVerdict};
use lonja_permissioning::{ConnectionVerdict, OwnEnd};
use lonja_primitives::NodeId;
use metrics::{gauge, histogram};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The rule that the peer-to-peer network obeys.
#[derive(Clone, Debug)]
struct ChainRule {
    judge: PeerJudge,
    /// The operator's own list; empty for all.
    only: Arc<BTreeSet<NodeId>>,
}

impl PeerRule for ChainRule {
    fn judge(&self, peer: &NodeId, at: Option<(&str, u16)>) -> PeerVerdict {
        if !self.only.is_empty() && !self.only.contains(peer) {
            return PeerVerdict::Refused("it is not among the nodes that this node's configuration allows".into());
        }
        match self.judge.judge(*peer, at) {
            Ok(ConnectionVerdict::Allowed) => PeerVerdict::Allowed,
            Ok(ConnectionVerdict::NeedsAddress) => PeerVerdict::NeedsAddress,
            Ok(ConnectionVerdict::Refused(refusal)) => PeerVerdict::Refused(refusal.reason),
            Err(error) => PeerVerdict::Refused(format!("this node's state cannot be read: {error}")),
        }
    }
}

/// The gate for the newest block of `judge`.
pub fn gate_of(judge: &PeerJudge, only: &Arc<BTreeSet<NodeId>>) -> PeerGate {
    if judge.is_asked() {
        return PeerGate::Ask(Arc::new(ChainRule { judge: judge.clone(), only: only.clone() }));
    }
    if only.is_empty() { PeerGate::Open } else { PeerGate::Only(BTreeSet::clone(only)) }
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
}

impl Gatekeeper {
    /// For the network of this node.
    pub fn new(p2p: P2p, judge: PeerJudge, only: Arc<BTreeSet<NodeId>>, own: &OwnEnd) -> Self {
        let at = own.ip.map(|ip| (ip.to_string(), own.port));
        let keeper = Self { p2p, judge, only, own: own.node, at, permitted: AtomicBool::new(true) };
        keeper.look_at_ourselves();
        keeper
    }

    /// When this returns, whoever the newest block permits no longer takes and gets nothing more.
    pub fn renew(&self) {
        let begun = Instant::now();
        self.p2p.set_gate(gate_of(&self.judge, &self.only));
        histogram!("lonja_permission_revocation_seconds").record(begun.elapsed().as_secs_f64());
        self.look_at_ourselves();
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
