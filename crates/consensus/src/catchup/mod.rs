//! Catching up: fetches sealed blocks from several peers, checks them in order and hands them to the chain.
//!
//! Like the voting machine it is a pure function of its inputs. It trusts nobody: a peer's word about its head
//! only says whom to ask, and a block counts once a quorum of its height's validators has sealed it.
//!
//! | input | what happens |
//! |---|---|
//! | `PeerHead` | the peer becomes somebody to ask; another hash at a height we know is looked into |
//! | `PeerGone`, `RequestFailed`, a request out of time | its range goes to another peer |
//! | `Blocks` | buffered, then checked in height order; each good one is an `Import` |
//! | `NewHead` | confirms imports, or moves ahead because the validators decided without us |
//! | `Tick` | ranges out of time, the grace of validators |
//!
//! A peer is blamed for what an honest one never sends. Two sealed blocks at one height end everything: more
//! than the tolerated number of validators is faulty, and a person has to look ([`CatchUpOutput::Halt`]).

mod fork;
mod peers;
#[cfg(test)]
mod tests;
mod types;

use crate::header::{self, HeaderError, certify};
use crate::machine::ChainPosition;
use crate::{Now, VoteState};
use alloy_primitives::{Address, B256};
use fork::History;
use lonja_primitives::{Block, CertifiedBlock, ChainSpec, NodeId, SealedHeader};
use peers::Peers;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use types::{CatchUpInput, CatchUpOutput};

/// Blocks asked for at once: enough that the round trip does not matter, few enough that a lost range is cheap.
pub const BLOCKS_PER_REQUEST: u64 = 128;
/// How far ahead of the last checked block ranges are fetched: some peers in parallel, and a slow one does not
/// stop the others.
pub const WINDOW_BLOCKS: u64 = 1024;
/// Fetched but unchecked blocks kept, in bytes. Above it only the next range is fetched.
pub const BUFFER_BYTES: usize = 64 << 20;
/// Checked blocks handed over that the chain has not stored yet: keeps its queue short.
pub const UNIMPORTED_BLOCKS: usize = 64;
/// The same in bytes; one block is always allowed.
pub const UNIMPORTED_BYTES: usize = 64 << 20;
/// A range that has not come by then goes to another peer.
pub const REQUEST_TIMEOUT_MS: u64 = 5_000;
/// A validator that is one block behind waits this long before it fetches: most of the time the missing
/// commits are on their way, and the block with them.
pub const GRACE_MS: u64 = 300;
/// Requests out of time that are remembered, so that their late answers are not taken for unrequested ones.
const EXPIRED_REQUESTS: usize = 256;

/// The catch-up machine.
#[derive(Debug)]
pub struct CatchUp {
    spec: Arc<ChainSpec>,
    validator: Option<Address>,
    /// Height of the newest durable block.
    head: u64,
    /// The newest checked block; not below the head.
    tip: SealedHeader,
    /// Who seals the block after the tip.
    votes: VoteState,
    unimported: VecDeque<Unimported>,
    history: History,
    peers: Peers,
    requests: BTreeMap<u64, Flight>,
    expired: VecDeque<(u64, NodeId)>,
    buffer: BTreeMap<u64, Buffered>,
    next_request: u64,
    grace: Option<Grace>,
    wake_ms: Option<u64>,
    halted: bool,
    outputs: Vec<CatchUpOutput>,
}

#[derive(Debug)]
struct Unimported {
    number: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Flight {
    peer: NodeId,
    from: u64,
    count: u64,
    deadline_ms: u64,
    /// Asked to compare a block we have, not to get a new one.
    probe: bool,
}

#[derive(Debug)]
struct Buffered {
    block: Block,
    peer: NodeId,
    bytes: usize,
}

/// One block behind, and waiting for the validators to bring it.
#[derive(Clone, Copy, Debug)]
struct Grace {
    number: u64,
    until_ms: u64,
}

impl CatchUp {
    /// Begins at the node's own position. The first inputs should tell of the connected peers.
    pub fn new(spec: Arc<ChainSpec>, position: Arc<ChainPosition>) -> Self {
        Self {
            spec,
            validator: None,
            head: position.head.number,
            tip: position.head.clone(),
            votes: position.votes.clone(),
            unimported: VecDeque::new(),
            history: History::default(),
            peers: Peers::default(),
            requests: BTreeMap::new(),
            expired: VecDeque::new(),
            buffer: BTreeMap::new(),
            next_request: 1,
            grace: None,
            wake_ms: None,
            halted: false,
            outputs: Vec::new(),
        }
    }

