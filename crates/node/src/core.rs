//! The node as a pure machine: an event in, a list of commands out.
//!
//! ```text
//!   peers ──► PeerUp/PeerHead/Blocks ──► catch-up ──► Import ─┐
//!   peers ──► Consensus ──► Istanbul ──► Decide ──────────────┴─► Commit ─► Committed ─► both machines
//!                                └─► Persist, Send, Build, Check                └─► Durable ─► Announce, Forget
//! ```
//!
//! It owns both machines and the view of the peers, and nothing else. It never waits, and has no clock, socket,
//! disk or thread: the driver has them, and so has the simulator, which runs this very code.

use crate::event::{Command, Event, Room};
use alloy_primitives::{Address, B256, Bytes};
use lonja_consensus::catchup::{CatchUp, CatchUpInput, CatchUpOutput};
use lonja_consensus::machine::{ChainPosition, Input, Istanbul, Output, RestoreError, Status};
use lonja_consensus::{Now, message::VerifiedMessage};
use lonja_p2p::wire::Message;
use lonja_primitives::{Block, CertifiedBlock, ChainSpec, NodeId, Signer};
use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The node's state machine.
pub struct NodeCore {
    own_address: Option<Address>,
    istanbul: Istanbul,
    catch_up: CatchUp,
    peers: BTreeMap<NodeId, PeerView>,
    position: Arc<ChainPosition>,
    /// The newest block handed to the writer: a block may come from voting and from catch-up alike, and is
    /// written once.
    submitted: (u64, B256),
    /// Log records below this height are needed no more once the block before it is durable.
    forget_below: Option<u64>,
    /// The newest durable block, which is what peers hear of.
    durable: (u64, B256),
    room: Room,
    /// A block decided while there was no room for it. Perhaps nobody else has it.
    held_back: Option<CertifiedBlock>,
}

/// What we know of a peer.
#[derive(Clone, Copy, Debug)]
struct PeerView {
    address: Address,
    number: u64,
    hash: B256,
}

impl NodeCore {
    /// Starts from the head and the records of the consensus log. `signer` is present on nodes that vote when
    /// their address is among the validators.
    pub fn new(
        spec: Arc<ChainSpec>,
        signer: Option<Arc<dyn Signer>>,
        position: Arc<ChainPosition>,
        records: &[Vec<u8>],
    ) -> Result<Self, RestoreError> {
        let own_address = signer.as_ref().map(|signer| signer.address());
        let istanbul = Istanbul::new(spec.clone(), signer, position.clone(), records)?;
        let mut catch_up = CatchUp::new(spec, position.clone());
        // A validator leaves the block it is just voting on to the vote for a moment, before it asks for it.
        catch_up.set_validator(own_address);
        let submitted = (position.head.number, position.head.hash());
        let durable = submitted;
        Ok(Self {
            own_address,
            istanbul,
            catch_up,
            peers: BTreeMap::new(),
            position,
            submitted,
            forget_below: None,
            durable,
            room: Room::Enough,
            held_back: None,
        })
    }

    /// To be called once before the first event: arms the timers.
    pub fn start(&mut self, now: Now) -> Vec<Command> {
        let mut commands = Vec::new();
        let position = self.position.clone();
        self.vote(now, Input::NewHead(position), &mut commands);
        commands
    }

    /// The next monotonic time (milliseconds) at which [`Event::Tick`] is wanted.
    pub fn deadline(&self) -> Option<u64> {
        // Without room nothing is fetched, and no clock of fetching is looked at.
        let fetching = self.catch_up.deadline().filter(|_| self.room != Room::ReadOnly);
        [self.istanbul.deadline(), fetching].into_iter().flatten().min()
    }

    /// What the consensus machine is doing.
    pub fn status(&self) -> Status {
        self.istanbul.status()
    }

    /// The block behind which both machines stand.
    pub fn position(&self) -> &Arc<ChainPosition> {
        &self.position
    }

    /// The height that catch-up is heading for, while it is behind.
    pub fn catch_up_target(&self) -> Option<u64> {
        self.catch_up.target()
    }

    /// Whether this node may vote on the next block.
    pub fn is_validator(&self) -> bool {
        self.own_address.is_some_and(|own| self.position.votes.validators().contains(&own))
    }

