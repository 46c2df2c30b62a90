//! A node of the world: its disk, which outlives it, and the process that runs on it.
//!
//! The process is made of the real parts: the node's core, the chain over a store, the pool behind its door, the
//! door for messages. Only the threads between them are played here, in the order and with the waits of the
//! real ones.

use super::byzantine::Byzantine;
use super::disk::Disk;
use super::private::{Member, Party};
use super::report::{Outcome, Violation};
use super::schedule::Life;
use alloy_primitives::{Address, Bytes};
use lonja_chain::{ChainCore, Door, PeerJudge, Publisher};
use lonja_consensus::Now;
use lonja_consensus::machine::BuildRequest;
use lonja_node::core::NodeCore;
use lonja_node::event::{Command, Event};
use lonja_node::ingest::Ingest;
use lonja_p2p::wire::Message;
use lonja_permissioning::OwnEnd;
use lonja_primitives::{
    Block, CertifiedBlock, ChainSpec, Genesis, NodeId, NodeKey, RecoveredTransaction, Signer,
};
use lonja_storage::{Head, Reader};
use lonja_txpool::{PoolConfig, TxPool};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds of the letter box, as in the real node.
pub const CONSENSUS_LANE: usize = 4_096;
/// See [`CONSENSUS_LANE`].
pub const BULK_LANE: usize = 512;

/// A node of the world.
pub struct Node {
    /// Its key; twins share one.
    pub key: NodeKey,
    /// Its public name.
    pub id: NodeId,
    /// Its address.
    pub address: Address,
    /// Whether promises are kept to and by it.
    pub honest: bool,
    /// What stands around it, if it is byzantine.
    pub malice: Option<Byzantine>,
    /// Its program has the permission rules taken out.
    pub lawless: bool,
    /// What it is in private transactions, if anything.
    pub party: Option<Party>,
    /// The other body with this key.
    pub twin: Option<usize>,
    /// What is left after a crash.
    pub disk: Disk,
    /// What runs, if anything does.
    pub process: Option<Process>,
    /// How far its wall clock is off, milliseconds.
    pub skew_ms: i64,
    /// Shortest and longest sync, microseconds.
    pub sync_us: (u64, u64),
    /// The highest block it has shown to others.
    pub published: u64,
    /// The highest block it has written.
    pub written: u64,
    /// The highest block that its disk keeps whatever happens.
    pub safe: u64,
    /// Dies after so many more steps of its own.
    pub dies_in: Option<u64>,
    /// Steps of its own so far.
    pub steps: u64,
    /// Switched off for good.
    pub retired: bool,
}

/// Work for the outbox.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum OutboxJob {
    Persist(Bytes),
    Send { to: Vec<NodeId>, message: Message },
    Forget(u64),
}

/// Work for the chain.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum ChainJob {
    Build(BuildRequest),
    Check { height: u64, digest: alloy_primitives::B256, block: Block },
    Commit(Box<CertifiedBlock>),
}

/// A running process.
pub struct Process {
    /// Which of the node's lives this is.
    pub life: Life,
    /// The real thing.
    pub core: NodeCore,
    /// The writer.
    pub chain: ChainCore,
    /// Says who may connect.
    pub judge: PeerJudge,
    /// Makes commits durable.
    pub publisher: Publisher,
    /// Reads what is durable.
    pub reader: Reader,
    /// Where transactions come in.
    pub door: Door,
    /// The waiting transactions.
    pub pool: Arc<Mutex<TxPool>>,
    /// Where messages come in.
    pub ingest: Ingest,
    /// Transactions that came in and were not told to others yet.
    pub fresh: Arc<Mutex<Vec<RecoveredTransaction>>>,
    clock: Arc<AtomicU64>,
    /// When the process began, and what its monotonic clock said then.
    began_us: u64,
    began_mono_ms: u64,
    /// The loop was told that transactions wait.
    pub work_told: bool,
    /// Letter box: own threads, consensus, everything else.
    pub inner: VecDeque<Event>,
    /// See `inner`.
    pub consensus: VecDeque<Event>,
    /// See `inner`.
    pub bulk: VecDeque<Event>,
    /// Commands of the last event that are not carried out yet.
    pub commands: VecDeque<Command>,
    /// A step of the loop is scheduled.
    pub loop_busy: bool,
    /// A look at the clock is scheduled, microseconds.
    pub wake_us: Option<u64>,
    /// Ticks without anything else at one and the same millisecond.
    pub idle_ticks: (u64, u32),
    /// Work of the outbox.
    pub outbox: VecDeque<OutboxJob>,
    /// Records that are not in the file yet.
    pub unwritten: Vec<Bytes>,
    /// Records in the file, for writing it anew.
    pub kept: Vec<Vec<u8>>,
    /// A step of the outbox is scheduled, or the disk is at work for it.
    pub outbox_busy: bool,
    /// Work of the chain.
    pub jobs: VecDeque<ChainJob>,
    /// The chain is at work.
    pub chain_busy: bool,
    /// Blocks written and not yet being synced.
    pub to_sync: VecDeque<Head>,
    /// The block being synced.
    pub syncing: Option<Head>,
    /// Sessions by peer.
    pub peers: BTreeMap<usize, u64>,
    /// The head peers hear of.
    pub announced: Head,
    /// The last height and round seen, for comparison.
    pub view: (u64, u32),
    /// The manager of private payloads and the second pass.
    pub member: Option<Member>,
}

