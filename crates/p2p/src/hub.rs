//! What the handle, the service and the sessions share: who is wanted, who is allowed, who is connected.
//!
//! All of it is state that is read and changed in place, under a lock that is never held across a wait. There is no
//! queue of commands that could fill up: a change of the gate is in force when the call returns. The gate itself is asked
//! without the lock, for it may take its time; its number tells whether an answer still holds.

use crate::{
    address::PeerAddress,
    budget::Budgets,
    config::{NetworkId, P2pConfig},
    error::P2pError,
    gate::{Bans, Gate},
    identity::short,
    limits::{
        ABUSE_LIMIT, CONSENSUS_QUEUE_BYTES, CONSENSUS_QUEUE_MESSAGES, DATA_QUEUE_BYTES,
        DATA_QUEUE_BYTES_TOTAL, DATA_QUEUE_MESSAGES, MAX_KNOWN_PEERS, MAX_STATIC_PEERS, SILENT_LOOKS, TICK,
    },
    outbox::{Outbox, Overflow, QueueLimits, SharedBytes},
    refusals::Refusals,
    session::Session,
    stop::Ending,
    wire::{GoodbyeReason, Lane, PROTOCOL_VERSION, Status},
};
use alloy_primitives::B256;
use lonja_primitives::NodeId;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::AtomicUsize},
    time::Instant,
};
use thiserror::Error;
use tokio::sync::{Notify, watch};

mod door;

/// Peers and where to dial them.
pub(crate) type Peers = Arc<BTreeMap<NodeId, PeerAddress>>;

/// Why a connection was not let in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("its key is not a node key")]
    NotANode,
    /// By the gate, in its words.
    #[error("it is not permitted: {0}")]
    NotPermitted(String),
    #[error("it is banned for a while")]
    Banned,
    #[error("too many handshakes at a time")]
    TooManyHandshakes,
    #[error("too many connections")]
    TooManyConnections,
    #[error("this node is stopping")]
    Stopping,
}

/// The shared state.
pub(crate) struct Hub {
    pub(crate) local: NodeId,
    pub(crate) network: NetworkId,
    pub(crate) client: String,
    pub(crate) instance: u64,
    pub(crate) budgets: Budgets,
    pub(crate) quic: bool,
    pub(crate) advertised_host: Option<String>,
    pub(crate) advertised_port: Option<u16>,
    /// Set once, before the service runs.
    pub(crate) listening: OnceLock<Vec<SocketAddr>>,
    /// Wakes the service after a change of the state.
    pub(crate) changed: Notify,
    /// `true` when the service is gone.
    pub(crate) finished: watch::Sender<bool>,
    pub(crate) refusals: Refusals,
    max_peers: usize,
    head: Mutex<(u64, B256)>,
    data_bytes: Arc<AtomicUsize>,
    /// Held by whoever changes the gate, so that one change is through before the next begins.
    gate_change: Mutex<()>,
    state: RwLock<State>,
}

/// Whom to dial, at one moment.
pub(crate) struct Plan {
    pub(crate) gate: Arc<Gate>,
    /// To be kept connected.
    pub(crate) wanted: Peers,
    /// To be dialed while there is room.
    pub(crate) known: Peers,
}

struct State {
    gate: Arc<Gate>,
    bans: Bans,
    wanted: Peers,
    known: Peers,
    sessions: HashMap<NodeId, Arc<Session>>,
    stopping: bool,
}

impl Refusal {
    /// The refusal in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NotANode => "not_a_node",
            Self::NotPermitted(_) => "not_permitted",
            Self::Banned => "banned",
            Self::TooManyHandshakes => "too_many_handshakes",
            Self::TooManyConnections => "too_many_connections",
            Self::Stopping => "stopping",
        }
    }
}

