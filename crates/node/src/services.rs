//! The tasks around the loop, and what the operator sees at the start.

use crate::clock::Clock;
use crate::config::Config;
use crate::control::Published;
use crate::core::limit_blocks;
use crate::disk::DiskLimits;
use crate::event::{Event, Room};
use crate::gossip::{self, Gossip};
use crate::ingest::{Ingest, Ingested};
use crate::join::backfill::{Answered, Backfill};
use crate::join::giver::{Asked, Giver};
use crate::journal::Journal;
use crate::mailbox::{Lane, Sender};
use crate::parties::Parties;
use crate::plans::{next_fork, unvoted_blocks};
use crate::wishes::Wishes;
use arc_swap::ArcSwap;
use lonja_chain::Door;
use lonja_consensus::machine::ChainPosition;
use lonja_p2p::wire::{MAX_BLOCKS_BYTES, Message};
use lonja_p2p::{Abuse, P2p, PeerEvent, PeerEvents};
use lonja_primitives::NodeId;
use lonja_rpc::{NodeInfo, RpcHandle};
use lonja_storage::{Head, Reader};
use lonja_txpool::TxPool;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How often the disk is looked at.
const DISK_EVERY: Duration = Duration::from_secs(5);
/// How often the pool's old transactions are dropped, its journal looked at and its size published.
const POOL_EVERY: Duration = Duration::from_secs(2);
/// How often the stored votes of the operator are compared with the agreement's.
const VOTES_EVERY: Duration = Duration::from_secs(5);
/// Answers with blocks that are read from the store at the same time; a further request is dropped, and the peer
/// asks again (or somebody else) when its time is up.
const SERVING_MAX: usize = 8;
/// Room for the list heads around blocks in an answer.
const ANSWER_SPARE_BYTES: usize = 4 << 10;

/// Where what peers send goes.
pub struct Receivers {
    /// The loop.
    pub mailbox: Sender,
    /// Transactions.
    pub gossip: Gossip,
    /// Questions about the past.
    pub giver: Giver,
    /// Answers to our own.
    pub backfill: Backfill,
    /// What managers say to each other.
    pub parties: Parties,
    /// Blocks that peers ask for.
    pub reader: Reader,
    /// Answers, and penalties.
    pub p2p: P2p,
}

/// Takes what peers send, checks it at the door, and hands it on. Ends with the network.
pub async fn deliver(
    mut events: PeerEvents,
    mut ingest: Ingest,
    published: Arc<ArcSwap<Published>>,
    receivers: Receivers,
    clock: Clock,
) {
    let Receivers { mailbox, gossip, parties, .. } = &receivers;
    let serving = Arc::new(Semaphore::new(SERVING_MAX));
    while let Some(event) = events.recv().await {
        match event {
            PeerEvent::Connected { peer, head, .. } => {
                mailbox.offer(Lane::Inner, Event::PeerUp { peer, number: head.0, hash: head.1 });
                gossip.offer(gossip::Job::PeerUp(peer));
                parties.peer_up(peer);
            }
            PeerEvent::Disconnected { peer, .. } => {
                mailbox.offer(Lane::Inner, Event::PeerDown(peer));
                gossip.offer(gossip::Job::PeerDown(peer));
                parties.peer_down(peer);
            }
            PeerEvent::Message { peer, message } => {
                let published = published.load();
                let validators = &published.consensus.validators;
                let now_ms = clock.mono_ms();
                let ingested = match message {
                    // Handed on as they are.
                    Message::PartyRequest { .. } | Message::PartyAnswer { .. } => {
                        ingest.take(now_ms, peer, message, validators)
                    }
                    // Recovering signatures and decoding blocks takes its time; other tasks go on meanwhile.
                    _ => tokio::task::block_in_place(|| ingest.take(now_ms, peer, message, validators)),
                };
                match ingested {
                    // What they ask for is mostly to be kept.
                    Ingested::PartyRequest { request, .. } if published.room == Room::ReadOnly => {
                        parties.refuse(peer, request);
                    }
                    ingested => hand_on(peer, ingested, &receivers, &serving),
                }
            }
        }
    }
}