    /// Handles one event. The commands are to be carried out in order.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        match event {
            Event::PeerUp { peer, number, hash } => self.peer_up(now, peer, number, hash, &mut out),
            Event::PeerHead { peer, number, hash } => self.peer_head(now, peer, number, hash, &mut out),
            Event::PeerDown(peer) => {
                self.peers.remove(&peer);
                self.fetch(now, CatchUpInput::PeerGone(peer), &mut out);
            }
            Event::Consensus { from, message, bytes, relay_to } => {
                self.relay(from, &message, &bytes, &relay_to, &mut out);
                self.help(from, &message, &mut out);
                self.vote(now, Input::Message { from: Some(from), message: *message }, &mut out);
            }
            Event::Blocks { peer, request, blocks } => {
                self.fetch(now, CatchUpInput::Blocks { peer, request, blocks }, &mut out);
            }
            Event::Built { height, round, result } => {
                let input = match result {
                    Ok(block) => Input::Built { height, round, block },
                    Err(reason) => Input::BuildFailed { height, round, reason },
                };
                self.vote(now, input, &mut out);
            }
            Event::Checked { height, digest, verdict } => {
                self.vote(now, Input::Checked { height, digest, verdict }, &mut out);
            }
            Event::Committed(position) => self.committed(now, position, &mut out),
            Event::Durable { number, hash } => self.durable(number, hash, &mut out),
            Event::WorkWaiting(waiting) => self.vote(now, Input::WorkWaiting(waiting), &mut out),
            Event::Propose(address, kind) => self.vote(now, Input::Propose(address, kind), &mut out),
            Event::Discard(address) => self.vote(now, Input::Discard(address), &mut out),
            Event::Room(room) => self.set_room(now, room, &mut out),
            Event::Tick => {
                self.vote(now, Input::Tick, &mut out);
                self.fetch(now, CatchUpInput::Tick, &mut out);
            }
        }
        out
    }

    fn peer_up(&mut self, now: Now, peer: NodeId, number: u64, hash: B256, out: &mut Vec<Command>) {
        self.peers.insert(peer, PeerView { address: peer.address(), number, hash });
        self.fetch(now, CatchUpInput::PeerHead { peer, number, hash }, out);
        // Our head may have moved between the handshake and now.
        out.push(Command::Send {
            to: vec![peer],
            message: Message::NewHead { number: self.durable.0, hash: self.durable.1 },
        });
    }

    fn peer_head(&mut self, now: Now, peer: NodeId, number: u64, hash: B256, out: &mut Vec<Command>) {
        let Some(view) = self.peers.get_mut(&peer) else { return };
        (view.number, view.hash) = (number, hash);
        self.fetch(now, CatchUpInput::PeerHead { peer, number, hash }, out);
    }

    fn committed(&mut self, now: Now, position: Arc<ChainPosition>, out: &mut Vec<Command>) {
        if position.head.number <= self.position.head.number {
            return;
        }
        self.position = position.clone();
        if position.head.number > self.submitted.0 {
            self.submitted = (position.head.number, position.head.hash());
        }
        self.fetch(now, CatchUpInput::NewHead(position.clone()), out);
        self.vote(now, Input::NewHead(position), out);
    }

    fn durable(&mut self, number: u64, hash: B256, out: &mut Vec<Command>) {
        if number > self.durable.0 {
            self.durable = (number, hash);
        }
        out.push(Command::Announce { number, hash });
        if let Some(below_height) = self.forget_below
            && self.durable.0.saturating_add(1) >= below_height
        {
            self.forget_below = None;
            out.push(Command::Forget { below_height });
        }
    }

    fn set_room(&mut self, now: Now, room: Room, out: &mut Vec<Command>) {
        if room == self.room {
            return;
        }
        let was_read_only = self.room == Room::ReadOnly;
        self.room = room;
        self.vote(now, Input::SetVoting(room == Room::Enough), out);
        if was_read_only {
            // Imports that were refused meanwhile are asked for again.
            self.submitted = (self.position.head.number, self.position.head.hash());
            if let Some(block) = self.held_back.take() {
                self.commit(block, out);
            }
            self.catch_up.begin_again(&self.position);
            for (peer, view) in self.peers.clone() {
                let (number, hash) = (view.number, view.hash);
                self.fetch(now, CatchUpInput::PeerHead { peer, number, hash }, out);
            }
        }
    }

    /// Passes a message on to validators that its author cannot reach. Only for authors of the current set, and
    /// only one step: what we pass on is an ordinary message.
    fn relay(
        &self,
        from: NodeId,
        message: &VerifiedMessage,
        bytes: &Bytes,
        relay_to: &[Address],
        out: &mut Vec<Command>,
    ) {
        if relay_to.is_empty() || !self.position.votes.validators().contains(&message.author()) {
            return;
        }
        let wanted = |(peer, view): &(&NodeId, &PeerView)| {
            **peer != from && view.address != message.author() && relay_to.contains(&view.address)
        };
        let to: Vec<NodeId> = self.peers.iter().filter(wanted).map(|(peer, _)| *peer).collect();
        if !to.is_empty() {
            out.push(Command::Send { to, message: Message::Consensus(bytes.clone()) });
        }
    }

    /// Whoever asks for another round of a height that we have a block of has missed the block, and our word of it.
    fn help(&self, from: NodeId, message: &VerifiedMessage, out: &mut Vec<Command>) {
        let (number, hash) = self.durable;
        let late = matches!(message, VerifiedMessage::RoundChange(_)) && message.view().sequence <= number;
        if late && from.address() == message.author() && self.peers.contains_key(&from) {
            out.push(Command::Send { to: vec![from], message: Message::NewHead { number, hash } });
        }
    }

    fn vote(&mut self, now: Now, input: Input, out: &mut Vec<Command>) {
        for output in self.istanbul.step(now, input) {
            match output {
                Output::Persist(record) => out.push(Command::Persist(record)),
                Output::Forget { below_height } => self.forget_below = Some(below_height),
                Output::Send(bytes) => self.send_to_validators(bytes, out),
                Output::BuildBlock(request) => out.push(Command::Build(request)),
                Output::CheckBlock { height, digest, block } => {
                    out.push(Command::Check { height, digest, block });
                }
                Output::Decide(block) => self.commit(block, out),
                Output::Blame { validator, from, reason } => {
                    // Who passes a message on, on its author's wish, cannot know whether it is any good.
                    if let Some(peer) = from.filter(|peer| peer.address() == validator) {
                        let reason = format!("consensus message of validator {validator}: {reason}");
                        out.push(Command::Penalise { peer, reason });
                    }
                }
            }
        }
    }

    /// Straight to every validator we are connected to; where a link is missing, every peer is asked to pass
    /// the message on once.
    fn send_to_validators(&self, bytes: Bytes, out: &mut Vec<Command>) {
        let validators = self.position.votes.validators();
        let linked: BTreeMap<Address, NodeId> =
            self.peers.iter().map(|(peer, view)| (view.address, *peer)).collect();
        let missing: Vec<Address> = validators
            .iter()
            .filter(|v| Some(**v) != self.own_address && !linked.contains_key(*v))
            .copied()
            .collect();
        let direct: Vec<NodeId> = validators.iter().filter_map(|v| linked.get(v)).copied().collect();
        if !direct.is_empty() {
            out.push(Command::Send { to: direct, message: Message::Consensus(bytes.clone()) });
        }
        if !missing.is_empty() && !self.peers.is_empty() {
            let to = self.peers.keys().copied().collect();
            out.push(Command::Send { to, message: Message::Relay { to: missing, message: bytes } });
        }
    }

    fn fetch(&mut self, now: Now, input: CatchUpInput, out: &mut Vec<Command>) {
        if self.room == Room::ReadOnly {
            return;
        }
        for output in self.catch_up.step(now, input) {
            match output {
                CatchUpOutput::Request { peer, request, from, count } => {
                    let message = Message::GetBlocks { request, from, count };
                    out.push(Command::Send { to: vec![peer], message });
                }
                CatchUpOutput::Import(block) => self.commit(block, out),
                CatchUpOutput::Blame { peer, reason } => out.push(Command::Penalise { peer, reason }),
                CatchUpOutput::Halt { reason } => out.push(Command::Halt(reason)),
            }
        }
    }

    fn commit(&mut self, block: CertifiedBlock, out: &mut Vec<Command>) {
        let (number, hash) = (block.number(), block.hash());
        if self.room == Room::ReadOnly {
            self.held_back = Some(block);
            return;
        }
        if number < self.submitted.0 {
            return;
        }
        if number == self.submitted.0 {
            if hash != self.submitted.1 {
                let other = self.submitted.1;
                out.push(Command::Halt(format!(
                    "two different blocks at height {number} carry a quorum of seals: {other} and {hash}. More \
                     than a third of the validators broke the protocol (or share a key); compare the two blocks \
                     before starting this node again"
                )));
            }
            return;
        }
        self.submitted = (number, hash);
        out.push(Command::Commit(Box::new(block)));
    }
}

/// The blocks that answer a request, as many as fit: shared by the driver and the simulator.
pub fn limit_blocks(blocks: impl Iterator<Item = Block>, max_bytes: usize) -> Vec<Bytes> {
    let mut taken = Vec::new();
    let mut bytes = 0usize;
    for block in blocks {
        let raw = Bytes::from(alloy_rlp::encode(&block));
        bytes = bytes.saturating_add(raw.len());
        if bytes > max_bytes && !taken.is_empty() {
            break;
        }
        taken.push(raw);
    }
    taken
}
