//! A validator that does what it likes with its own key.
//!
//! Inside runs an honest node, which knows what everybody is at; what it sends is held up here, changed,
//! multiplied, kept back or sent to some only. Nothing is impossible to it but to sign for others.

use super::dice::Dice;
use super::forge::{Forge, Receivers};
use alloy_primitives::{B256, Bytes};
use lonja_consensus::message::{ConsensusMessage, MessageLimits, RoundChange, Signed, View};
use lonja_consensus::{Commit, Prepare};
use lonja_p2p::wire::Message;
use lonja_primitives::spec::DigestRule;
use lonja_primitives::{Block, NodeId, NodeKey};
use std::collections::VecDeque;

/// Messages of others that are remembered, to be sent again or taken apart.
const HEARD: usize = 96;
/// Blocks and signed parts that are remembered.
const PARTS: usize = 48;
/// What is taken from others for taking apart.
pub const LIMITS: MessageLimits = MessageLimits { validators: 64, block_bytes: 1 << 23 };

/// What a faulty validator does besides what an honest one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Habits {
    /// Says nothing about blocks at all.
    pub mute: bool,
    pub silent_proposer: bool,
    pub two_proposals: bool,
    pub two_votes: bool,
    pub withholds_commits: bool,
    pub commits_to_one: bool,
    pub forges_requests: bool,
    pub replays: bool,
    pub garbage: bool,
    pub lies_about_head: bool,
    pub bad_blocks: bool,
    pub abuses_relays: bool,
    pub plots: bool,
}

impl Habits {
    /// Some of them.
    pub fn draw(dice: &mut Dice) -> Self {
        let each = dice.pick(&[15, 30, 60]);
        let mut has = || dice.chance(each);
        Self {
            mute: false,
            silent_proposer: has(),
            two_proposals: has(),
            two_votes: has(),
            withholds_commits: has(),
            commits_to_one: has(),
            forges_requests: has(),
            replays: has(),
            garbage: has(),
            lies_about_head: has(),
            bad_blocks: has(),
            abuses_relays: has(),
            plots: dice.chance(60),
        }
    }
}

/// What goes out instead.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Outgoing {
    pub to: Vec<NodeId>,
    pub message: Message,
}

/// The malice around an honest node.
pub struct Byzantine {
    /// What it does. Changed when a world calms down.
    pub habits: Habits,
    /// Messages that an honest validator would not have sent.
    pub forged: u64,
    forge: Forge,
    heard: VecDeque<Bytes>,
    plot: Option<Plot>,
}

/// To make a validator that nobody hears decide a block, and the others another one: in one round it alone gets the
/// votes, and in later rounds of that height nothing was prepared.
#[derive(Clone, Copy, Debug)]
struct Plot {
    silent: NodeId,
    /// The round of the votes, once there is one.
    view: Option<View>,
}

/// What of others' messages can be used in own ones.
#[derive(Default)]
pub struct Parts {
    /// Proposed blocks with height and round.
    pub blocks: VecDeque<(u64, u32, Block)>,
    /// Others' PREPAREs.
    pub prepares: VecDeque<Signed<Prepare>>,
    /// Others' ROUND-CHANGEs.
    pub requests: VecDeque<Signed<RoundChange>>,
    /// Others' seals.
    pub commits: VecDeque<Signed<Commit>>,
}

impl Parts {
    fn learn(&mut self, message: ConsensusMessage) {
        match message {
            ConsensusMessage::Proposal(message) => {
                let proposal = message.proposal.payload;
                keep(&mut self.blocks, (proposal.sequence, proposal.round, proposal.block));
                message.prepares.into_iter().for_each(|part| keep(&mut self.prepares, part));
                message.round_changes.into_iter().for_each(|part| keep(&mut self.requests, part));
            }
            ConsensusMessage::Prepare(signed) => keep(&mut self.prepares, signed),
            ConsensusMessage::Commit(signed) => keep(&mut self.commits, signed),
            ConsensusMessage::RoundChange(message) => {
                keep(&mut self.requests, message.round_change);
                message.prepares.into_iter().for_each(|part| keep(&mut self.prepares, part));
            }
        }
    }
}