fn hand_on(peer: NodeId, ingested: Ingested, receivers: &Receivers, serving: &Arc<Semaphore>) {
    let Receivers { mailbox, gossip, giver, backfill, parties, reader, p2p } = receivers;
    match ingested {
        Ingested::Event(event @ Event::Consensus { .. }) => drop(mailbox.offer(Lane::Consensus, event)),
        Ingested::Event(event) => drop(mailbox.offer(Lane::Bulk, event)),
        Ingested::Question { request, question } => giver.ask(Asked { peer, request, question }),
        Ingested::Answer { request, content } => backfill.answered(Answered { peer, request, content }),
        Ingested::PartyRequest { request, body } => parties.requested(peer, request, body),
        Ingested::PartyAnswer { request, body } => parties.answered(peer, request, body),
        Ingested::Transactions(raws) => gossip.offer(gossip::Job::Received(peer, raws)),
        Ingested::Announced(hashes) => gossip.offer(gossip::Job::Announced(peer, hashes)),
        Ingested::Wanted(hashes) => gossip.offer(gossip::Job::Wanted(peer, hashes)),
        Ingested::BlocksWanted { request, from, count } => {
            let Ok(permit) = serving.clone().try_acquire_owned() else {
                counter!("lonja_block_requests_refused_total").increment(1);
                return;
            };
            let (reader, p2p) = (reader.clone(), p2p.clone());
            tokio::task::spawn_blocking(move || {
                let blocks = read_blocks(&reader, from, count);
                p2p.send(&[peer], Message::Blocks { request, blocks });
                drop(permit);
            });
        }
        Ingested::Duplicate => counter!("lonja_consensus_duplicates_total").increment(1),
        Ingested::Stranger => counter!("lonja_consensus_strangers_total").increment(1),
        Ingested::Abuse(reason) => {
            tracing::warn!(peer = %peer.address(), %reason, "a peer broke the rules");
            p2p.penalise(&peer, Abuse::InvalidMessage(reason));
        }
    }
}

/// Consecutive blocks from `from` on, at most `count`, as many as fit an answer. Only durable ones.
pub fn read_blocks(reader: &Reader, from: u64, count: u64) -> Vec<alloy_primitives::Bytes> {
    let last = from.saturating_add(count.saturating_sub(1)).min(reader.head().number);
    let blocks = (from..=last).map_while(|number| match reader.block(number) {
        Ok(block) => block,
        Err(error) => {
            tracing::error!(number, %error, "a stored block cannot be read");
            None
        }
    });
    limit_blocks(blocks, MAX_BLOCKS_BYTES - ANSWER_SPARE_BYTES)
}

/// Tells the loop when room on the disk runs out or comes back.
pub async fn watch_disk(data_dir: PathBuf, limits: DiskLimits, mailbox: Sender) {
    let mut room = Room::Enough;
    let mut every = tokio::time::interval(DISK_EVERY);
    loop {
        every.tick().await;
        let path = data_dir.clone();
        let Ok(Ok(free)) = tokio::task::spawn_blocking(move || lonja_storage::free_bytes(&path)).await else {
            continue;
        };
        gauge!("lonja_disk_free_bytes").set(free as f64);
        let now = limits.judge(free);
        if now != room {
            let free_mib = free >> 20;
            match now {
                Room::Enough => tracing::info!(free_mib, "there is room on the disk again"),
                Room::NoVoting => {
                    tracing::error!(free_mib, "little room on the disk: this node stops voting")
                }
                Room::ReadOnly => {
                    tracing::error!(free_mib, "no room on the disk: this node writes no more blocks")
                }
            }
            if mailbox.offer(Lane::Inner, Event::Room(now)) {
                room = now;
            }
        }
    }
}

/// Looks after the pool: lifetimes, the journal's length, and the numbers of `/metrics`.
pub async fn keep_pool(
    door: Door,
    pool: Arc<Mutex<TxPool>>,
    journal: Arc<Mutex<Journal>>,
    p2p: P2p,
    heads: watch::Sender<Head>,
) {
    let mut every = tokio::time::interval(POOL_EVERY);
    loop {
        every.tick().await;
        let looking = door.clone();
        let dropped = tokio::task::spawn_blocking(move || looking.drop_not_permitted()).await.unwrap_or(0);
        if dropped > 0 {
            tracing::info!(dropped, "transactions waited whose senders may not send them any more");
        }
        let status = {
            let mut pool = pool.lock();
            pool.expire(crate::clock::unix_ms());
            pool.status()
        };
        gauge!("lonja_txpool_pending").set(status.pending as f64);
        gauge!("lonja_txpool_queued").set(status.queued as f64);
        gauge!("lonja_txpool_bytes").set(status.bytes as f64);
        gauge!("lonja_peers").set(p2p.connected().len() as f64);
        gauge!("lonja_head_number").set(heads.borrow().number as f64);
        if journal.lock().is_long() {
            let (journal, pool) = (journal.clone(), pool.clone());
            let rewritten = tokio::task::spawn_blocking(move || journal.lock().rewrite(&pool)).await;
            if let Ok(Err(error)) = rewritten {
                tracing::error!(%error, "the journal of waiting transactions could not be written anew");
            }
        }
    }
}