impl Hub {
    pub(crate) fn new(config: &P2pConfig) -> Self {
        let local = config.node_key.node_id();
        let wanted = config.peers.iter().filter(|peer| peer.node_id() != local).take(MAX_STATIC_PEERS);
        let wanted = Arc::new(wanted.map(|peer| (peer.node_id(), peer.clone())).collect());
        let gate = Arc::new(Gate::first(config.gate.clone()));
        Self {
            local,
            network: config.network.clone(),
            client: config.client.clone(),
            instance: rand::random(),
            budgets: config.budgets,
            quic: config.quic,
            advertised_host: config.advertised_host.clone(),
            advertised_port: config.advertised_port,
            listening: OnceLock::new(),
            changed: Notify::new(),
            finished: watch::Sender::new(false),
            refusals: Refusals::new(),
            max_peers: config.max_peers,
            head: Mutex::new(config.head),
            data_bytes: Arc::default(),
            gate_change: Mutex::default(),
            state: RwLock::new(State {
                gate,
                bans: Bans::default(),
                wanted,
                known: Arc::default(),
                sessions: HashMap::new(),
                stopping: false,
            }),
        }
    }

    /// What we say of ourselves at a handshake.
    pub(crate) fn status(&self) -> Status {
        let (head_number, head_hash) = *self.head.lock();
        let listening = || self.listening.get().and_then(|l| l.first()).map(SocketAddr::port);
        Status {
            version: PROTOCOL_VERSION,
            genesis_hash: self.network.genesis_hash,
            chain_id: self.network.chain_id,
            rules: self.network.rules.at(head_number),
            head_number,
            head_hash,
            client: self.client.clone(),
            listen_port: self.advertised_port.or_else(listening).unwrap_or(0),
            instance: self.instance,
        }
    }

    pub(crate) fn head_number(&self) -> u64 {
        self.head.lock().0
    }

    pub(crate) fn set_head(&self, head: (u64, B256)) {
        *self.head.lock() = head;
    }

    /// A new queue for one peer.
    pub(crate) fn outbox(&self, lane: Lane) -> Outbox {
        Outbox::new(match lane {
            Lane::Consensus => QueueLimits {
                messages: CONSENSUS_QUEUE_MESSAGES,
                bytes: CONSENSUS_QUEUE_BYTES,
                overflow: Overflow::DropOldest,
                shared: None,
            },
            Lane::Data => QueueLimits {
                messages: DATA_QUEUE_MESSAGES,
                bytes: DATA_QUEUE_BYTES,
                overflow: Overflow::Refuse,
                shared: Some(SharedBytes { used: self.data_bytes.clone(), limit: DATA_QUEUE_BYTES_TOTAL }),
            },
        })
    }

    /// Sessions there may be at most.
    pub(crate) fn most_sessions(&self) -> usize {
        self.max_peers.saturating_add(self.state.read().wanted.len())
    }

    /// Peers beside those to be kept connected that are dialed until there are so many. A quarter of the room is left to
    /// those who come by themselves: if everybody filled it up by dialing, nobody new would find a peer with room.
    pub(crate) fn most_dialed(&self) -> usize {
        self.max_peers - self.max_peers / 4
    }

    /// Peers with a session that are not among those to be kept connected.
    pub(crate) fn others(&self) -> HashSet<NodeId> {
        self.state.read().others().collect()
    }

    /// Whom to dial now.
    pub(crate) fn plan(&self) -> Plan {
        let state = self.state.read();
        Plan { gate: state.gate.clone(), wanted: state.wanted.clone(), known: state.known.clone() }
    }

    /// The session with a peer, if messages may be sent to it.
    pub(crate) fn session(&self, node: &NodeId) -> Option<Arc<Session>> {
        self.state.read().sessions.get(node).filter(|s| !s.stop.is_stopped()).cloned()
    }

