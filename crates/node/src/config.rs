//! What a node needs to know to run. Made by the binary from files, variables and flags.

use crate::disk::DiskLimits;
use crate::manager::ManagerConfig;
use alloy_primitives::B256;
use lonja_accounts::Accounts;
use lonja_p2p::PeerAddress;
use lonja_primitives::{Genesis, NodeId, NodeKey};
use lonja_rpc::RpcConfig;
use lonja_storage::History;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything decided; nothing optional but what is truly absent.
#[derive(Debug)]
pub struct Config {
    /// Where data stands. Made when missing.
    pub data_dir: PathBuf,
    /// The network.
    pub genesis: Genesis,
    /// The genesis file as it was read. Its rules are compared with those that the chain was made with.
    pub genesis_text: String,
    /// Identity, and the key a validator votes with.
    pub key: NodeKey,
    /// Vote while our address is among the validators.
    pub validate: bool,
    /// Name shown to peers and in the client version; may be empty.
    pub identity: String,
    /// Peer-to-peer address and port.
    pub p2p_listen: SocketAddr,
    /// Speak QUIC beside TCP.
    pub p2p_quic: bool,
    /// Peers to stay connected to.
    pub peers: Vec<PeerAddress>,
    /// Nodes that may connect; empty for every node of this network.
    pub allowed: Vec<NodeId>,
    /// Most peers that connect to us.
    pub max_peers: usize,
    /// Learn addresses of other nodes from lonja's registry, where the network has it.
    pub registry_addresses: bool,
    /// The accounts that the node holds for its users, with those unlocked that the operator wants to be.
    pub accounts: Arc<Accounts>,
    /// The manager of payloads.
    pub manager: ManagerConfig,
    /// Whether transactions between parties that the node signs go into markers, on networks that have them.
    pub markers: bool,
    /// Whether supervisors that the network requires are added to the recipients of what is sent. Otherwise a send without
    /// them is refused.
    pub add_supervisors: bool,
    /// JSON-RPC, health and metrics.
    pub rpc: RpcConfig,
    /// Memory for waiting transactions, bytes.
    pub pool_bytes: usize,
    /// Memory for the database's block cache, bytes.
    pub cache_bytes: usize,
    /// The states of which past blocks are kept.
    pub history: History,
    /// Time between two comparisons of the whole state with its root, in the background; `None` for none.
    pub audit_every: Option<Duration>,
    /// Join by a state where there are no blocks yet, instead of executing every block.
    pub join_by_state: bool,
    /// A block whose hash the operator vouches for, by height and hash.
    pub checkpoint: Option<(u64, B256)>,
    /// Fetch the blocks before a fetched state afterwards.
    pub backfill: bool,
    /// Free disk space asked for.
    pub disk: DiskLimits,
}
