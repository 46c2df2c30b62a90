//! Nodes on loopback, and a peer that speaks libp2p by hand and can misbehave.

use alloy_primitives::{Address, B256, Bytes};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder,
    identity::{Keypair, secp256k1},
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use lonja_p2p::{
    NetworkId, P2p, P2pConfig, PeerAddress, PeerEvent, PeerEvents,
    wire::{self, Goodbye, Kind, Message, Status},
};
use lonja_primitives::{Genesis, NodeId, NodeKey, genesis::NewNetwork};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const CONSENSUS: StreamProtocol = StreamProtocol::new("/lonja/consensus/1");
/// The first version, which every node understands.
pub const DATA: StreamProtocol = StreamProtocol::new("/lonja/data/1");

pub fn network() -> NetworkId {
    let validators = vec![Address::repeat_byte(1)];
    let genesis = Genesis::from_json(&NewNetwork { validators, ..NewNetwork::default() }.to_json()).unwrap();
    let genesis_hash = B256::repeat_byte(1);
    NetworkId { genesis_hash, chain_id: 1337, rules: genesis.spec.rule_ids(genesis_hash) }
}

pub fn config(key: &NodeKey) -> P2pConfig {
    P2pConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..P2pConfig::new(key.clone(), network(), (5, B256::repeat_byte(5)))
    }
}

/// Two keys, the one with the smaller node id first.
pub fn ordered_keys() -> (NodeKey, NodeKey) {
    let (one, two) = (NodeKey::generate(), NodeKey::generate());
    if one.node_id() < two.node_id() { (one, two) } else { (two, one) }
}

pub struct Node {
    pub p2p: P2p,
    pub events: PeerEvents,
}

impl Node {
    pub async fn start(config: P2pConfig) -> Self {
        let _ = tracing_subscriber::fmt().with_env_filter("lonja_p2p=debug").with_test_writer().try_init();
        let (p2p, events) = lonja_p2p::start(config).await.unwrap();
        Self { p2p, events }
    }

    pub async fn new() -> Self {
        Self::start(config(&NodeKey::generate())).await
    }

    pub fn id(&self) -> NodeId {
        self.p2p.node_id()
    }

    pub fn socket(&self) -> SocketAddr {
        self.p2p.listening()[0]
    }

    pub fn address(&self) -> PeerAddress {
        self.p2p.enode().parse().unwrap()
    }

    pub async fn next(&mut self) -> PeerEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("the network runs")
    }

    /// Waits for an event that fits, forgetting others.
    pub async fn until<T>(&mut self, fits: impl Fn(&PeerEvent) -> Option<T>) -> T {
        loop {
            let event = self.next().await;
            if let Some(found) = fits(&event) {
                return found;
            }
        }
    }

    pub async fn connected(&mut self, to: NodeId) {
        self.until(|e| matches!(e, PeerEvent::Connected { peer, .. } if *peer == to).then_some(())).await;
    }

    /// Waits for the end of the session and gives its reason.
    pub async fn disconnected(&mut self, from: NodeId) -> String {
        self.until(|e| match e {
            PeerEvent::Disconnected { peer, reason } if *peer == from => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    pub async fn message(&mut self, from: NodeId) -> Message {
        self.until(|e| match e {
            PeerEvent::Message { peer, message } if *peer == from => Some(message.clone()),
            _ => None,
        })
        .await
    }

    pub fn say(&self, to: NodeId, message: Message) {
        assert_eq!(self.p2p.send_to(&to, message), Ok(()));
    }
}

/// Two nodes that are connected; the first dialed.
pub async fn pair() -> (Node, Node) {
    let (mut one, mut two) = (Node::new().await, Node::new().await);
    one.p2p.add_peer(two.address()).unwrap();
    let (one_id, two_id) = (one.id(), two.id());
    tokio::join!(one.connected(two_id), two.connected(one_id));
    (one, two)
}

pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("{what}"));
}

pub fn vote(n: u32) -> Message {
    Message::Consensus(n.to_be_bytes().to_vec().into())
}

pub fn head(number: u64) -> Message {
    Message::NewHead { number, hash: B256::repeat_byte(9) }
}

/// A line to a node, on which everything can be stopped without anybody being told.
pub struct Wire {
    pub port: u16,
    stopped: Arc<Mutex<Arc<AtomicBool>>>,
}

impl Wire {
    pub async fn lay(to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // With little room on the line, what is to be sent waits at its sender.
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(8).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stopped: Arc<Mutex<Arc<AtomicBool>>> = Arc::default();
        let current = stopped.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                let stopped = current.lock().unwrap().clone();
                tokio::spawn(pass(near_in, far_out, stopped.clone()));
                tokio::spawn(pass(far_in, near_out, stopped));
            }
        });
        Self { port, stopped }
    }

    /// Nothing passes any more on the connections there are. New ones can be made.
    pub fn stop(&self) {
        let old = std::mem::take(&mut *self.stopped.lock().unwrap());
        old.store(true, Ordering::Relaxed);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, stopped: Arc<AtomicBool>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await;
        if stopped.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        match read {
            Ok(length @ 1..) if to.write_all(&buffer[..length]).await.is_ok() => {}
            _ => break,
        }
    }
}

