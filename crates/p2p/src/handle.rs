//! The node's handle on the network.

use crate::{
    address::{Host, PeerAddress, Transport},
    config::P2pConfig,
    error::{P2pError, SendError},
    events::{self, PeerEvents},
    gate::PeerGate,
    hub::{Hub, Plan},
    outbox::Pushed,
    refusals::Refused,
    service::Service,
    session::Session,
    transport,
    wire::{self, Kind, Message},
};
use alloy_primitives::{B256, Bytes};
use lonja_primitives::NodeId;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::{Instant, SystemTime},
};

/// The handle: cheap to clone, usable from any thread. No call waits for the network, except [`P2p::shutdown`].
#[derive(Clone)]
pub struct P2p {
    hub: Arc<Hub>,
}

/// Answer to a message for several peers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// Peers whose queue took it. A queued consensus message may still be dropped for newer ones.
    pub queued: usize,
    /// The others, and why.
    pub refused: Vec<(NodeId, SendError)>,
}

/// How a peer misbehaved, as the node sees it: something well-formed whose content is wrong. Each costs points that
/// are forgotten at one a second; at 100 the peer is dropped and kept out for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abuse {
    /// A transaction that no honest node passes on (5 points).
    InvalidTransaction(String),
    /// An answer nobody asked for, or that does not fit the question (10 points).
    UselessAnswer(String),
    /// A consensus message with a bad signature, or that contradicts itself (25 points).
    InvalidMessage(String),
    /// A block or seal that is provably wrong (100 points).
    InvalidBlock(String),
}

/// A connected peer, for people and for `admin_peers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who.
    pub node_id: NodeId,
    /// Its `enode://` address: the configured one, or the one known from elsewhere, or where it connects from with the port
    /// it says it listens on.
    pub enode: String,
    /// What it calls its program.
    pub client: String,
    /// `ip:port` of the other end of the connection.
    pub address: String,
    /// `ip:port` of this end, where the transport tells.
    pub local_address: Option<String>,
    /// `tcp` or `quic`.
    pub transport: &'static str,
    /// Whether it dialed us.
    pub inbound: bool,
    /// Whether it is one of the peers to keep connected.
    pub is_static: bool,
    /// Number and hash of the newest head it told of.
    pub head: (u64, B256),
    /// Version of the protocol spoken.
    pub protocol_version: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// When the session began.
    pub since: SystemTime,
}

/// Opens the sockets and starts the network. Must be called inside a tokio runtime, on which everything runs.
pub async fn start(config: P2pConfig) -> Result<(P2p, PeerEvents), P2pError> {
    let (sender, events) = events::channel();
    let hub = Arc::new(Hub::new(&config));
    let mut swarm = transport::swarm(&config, hub.clone())?;
    let listening = transport::listen(&mut swarm, &config).await?;
    hub.listening.get_or_init(|| listening);
    let p2p = P2p { hub: hub.clone() };
    tracing::debug!(enode = %p2p.enode(), quic = config.quic, "p2p started");
    let service = tokio::spawn(Service::new(hub.clone(), swarm, sender).run());
    tokio::spawn(async move {
        if let Err(error) = service.await {
            tracing::error!("the p2p service broke: {error}");
        }
        hub.finished.send_replace(true);
    });
    Ok((p2p, events))
}

impl P2p {
    /// Puts a message into the queues of these peers. It is encoded once.
    ///
    /// In a full queue of consensus messages the oldest make room; a full queue of data refuses. Both are counted.
    pub fn send(&self, to: &[NodeId], message: Message) -> Sent {
        let mut sent = Sent::default();
        let (kind, frame) = (message.kind(), wire::encode_frame(&message));
        for peer in to {
            let pushed =
                frame.clone().map_err(SendError::from).and_then(|frame| self.push(peer, kind, frame));
            match pushed {
                Ok(()) => sent.queued += 1,
                Err(error) => sent.refused.push((*peer, error)),
            }
        }
        sent
    }

    /// Puts a message into the queue of one peer, see [`P2p::send`].
    pub fn send_to(&self, peer: &NodeId, message: Message) -> Result<(), SendError> {
        self.push(peer, message.kind(), wire::encode_frame(&message)?)
    }

    /// The peers that messages can be sent to.
    pub fn connected(&self) -> Vec<NodeId> {
        self.hub.sessions().iter().map(|session| session.peer).collect()
    }

    /// Replaces the gate. When the call returns, nothing that waits or comes is sent to peers it refuses, nor taken from
    /// them, any more; their sessions end.
    ///
    /// A [`PeerGate::Ask`] is asked about each session before the call returns, in turn, on the calling thread and without a
    /// lock that others need; about peers to be dialed when they are due. A peer that is refused stays on the lists, and is
    /// dialed at once when a later gate permits it. So are peers that did not permit this node.
    pub fn set_gate(&self, gate: PeerGate) {
        self.hub.set_gate(gate);
    }

    /// Replaces the addresses of peers learned elsewhere, as from a registry on chain; of several for one peer the first
    /// counts. Says how many peers were left out: [`MAX_KNOWN_PEERS`](crate::MAX_KNOWN_PEERS) are remembered.
    ///
    /// They are dialed, as far as the gate permits them, while fewer than three quarters of
    /// [`P2pConfig::max_peers`] sessions stand with peers that are not to be kept connected, however those came about: the
    /// last quarter is left to those who come by themselves. Each node tries them in an order of its own. The peers to be
    /// kept connected come first and do not count, and their configured address is the one that is dialed. A session with a
    /// peer that is no longer known stays; it is not dialed again.
    pub fn set_known_addresses(&self, addresses: Vec<PeerAddress>) -> usize {
        self.hub.set_known(addresses)
    }