/// Keeps the stored votes of the operator as the agreement has them: those that came true go.
pub async fn follow_votes(wishes: Arc<Wishes>, published: Arc<ArcSwap<Published>>) {
    let mut every = tokio::time::interval(VOTES_EVERY);
    loop {
        every.tick().await;
        let (wishes, published) = (wishes.clone(), published.clone());
        let follow = move || wishes.follow(&published.load().consensus.candidates);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(follow).await {
            tracing::error!(%error, "the votes of this node could not be written down");
        }
    }
}

/// Whether the loop has been told that transactions wait: it needs to hear it once, not for each of thousands.
#[derive(Clone, Default)]
pub struct Work(Arc<AtomicBool>);

impl Work {
    /// A transaction came in.
    pub fn came_in(&self, mailbox: &Sender) {
        if !self.0.swap(true, Ordering::Relaxed) && !mailbox.offer(Lane::Inner, Event::WorkWaiting(true)) {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    /// A block was written; `waiting` says whether anything executable is left. From the chain's thread.
    pub fn block_written(&self, waiting: bool, mailbox: &Sender) {
        self.0.store(waiting, Ordering::Relaxed);
        mailbox.answer(Event::WorkWaiting(waiting));
    }
}

/// Who we are and where we stand.
pub fn print_banner(
    config: &Config,
    info: &NodeInfo,
    position: &ChainPosition,
    oldest_state: u64,
    took: Duration,
) {
    let validators = position.votes.validators();
    let role = match (config.validate, validators.contains(&info.address)) {
        (true, true) => "validator",
        (true, false) => "regular node (would validate once voted in)",
        (false, _) => "regular node",
    };
    let spec = &config.genesis.spec;
    let next = position.head.number.saturating_add(1);
    let fork = spec.fork_at(next, position.head.timestamp);
    let params = spec.consensus_at(next);
    let free_mib = lonja_storage::free_bytes(&config.data_dir).unwrap_or(0) >> 20;
    tracing::info!(client = %info.client, "lonja starts");
    tracing::info!(role, address = %info.address, validators = validators.len(), "role");
    let peer_id = lonja_p2p::peer_id_text(&info.node_id).unwrap_or_default();
    tracing::info!(enode = %info.enode, peer_id, quic = config.p2p_quic, "peer-to-peer");
    tracing::info!(
        chain_id = spec.chain_id,
        genesis = %config.genesis.header.hash(),
        ?fork,
        next_fork = next_fork(spec, next, position.head.timestamp),
        free_gas = spec.free_gas,
        period_ms = params.block_period_ms,
        "network"
    );
    tracing::info!(data_dir = %config.data_dir.display(), free_mib, "disk");
    tracing::info!(history = %config.history, oldest_state, "states of past blocks");
    tracing::info!(number = position.head.number, hash = %position.head.hash(), opened_in_ms = took.as_millis() as u64, "head");
    let unvoted = unvoted_blocks(spec).into_iter().find(|blocks| blocks.contains(next));
    if let Some(blocks) = unvoted.filter(|_| config.validate && validators.contains(&info.address)) {
        tracing::warn!(
            "this validator does not vote yet: lonja verifies {blocks}, but does not vote on them"
        );
    }
    let permissions = spec.permissions_at(next);
    if let Some(rule) = permissions.nodes {
        tracing::info!(contract = %rule.contract, "who may connect is decided on chain");
    } else if config.allowed.is_empty() {
        tracing::warn!("any node with this genesis may connect; --allow-node limits it to those named");
    }
}

/// Where clients find us.
pub fn print_addresses(rpc: &RpcHandle) {
    let text = |address: Option<std::net::SocketAddr>| address.map_or("off".into(), |a| a.to_string());
    tracing::info!(http = text(rpc.http), ws = text(rpc.ws), health = text(rpc.health), "JSON-RPC is served");
}