    /// Tells which validator this node is, for [`GRACE_MS`]. Without it nothing waits.
    pub fn set_validator(&mut self, validator: Option<Address>) {
        self.validator = validator;
    }

    /// Begins anew at the node's own position: blocks handed over since were refused and are fetched again. The
    /// next inputs should tell of the connected peers. What was asked stays known, for answers still come.
    pub fn begin_again(&mut self, position: &ChainPosition) {
        let open: Vec<u64> = self.requests.keys().copied().collect();
        open.into_iter().for_each(|request| {
            self.give_up(request);
        });
        self.peers = Peers::default();
        self.head = position.head.number;
        (self.tip, self.votes) = (position.head.clone(), position.votes.clone());
        self.unimported.clear();
        self.buffer.clear();
        self.history = History::default();
        self.grace = None;
    }

    /// The height the best believable peer claims, where that is above our head.
    pub fn target(&self) -> Option<u64> {
        self.peers.best_claim().filter(|claim| *claim > self.head)
    }

    /// When the next [`CatchUpInput::Tick`] is due, milliseconds of the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        self.wake_ms
    }

    /// Takes one event in and gives the decisions that follow.
    pub fn step(&mut self, now: Now, input: CatchUpInput) -> Vec<CatchUpOutput> {
        if self.halted {
            return Vec::new();
        }
        match input {
            CatchUpInput::PeerHead { peer, number, hash } => self.peer_head(peer, number, hash),
            CatchUpInput::PeerGone(peer) => self.peer_gone(&peer),
            CatchUpInput::Blocks { peer, request, blocks } => self.blocks(now, peer, request, blocks),
            CatchUpInput::RequestFailed { peer, request } => self.request_failed(now, &peer, request),
            CatchUpInput::NewHead(position) => self.new_head(&position),
            CatchUpInput::Tick => {}
        }
        self.expire(now);
        self.import();
        if !self.halted {
            self.probe(now);
            self.fetch(now);
        }
        self.wake_ms = self.next_wake(now);
        std::mem::take(&mut self.outputs)
    }

    fn peer_head(&mut self, peer: NodeId, number: u64, hash: B256) {
        self.peers.claim(peer, number);
        if self.history.hash_at(number).is_some_and(|known| known != hash) {
            self.peers.suspect(&peer, number);
        }
    }

    /// A request may have left on the peer's next connection already, so its answer is remembered as late.
    fn peer_gone(&mut self, peer: &NodeId) {
        self.peers.remove(peer);
        let asked = self.requests.iter().filter(|(_, flight)| flight.peer == *peer);
        let open: Vec<u64> = asked.map(|(request, _)| *request).collect();
        open.into_iter().for_each(|request| {
            self.give_up(request);
        });
    }

    fn request_failed(&mut self, now: Now, peer: &NodeId, request: u64) {
        if self.requests.get(&request).is_some_and(|flight| flight.peer == *peer) {
            self.requests.remove(&request);
            self.peers.strike(peer, now.mono_ms);
        }
    }

    fn blocks(&mut self, now: Now, peer: NodeId, request: u64, blocks: Vec<Block>) {
        let Some(flight) = self.take_flight(&peer, request) else { return };
        let fault = answer_fault(&flight, &blocks);
        if let Some(reason) = fault {
            return self.blame(peer, reason);
        }
        if blocks.is_empty() {
            return self.peers.strike(&peer, now.mono_ms);
        }
        if flight.probe {
            return self.probed(peer, flight.from, blocks);
        }
        self.peers.delivered(&peer);
        for block in blocks {
            let (number, bytes) = (block.header.number, block.size());
            if number > self.tip.number {
                self.buffer.entry(number).or_insert(Buffered { block, peer, bytes });
            }
        }
    }

    /// The request an answer belongs to. An answer to nothing is a fault, unless it only comes late.
    fn take_flight(&mut self, peer: &NodeId, request: u64) -> Option<Flight> {
        if self.requests.get(&request).is_some_and(|flight| flight.peer == *peer) {
            return self.requests.remove(&request);
        }
        let late = self.expired.iter().any(|(id, asked)| *id == request && asked == peer);
        let remembered = self.expired.front().is_none_or(|(oldest, _)| request >= *oldest);
        if !late && remembered {
            self.blame(*peer, format!("sent blocks that nobody asked for (request {request})"));
        }
        None
    }

