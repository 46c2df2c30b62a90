//! Transactions between peers: whole from the node that took them in to its peers, then by hash.
//!
//! ```text
//! client ─► door ─► New ─────► Transactions ─► every peer
//! peer ─► Transactions ─► door ─► New ─────► TransactionHashes ─► peers that did not have it from us or send it
//! peer ─► TransactionHashes ─► GetTransactions (what we lack) ─► Transactions
//! ```
//!
//! One thread does it, in batches; signatures are recovered inside the door on the worker pool. What does not fit
//! the queue is dropped and counted: a transaction that no peer heard of is announced again while it waits.

mod known;

use alloy_primitives::map::B256Map;
use alloy_primitives::{B256, Bytes, keccak256};
use known::{Known, PeerSet};
use lonja_chain::{Door, SubmitError};
use lonja_p2p::wire::{MAX_HASHES, MAX_TRANSACTIONS, MAX_TRANSACTIONS_BYTES, Message};
use lonja_p2p::{Abuse, P2p};
use lonja_primitives::{NodeId, RecoveredTransaction};
use lonja_txpool::{Origin, TxPool};
use metrics::counter;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Batches that may wait. A peer's budget bounds each (1 MiB), so this bounds memory to some hundred MiB.
const JOBS_MAX: usize = 256;
/// New transactions of our clients are collected this long before they are sent, so that many travel in one message.
const COLLECT: Duration = Duration::from_millis(10);
/// Hashes of transactions that came from peers are collected longer: where every node is connected to every other,
/// nobody needs them, and those that others announce meanwhile need not be announced to them.
const COLLECT_HASHES: Duration = Duration::from_millis(50);
/// Hashes that were asked for and have not been forgotten: more than a peer announces in [`ASK_AGAIN`].
const ASKED_MAX: usize = 1 << 16;
/// How often waiting transactions are announced again.
const AGAIN: Duration = Duration::from_secs(5);
/// How many of them at a time: the oldest.
const AGAIN_MAX: usize = 1_024;
/// A hash that was asked for is not asked for again within this time.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How often an idle thread looks whether the node stops: nobody waits longer than this for it.
const STOP_LOOK: Duration = Duration::from_millis(100);
/// Bytes of transactions per message, leaving room for list heads.
const BATCH_BYTES: usize = MAX_TRANSACTIONS_BYTES / 2;

/// Work for the gossip thread.
#[derive(Debug)]
pub enum Job {
    /// The pool took these in, from a client or from a peer.
    New(Vec<RecoveredTransaction>),
    /// A peer sent transactions.
    Received(NodeId, Vec<Bytes>),
    /// A peer has these.
    Announced(NodeId, Vec<B256>),
    /// A peer wants these.
    Wanted(NodeId, Vec<B256>),
    /// A session began: the peer hears what waits here.
    PeerUp(NodeId),
    /// A session ended.
    PeerDown(NodeId),
}

/// Hands work to the gossip thread without ever waiting.
#[derive(Clone)]
pub struct Gossip(SyncSender<Job>);

impl Gossip {
    /// Hands a job over; drops and counts it when too many wait.
    pub fn offer(&self, job: Job) {
        if let Err(TrySendError::Full(_)) = self.0.try_send(job) {
            counter!("lonja_gossip_jobs_dropped_total").increment(1);
        }
    }
}

/// A queue for the gossip thread, to be made before the door that feeds it.
pub fn queue() -> (Gossip, Receiver<Job>) {
    let (sender, receiver) = sync_channel(JOBS_MAX);
    (Gossip(sender), receiver)
}

/// Starts the thread; it ends when `stopped` says so.
pub fn start(
    jobs: Receiver<Job>,
    door: Door,
    pool: Arc<Mutex<TxPool>>,
    p2p: P2p,
    stopped: impl Fn() -> bool + Send + 'static,
) -> JoinHandle<()> {
    let state = State {
        door,
        pool,
        p2p,
        known: Known::default(),
        asked: B256Map::default(),
        fresh: Vec::new(),
        push_at: None,
        passed_on: Vec::new(),
        pass_on_at: None,
        again_at: Instant::now() + AGAIN,
    };
    let thread = thread::Builder::new().name("gossip".into()).spawn(move || state.run(&jobs, stopped));
    thread.expect("the system can start a thread")
}

struct State {
    door: Door,
    pool: Arc<Mutex<TxPool>>,
    p2p: P2p,
    /// Which peers know a transaction: they sent it, or were sent it.
    known: Known,
    asked: B256Map<Instant>,
    /// Newly in the pool, and when they are looked at.
    fresh: Vec<RecoveredTransaction>,
    push_at: Option<Instant>,
    /// Those of them that came from peers, and when they are announced.
    passed_on: Vec<B256>,
    pass_on_at: Option<Instant>,
    again_at: Instant,
}

