//! Two nodes on one chain, each with a manager of its own, over real sessions.

use super::*;
use crate::join::tests::{core, key, next_block};
use alloy_consensus::TxLegacy;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Bytes, TxKind, U256};
use lonja_chain::ChainCore;
use lonja_p2p::wire::Message;
use lonja_p2p::{NetworkId, P2p, P2pConfig, PeerEvent};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::Privacy;
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{Genesis, PayloadHash, Signer, StateView};
use lonja_ptm::tessera::{Address, Timeouts, TlsClientOptions};
use lonja_ptm::{KeyPair, Metadata, PtmError, SendRequest, SendSigned};
use lonja_storage::{MemoryKv, Tuning};
use lonja_txpool::Origin;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

type Contract = alloy_primitives::Address;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a contract that keeps 42: `PUSH1 42 PUSH0 SSTORE`, then one byte of code.
const INIT: [u8; 8] = [0x60, 42, 0x5f, 0x55, 0x60, 1, 0x5f, 0xf3];

struct World {
    genesis: Genesis,
    core: ChainCore,
    heads: watch::Sender<Head>,
    sent: u64,
}

impl World {
    fn new() -> Self {
        Self::with(History::Archive)
    }

    fn with(history: History) -> Self {
        let network = NewNetwork {
            validators: (1..=4).map(|number| key(number).address()).collect(),
            privacy: Privacy::OF_NEW_NETWORKS,
            ..NewNetwork::default()
        };
        let genesis = Genesis::from_json(&network.to_json()).unwrap();
        let core = core(Arc::new(MemoryKv::with_tuning(Tuning { history, ..Tuning::default() })), &genesis);
        let heads = watch::Sender::new(core.reader().head());
        Self { genesis, core, heads, sent: 0 }
    }

    /// A block in which a contract is created by this payload. Says where.
    fn create(&mut self, payload: PayloadHash) -> Contract {
        let transaction = TxLegacy {
            nonce: self.sent,
            gas_limit: 1_000_000,
            to: TxKind::Create,
            input: Bytes::copy_from_slice(payload.as_slice()),
            ..TxLegacy::default()
        };
        let raw = Bytes::from(sign_private(transaction, &key(50)).encoded_2718());
        let taken = self.core.door().submit(vec![raw], Origin::Local);
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
        let address = key(50).address().create(self.sent);
        self.sent += 1;
        next_block(&mut self.core, &self.genesis, None);
        self.heads.send_replace(self.core.reader().head());
        address
    }
}

struct Node {
    folder: TempDir,
    key: NodeKey,
    party: u8,
    outbox: bool,
    p2p: P2p,
    privacy: Arc<RpcPrivacy>,
    standing: Standing,
    status: watch::Receiver<PrivateStatus>,
    servers: Vec<Server>,
    thread: JoinHandle<()>,
    parties: Parties,
    halt: Halt,
    stopping: Arc<AtomicBool>,
}

impl Node {
    async fn new(world: &World, number: u8) -> Self {
        Self::start(world, TempDir::new().unwrap(), key(100 + number), number, false).await
    }

    async fn with_outbox(world: &World, number: u8) -> Self {
        Self::start(world, TempDir::new().unwrap(), key(100 + number), number, true).await
    }

