//! Wiring: opens the stores, starts the threads and tasks in order, and stops them in the reverse order.

use crate::chain_thread::{self, ChainThreads};
use crate::clock::Clock;
use crate::comeback::Comeback;
use crate::config::Config;
use crate::control::{Control, Published};
use crate::core::NodeCore;
use crate::driver::{self, Edges};
use crate::event::{Event, Room};
use crate::gate::{Gatekeeper, gate_of};
use crate::gossip;
use crate::halt::Halt;
use crate::identity::{self, IdentityError};
use crate::ingest::Ingest;
use crate::join::{backfill, giver};
use crate::journal::Journal;
use crate::mailbox::{self, Lane, Sender};
use crate::manager::{self, Ground};
use crate::meet::newcomer::Newcomer;
use crate::parties::Parties;
use crate::rules::{self, RulesError};
use crate::services::Work;
use crate::wishes::Wishes;
use crate::{addresses, extensions, outbox, services, telemetry, upkeep};
use alloy_primitives::B256;
use arc_swap::ArcSwap;
use lonja_chain::{ChainCore, ChainError, Door};
use lonja_consensus::machine::RestoreError;
use lonja_p2p::{NetworkId, P2p, P2pConfig, P2pError, PeerGate};
use lonja_permissioning::OwnEnd;
use lonja_primitives::{RecoveredTransaction, Signer};
use lonja_ptm::tessera::Server;
use lonja_rpc::{NodeInfo, RpcContext, RpcHandle};
use lonja_storage::{RecordLog, StoreError, StoreOptions};
use lonja_txpool::{PoolConfig, TxPool};
use parking_lot::Mutex;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle as TaskHandle;
use tokio_util::sync::CancellationToken;