impl State {
    fn run(mut self, jobs: &Receiver<Job>, stopped: impl Fn() -> bool) {
        while !stopped() {
            let wake =
                [self.push_at, self.pass_on_at].into_iter().flatten().fold(self.again_at, Instant::min);
            match jobs.recv_timeout(wake.saturating_duration_since(Instant::now()).min(STOP_LOOK)) {
                Ok(job) => self.handle(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.send_what_is_due(Instant::now());
        }
    }

    fn send_what_is_due(&mut self, now: Instant) {
        if !self.fresh.is_empty() {
            let due = *self.push_at.get_or_insert(now + COLLECT);
            if due <= now || self.fresh.len() >= MAX_TRANSACTIONS {
                self.push_at = None;
                self.push();
            }
        }
        if !self.passed_on.is_empty() {
            let due = *self.pass_on_at.get_or_insert(now + COLLECT_HASHES);
            if due <= now || self.passed_on.len() >= MAX_HASHES {
                self.pass_on_at = None;
                self.pass_on();
            }
        }
        if self.again_at <= now {
            self.announce_again();
            self.asked.retain(|_, at| at.elapsed() < ASK_AGAIN);
            self.again_at = now + AGAIN;
        }
    }

    fn handle(&mut self, job: Job) {
        match job {
            Job::New(transactions) => self.fresh.extend(transactions),
            Job::Received(peer, raws) => self.received(peer, raws),
            Job::Announced(peer, hashes) => self.announced(peer, hashes),
            Job::Wanted(peer, hashes) => self.wanted(peer, &hashes),
            Job::PeerUp(peer) => self.announce_waiting(&[peer], MAX_HASHES),
            Job::PeerDown(peer) => self.known.forget_peer(&peer),
        }
    }

    /// The door finds out what is new; the peer is remembered for all of them first, so that none goes back.
    fn received(&mut self, peer: NodeId, raws: Vec<Bytes>) {
        let sender = self.known.set_of(&peer);
        raws.iter().for_each(|raw| self.known.add(keccak256(raw), sender));
        let count = raws.len();
        let mut malformed = 0usize;
        for result in self.door.submit(raws, Origin::Gossip) {
            if matches!(result, Err(SubmitError::Invalid(_))) {
                malformed += 1;
            }
        }
        counter!("lonja_gossip_transactions_total").increment(count as u64);
        if malformed > 0 {
            let what = format!("{malformed} of {count} transactions can never be valid here");
            self.p2p.penalise(&peer, Abuse::InvalidTransaction(what));
        }
    }

    fn announced(&mut self, peer: NodeId, hashes: Vec<B256>) {
        let mut lacking = Vec::new();
        {
            let pool = self.pool.lock();
            for hash in &hashes {
                let asked = self.asked.get(hash).is_some_and(|at| at.elapsed() < ASK_AGAIN);
                if !pool.contains(hash) && !pool.recently_included(hash) && !asked {
                    lacking.push(*hash);
                }
            }
        }
        let sender = self.known.set_of(&peer);
        hashes.into_iter().for_each(|hash| self.known.add(hash, sender));
        if lacking.is_empty() || self.asked.len() > ASKED_MAX {
            return;
        }
        let now = Instant::now();
        self.asked.extend(lacking.iter().map(|hash| (*hash, now)));
        self.p2p.send(&[peer], Message::GetTransactions(lacking));
    }

    fn wanted(&mut self, peer: NodeId, hashes: &[B256]) {
        let found: Vec<RecoveredTransaction> = {
            let pool = self.pool.lock();
            hashes.iter().filter_map(|hash| pool.get(hash)).collect()
        };
        let receiver = self.known.set_of(&peer);
        found.iter().for_each(|tx| self.known.add(tx.hash(), receiver));
        for batch in batches(&found) {
            self.p2p.send(&[peer], Message::Transactions(batch));
        }
    }

    /// Sends what entered the network here, whole, to everybody.
    fn push(&mut self) {
        let peers = self.p2p.connected();
        let everybody = self.everybody(&peers);
        let mut ours = Vec::new();
        for tx in self.fresh.drain(..) {
            let hash = tx.hash();
            if self.known.of(&hash).is_some() {
                self.passed_on.push(hash);
            } else {
                self.known.add(hash, everybody);
                ours.push(tx);
            }
        }
        for batch in batches(&ours) {
            self.p2p.send(&peers, Message::Transactions(batch));
        }
    }

    /// Sends the hashes of what came from peers to those that have not been heard of to know it.
    fn pass_on(&mut self) {
        let hashes = std::mem::take(&mut self.passed_on);
        let who: Vec<PeerSet> = hashes.iter().map(|hash| self.known.of(hash).unwrap_or_default()).collect();
        let peers = self.p2p.connected();
        let everybody = self.everybody(&peers);
        for peer in &peers {
            let own = self.known.set_of(peer);
            let unknown = hashes.iter().zip(&who).filter(|(_, who)| !who.has(own));
            let hashes: Vec<B256> = unknown.map(|(hash, _)| *hash).collect();
            for chunk in hashes.chunks(MAX_HASHES) {
                self.p2p.send(&[*peer], Message::TransactionHashes(chunk.to_vec()));
            }
        }
        hashes.into_iter().for_each(|hash| self.known.add(hash, everybody));
    }

    fn everybody(&mut self, peers: &[NodeId]) -> PeerSet {
        peers.iter().fold(PeerSet::default(), |all, peer| all.with(self.known.set_of(peer)))
    }

    /// What still waits may have been lost on the way, or belongs to a part of the network that was cut off.
    fn announce_again(&self) {
        let peers = self.p2p.connected();
        self.announce_waiting(&peers, AGAIN_MAX);
    }

    fn announce_waiting(&self, peers: &[NodeId], most: usize) {
        let hashes: Vec<B256> = {
            let pool = self.pool.lock();
            pool.ready(u64::MAX, BATCH_BYTES).iter().take(most).map(RecoveredTransaction::hash).collect()
        };
        if !hashes.is_empty() && !peers.is_empty() {
            self.p2p.send(peers, Message::TransactionHashes(hashes));
        }
    }
}

/// Cuts transactions into messages of bounded count and size.
fn batches(transactions: &[RecoveredTransaction]) -> Vec<Vec<Bytes>> {
    let mut all = Vec::new();
    let mut batch = Vec::new();
    let mut bytes = 0;
    for tx in transactions {
        let length = tx.raw().len() + 8;
        if !batch.is_empty() && (bytes + length > BATCH_BYTES || batch.len() >= MAX_TRANSACTIONS) {
            all.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += length;
        batch.push(tx.raw().clone());
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    all
}
