//! What the network needs to know to start.

use crate::{address::PeerAddress, budget::Budgets, gate::PeerGate};
use alloy_primitives::B256;
use lonja_primitives::{NodeKey, spec::RuleIds};
use std::net::SocketAddr;

/// The chain, as far as two nodes must agree on it to talk. Compared at every handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkId {
    /// Hash of block 0.
    pub genesis_hash: B256,
    /// Chain id (EIP-155).
    pub chain_id: u64,
    /// The rules of the chain, so that nodes with different rules for the same blocks do not meet.
    pub rules: RuleIds,
}

/// How to start. [`P2pConfig::new`] fills in what most nodes want.
#[derive(Debug, Clone)]
pub struct P2pConfig {
    /// Where to listen: TCP, and QUIC on the UDP port of the same number. Port 0 takes a free one. Empty: do not listen.
    pub listen: Vec<SocketAddr>,
    /// The host other nodes reach this one by (address or name), for the printed enode only.
    pub advertised_host: Option<String>,
    /// The port other nodes are told that this one listens on, where it is not the first of `listen`: rules that look at
    /// addresses are asked about it.
    pub advertised_port: Option<u16>,
    /// Whether to listen and dial on QUIC too. TCP is tried first.
    pub quic: bool,
    /// Peers to keep connected.
    pub peers: Vec<PeerAddress>,
    /// Most sessions with peers that are not in `peers`; up to three quarters of them may be dialed from here, see
    /// [`P2p::set_known_addresses`](crate::P2p::set_known_addresses).
    pub max_peers: usize,
    /// Who may be connected at the start, asked before anything is dialed or let in.
    pub gate: PeerGate,
    /// The chain.
    pub network: NetworkId,
    /// Name and version of the program, told to peers.
    pub client: String,
    /// The node's key: its identity.
    pub node_key: NodeKey,
    /// Number and hash of the head at the start, told to peers.
    pub head: (u64, B256),
    /// How much a peer may send.
    pub budgets: Budgets,
}

impl P2pConfig {
    /// Default number of sessions with peers that are not to be kept connected.
    pub const DEFAULT_MAX_PEERS: usize = 64;

    /// A node that listens nowhere, knows nobody, lets in everybody on its chain, and has QUIC off.
    pub fn new(node_key: NodeKey, network: NetworkId, head: (u64, B256)) -> Self {
        Self {
            listen: Vec::new(),
            advertised_host: None,
            advertised_port: None,
            quic: false,
            peers: Vec::new(),
            max_peers: Self::DEFAULT_MAX_PEERS,
            gate: PeerGate::Open,
            network,
            client: concat!("lonja/", env!("CARGO_PKG_VERSION")).to_owned(),
            node_key,
            head,
            budgets: Budgets::default(),
        }
    }
}