fn keep<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= PARTS {
        list.pop_front();
    }
    list.push_back(item);
}

impl Byzantine {
    /// One with this key.
    pub fn new(key: NodeKey, habits: Habits, rule: DigestRule) -> Self {
        Self { habits, forged: 0, forge: Forge::new(key, rule), heard: VecDeque::new(), plot: None }
    }

    /// Nobody hears that validator any more.
    pub fn plot(&mut self, silent: NodeId) {
        self.plot = Some(Plot { silent, view: None }).filter(|_| self.habits.plots);
    }

    /// Everybody hears everybody again.
    pub fn give_up(&mut self) {
        self.plot = None;
    }

    /// Takes note of what comes in.
    pub fn hear(&mut self, message: &Message) {
        let (Message::Consensus(bytes) | Message::Relay { message: bytes, .. }) = message else { return };
        if let Ok(message) = ConsensusMessage::decode(bytes, &LIMITS) {
            self.forge.parts.learn(message);
            if self.heard.len() >= HEARD {
                self.heard.pop_front();
            }
            self.heard.push_back(bytes.clone());
        }
    }

    /// What goes out instead of an honest message.
    pub fn tamper(&mut self, dice: &mut Dice, to: &[NodeId], message: Message) -> Vec<Outgoing> {
        let outgoing = |message| vec![Outgoing { to: to.to_vec(), message }];
        match &message {
            Message::Consensus(bytes) | Message::Relay { message: bytes, .. } => {
                if self.heard.contains(bytes) {
                    return if self.habits.mute { Vec::new() } else { outgoing(message) };
                }
                let bytes = bytes.clone();
                self.tamper_consensus(dice, to, &bytes, &message)
            }
            Message::NewHead { number, hash } if self.habits.lies_about_head && dice.chance(30) => {
                self.forged += 1;
                let number = number + dice.below(3);
                let hash = if dice.chance(50) { *hash } else { random_hash(dice) };
                outgoing(Message::NewHead { number: number * dice.pick(&[1, 1, 1000]), hash })
            }
            Message::Blocks { request, blocks } if self.habits.bad_blocks && dice.chance(50) => {
                self.forged += 1;
                let blocks = spoil_blocks(dice, blocks);
                outgoing(Message::Blocks { request: *request, blocks })
            }
            _ => outgoing(message),
        }
    }

    fn tamper_consensus(
        &mut self,
        dice: &mut Dice,
        to: &[NodeId],
        bytes: &Bytes,
        envelope: &Message,
    ) -> Vec<Outgoing> {
        let habits = self.habits;
        if habits.mute {
            return Vec::new();
        }
        let Ok(message) = ConsensusMessage::decode(bytes, &LIMITS) else { return Vec::new() };
        if let Some(out) = self.further_plot(&message, to) {
            self.forged += 1;
            return out;
        }
        let variants = self.forge.variants(dice, &habits, message, bytes);
        self.forged += variants.len().saturating_sub(1) as u64;
        let mut out = Vec::new();
        for (receivers, bytes) in variants {
            let to = receivers.among(to);
            if !to.is_empty() {
                out.push(Outgoing { to, message: rewrap(envelope, bytes) });
            }
        }
        out
    }