/// New transactions that a slow subscriber may lag behind before it misses some.
const TRANSACTION_NEWS: usize = 8_192;

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The data directory.
    #[error("cannot make {0}: {1}")]
    DataDir(PathBuf, io::Error),
    /// A store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain in the store is not what it should be.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The genesis file has other rules than the chain.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The key is not the one of this data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The operator's votes.
    #[error("the file `votes` in the data directory: {0}. Put it right, or remove it and vote again")]
    Votes(io::Error),
    /// The consensus log does not fit.
    #[error(
        "{0}. Without its log a validator could sign twice; restore the file, or start as a regular node with --validator false"
    )]
    Log(#[from] RestoreError),
    /// The peer-to-peer port.
    #[error(transparent)]
    P2p(#[from] P2pError),
    /// An address that clients should reach us at cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(std::net::SocketAddr, io::Error),
    /// No state could be fetched.
    #[error("joining by a state: {0}. Start again, or with --sync full")]
    Joining(String),
    /// A JSON-RPC or health listener.
    #[error(transparent)]
    Rpc(#[from] lonja_rpc::StartError),
    /// The manager's store or keys.
    #[error("ptm: {0}")]
    Manager(#[from] lonja_ptm::PtmError),
    /// A listener of the manager.
    #[error("ptm: {0}")]
    ManagerListen(#[from] lonja_ptm::tessera::ListenError),
    /// The certificates and keys for the way to the manager.
    #[error("ptm: {0}")]
    ManagerTls(#[from] lonja_ptm::tessera::TlsError),
}

/// A running node.
pub struct Node {
    halt: Halt,
    p2p: P2p,
    rpc: RpcHandle,
    mailbox: Sender,
    stopping: Arc<AtomicBool>,
    tasks: Vec<TaskHandle<()>>,
    threads: Vec<JoinHandle<()>>,
    servers: Vec<Server>,
    talks: CancellationToken,
    parties: Parties,
    journal: Arc<Mutex<Journal>>,
    pool: Arc<Mutex<TxPool>>,
}

impl Node {
    /// Opens everything and starts working. Must be called within a tokio runtime.
    pub async fn start(mut config: Config) -> Result<Self, NodeError> {
        let started = Instant::now();
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|error| NodeError::DataDir(config.data_dir.clone(), error))?;
        let render = telemetry::install();
        let spec = Arc::new(config.genesis.spec.clone());
        let options = StoreOptions {
            block_cache_bytes: config.cache_bytes,
            history: config.history,
            ..StoreOptions::default()
        };
        let kv = lonja_storage::open_rocks(&config.data_dir.join("db"), &options)?;
        check_listeners(&config.rpc)?;
        let mut opened = lonja_storage::open(kv, &config.genesis)?;
        let missing_blocks = opened.backfill.take().filter(|_| config.backfill);
        let reader = opened.reader.clone();
        let head = reader.header(reader.head().number)?;
        let head =
            head.ok_or_else(|| ChainError::Halt("the newest block has no header in the store".into()))?;
        rules::accept(&config.data_dir, &config.genesis_text, &config.genesis, &head)?;
        identity::accept(&config.data_dir, &config.key.node_id())?;
        let pool_config = PoolConfig { max_bytes: config.pool_bytes, ..PoolConfig::default() };
        let pool = Arc::new(Mutex::new(TxPool::new(pool_config)));
        let core = ChainCore::open(opened, spec.clone(), pool.clone())?;
        let position = core.position();
        let (log, records, cut) = RecordLog::open(&config.data_dir.join("consensus.log"))?;
        if cut > 0 {
            tracing::warn!(bytes = cut, "the consensus log had a torn end from a crash; it was cut off");
        }
        let signer: Option<Arc<dyn Signer>> =
            if config.validate { Some(Arc::new(config.key.clone())) } else { None };
        let node_core = NodeCore::new(spec.clone(), signer, position.clone(), &records)?;
        let wishes = Wishes::open(&config.data_dir).map_err(NodeError::Votes)?;

        let halt = Halt::new();
        let (mailbox, receiver) = mailbox::mailbox();
        let stopping = Arc::new(AtomicBool::new(false));
        let own = own_end(&config);
        let judge = core.peer_judge(own.clone());
        let seat_judge = judge.clone();
        let only = Arc::new(config.allowed.iter().copied().collect());
        let network = P2pConfig {
            gate: gate_of(&judge, &only),
            ..network_config(&config, (reader.head().number, reader.head().hash))
        };
        let (p2p, events) = lonja_p2p::start(network).await?;
        let parties = Parties::new(p2p.clone());
        let (poke, known, addresses_thread) =
            addresses::start(judge.clone(), p2p.clone(), config.registry_addresses);
        let gatekeeper = Arc::new(Gatekeeper::new(p2p.clone(), judge, only, &own, poke));

        let (gossip, gossip_jobs) = gossip::queue();
        let (journal, waiting) = Journal::open(&config.data_dir.join("transactions.journal"))?;
        let journal = Arc::new(Mutex::new(journal));
        let news = broadcast::Sender::new(TRANSACTION_NEWS);
        let door = core.door();
        restore_pool(&door, waiting, &journal, &pool)?;
        let work = Work::default();
        listen(&door, &gossip, &journal, &news, &mailbox, &halt, &work);
        for (address, kind) in wishes.list() {
            mailbox.offer(Lane::Inner, Event::Propose(address, kind));
        }
        let wishes = Arc::new(wishes);
        // Restored transactions came in before anybody listened.
        if pool.lock().has_ready() {
            work.came_in(&mailbox);
        }

        let clock = Clock::start();
        let heads = watch::Sender::new(reader.head());
        let published = Arc::new(ArcSwap::from_pointee(first_status(&node_core, &spec)));
        let info = node_info(&config, &p2p);
        services::print_banner(&config, &info, &position, reader.oldest_state(), started.elapsed());

        let (outbox, outbox_thread) = outbox::start(log, records, p2p.clone(), halt.clone());
        let ChainThreads { jobs, threads: [chain_thread, sync_thread] } =
            chain_thread::start(core, mailbox.clone(), heads.clone(), halt.clone(), work, gatekeeper.clone());
        let stop_gossip = stopping.clone();
        let gossip_thread = gossip::start(gossip_jobs, door.clone(), pool.clone(), p2p.clone(), move || {
            stop_gossip.load(Ordering::Relaxed)
        });
        let edges = Edges { outbox, chain: jobs, p2p: p2p.clone(), halt: halt.clone() };
        let loop_thread = driver::start(node_core, receiver, edges, clock, published.clone());

        let ground = Ground {
            data_dir: &config.data_dir,
            history: config.history,
            genesis: config.genesis.hash(),
            spec: spec.clone(),
            public: reader.clone(),
            key: config.key.clone(),
            parties: parties.clone(),
            heads: heads.subscribe(),
            halt: halt.clone(),
            stopping: stopping.clone(),
            add_required: config.add_supervisors,
        };
        let second = manager::start(std::mem::take(&mut config.manager), config.markers, ground).await?;

        let control = Arc::new(Control {
            info,
            second: second.as_ref().map(|second| second.standing.clone()),
            p2p: p2p.clone(),
            mailbox: mailbox.clone(),
            published: published.clone(),
            wishes: wishes.clone(),
            halt: halt.clone(),
        });
        let context = RpcContext {
            reader: reader.clone(),
            spec: spec.clone(),
            door: door.clone(),
            pool: pool.clone(),
            accounts: config.accounts.clone(),
            control,
            heads: heads.subscribe(),
            transactions: news,
            privacy: second.as_ref().map(|second| second.privacy.clone()),
            metrics: render,
        };
        let rpc = lonja_rpc::start(config.rpc.clone(), context).await?;
        services::print_addresses(&rpc);
        let ingest = Ingest::new(&spec);
        let stop_backfill = stopping.clone();
        let room = {
            let published = published.clone();
            move || published.load().room == Room::Enough
        };
        let (backfill, backfill_thread) =
            backfill::start(missing_blocks, spec.clone(), p2p.clone(), room, move || {
                stop_backfill.load(Ordering::Relaxed)
            });
        let (giver, giver_thread) = giver::start(reader.clone(), spec.clone(), p2p.clone());
        let receivers = services::Receivers {
            giver,
            backfill,
            parties: parties.clone(),
            mailbox: mailbox.clone(),
            gossip,
            reader: reader.clone(),
            p2p: p2p.clone(),
        };
        let newcomer = Newcomer {
            network: P2pConfig {
                listen: Vec::new(),
                advertised_port: Some(own.port),
                ..network_config(&config, (0, B256::ZERO))
            },
            spec: spec.clone(),
            genesis: config.genesis.header.clone(),
            checkpoint: config.checkpoint,
            own,
            gate: gatekeeper,
            p2p: p2p.clone(),
            known,
            stopping: stopping.clone(),
        };
        let comeback = Comeback {
            judge: seat_judge,
            reader: reader.clone(),
            door: door.clone(),
            pool: pool.clone(),
            published: published.clone(),
            key: config.key.clone(),
            chain_id: spec.chain_id,
        };
        let mut tasks = vec![
            tokio::spawn(services::deliver(events, ingest, published.clone(), receivers, clock)),
            tokio::spawn(services::watch_disk(config.data_dir.clone(), config.disk, mailbox.clone())),
            tokio::spawn(services::follow_votes(wishes, published)),
            tokio::spawn(services::keep_pool(door, pool.clone(), journal.clone(), p2p.clone(), heads)),
            tokio::spawn(newcomer.run()),
        ];
        if config.validate {
            tasks.push(tokio::spawn(comeback.run()));
        }
        if let Some(second) = &second {
            let (accounts, sender) = (config.accounts.clone(), rpc.extensions.clone());
            let parts =
                extensions::Parts::of(&second.privacy, reader.clone(), accounts, sender, config.key.clone());
            tasks.push(tokio::spawn(extensions::run(parts)));
        }
        let upkeep_thread = upkeep::start(reader, config.audit_every, halt.clone(), stopping.clone());
        let mut threads = vec![loop_thread, outbox_thread, chain_thread, sync_thread, gossip_thread];
        threads.extend([upkeep_thread, giver_thread, addresses_thread]);
        threads.extend(backfill_thread);
        let (mut servers, mut talks) = (Vec::new(), CancellationToken::new());
        if let Some(second) = second {
            threads.push(second.worker.start());
            (servers, talks) = (second.servers, second.talks);
        }
        Ok(Self { halt, p2p, rpc, mailbox, stopping, tasks, threads, servers, talks, parties, journal, pool })
    }

    /// Resolves with the reason when the node cannot go on.
    pub async fn halted(&self) -> String {
        self.halt.wait().await
    }

    /// Stops taking requests, says goodbye to peers, lets work in hand finish, and closes the stores.
    pub async fn stop(self) {
        self.rpc.stop().await;
        self.talks.cancel();
        for server in self.servers {
            server.stop().await;
        }
        self.p2p.shutdown().await;
        self.parties.close();
        self.stopping.store(true, Ordering::Relaxed);
        self.mailbox.close();
        self.tasks.iter().for_each(TaskHandle::abort);
        let Self { threads, journal, pool, .. } = self;
        let join = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the node had panicked");
                }
            }
            if let Err(error) = journal.lock().rewrite(&pool) {
                tracing::warn!(%error, "waiting transactions could not be written down");
            }
        });
        if tokio::time::timeout(Duration::from_secs(20), join).await.is_err() {
            tracing::warn!("work in hand did not finish in 20 s; stopping anyway (nothing durable is lost)");
        }
    }
}

