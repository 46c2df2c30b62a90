//! What the RPC asks of, and orders from, the running node.

use alloy_primitives::{Address, B256};
use lonja_primitives::NodeId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::SystemTime;
use thiserror::Error;

/// The node as the RPC sees it. Implemented by the node, and by a test.
///
/// No method may wait: questions are answered from what the node published last, orders are put into its queue.
pub trait NodeControl: Send + Sync {
    /// Who this node is.
    fn node_info(&self) -> NodeInfo;
    /// The peers connected now.
    fn peers(&self) -> Vec<PeerEntry>;
    /// Dials a peer and keeps dialling it. The address is `enode://…@host:port` or a multiaddr.
    fn add_peer(&self, address: &str) -> Result<(), ControlError>;
    /// Drops a peer and dials it no more.
    fn remove_peer(&self, address: &str) -> Result<(), ControlError>;
    /// Votes for adding (`true`) or dropping (`false`) a validator in every block this node proposes, until
    /// discarded.
    fn propose(&self, validator: Address, add: bool) -> Result<(), ControlError>;
    /// Takes the vote on a validator back; no error when there is none.
    fn discard(&self, validator: Address) -> Result<(), ControlError>;
    /// The votes this node casts: `true` adds, `false` drops.
    fn candidates(&self) -> BTreeMap<Address, bool>;
    /// Where the agreement stands.
    fn consensus_status(&self) -> ConsensusStatus;
    /// Whether the node is behind its peers.
    fn sync_status(&self) -> SyncStatus;
    /// The peers to keep connected, whether they are or not: their keys and `enode://` addresses.
    fn static_peers(&self) -> Vec<(NodeId, String)>;
    /// Connections that this node lately refused, the newest first; some dozens at most.
    fn refusals(&self) -> Vec<RefusedPeer>;
    /// Peers that lately did not permit this node.
    fn refused_by(&self) -> Vec<NodeId>;
    /// Whether the node does its work.
    fn health(&self) -> Health;
}

/// Who a node is and what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Name and version, for example `lonja/v0.1.0/linux-x86_64/rustc1.95.0`.
    pub client: String,
    /// Public key.
    pub node_id: NodeId,
    /// Address of the node key: the validator address when the node validates.
    pub address: Address,
    /// `enode://…` under which peers reach it, as far as it is known.
    pub enode: String,
    /// Address and port where peers are accepted, for example `[::]:30303`; `None` when none are.
    pub listen: Option<String>,
    /// Most peers at the same time.
    pub max_peers: usize,
}

/// One connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEntry {
    /// Public key.
    pub node_id: NodeId,
    /// Where it is connected from or to, for example `192.0.2.7:30303`.
    pub address: String,
    /// Our address on this connection, where it is known.
    pub local_address: Option<String>,
    /// Whether the peer dialled us.
    pub inbound: bool,
    /// Name and version that it gave.
    pub client: String,
    /// Its head: number and hash.
    pub head: (u64, B256),
}

/// A connection that this node did not make, did not let in, or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPeer {
    /// Public key.
    pub node_id: NodeId,
    /// Where it came from, or would have been dialled, for example `192.0.2.7:30303`.
    pub address: String,
    /// Why, for people.
    pub reason: String,
    /// When, the last time.
    pub when: SystemTime,
    /// Whether the peer dialled us.
    pub inbound: bool,
}

/// Where the agreement on the next block stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsensusStatus {
    /// The height being agreed on.
    pub height: u64,
    /// Its round.
    pub round: u32,
    /// A word for the step within the round, for example `prepare`.
    pub phase: String,
    /// Who proposes in this round.
    pub proposer: Address,
    /// Validators of this height, ascending.
    pub validators: Vec<Address>,
    /// Whether this node is one of them.
    pub is_validator: bool,
}

/// Whether the node is behind its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// At the head, as far as the peers say.
    Synced,
    /// Fetching blocks.
    Syncing {
        /// Height at which fetching began.
        start: u64,
        /// Height of the highest head a peer named.
        highest: u64,
    },
}

/// What `/liveness` and `/readiness` answer from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Things that must hold for the process to be left running; one that fails means: restart it.
    pub liveness: Vec<HealthCheck>,
    /// Things that must hold for clients to be sent here.
    pub readiness: Vec<HealthCheck>,
}

/// One thing that holds or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// A short name, for example `peers`.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// A sentence for the operator, for example `3 peers connected`.
    pub reason: String,
}

/// Why an order was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ControlError {
    /// What was given makes no sense: a malformed address, a vote on the zero address.
    #[error("{0}")]
    Invalid(String),
    /// Not with this network or this node: validators decided by a contract, a node without a key.
    #[error("{0}")]
    NotEnabled(String),
    /// The node's queue is full or the node is stopping; try again.
    #[error("{0}")]
    Unavailable(String),
}
