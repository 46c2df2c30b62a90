//! Making messages that no honest validator would send.

use super::byzantine::{Habits, Parts};
use super::dice::Dice;
use alloy_primitives::{B256, Bytes};
use lonja_consensus::message::Payload;
use lonja_consensus::message::{
    ConsensusMessage, PreparedClaim, Proposal, ProposalMessage, RoundChange, RoundChangeMessage, Signed, View,
};
use lonja_consensus::{Commit, Prepare};
use lonja_primitives::spec::DigestRule;
use lonja_primitives::{Block, ExtraData, Header, HeaderFormat, NodeKey, Signature, Signer, extra};

/// Who gets a variant of a message.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Receivers {
    All,
    FirstHalf,
    SecondHalf,
    One(usize),
}

type Variants = Vec<(Receivers, Bytes)>;

/// A key without conscience, and what it has picked up.
pub struct Forge {
    /// Pieces of others' messages.
    pub parts: Parts,
    key: NodeKey,
    rule: DigestRule,
}

impl Forge {
    /// With this key.
    pub fn new(key: NodeKey, rule: DigestRule) -> Self {
        Self { parts: Parts::default(), key, rule }
    }

    /// What is sent instead of `message`, whose bytes are `bytes`.
    pub fn variants(
        &mut self,
        dice: &mut Dice,
        habits: &Habits,
        message: ConsensusMessage,
        bytes: &Bytes,
    ) -> Variants {
        let own = (Receivers::All, bytes.clone());
        match message {
            ConsensusMessage::Proposal(message) => self.proposals(dice, habits, *message, own),
            ConsensusMessage::Prepare(prepare) if habits.two_votes && dice.chance(70) => {
                self.prepares(dice, &prepare.payload, own)
            }
            ConsensusMessage::Commit(commit) => self.commits(dice, habits, &commit.payload, own),
            ConsensusMessage::RoundChange(message) if habits.forges_requests && dice.chance(70) => {
                let first = self.request(dice, &message);
                let second = self.request(dice, &message);
                match dice.below(4) {
                    0 => vec![(Receivers::FirstHalf, first), (Receivers::SecondHalf, second)],
                    1 => vec![own, (Receivers::All, first)],
                    2 => vec![(Receivers::All, first), own],
                    _ => vec![(Receivers::All, first)],
                }
            }
            _ => vec![own],
        }
    }

    fn sign<T: Payload>(&self, payload: T) -> Signed<T> {
        let signature = self.key.sign(payload.signing_digest());
        Signed { payload, signature }
    }

    fn digest(&self, header: &Header, round: u32) -> Option<B256> {
        let round = if self.rule == DigestRule::Eea { round } else { 0 };
        extra::qbft_digest(header, round).ok()
    }

    fn proposals(
        &mut self,
        dice: &mut Dice,
        habits: &Habits,
        message: ProposalMessage,
        own: (Receivers, Bytes),
    ) -> Variants {
        let Proposal { sequence, round, block } = message.proposal.payload.clone();
        self.parts.blocks.push_back((sequence, round, block.clone()));
        if habits.silent_proposer && dice.chance(60) {
            return match dice.chance(30) {
                true => vec![(Receivers::One(dice.index(8)), own.1)],
                false => Vec::new(),
            };
        }
        if !habits.two_proposals || dice.chance(20) {
            return vec![own];
        }
        let Some(other) = self.other_block(dice, &block) else { return vec![own] };
        self.parts.blocks.push_back((sequence, round, other.clone()));
        let proposal = self.sign(Proposal { sequence, round, block: other });
        let (mut round_changes, mut prepares) = (message.round_changes, message.prepares);
        match dice.below(4) {
            // Without what was prepared, if the rest still makes a quorum.
            0 => {
                round_changes.retain(|change| change.payload.prepared.is_none());
                prepares.clear();
            }
            1 => prepares.reverse(),
            _ => {}
        }
        let message = ProposalMessage { proposal, round_changes, prepares };
        let other = ConsensusMessage::Proposal(Box::new(message)).encode();
        match dice.below(3) {
            0 => vec![own, (Receivers::All, other)],
            1 => vec![(Receivers::FirstHalf, own.1), (Receivers::SecondHalf, other)],
            _ => vec![(Receivers::All, other), own],
        }
    }

    /// Another block that is as good: another vanity; or one that breaks a rule.
    fn other_block(&self, dice: &mut Dice, block: &Block) -> Option<Block> {
        let mut block = block.clone();
        let header = &mut block.header;
        match dice.below(10) {
            0 => header.timestamp += dice.between(1, 3_600),
            1 => header.timestamp -= dice.between(1, 10),
            2 => header.state_root.0[0] ^= 1,
            3 => header.gas_used += 1,
            4 => block.transactions.reverse(),
            _ => {
                let mut extra = ExtraData::decode(&header.extra_data, HeaderFormat::Qbft).ok()?;
                extra.vanity = dice.next().to_be_bytes().to_vec().into();
                header.extra_data = extra.encode(HeaderFormat::Qbft);
            }
        }
        Some(block)
    }

    /// Values of this height and round that somebody proposed, other than `not`.
    fn other_values(&self, sequence: u64, round: u32, not: B256) -> Vec<(B256, Block)> {
        let here = self.parts.blocks.iter().filter(|(height, at, _)| (*height, *at) == (sequence, round));
        let named =
            here.filter_map(|(_, _, block)| Some((self.digest(&block.header, round)?, block.clone())));
        named.filter(|(digest, _)| *digest != not).collect()
    }