/// A taken port is told before anything is started, but after the lock on the data directory is taken: a second
/// process on it finds its ports taken too, and the directory is the better hint.
fn check_listeners(rpc: &lonja_rpc::RpcConfig) -> Result<(), NodeError> {
    let clients = [&rpc.http, &rpc.ws].into_iter().flatten().map(|listener| listener.address);
    for address in clients.chain(rpc.health) {
        std::net::TcpListener::bind(address).map_err(|error| NodeError::Listen(address, error))?;
    }
    Ok(())
}

/// This node, for contracts that look at both ends of a connection.
fn own_end(config: &Config) -> OwnEnd {
    let ip = Some(config.p2p_listen.ip()).filter(|ip| !ip.is_unspecified());
    OwnEnd { node: config.key.node_id(), ip, port: config.p2p_listen.port() }
}

/// How the node shows itself to the network, with this head.
pub(crate) fn network_config(config: &Config, head: (u64, B256)) -> P2pConfig {
    let (spec, genesis_hash) = (&config.genesis.spec, config.genesis.hash());
    let network = NetworkId { genesis_hash, chain_id: spec.chain_id, rules: spec.rule_ids(genesis_hash) };
    P2pConfig {
        listen: vec![config.p2p_listen],
        quic: config.p2p_quic,
        peers: config.peers.clone(),
        max_peers: config.max_peers,
        gate: if config.allowed.is_empty() {
            PeerGate::Open
        } else {
            PeerGate::Only(config.allowed.iter().copied().collect())
        },
        client: client_version(&config.identity),
        ..P2pConfig::new(config.key.clone(), network, head)
    }
}