    /// What the plot makes of a message, where it is part of it.
    fn further_plot(&mut self, message: &ConsensusMessage, to: &[NodeId]) -> Option<Vec<Outgoing>> {
        let plot = self.plot.as_mut()?;
        let view = message.view();
        match message {
            ConsensusMessage::Prepare(_) | ConsensusMessage::Commit(_) => {
                let later = plot.view.is_none_or(|plotted| plotted.sequence < view.sequence);
                let plotted = if later { *plot.view.insert(view) } else { plot.view? };
                let to = to.iter().copied().filter(|to| *to == plot.silent).collect();
                (plotted == view)
                    .then(|| vec![Outgoing { to, message: Message::Consensus(message.encode()) }])
            }
            ConsensusMessage::RoundChange(_) if plot.view?.sequence == view.sequence => {
                let message = Message::Consensus(self.forge.bare_request(view));
                Some(vec![Outgoing { to: to.to_vec(), message }])
            }
            _ => None,
        }
    }

    /// Something out of the blue.
    pub fn noise(&mut self, dice: &mut Dice, peers: &[NodeId]) -> Vec<Outgoing> {
        let mut out = Vec::new();
        if peers.is_empty() || self.habits.mute {
            return out;
        }
        let some = |dice: &mut Dice| match dice.chance(50) {
            true => peers.to_vec(),
            false => vec![dice.pick(peers)],
        };
        if self.habits.replays && !self.heard.is_empty() {
            for _ in 0..dice.between(1, 4) {
                let bytes = self.heard[dice.index(self.heard.len())].clone();
                out.push(Outgoing { to: some(dice), message: self.wrap(dice, peers, bytes) });
            }
        }
        if self.habits.garbage && dice.chance(40) {
            let bytes = self.garbage(dice);
            out.push(Outgoing { to: some(dice), message: Message::Consensus(bytes) });
        }
        if self.habits.forges_requests
            && let Some(bytes) = self.forge.unasked(dice)
        {
            out.push(Outgoing { to: some(dice), message: self.wrap(dice, peers, bytes) });
        }
        self.forged += out.len() as u64;
        out
    }

    /// As it is, or with the wish to be passed on.
    fn wrap(&self, dice: &mut Dice, peers: &[NodeId], message: Bytes) -> Message {
        if self.habits.abuses_relays && dice.chance(50) {
            let to = peers.iter().map(NodeId::address).collect();
            return Message::Relay { to, message };
        }
        Message::Consensus(message)
    }

    /// Random bytes, or a real message with a changed byte.
    fn garbage(&self, dice: &mut Dice) -> Bytes {
        if !self.heard.is_empty() && dice.chance(70) {
            let mut bytes = self.heard[dice.index(self.heard.len())].to_vec();
            let at = dice.index(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            return bytes.into();
        }
        let length = dice.magnitude(1, 300);
        (0..length).map(|_| dice.next() as u8).collect::<Vec<u8>>().into()
    }
}

fn rewrap(envelope: &Message, bytes: Bytes) -> Message {
    match envelope {
        Message::Relay { to, .. } => Message::Relay { to: to.clone(), message: bytes },
        _ => Message::Consensus(bytes),
    }
}

fn random_hash(dice: &mut Dice) -> B256 {
    let mut hash = B256::ZERO;
    hash.iter_mut().for_each(|byte| *byte = dice.next() as u8);
    hash
}

fn spoil_blocks(dice: &mut Dice, blocks: &[Bytes]) -> Vec<Bytes> {
    let mut blocks = blocks.to_vec();
    match dice.below(4) {
        0 => blocks.clear(),
        1 => blocks.reverse(),
        2 => blocks.truncate(1),
        _ => {
            if !blocks.is_empty() {
                let index = dice.index(blocks.len());
                let mut bytes = blocks[index].to_vec();
                let at = dice.index(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
                blocks[index] = bytes.into();
            }
        }
    }
    blocks
}

impl Receivers {
    /// Who of these.
    fn among(self, to: &[NodeId]) -> Vec<NodeId> {
        let half = to.len().div_ceil(2);
        match self {
            Self::All => to.to_vec(),
            Self::FirstHalf => to[..half].to_vec(),
            Self::SecondHalf => to[half..].to_vec(),
            Self::One(index) => to.get(index % to.len().max(1)).copied().into_iter().collect(),
        }
    }
}