/// When and with what clock a process begins.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Birth {
    pub life: Life,
    pub time_us: u64,
    pub unix_ms: u64,
    pub mono_ms: u64,
}

impl Process {
    /// Starts from what is on the disk, and from nothing else.
    pub fn boot(
        disk: &mut Disk,
        genesis: &Genesis,
        spec: &Arc<ChainSpec>,
        key: &NodeKey,
        birth: Birth,
    ) -> Outcome<Self> {
        let store = Arc::new(disk.chain.clone());
        let opened = lonja_storage::open(store, genesis)
            .map_err(|error| Violation::new(format!("the store does not open: {error}")))?;
        let reader = opened.reader.clone();
        let pool = Arc::new(Mutex::new(TxPool::new(PoolConfig::default())));
        let chain = ChainCore::open(opened, spec.clone(), pool.clone())
            .map_err(|error| Violation::new(format!("the chain does not open: {error}")))?;
        let clock = Arc::new(AtomicU64::new(birth.unix_ms));
        let chains_clock = clock.clone();
        chain.set_clock(Box::new(move || chains_clock.load(Ordering::Relaxed)));
        let records = disk.log.open()?;
        let signer: Arc<dyn Signer> = Arc::new(key.clone());
        let mut core = NodeCore::new(spec.clone(), Some(signer), chain.position(), &records)
            .map_err(|error| Violation::new(format!("the consensus log does not fit: {error}")))?;
        let commands = core.start(Now { unix_ms: birth.unix_ms, mono_ms: birth.mono_ms });
        let door = chain.door();
        let fresh = Arc::new(Mutex::new(Vec::new()));
        let heard = fresh.clone();
        door.set_listener(Box::new(move |transactions, _| heard.lock().extend_from_slice(transactions)));
        Ok(Self {
            life: birth.life,
            judge: chain.peer_judge(OwnEnd { node: key.node_id(), ip: None, port: 0 }),
            publisher: chain.publisher(),
            announced: reader.head(),
            core,
            chain,
            reader,
            door,
            pool,
            ingest: Ingest::new(spec),
            fresh,
            clock,
            began_us: birth.time_us,
            began_mono_ms: birth.mono_ms,
            work_told: false,
            inner: VecDeque::new(),
            consensus: VecDeque::new(),
            bulk: VecDeque::new(),
            commands: commands.into(),
            loop_busy: false,
            wake_us: None,
            idle_ticks: (0, 0),
            outbox: VecDeque::new(),
            unwritten: Vec::new(),
            kept: records,
            outbox_busy: false,
            jobs: VecDeque::new(),
            chain_busy: false,
            to_sync: VecDeque::new(),
            syncing: None,
            peers: BTreeMap::new(),
            view: (0, 0),
            member: None,
        })
    }

    /// The monotonic clock.
    pub fn mono_ms(&self, time_us: u64) -> u64 {
        self.began_mono_ms + time_us.saturating_sub(self.began_us) / 1_000
    }

    /// When the monotonic clock will show this, microseconds of the world.
    pub fn when_us(&self, mono_ms: u64) -> u64 {
        self.began_us + mono_ms.saturating_sub(self.began_mono_ms) * 1_000
    }

    /// Sets the clock by which transactions grow old.
    pub fn set_clock(&self, unix_ms: u64) {
        self.clock.store(unix_ms, Ordering::Relaxed);
    }

    /// The next letter: own threads first, bulk last.
    pub fn next_letter(&mut self) -> Option<Event> {
        self.inner.pop_front().or_else(|| self.consensus.pop_front()).or_else(|| self.bulk.pop_front())
    }
}

impl Node {
    /// The running process, if it is the one meant.
    pub fn alive(&mut self, life: Life) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.life == life)
    }

    /// Whether a process runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }
}