    fn new_head(&mut self, position: &ChainPosition) {
        let head = &position.head;
        if head.number <= self.head {
            return;
        }
        if self.history.hash_at(head.number).is_some_and(|known| known != head.hash()) {
            return self.halt(head.number, head.hash(), "the validators of this node's own chain");
        }
        self.head = head.number;
        self.unimported.retain(|waiting| waiting.number > head.number);
        if head.number > self.tip.number {
            let follows = head.number == self.tip.number.saturating_add(1);
            if follows && head.parent_hash == self.tip.hash() {
                let validators = self.votes.validators_for(&self.spec, head);
                let validators = validators.unwrap_or_else(|_| self.votes.validators().clone());
                self.history.push(self.tip.clone(), validators, head.hash());
            } else {
                self.history = History::default();
            }
            self.tip = head.clone();
            self.votes = position.votes.clone();
            self.buffer.retain(|number, _| *number > head.number);
        }
    }

    /// Checks buffered blocks in height order, as many as the chain may have in its queue.
    fn import(&mut self) {
        while !self.halted && self.may_import() {
            let next = self.tip.number.saturating_add(1);
            let Some(Buffered { block, peer, bytes }) = self.buffer.remove(&next) else { return };
            match self.certify_next(block) {
                Ok(certified) => {
                    self.unimported.push_back(Unimported { number: next, bytes });
                    self.outputs.push(CatchUpOutput::Import(certified));
                }
                Err(error) => self.refuse(peer, next, &error),
            }
        }
    }

    fn may_import(&self) -> bool {
        let bytes: usize = self.unimported.iter().map(|waiting| waiting.bytes).sum();
        self.unimported.len() < UNIMPORTED_BLOCKS && bytes < UNIMPORTED_BYTES
    }

    fn certify_next(&mut self, block: Block) -> Result<CertifiedBlock, HeaderError> {
        let format = self.spec.format_at(block.header.number);
        let author = header::author(&block.header, format)?;
        let validators = self.votes.validators_for(&self.spec, &block.header)?;
        let certified = certify(&self.spec, block, &self.tip, &validators)?;
        let mut votes = self.votes.clone();
        votes.apply(&self.spec, &certified.block().header, author)?;
        let sealed = SealedHeader::new_unchecked(certified.block().header.clone(), certified.hash());
        let parent = std::mem::replace(&mut self.tip, sealed);
        self.history.push(parent, validators, certified.hash());
        self.votes = votes;
        Ok(certified)
    }

    /// A block that does not link to ours may mean a split chain, which is looked into; any other fault is the
    /// sender's.
    fn refuse(&mut self, peer: NodeId, number: u64, error: &HeaderError) {
        self.buffer.retain(|_, buffered| buffered.peer != peer);
        let below = number.saturating_sub(1);
        match error {
            HeaderError::Parent { .. } if self.history.hash_at(below).is_some() => {
                self.peers.suspect(&peer, below);
            }
            error => self.blame(peer, format!("block {number}: {error}")),
        }
    }

    fn blame(&mut self, peer: NodeId, reason: String) {
        self.buffer.retain(|_, buffered| buffered.peer != peer);
        self.requests.retain(|_, flight| flight.peer != peer);
        self.peers.ban(&peer);
        self.outputs.push(CatchUpOutput::Blame { peer, reason });
    }

    fn expire(&mut self, now: Now) {
        let late: Vec<u64> = self
            .requests
            .iter()
            .filter(|(_, flight)| flight.deadline_ms <= now.mono_ms)
            .map(|(request, _)| *request)
            .collect();
        for request in late {
            if let Some(flight) = self.give_up(request) {
                self.peers.strike(&flight.peer, now.mono_ms);
            }
        }
    }

    /// Waits for the answer no more, but remembers the question.
    fn give_up(&mut self, request: u64) -> Option<Flight> {
        let flight = self.requests.remove(&request)?;
        self.expired.push_back((request, flight.peer));
        if self.expired.len() > EXPIRED_REQUESTS {
            self.expired.pop_front();
        }
        Some(flight)
    }