    /// All sessions that messages may be sent to.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        let state = self.state.read();
        let mut sessions: Vec<_> =
            state.sessions.values().filter(|s| !s.stop.is_stopped()).cloned().collect();
        sessions.sort_by_key(|s| s.peer);
        sessions
    }

    /// The peers to keep connected.
    pub(crate) fn wanted(&self) -> Peers {
        self.state.read().wanted.clone()
    }

    /// Whether this node decides which of two connections with `peer` stays.
    pub(crate) fn decides(&self, peer: &NodeId) -> bool {
        self.local > *peer
    }

    /// Forgets a session that ended, unless another took its place already.
    pub(crate) fn remove(&self, session: &Arc<Session>) {
        let mut state = self.state.write();
        if state.sessions.get(&session.peer).is_some_and(|current| Arc::ptr_eq(current, session)) {
            state.sessions.remove(&session.peer);
        }
        state.publish();
        drop(state);
        self.changed.notify_one();
    }

    /// Keeps a peer connected from now on; one known already gets the new address. A ban is lifted.
    pub(crate) fn add_peer(&self, address: PeerAddress) -> Result<(), P2pError> {
        let node = address.node_id();
        if node == self.local {
            return Err(P2pError::OwnAddress);
        }
        let mut state = self.state.write();
        if state.wanted.len() >= MAX_STATIC_PEERS && !state.wanted.contains_key(&node) {
            return Err(P2pError::TooManyPeers(MAX_STATIC_PEERS));
        }
        Arc::make_mut(&mut state.wanted).insert(node, address);
        state.bans.pardon(&node);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Replaces the peers known from elsewhere: the first address of each, as many as are remembered. Says how many peers
    /// were left out.
    pub(crate) fn set_known(&self, addresses: Vec<PeerAddress>) -> usize {
        let (mut known, mut left_out) = (BTreeMap::new(), BTreeSet::new());
        for address in addresses {
            let node = address.node_id();
            if node == self.local || known.contains_key(&node) {
                continue;
            }
            if known.len() < MAX_KNOWN_PEERS {
                known.insert(node, address);
            } else {
                left_out.insert(node);
            }
        }
        self.state.write().known = Arc::new(known);
        self.changed.notify_one();
        left_out.len()
    }

    /// No longer keeps a peer connected nor dials it, and ends its session. `false` when there was nothing to end.
    pub(crate) fn remove_peer(&self, node: &NodeId) -> bool {
        let mut state = self.state.write();
        let state_now = &mut *state;
        let mut was_wanted = false;
        for list in [&mut state_now.wanted, &mut state_now.known] {
            if list.contains_key(node) {
                was_wanted |= Arc::make_mut(list).remove(node).is_some();
            }
        }
        let session = state.sessions.get(node);
        let ended = session
            .is_some_and(|s| s.stop.stop(Ending::ours(GoodbyeReason::Removed, "removed by its operator")));
        state.publish();
        drop(state);
        self.changed.notify_one();
        was_wanted || ended
    }

    /// Ends a session whose peer broke the protocol, and keeps the peer out for a while.
    pub(crate) fn offence(&self, session: &Session, what: &str, label: &'static str, now: Instant) {
        let mut state = self.state.write();
        let mut ending = Ending::ours(GoodbyeReason::Abuse, what);
        ending.dropped = Some(label);
        if session.stop.stop(ending) {
            let length = state.bans.strike(session.peer, now);
            tracing::warn!(peer = %short(&session.peer), address = %session.link.remote, "peer broke the protocol and is kept out for {} s: {what}", length.as_secs());
        }
        state.publish();
    }

    /// Counts a smaller offence; at [`ABUSE_LIMIT`] points the peer goes.
    pub(crate) fn penalise(&self, node: &NodeId, points: u32, what: &str, label: &'static str) {
        let Some(session) = self.session(node) else { return };
        let now = Instant::now();
        if session.add_points(points, now) >= ABUSE_LIMIT {
            self.offence(&session, what, label, now);
        }
    }

    /// Begins to stop: no more connections, and a goodbye to everybody.
    pub(crate) fn begin_stop(&self) {
        self.state.write().stopping = true;
        self.changed.notify_one();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state.read().stopping
    }

    /// Forgets what is over, and ends the sessions with peers that nothing is heard of any more. To be called each
    /// [`TICK`].
    pub(crate) fn tick(&self, now: Instant) {
        let mut state = self.state.write();
        state.bans.expire(now);
        for session in state.sessions.values() {
            if session.link.hearing.look() >= SILENT_LOOKS {
                let seconds = (TICK * SILENT_LOOKS).as_secs();
                session.stop.stop(Ending::lost(format!("nothing was heard of it for {seconds} seconds")));
            }
        }
        // Another network of this process may have ended meanwhile, and said that it has no peers.
        state.publish();
    }
}

impl State {
    /// Peers with a living session that are not among those to be kept connected.
    fn others(&self) -> impl Iterator<Item = NodeId> {
        let counts = |s: &&Arc<Session>| !s.stop.is_stopped() && !self.wanted.contains_key(&s.peer);
        self.sessions.values().filter(counts).map(|session| session.peer)
    }

    fn publish(&self) {
        let live = self.sessions.values().filter(|s| !s.stop.is_stopped()).count();
        metrics::gauge!("lonja_p2p_peers").set(live as f64);
    }
}