    fn prepares(&self, dice: &mut Dice, prepare: &Prepare, own: (Receivers, Bytes)) -> Variants {
        let Prepare { sequence, round, digest } = *prepare;
        let mut digests: Vec<B256> =
            self.other_values(sequence, round, digest).into_iter().map(|(digest, _)| digest).collect();
        digests.push(B256::from([dice.next() as u8; 32]));
        let mut out = vec![own];
        for digest in digests {
            let round = if dice.chance(80) { round } else { round + dice.between(1, 3) as u32 };
            let other = self.sign(Prepare { sequence, round, digest });
            out.push((Receivers::All, ConsensusMessage::Prepare(other).encode()));
        }
        dice.shuffle(&mut out);
        out
    }

    fn commits(
        &self,
        dice: &mut Dice,
        habits: &Habits,
        commit: &Commit,
        own: (Receivers, Bytes),
    ) -> Variants {
        if habits.withholds_commits && dice.chance(60) {
            return Vec::new();
        }
        if habits.commits_to_one && dice.chance(60) {
            return vec![(Receivers::One(dice.index(8)), own.1)];
        }
        if !habits.two_votes || dice.chance(30) {
            return vec![own];
        }
        let Commit { sequence, round, digest, .. } = *commit;
        let mut out = vec![own];
        for (digest, block) in self.other_values(sequence, round, digest) {
            if let Ok(sealed) = extra::qbft_digest(&block.header, round) {
                let seal = self.key.sign(sealed);
                let other = self.sign(Commit { sequence, round, digest, seal });
                out.push((Receivers::All, ConsensusMessage::Commit(other).encode()));
            }
        }
        let seal = self.bad_seal(dice, commit);
        let other = self.sign(Commit { seal, ..*commit });
        out.push((Receivers::All, ConsensusMessage::Commit(other).encode()));
        dice.shuffle(&mut out);
        out
    }

    /// A seal that does not count: of another round, of another validator, of nothing.
    fn bad_seal(&self, dice: &mut Dice, commit: &Commit) -> Signature {
        match dice.below(3) {
            0 => self.key.sign(B256::from([dice.next() as u8; 32])),
            1 => self.parts.commits.back().map_or(commit.seal, |other| other.payload.seal),
            _ => Signature([0; 65]),
        }
    }

    /// A ROUND-CHANGE that lies.
    fn request(&self, dice: &mut Dice, honest: &RoundChangeMessage) -> Bytes {
        let mut payload = honest.round_change.payload;
        let mut block = honest.block.clone();
        let mut prepares = honest.prepares.clone();
        match dice.below(9) {
            // Hides what was prepared, which nobody can prove.
            0 | 1 => (payload.prepared, block, prepares) = (None, None, Vec::new()),
            2 => payload.round = payload.round.saturating_add(dice.magnitude(1, 20_000) as u32),
            3 => self.claim(dice, &mut payload, &mut block, &mut prepares),
            4 => {
                self.claim(dice, &mut payload, &mut block, &mut prepares);
                if let Some(claim) = &mut payload.prepared {
                    claim.round = payload.round + dice.below(2) as u32;
                }
            }
            5 => prepares.extend(prepares.clone()),
            6 => {
                payload.prepared = payload.prepared.map(|claim| PreparedClaim { digest: B256::ZERO, ..claim })
            }
            7 => payload.sequence += dice.below(3),
            _ => block = self.parts.blocks.back().map(|(_, _, block)| block.clone()),
        }
        let mut round_change = self.sign(payload);
        if dice.chance(10) {
            round_change.signature.0[dice.index(64)] ^= 1;
        }
        let message = RoundChangeMessage { round_change, block, prepares };
        ConsensusMessage::RoundChange(Box::new(message)).encode()
    }

    /// Claims that a block was prepared, with what PREPAREs were picked up.
    fn claim(
        &self,
        dice: &mut Dice,
        payload: &mut RoundChange,
        block: &mut Option<Block>,
        prepares: &mut Vec<Signed<Prepare>>,
    ) {
        if self.parts.blocks.is_empty() {
            return;
        }
        let (_, round, shown) = &self.parts.blocks[dice.index(self.parts.blocks.len())];
        let Some(digest) = self.digest(&shown.header, *round) else { return };
        payload.prepared = Some(PreparedClaim { round: *round, digest });
        *block = Some(shown.clone());
        let fits = |prepare: &&Signed<Prepare>| prepare.payload.digest == digest || dice.chance(10);
        *prepares = self.parts.prepares.iter().filter(fits).cloned().collect();
        let own = Prepare { sequence: payload.sequence, round: *round, digest };
        prepares.push(self.sign(own));
    }

    /// A ROUND-CHANGE that knows of nothing prepared.
    pub fn bare_request(&self, view: View) -> Bytes {
        let payload = RoundChange { sequence: view.sequence, round: view.round, prepared: None };
        let message =
            RoundChangeMessage { round_change: self.sign(payload), block: None, prepares: Vec::new() };
        ConsensusMessage::RoundChange(Box::new(message)).encode()
    }

    /// A ROUND-CHANGE that answers nothing, for a height and round that others are at.
    pub fn unasked(&self, dice: &mut Dice) -> Option<Bytes> {
        let sequence = self.parts.prepares.back()?.payload.sequence;
        let round = dice.magnitude(1, 12_000) as u32;
        if dice.chance(50) {
            return Some(self.bare_request(View { sequence, round }));
        }
        let payload = RoundChange { sequence, round, prepared: None };
        let honest =
            RoundChangeMessage { round_change: self.sign(payload), block: None, prepares: Vec::new() };
        Some(self.request(dice, &honest))
    }
}