/// `lonja/v0.1.0/linux-x86_64`, with the node's own name in it when it has one.
fn client_version(identity: &str) -> String {
    let name = if identity.is_empty() { String::new() } else { format!("/{identity}") };
    let (version, system, machine) =
        (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    format!("lonja{name}/v{version}/{system}-{machine}")
}

fn node_info(config: &Config, p2p: &P2p) -> NodeInfo {
    NodeInfo {
        client: client_version(&config.identity),
        node_id: config.key.node_id(),
        address: config.key.address(),
        enode: p2p.enode(),
        listen: Some(config.p2p_listen.to_string()),
        max_peers: config.max_peers,
    }
}

fn first_status(core: &NodeCore, spec: &lonja_primitives::ChainSpec) -> Published {
    let head = core.position().head.number;
    let params = spec.consensus_at(head.saturating_add(1));
    Published {
        consensus: core.status(),
        head,
        head_moved: Instant::now(),
        syncing: None,
        room: Room::Enough,
        alive: Instant::now(),
        block_period: Duration::from_millis(params.empty_block_period_ms.max(params.block_period_ms)),
    }
}

/// Transactions that waited when the node stopped (or was killed) wait again.
fn restore_pool(
    door: &Door,
    waiting: Vec<alloy_primitives::Bytes>,
    journal: &Mutex<Journal>,
    pool: &Mutex<TxPool>,
) -> Result<(), StoreError> {
    if waiting.is_empty() {
        return Ok(());
    }
    let count = waiting.len();
    let results = door.submit(waiting, lonja_txpool::Origin::Restored);
    let kept = results.iter().filter(|result| result.is_ok()).count();
    tracing::info!(kept, gone = count - kept, "transactions restored from the journal");
    journal.lock().rewrite(pool)
}

/// What happens with every transaction that newly came into the pool, before its sender hears that it did.
fn listen(
    door: &Door,
    gossip: &gossip::Gossip,
    journal: &Arc<Mutex<Journal>>,
    news: &broadcast::Sender<RecoveredTransaction>,
    mailbox: &Sender,
    halt: &Halt,
    work: &Work,
) {
    let (gossip, journal, news) = (gossip.clone(), journal.clone(), news.clone());
    let (mailbox, halt, work) = (mailbox.clone(), halt.clone(), work.clone());
    door.set_listener(Box::new(move |transactions, origin| {
        if let Err(error) = journal.lock().append(transactions, origin) {
            halt.now(format!("the journal of waiting transactions cannot be written: {error}"));
        }
        if news.receiver_count() > 0 {
            transactions.iter().for_each(|tx| drop(news.send(tx.clone())));
        }
        gossip.offer(gossip::Job::New(transactions.to_vec()));
        work.came_in(&mailbox);
    }));
}