    async fn start(world: &World, folder: TempDir, own: NodeKey, party: u8, outbox: bool) -> Self {
        let genesis_hash = world.genesis.hash();
        let rules = world.genesis.spec.rule_ids(genesis_hash);
        let network = NetworkId { genesis_hash, chain_id: world.genesis.spec.chain_id, rules };
        let config = P2pConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            ..P2pConfig::new(own.clone(), network, (0, genesis_hash))
        };
        let (p2p, mut events) = lonja_p2p::start(config).await.unwrap();
        let parties = Parties::new(p2p.clone());
        let deliver = parties.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    PeerEvent::Connected { peer, .. } => deliver.peer_up(peer),
                    PeerEvent::Disconnected { peer, .. } => deliver.peer_down(peer),
                    PeerEvent::Message { peer, message: Message::PartyRequest { request, body } } => {
                        deliver.requested(peer, request, body);
                    }
                    PeerEvent::Message { peer, message: Message::PartyAnswer { request, body } } => {
                        deliver.answered(peer, request, body);
                    }
                    PeerEvent::Message { .. } => {}
                }
            }
        });
        let remote = folder.path().join("elsewhere");
        let config = EmbeddedConfig {
            keyring: Keyring::new(vec![KeyPair::from_secret(&[party; 32])]).unwrap(),
            always_send_to: Vec::new(),
            outbox,
            accept_erase: AcceptErase::default(),
            clients: None,
            nodes: Some(Listen { address: socket(folder.path()), tls: None }),
            managers: None,
        };
        let (halt, stopping) = (Halt::new(), Arc::new(AtomicBool::new(false)));
        let ground = Ground {
            data_dir: folder.path(),
            history: History::Archive,
            genesis: genesis_hash,
            spec: Arc::new(world.genesis.spec.clone()),
            public: world.core.reader(),
            key: own.clone(),
            parties: parties.clone(),
            heads: world.heads.subscribe(),
            halt: halt.clone(),
            add_required: true,
            stopping: stopping.clone(),
        };
        let config = match std::fs::read_to_string(remote) {
            Ok(address) => ManagerConfig::Remote(Box::new(options(address.parse().unwrap()))),
            Err(_) => ManagerConfig::Embedded(Box::new(config)),
        };
        let started = start(config, true, ground).await.unwrap().unwrap();
        let Started { privacy, standing, worker, servers, .. } = started;
        let (status, thread) = (standing.status.clone(), worker.start());
        Self {
            folder,
            key: own,
            party,
            outbox,
            p2p,
            privacy,
            standing,
            status,
            thread,
            servers,
            parties,
            halt,
            stopping,
        }
    }

    /// Stops it, and gives what a new start needs.
    async fn stop(self) -> (TempDir, NodeKey, u8, bool) {
        for server in self.servers {
            server.stop().await;
        }
        self.p2p.shutdown().await;
        self.parties.close();
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        assert_eq!(self.halt.reason(), None);
        (self.folder, self.key, self.party, self.outbox)
    }

    async fn meet(&self, other: &Self) {
        self.p2p.add_peer(other.p2p.enode().parse().unwrap()).unwrap();
        until("the two are connected", || {
            self.parties.is_reachable(&other.p2p.node_id()) && other.parties.is_reachable(&self.p2p.node_id())
        })
        .await;
    }

    fn party(&self) -> PublicKey {
        KeyPair::from_secret(&[self.party; 32]).public()
    }

    fn manager(&self) -> Arc<dyn PrivateTransactionManager> {
        self.privacy.manager.clone()
    }

    async fn try_send(&self, to: &[PublicKey]) -> Result<PayloadHash, PtmError> {
        let request =
            SendRequest { payload: INIT.into(), from: None, to: to.to_vec(), metadata: Metadata::default() };
        Ok(self.manager().send(request).await?.hash)
    }

    /// Sends as soon as it is known here who holds the keys.
    async fn send(&self, to: &[PublicKey]) -> PayloadHash {
        let send = async {
            loop {
                match self.try_send(to).await {
                    Ok(hash) => break hash,
                    Err(PtmError::UnknownRecipient(_) | PtmError::Unreachable { .. }) => {
                        sleep(Duration::from_millis(50)).await;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        };
        timeout(PATIENCE, send).await.expect("the parties find each other")
    }

    /// What the contract keeps here, once the second pass has come to this block.
    async fn slot(&self, contract: Contract, number: u64) -> U256 {
        let read = async {
            let mut status = self.status.clone();
            loop {
                let there =
                    status.wait_for(|status| status.head.number >= number && status.waiting.is_none());
                there.await.unwrap();
                // Nothing can be read while it is on its way back to an earlier block.
                let state = self.privacy.reader.state_at(number);
                match state.ok().and_then(|state| state.storage(&contract, &U256::ZERO).ok()) {
                    Some(value) => break value,
                    None => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(PATIENCE, read).await.expect("it comes to the block")
    }
}

/// Where the manager of a node serves others.
fn socket(folder: &Path) -> Address {
    format!("unix:{}", folder.join("q2t.ipc").display()).parse().unwrap()
}

fn options(address: Address) -> RemoteOptions {
    RemoteOptions {
        address,
        third_party: None,
        timeouts: Timeouts::default(),
        tls: TlsClientOptions::default(),
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("{what}"));
}

const ANSWER: U256 = U256::from_limbs([42, 0, 0, 0]);

#[tokio::test(flavor = "multi_thread")]
async fn parties_have_the_payload_before_the_block_and_others_never() {
    let mut world = World::new();
    let (one, two, three) =
        (Node::new(&world, 1).await, Node::new(&world, 2).await, Node::new(&world, 3).await);
    one.meet(&two).await;
    one.meet(&three).await;
    two.meet(&three).await;
    let hash = one.send(&[two.party()]).await;
    let contract = world.create(hash);
    assert_eq!(one.slot(contract, 1).await, ANSWER);
    assert_eq!(two.slot(contract, 1).await, ANSWER);
    assert_eq!(three.slot(contract, 1).await, U256::ZERO);
    let root = |node: &Node| node.privacy.reader.root_at(1).unwrap();
    assert_eq!(root(&one), root(&two));
    let alone = world.create(three.send(&[]).await);
    assert_eq!(three.slot(alone, 2).await, ANSWER);
    assert_eq!(one.slot(alone, 2).await, U256::ZERO);
    for node in [one, two, three] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_gets_it_late_and_goes_back_for_it() {
    let mut world = World::new();
    let (one, two) = (Node::with_outbox(&world, 1).await, Node::new(&world, 2).await);
    one.meet(&two).await;
    // Who holds which key is known from now on.
    let first = world.create(one.send(&[two.party()]).await);
    assert_eq!(two.slot(first, 1).await, ANSWER);
    let party = two.party();
    let (folder, own, number, outbox) = two.stop().await;
    let hash = one.try_send(&[party]).await.unwrap();
    let contract = world.create(hash);
    world.create(one.try_send(&[]).await.unwrap());
    assert_eq!(one.slot(contract, 2).await, ANSWER);
    let two = Node::start(&world, folder, own, number, outbox).await;
    assert_eq!(two.slot(contract, 3).await, U256::ZERO, "it is not here yet");
    two.meet(&one).await;
    let late = async {
        while two.slot(contract, 3).await != ANSWER {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, late).await.expect("what comes late is executed");
    assert_eq!(two.slot(first, 3).await, ANSWER);
    for node in [one, two] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_begins_where_the_states_begin() {
    let mut world = World::with(History::Last(2));
    let one = Node::new(&world, 1).await;
    for _ in 0..6 {
        world.create(one.send(&[]).await);
    }
    let oldest = world.core.reader().oldest_state();
    assert_eq!(oldest, 4);
    let two = Node::new(&world, 2).await;
    let status = two.status.borrow().clone();
    assert!(status.head.number >= oldest, "the blocks before are nobody's business here: {status:?}");
    let contract = world.create(two.send(&[]).await);
    assert_eq!(two.slot(contract, 7).await, ANSWER);
    for node in [one, two] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_its_payloads_is_no_party_any_more() {
    let mut world = World::new();
    let one = Node::new(&world, 1).await;
    let contract = world.create(one.send(&[]).await);
    assert_eq!(one.slot(contract, 1).await, ANSWER);
    let (folder, own, number, outbox) = one.stop().await;
    // The same node with a store that is lost: its own payload is nobody else's, and so it is no party any more.
    std::fs::remove_dir_all(folder.path().join("ptm")).unwrap();
    std::fs::remove_dir_all(folder.path().join("private")).unwrap();
    let one = Node::start(&world, folder, own, number, outbox).await;
    assert_eq!(one.slot(contract, 1).await, U256::ZERO);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_was_stored_first_is_sent_later() {
    let mut world = World::new();
    let (one, two) = (Node::new(&world, 1).await, Node::new(&world, 2).await);
    one.meet(&two).await;
    one.send(&[two.party()]).await;
    let hash = one.manager().store_raw(INIT.into(), None).await.unwrap();
    let signed = SendSigned { hash, to: vec![two.party()], metadata: Metadata::default() };
    one.manager().send_signed(signed).await.unwrap();
    let contract = world.create(hash);
    assert_eq!(two.slot(contract, 1).await, ANSWER);
    for node in [one, two] {
        node.stop().await;
    }
}

/// A node that leaves payloads to another manager, which comes and goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_manager_elsewhere_is_waited_for() {
    let mut world = World::new();
    let one = Node::new(&world, 1).await;
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("elsewhere"), socket(one.folder.path()).to_string()).unwrap();
    let two = Node::start(&world, folder, key(102), 9, false).await;
    assert_eq!(two.manager().keys().await.unwrap(), [one.party()]);
    let contract = world.create(one.send(&[]).await);
    assert_eq!(two.slot(contract, 1).await, ANSWER, "both have the same payloads");
    let hash = one.send(&[]).await;
    let (folder, own, number, outbox) = one.stop().await;
    let late = world.create(hash);
    let mut status = two.status.clone();
    let waits = status.wait_for(|status| status.waiting.is_some());
    let wait = timeout(PATIENCE, waits).await.unwrap().unwrap().waiting.clone().unwrap();
    assert_eq!((wait.number, wait.payload), (2, Some(hash)));
    assert!(wait.reason.contains("q2t.ipc"), "{}", wait.reason);
    assert!(two.standing.check(2).reason.contains("waiting for the payload"));
    let one = Node::start(&world, folder, own, number, outbox).await;
    assert_eq!(two.slot(late, 2).await, ANSWER);
    assert!(two.standing.check(2).ok);
    for node in [two, one] {
        node.stop().await;
    }
}