    /// Spreads the heights still missing over the peers that are free.
    fn fetch(&mut self, now: Now) {
        let best = self.peers.best_claim().unwrap_or(0);
        if self.in_grace(now, best) {
            return;
        }
        let end = best.min(self.tip.number.saturating_add(WINDOW_BLOCKS));
        let mut from = self.tip.number.saturating_add(1);
        while let Some((start, gap)) = self.next_gap(from, end) {
            let first = start == self.tip.number.saturating_add(1);
            if !first && self.buffered_bytes() > BUFFER_BYTES {
                return;
            }
            let busy: BTreeSet<NodeId> = self.requests.values().map(|flight| flight.peer).collect();
            let Some((peer, claim)) = self.peers.choose(start, now.mono_ms, &busy) else { return };
            let count = gap.min(claim.saturating_sub(start).saturating_add(1));
            self.request(now, peer, start, count, false);
            from = start.saturating_add(count);
        }
    }

    fn request(&mut self, now: Now, peer: NodeId, from: u64, count: u64, probe: bool) {
        let request = self.next_request;
        self.next_request = request.saturating_add(1);
        let deadline_ms = now.mono_ms.saturating_add(REQUEST_TIMEOUT_MS);
        self.requests.insert(request, Flight { peer, from, count, deadline_ms, probe });
        self.outputs.push(CatchUpOutput::Request { peer, request, from, count });
    }

    /// The first stretch at or after `from` that is neither fetched nor asked for, at most one request long.
    fn next_gap(&self, from: u64, end: u64) -> Option<(u64, u64)> {
        let start = (from..=end).find(|number| !self.is_covered(*number))?;
        let limit = end.min(start.saturating_add(BLOCKS_PER_REQUEST - 1));
        let stop = (start..=limit).find(|number| self.is_covered(*number));
        Some((start, stop.unwrap_or(limit.saturating_add(1)).saturating_sub(start)))
    }

    fn is_covered(&self, number: u64) -> bool {
        let asked =
            |flight: &Flight| !flight.probe && number >= flight.from && number - flight.from < flight.count;
        self.buffer.contains_key(&number) || self.requests.values().any(asked)
    }

    fn is_busy(&self, peer: &NodeId) -> bool {
        self.requests.values().any(|flight| flight.peer == *peer)
    }

    fn buffered_bytes(&self) -> usize {
        self.buffer.values().map(|buffered| buffered.bytes).sum()
    }

    fn in_grace(&mut self, now: Now, best: u64) -> bool {
        let next = self.tip.number.saturating_add(1);
        let votes = self.validator.is_some_and(|validator| self.votes.validators().contains(&validator));
        if !votes || best != next {
            self.grace = None;
            return false;
        }
        let fresh = Grace { number: next, until_ms: now.mono_ms.saturating_add(GRACE_MS) };
        let grace = *self.grace.get_or_insert(fresh);
        let current = if grace.number == next { grace } else { fresh };
        self.grace = Some(current);
        now.mono_ms < current.until_ms
    }

    fn next_wake(&self, now: Now) -> Option<u64> {
        if self.halted {
            return None;
        }
        let requests = self.requests.values().map(|flight| flight.deadline_ms);
        let grace = self.grace.map(|grace| grace.until_ms).filter(|until| *until > now.mono_ms);
        let rested = self.peers.next_rested(self.tip.number, now.mono_ms);
        requests.chain(grace).chain(rested).min()
    }

    fn halt(&mut self, number: u64, other: B256, source: &str) {
        let known = self.history.hash_at(number).unwrap_or_default();
        self.halted = true;
        self.outputs.push(CatchUpOutput::Halt {
            reason: format!(
                "the chain has split at height {number}: {known} and {other} are both sealed by a quorum \
                 (the second comes from {source}); more validators are faulty than the network tolerates"
            ),
        });
    }
}

/// What is wrong with the shape of an answer.
fn answer_fault(flight: &Flight, blocks: &[Block]) -> Option<String> {
    if blocks.len() as u64 > flight.count {
        return Some(format!("sent {} blocks where {} were asked for", blocks.len(), flight.count));
    }
    let wrong = |(want, block): &(u64, &Block)| block.header.number != *want;
    let numbered = (flight.from..).zip(blocks);
    let (want, block) = numbered.into_iter().find(|pair| wrong(pair))?;
    Some(format!("sent block {} where block {want} was asked for", block.header.number))
}