    /// Connections lately refused by this node in either direction, for people, the newest first: of each peer and
    /// direction the last, 64 at most. A session that a new gate ended is one of them.
    pub fn refusals(&self) -> Vec<Refused> {
        self.hub.refusals.recent()
    }

    /// Peers that in the last minutes did not permit this node, by node id: they said so, or hang up time and again as soon
    /// as they know its key. Empty where none of those tried refuses it.
    pub fn unwanted_by(&self) -> Vec<NodeId> {
        self.hub.refusals.unwanting(Instant::now())
    }

    /// Keeps a peer connected from now on, as soon as the gate permits it. A peer kept already gets the new address; a ban
    /// is lifted.
    pub fn add_peer(&self, address: PeerAddress) -> Result<(), P2pError> {
        self.hub.add_peer(address)
    }

    /// No longer keeps a peer connected nor dials it, and ends its session if there is one. `false` when there was nothing
    /// to end. The peer may come back by itself as far as the gate allows, and with the next list of known addresses.
    pub fn remove_peer(&self, peer: &NodeId) -> bool {
        self.hub.remove_peer(peer)
    }

    /// Counts a peer's misbehaviour against it, see [`Abuse`].
    pub fn penalise(&self, peer: &NodeId, abuse: Abuse) {
        let (points, label, what) = match abuse {
            Abuse::InvalidTransaction(what) => (5, "invalid_transaction", what),
            Abuse::UselessAnswer(what) => (10, "useless_answer", what),
            Abuse::InvalidMessage(what) => (25, "invalid_message", what),
            Abuse::InvalidBlock(what) => (100, "invalid_block", what),
        };
        self.hub.penalise(peer, points, &what, label);
    }

    /// The head told to peers that connect from now on. Connected peers are told by [`Message::NewHead`], which is the
    /// caller's to send.
    pub fn set_head(&self, number: u64, hash: B256) {
        self.hub.set_head((number, hash));
    }

    /// The connected peers, by node id.
    pub fn peers(&self) -> Vec<PeerInfo> {
        let plan = self.hub.plan();
        self.hub.sessions().iter().map(|session| info(session, &plan)).collect()
    }

    /// The peers to keep connected, whether they are or not.
    pub fn static_peers(&self) -> Vec<PeerAddress> {
        self.hub.wanted().values().cloned().collect()
    }

    /// Whether there is a session with this peer, and the peer knows messages of this kind.
    pub fn understands(&self, peer: &NodeId, kind: Kind) -> bool {
        self.hub.session(peer).is_some_and(|session| session.knows(kind))
    }

    /// Whether there is a session with this peer.
    pub fn is_connected(&self, peer: &NodeId) -> bool {
        self.hub.session(peer).is_some()
    }

    /// This node's id.
    pub fn node_id(&self) -> NodeId {
        self.hub.local
    }

    /// The TCP addresses listened on.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.hub.listening.get().cloned().unwrap_or_default()
    }

    /// The `enode://` address others reach this node by: on the advertised host, else the address listened on, else
    /// loopback. Port 0 when it does not listen.
    pub fn enode(&self) -> String {
        let first = self.hub.listening.get().and_then(|l| l.first()).copied();
        let host = match (&self.hub.advertised_host, first) {
            (Some(host), _) => host.parse().unwrap_or_else(|_| Host::Name(host.clone())),
            (None, Some(address)) if !address.ip().is_unspecified() => Host::Ip(address.ip()),
            (None, Some(SocketAddr::V6(_))) => Host::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            (None, _) => Host::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        };
        let port = first.map_or(0, |address| address.port());
        PeerAddress::new(self.hub.local, host, port, Transport::TcpThenQuic).to_string()
    }

    /// Says goodbye to all peers and ends all tasks; takes a few seconds at most. The events end after it.
    pub async fn shutdown(&self) {
        self.hub.begin_stop();
        let mut finished = self.hub.finished.subscribe();
        // An error would mean that the hub is gone, and it is borrowed here.
        let _ = finished.wait_for(|finished| *finished).await;
    }

    fn push(&self, peer: &NodeId, kind: Kind, frame: Bytes) -> Result<(), SendError> {
        let session = self.hub.session(peer).ok_or(SendError::NotConnected)?;
        if !session.knows(kind) {
            return Err(SendError::NotKnown(kind));
        }
        match session.push(kind.lane(), frame) {
            Pushed::Queued { .. } => Ok(()),
            Pushed::Refused => Err(SendError::QueueFull),
        }
    }
}

fn info(session: &Session, plan: &Plan) -> PeerInfo {
    let configured = plan.wanted.get(&session.peer);
    let listed = configured.or_else(|| plan.known.get(&session.peer));
    let seen = || {
        let ip = session.link.remote.parse::<SocketAddr>().ok()?.ip();
        let port = session.status.listen_port;
        Some(PeerAddress::new(session.peer, Host::Ip(ip), port, Transport::TcpThenQuic).to_string())
    };
    PeerInfo {
        node_id: session.peer,
        enode: listed.map(ToString::to_string).or_else(seen).unwrap_or_default(),
        client: session.status.client.clone(),
        address: session.link.remote.clone(),
        local_address: session.link.local.clone(),
        transport: session.link.transport,
        inbound: session.link.inbound,
        is_static: configured.is_some(),
        head: session.head(),
        protocol_version: session.status.version,
        bytes_in: session.received.bytes.load(Ordering::Relaxed),
        bytes_out: session.sent.bytes.load(Ordering::Relaxed),
        messages_in: session.received.messages.load(Ordering::Relaxed),
        messages_out: session.sent.messages.load(Ordering::Relaxed),
        since: session.since_time,
    }
}
