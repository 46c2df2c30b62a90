//! Joining by a state, as a pure machine: what peers answer goes in, what to ask, write and blame comes out.
//!
//! ```text
//!   Offers ─► Trust ─► Headers ─► State ─► Block ─► Joined
//!     ▲        whose seals?  votes   parts with proofs   the block itself
//!     └── Restart: nobody holds that state any more
//! ```
//!
//! Nothing is believed. The header of the block is trusted through the validators that sealed it
//! ([`lonja_consensus::light`]); everything else hangs on its hashes. Headers come from one peer at a time, the guide,
//! so that it is clear who lied where a lie shows only later; parts of the state come from everybody who holds it.

use super::headers::{HeaderRun, check_chapter};
use super::peers::Peers;
use super::state::{Piece, StateFetch, Write};
use super::words::{
    Chapter, HEADERS_MAX, Question, decode_chapters, decode_codes, decode_headers, decode_part,
    decode_snapshots,
};
use alloy_primitives::{B256, Bytes};
use lonja_consensus::VoteState;
use lonja_consensus::light::{Step, TrustPath, Untrusted};
use lonja_primitives::{Block, ChainSpec, Header, NodeId, Receipt, SealedHeader};
use std::collections::BTreeSet;
use std::sync::Arc;

/// After the first offer the others are waited for this long, milliseconds: most peers that hold the same state is
/// best.
const OFFERS_MS: u64 = 3_000;
/// Below this height a chain is not joined by a state: executing it takes no longer.
pub const LEAST_HEIGHT: u64 = 256;

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// A session began.
    PeerUp(NodeId),
    /// A session ended.
    PeerDown(NodeId),
    /// An answer came.
    Answer {
        /// From whom.
        peer: NodeId,
        /// To which question.
        request: u64,
        /// What.
        content: Bytes,
    },
    /// Time passed.
    Tick,
}

/// What to do, in order.
#[derive(Debug)]
pub enum Output {
    /// Ask a peer.
    Ask {
        /// Whom.
        peer: NodeId,
        /// Number for the answer.
        request: u64,
        /// What.
        question: Question,
    },
    /// A peer sent what no honest one sends.
    Blame {
        /// Who.
        peer: NodeId,
        /// What it did.
        reason: String,
    },
    /// A peer has another chain than the operator's checkpoint says; one of the two is wrong.
    Doubt {
        /// Who.
        peer: NodeId,
        /// What differs.
        reason: String,
    },
    /// The state after this block is fetched; begins with an empty store.
    Begin(SealedHeader),
    /// To be written.
    Write(Write),
    /// Nobody holds the state any more: what was written is worth nothing.
    Restart,
    /// All is there: the last to be written.
    Joined(Box<Joined>),
    /// The chain is so short that executing it is as quick.
    NotWorth {
        /// Height of the state that was offered.
        height: u64,
    },
}

/// The block of the state, with what belongs to it.
#[derive(Debug)]
pub struct Joined {
    /// The block.
    pub block: Block,
    /// Its hash.
    pub hash: B256,
    /// Its receipts.
    pub receipts: Vec<Receipt>,
    /// The votes after it.
    pub votes: VoteState,
}

#[derive(Debug)]
enum Task {
    Offers,
    Header(u64),
    Headers { from: u64, count: u64 },
    Piece(Piece),
    Block(u64),
}

enum Phase {
    Offers { first_ms: Option<u64> },
    Trust { number: u64, guide: NodeId, path: TrustPath },
    Headers { block: SealedHeader, guide: NodeId, run: HeaderRun },
    State { block: SealedHeader, votes: VoteState, fetch: StateFetch },
    Block { block: SealedHeader, votes: VoteState },
    Ended,
}

/// The joining machine.
pub struct Join {
    spec: Arc<ChainSpec>,
    genesis: SealedHeader,
    checkpoint: Option<(u64, B256)>,
    peers: Peers<Task>,
    banned: BTreeSet<NodeId>,
    phase: Phase,
    outputs: Vec<Output>,
}