/// A peer made of bare libp2p.
pub struct Raw {
    pub id: NodeId,
    pub consensus_out: Stream,
    pub data_out: Stream,
    pub consensus_in: Stream,
    pub data_in: Stream,
    swarm: JoinHandle<()>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

impl Raw {
    /// Connects and opens all streams; `None` when the node closes the connection before that.
    pub async fn open(key: &NodeKey, node: NodeId, to: SocketAddr) -> Option<Self> {
        timeout(PATIENCE, Self::try_open(key, node, to)).await.expect("opened or refused in time")
    }

    async fn try_open(key: &NodeKey, node: NodeId, to: SocketAddr) -> Option<Self> {
        let secret = secp256k1::SecretKey::try_from_bytes(key.to_bytes()).unwrap();
        let keypair = Keypair::from(secp256k1::Keypair::from(secret));
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .with_swarm_config(|c| c.with_idle_connection_timeout(PATIENCE))
            .build();
        let mut control = swarm.behaviour().new_control();
        let mut consensus = control.accept(CONSENSUS).unwrap();
        let mut data = control.accept(DATA).unwrap();
        let peer: PeerId = lonja_p2p::peer_id_text(&node).unwrap().parse().unwrap();
        let address: Multiaddr = format!("/ip4/{}/tcp/{}/p2p/{peer}", to.ip(), to.port()).parse().unwrap();
        swarm.dial(address).unwrap();
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("cannot connect: {error}"),
                _ => {}
            }
        }
        let (closed, mut is_closed) = mpsc::channel(1);
        let swarm = tokio::spawn(async move {
            loop {
                if let SwarmEvent::ConnectionClosed { .. } = swarm.select_next_some().await {
                    let _ = closed.try_send(());
                }
            }
        });
        let streams = async {
            let incoming = async { tokio::join!(consensus.next(), data.next()) };
            let outgoing = async {
                let consensus = control.open_stream(peer, CONSENSUS).await.ok()?;
                Some((consensus, control.open_stream(peer, DATA).await.ok()?))
            };
            let ((consensus_in, data_in), out) = tokio::join!(incoming, outgoing);
            let (consensus_out, data_out) = out?;
            Some((consensus_in?.1, data_in?.1, consensus_out, data_out))
        };
        let opened = tokio::select! {
            opened = streams => opened,
            _ = is_closed.recv() => None,
        };
        let (consensus_in, data_in, consensus_out, data_out) = match opened {
            Some(streams) => streams,
            None => {
                swarm.abort();
                return None;
            }
        };
        Some(Self { id: key.node_id(), consensus_out, data_out, consensus_in, data_in, swarm })
    }

    /// Connects and says a status.
    pub async fn greet(key: &NodeKey, node: &Node, status: &Status) -> Self {
        let mut raw = Self::open(key, node.id(), node.socket()).await.expect("the node lets us in");
        raw.write_consensus(&wire::encode_status_frame(status)).await;
        raw
    }

    /// Connects as a good peer does.
    pub async fn connect(node: &mut Node) -> Self {
        let key = NodeKey::generate();
        let raw = Self::greet(&key, node, &status(1)).await;
        node.connected(raw.id).await;
        raw
    }

    pub async fn write_consensus(&mut self, bytes: &[u8]) {
        let _ = self.consensus_out.write_all(bytes).await;
        let _ = self.consensus_out.flush().await;
    }

    pub async fn write_data(&mut self, bytes: &[u8]) {
        let _ = self.data_out.write_all(bytes).await;
        let _ = self.data_out.flush().await;
    }

    /// Next message on the consensus stream, kind byte included; `None` at its end.
    pub async fn read_consensus(&mut self) -> Option<Bytes> {
        let read = async {
            let mut length = [0; 4];
            // Empty frames only say that the node is there.
            while length == [0; 4] {
                self.consensus_in.read_exact(&mut length).await.ok()?;
            }
            let mut message = vec![0; u32::from_be_bytes(length) as usize];
            self.consensus_in.read_exact(&mut message).await.ok()?;
            Some(Bytes::from(message))
        };
        timeout(PATIENCE, read).await.expect("something in time")
    }

    /// Next message on the data stream, kind byte included.
    pub async fn read_data(&mut self) -> Bytes {
        let read = async {
            let mut length = [0; 4];
            self.data_in.read_exact(&mut length).await.unwrap();
            let mut message = vec![0; u32::from_be_bytes(length) as usize];
            self.data_in.read_exact(&mut message).await.unwrap();
            Bytes::from(message)
        };
        timeout(PATIENCE, read).await.expect("something in time")
    }

    /// Reads until the node says goodbye.
    pub async fn goodbye(&mut self) -> Goodbye {
        loop {
            let message = self.read_consensus().await.expect("a goodbye before the end");
            if message[0] == Kind::Goodbye as u8 {
                return wire::decode_goodbye(&message).unwrap();
            }
        }
    }
}

pub fn status(instance: u64) -> Status {
    Status {
        version: wire::PROTOCOL_VERSION,
        genesis_hash: network().genesis_hash,
        chain_id: 1337,
        rules: network().rules.at(0),
        head_number: 0,
        head_hash: B256::ZERO,
        client: "raw".into(),
        listen_port: 0,
        instance,
    }
}
