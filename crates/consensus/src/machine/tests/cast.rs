//! Validators that say whatever a test wants.

use crate::justification::Height;
use crate::machine::ChainPosition;
use crate::machine::harness::{self, Bench};
use crate::message::{
    Commit, Prepare, PreparedClaim, Proposal, RoundChange, Verified, VerifiedMessage, VerifiedProposal,
    VerifiedRoundChange,
};
use crate::testing;
use alloy_primitives::B256;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{Block, ChainSpec, NodeKey, Signer, extra};
use std::sync::Arc;

/// All validators of a network, in the order of their turns at the first height: `keys[r]` leads round r.
pub struct Cast {
    pub spec: Arc<ChainSpec>,
    pub keys: Vec<NodeKey>,
    pub position: Arc<ChainPosition>,
}

impl Cast {
    pub fn new(count: u8) -> Self {
        Self::with(count, testing::params())
    }

    pub fn with(count: u8, params: ConsensusParams) -> Self {
        let keys = harness::keys(count);
        let spec = harness::spec(params);
        let position = harness::genesis(&spec, harness::addresses(&keys));
        Self { spec, keys, position }
    }

    /// The machine of one of them.
    pub fn bench(&self, index: usize) -> Bench {
        let mut bench = Bench::new(self.spec.clone(), self.keys[index].clone(), self.position.clone());
        bench.tick();
        bench
    }

    pub fn rules(&self) -> Height<'_> {
        crate::machine::height_rules(&self.spec, &self.position)
    }

    /// Goes on to the next height with a block by the given builder.
    pub fn next_height(&mut self, builder: usize) -> Arc<ChainPosition> {
        let block = harness::block_on(&self.position, self.keys[builder].address(), 0, 77);
        self.position = harness::after(&self.spec, &self.position, &block);
        self.position.clone()
    }

    /// The block that the leader of `round` would build.
    pub fn block(&self, round: u32, label: u64) -> Block {
        let rules = self.rules();
        let field = rules.proposed_round(round);
        harness::block_on(&self.position, rules.leader(round), field, label)
    }

    pub fn digest(&self, block: &Block, round: u32) -> B256 {
        self.rules().digest(&block.header, round).unwrap()
    }

    fn sequence(&self) -> u64 {
        self.position.head.number + 1
    }

    pub fn leader(&self, round: u32) -> &NodeKey {
        let leader = self.rules().leader(round);
        self.keys.iter().find(|key| key.address() == leader).unwrap()
    }

    pub fn proposal_by(
        &self,
        key: &NodeKey,
        block: &Block,
        round: u32,
        changes: Vec<Verified<RoundChange>>,
        prepares: Vec<Verified<Prepare>>,
    ) -> VerifiedMessage {
        let block = self.rules().proposable(block.clone(), round).unwrap();
        let proposal = Proposal { sequence: self.sequence(), round, block };
        VerifiedMessage::Proposal(Box::new(VerifiedProposal::sign(proposal, changes, prepares, key)))
    }

    /// A proposal of the right leader; in a later round everybody asked for it and nothing was prepared.
    pub fn proposal(&self, block: &Block, round: u32) -> VerifiedMessage {
        let all = if round == 0 { &[][..] } else { &self.keys[..] };
        let changes = all.iter().map(|key| self.request(key, round, None)).collect();
        self.proposal_by(self.leader(round), block, round, changes, Vec::new())
    }

    pub fn request(
        &self,
        key: &NodeKey,
        round: u32,
        prepared: Option<PreparedClaim>,
    ) -> Verified<RoundChange> {
        Verified::sign(RoundChange { sequence: self.sequence(), round, prepared }, key)
    }

    pub fn signed_prepare(&self, index: usize, block: &Block, round: u32) -> Verified<Prepare> {
        let digest = self.digest(block, round);
        Verified::sign(Prepare { sequence: self.sequence(), round, digest }, &self.keys[index])
    }

    pub fn prepare(&self, index: usize, block: &Block, round: u32) -> VerifiedMessage {
        VerifiedMessage::Prepare(self.signed_prepare(index, block, round))
    }

    pub fn commit(&self, index: usize, block: &Block, round: u32) -> VerifiedMessage {
        let key = &self.keys[index];
        let seal = key.sign(extra::qbft_digest(&block.header, round).unwrap());
        self.commit_with(index, block, round, seal)
    }

    pub fn commit_with(
        &self,
        index: usize,
        block: &Block,
        round: u32,
        seal: lonja_primitives::Signature,
    ) -> VerifiedMessage {
        let digest = self.digest(block, round);
        let payload = Commit { sequence: self.sequence(), round, digest, seal };
        VerifiedMessage::Commit(Verified::sign(payload, &self.keys[index]))
    }

    pub fn round_change(&self, index: usize, round: u32) -> VerifiedMessage {
        let payload = *self.request(&self.keys[index], round, None);
        let message = VerifiedRoundChange::sign(payload, None, Vec::new(), &self.keys[index]);
        VerifiedMessage::RoundChange(Box::new(message))
    }

    /// A claim that the block was prepared in `at`, shown with PREPAREs of `voters`.
    pub fn prepared_round_change(
        &self,
        index: usize,
        round: u32,
        block: &Block,
        at: u32,
        voters: &[usize],
    ) -> VerifiedMessage {
        let block = self.rules().proposable(block.clone(), at).unwrap();
        let claim = PreparedClaim { round: at, digest: self.digest(&block, at) };
        let payload = *self.request(&self.keys[index], round, Some(claim));
        let prepares = voters.iter().map(|voter| self.signed_prepare(*voter, &block, at)).collect();
        let message = VerifiedRoundChange::sign(payload, Some(block), prepares, &self.keys[index]);
        VerifiedMessage::RoundChange(Box::new(message))
    }

    /// Hands `bench` a message of the validator with this index, straight from it.
    pub fn say(&self, bench: &mut Bench, index: usize, message: VerifiedMessage) {
        bench.receive(&self.keys[index], message);
    }
}

/// Kinds of the messages sent so far, for short comparisons.
pub fn kinds(sent: &[VerifiedMessage]) -> Vec<String> {
    sent.iter()
        .map(|message| {
            let name = match message {
                VerifiedMessage::Proposal(_) => "proposal",
                VerifiedMessage::Prepare(_) => "prepare",
                VerifiedMessage::Commit(_) => "commit",
                VerifiedMessage::RoundChange(_) => "change",
            };
            format!("{name} {}", message.view().round)
        })
        .collect()
}