impl Join {
    /// For the chain with this block 0, and a block whose hash the operator vouches for.
    pub fn new(spec: Arc<ChainSpec>, genesis: SealedHeader, checkpoint: Option<(u64, B256)>) -> Self {
        Self {
            spec,
            genesis,
            checkpoint,
            peers: Peers::new(),
            banned: BTreeSet::new(),
            phase: Phase::Offers { first_ms: None },
            outputs: Vec::new(),
        }
    }

    /// What it is at, for people.
    pub fn progress(&self) -> String {
        match &self.phase {
            Phase::Offers { .. } => "looking for a peer that gives a state".to_owned(),
            Phase::Trust { number, path, .. } => {
                format!("verifying the validators of block {number} (at block {})", path.wanted())
            }
            Phase::Headers { block, run, .. } => {
                format!("header {} of {}", run.next.min(block.number), block.number)
            }
            Phase::State { block, fetch, .. } => {
                format!("state of block {}: {}", block.number, fetch.fetched)
            }
            Phase::Block { block, .. } => format!("block {}", block.number),
            Phase::Ended => "done".to_owned(),
        }
    }

    /// When a [`Input::Tick`] is wanted, milliseconds of the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        let offers = match self.phase {
            Phase::Offers { first_ms: Some(first) } => Some(first.saturating_add(OFFERS_MS)),
            _ => None,
        };
        [offers, self.peers.deadline_ms()].into_iter().flatten().min()
    }

    /// Takes one event in and gives what follows from it.
    pub fn step(&mut self, now_ms: u64, input: Input) -> Vec<Output> {
        match input {
            Input::PeerUp(peer) if self.banned.contains(&peer) => {}
            Input::PeerUp(peer) => self.peers.add(peer),
            Input::PeerDown(peer) => {
                let lost = self.peers.remove(&peer);
                self.put_back(lost);
            }
            Input::Answer { peer, request, content } => self.answered(&peer, request, &content),
            Input::Tick => {}
        }
        let late = self.peers.expire(now_ms);
        self.put_back(late);
        self.go_on(now_ms);
        std::mem::take(&mut self.outputs)
    }

    /// Of the tasks only pieces of the state are remembered elsewhere; the others are asked for by what is missing.
    fn put_back(&mut self, tasks: Vec<Task>) {
        let Phase::State { fetch, .. } = &mut self.phase else { return };
        for task in tasks {
            if let Task::Piece(piece) = task {
                fetch.put_back(piece);
            }
        }
    }

    fn answered(&mut self, peer: &NodeId, request: u64, content: &Bytes) {
        let Some(flight) = self.peers.answered(peer, request) else { return };
        let is_offer = matches!(flight.task, Task::Offers);
        let result = match flight.task {
            Task::Offers => decode_snapshots(content).map(|numbers| self.offered(peer, numbers)),
            task if content.is_empty() => {
                // It has let go of that state, or never had the block.
                self.peers.no_giver(peer);
                self.put_back(vec![task]);
                Ok(())
            }
            Task::Header(number) => {
                decode_headers(content, number, 1).and_then(|found| self.trust(peer, found))
            }
            Task::Headers { from, count } => {
                decode_headers(content, from, count).and_then(|headers| self.headers(headers))
            }
            Task::Piece(piece) => self.piece(peer, piece, content),
            Task::Block(number) => decode_chapters(content, number, 1).and_then(|found| self.block(found)),
        };
        match result {
            Ok(()) if !is_offer => self.peers.gave(peer),
            Ok(()) => {}
            Err(reason) => self.blame(peer, reason),
        }
    }

    fn offered(&mut self, peer: &NodeId, numbers: Vec<u64>) {
        let least = self.checkpoint.map_or(0, |(number, _)| number);
        self.peers.offered(peer, numbers.into_iter().filter(|number| *number >= least).collect());
    }

    fn blame(&mut self, peer: &NodeId, reason: String) {
        self.banned.insert(*peer);
        let lost = self.peers.remove(peer);
        self.put_back(lost);
        self.outputs.push(Output::Blame { peer: *peer, reason });
    }

    fn go_on(&mut self, now_ms: u64) {
        for peer in self.peers.unasked(now_ms) {
            self.ask(now_ms, peer, Task::Offers, Question::Snapshots);
        }
        match &mut self.phase {
            Phase::Offers { first_ms } => {
                let Some(number) = self.peers.best_offer() else {
                    *first_ms = None;
                    return;
                };
                let first = *first_ms.get_or_insert(now_ms);
                if self.peers.all_answered() || now_ms >= first.saturating_add(OFFERS_MS) {
                    self.choose(now_ms, number);
                }
            }
            Phase::Trust { number, guide, path } => {
                let (number, guide, wanted) = (*number, *guide, path.wanted());
                if !self.peers.holds(&guide, number) {
                    return self.choose(now_ms, number);
                }
                let question = Question::Headers { from: wanted, count: 1 };
                self.ask_once(now_ms, guide, Task::Header(wanted), question);
            }
            Phase::Headers { block, guide, run } => {
                let (guide, from) = (*guide, run.next);
                if !self.peers.holds(&guide, block.number) {
                    let block = block.clone();
                    return self.begin_headers(block);
                }
                let count = HEADERS_MAX.min(block.number.saturating_sub(from).saturating_add(1));
                let question = Question::Headers { from, count };
                self.ask_once(now_ms, guide, Task::Headers { from, count }, question);
            }
            Phase::State { .. } => self.fetch(now_ms),
            Phase::Block { block, .. } => {
                let number = block.number;
                let Some(peer) = self.giver(number) else { return };
                let question = Question::Chapters { from: number, count: 1 };
                self.ask_once(now_ms, peer, Task::Block(number), question);
            }
            Phase::Ended => {}
        }
    }

    fn ask(&mut self, now_ms: u64, peer: NodeId, task: Task, question: Question) {
        let request = self.peers.ask(now_ms, peer, task);
        self.outputs.push(Output::Ask { peer, request, question });
    }

    /// Asks unless something but offers is under way already.
    fn ask_once(&mut self, now_ms: u64, peer: NodeId, task: Task, question: Question) {
        if !self.peers.is_under_way(|task| !matches!(task, Task::Offers)) {
            self.ask(now_ms, peer, task, question);
        }
    }

    /// Somebody to ask who holds the state; begins again when there is nobody.
    fn giver(&mut self, number: u64) -> Option<NodeId> {
        if !self.peers.has_giver(number) {
            self.restart();
            return None;
        }
        self.peers.free_giver(number)
    }

    fn restart(&mut self) {
        self.peers.take_back_all();
        self.peers.forget_offers();
        self.phase = Phase::Offers { first_ms: None };
        self.outputs.push(Output::Restart);
    }

    /// Goes for the state after this block.
    fn choose(&mut self, now_ms: u64, number: u64) {
        // Who names a checkpoint wants it to be looked at.
        if number == 0 || (number < LEAST_HEIGHT && self.checkpoint.is_none()) {
            self.phase = Phase::Ended;
            return self.outputs.push(Output::NotWorth { height: number });
        }
        let Some(guide) = self.giver(number) else { return };
        let (spec, genesis) = (self.spec.clone(), self.genesis.header());
        let path = match self.checkpoint {
            Some(checkpoint) => TrustPath::from_checkpoint(spec, genesis, checkpoint, number),
            None => TrustPath::from_genesis(spec, genesis, number),
        };
        match path {
            Ok(path) => {
                self.phase = Phase::Trust { number, guide, path };
                self.go_on(now_ms);
            }
            // Block 0 was accepted when the genesis file was read.
            Err(error) => self.blame(&guide, format!("block 0: {error}")),
        }
    }

    fn trust(&mut self, peer: &NodeId, headers: Vec<Header>) -> Result<(), String> {
        let Phase::Trust { path, .. } = &mut self.phase else { return Ok(()) };
        let header = headers.into_iter().next().ok_or("no header")?;
        match path.take(header) {
            Ok(Step::Want(_)) => Ok(()),
            Ok(Step::Trusted(block)) => {
                self.outputs.push(Output::Begin(block.clone()));
                self.begin_headers(block);
                Ok(())
            }
            // The configured hash may be the wrong one as well.
            Err(error @ Untrusted::Checkpoint { .. }) => {
                self.peers.no_giver(peer);
                self.outputs.push(Output::Doubt { peer: *peer, reason: error.to_string() });
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn begin_headers(&mut self, block: SealedHeader) {
        let Some(guide) = self.giver(block.number) else { return };
        match HeaderRun::new(&self.spec, &self.genesis, block.number) {
            Ok(run) => self.phase = Phase::Headers { block, guide, run },
            // Block 0 was accepted when the genesis file was read.
            Err(error) => self.blame(&guide, format!("block 0: {error}")),
        }
    }

    fn headers(&mut self, headers: Vec<Header>) -> Result<(), String> {
        let Phase::Headers { block, run, .. } = &mut self.phase else { return Ok(()) };
        let block = block.clone();
        let sealed = match run.take(&self.spec, headers, &block) {
            Ok(sealed) => sealed,
            Err(error) => {
                // What came before may be a lie too: all of it anew, from somebody else.
                self.begin_headers(block);
                return Err(error);
            }
        };
        if !matches!(run.before, Some((_, ref votes)) if votes.number() == block.number) {
            self.outputs.push(Output::Write(Write::Headers(sealed)));
            return Ok(());
        }
        let votes = run.before.take().map(|(_, votes)| votes).ok_or("no headers")?;
        self.outputs.push(Output::Write(Write::Headers(sealed)));
        let fetch = StateFetch::new(block.state_root);
        self.phase = Phase::State { block, votes, fetch };
        Ok(())
    }

    fn fetch(&mut self, now_ms: u64) {
        loop {
            let Phase::State { block, votes, fetch } = &mut self.phase else { return };
            let number = block.number;
            let Some(piece) = fetch.next() else {
                if !self.peers.is_under_way(|task| matches!(task, Task::Piece(_))) {
                    self.phase = Phase::Block { block: block.clone(), votes: votes.clone() };
                    self.go_on(now_ms);
                }
                return;
            };
            let Some(peer) = self.peers.free_giver(number) else {
                fetch.put_back(piece);
                if !self.peers.has_giver(number) {
                    self.restart();
                }
                return;
            };
            let question = match &piece {
                Piece::Part(id, _) => Question::Part { number, id: *id },
                Piece::Codes(hashes) => Question::Codes(hashes.clone()),
            };
            self.ask(now_ms, peer, Task::Piece(piece), question);
        }
    }

    fn piece(&mut self, peer: &NodeId, piece: Piece, content: &Bytes) -> Result<(), String> {
        let Phase::State { fetch, .. } = &mut self.phase else { return Ok(()) };
        let taken = match &piece {
            Piece::Part(id, root) => decode_part(content).and_then(|part| fetch.take_part(part, id, root)),
            Piece::Codes(asked) => decode_codes(content, asked)
                .map(|codes| (vec![fetch.take_codes(asked.clone(), codes)], Some(0))),
        };
        match taken {
            Ok((writes, leaves)) => {
                self.outputs.extend(writes.into_iter().map(Output::Write));
                match self.peers.is_plausible(peer, leaves.unwrap_or(0), leaves.is_none()) {
                    true => Ok(()),
                    false => Err("calls parts of the state too large that are not".to_owned()),
                }
            }
            Err(reason) => {
                fetch.put_back(piece);
                Err(reason)
            }
        }
    }

    fn block(&mut self, chapters: Vec<Chapter>) -> Result<(), String> {
        let Phase::Block { block: wanted, votes } = &self.phase else { return Ok(()) };
        let (block, receipts) = chapters.into_iter().next().ok_or("no block")?;
        check_chapter(&self.spec, &block, &receipts, wanted.hash())?;
        let (hash, votes) = (wanted.hash(), votes.clone());
        self.outputs.push(Output::Joined(Box::new(Joined { block, hash, receipts, votes })));
        self.phase = Phase::Ended;
        Ok(())
    }
}
