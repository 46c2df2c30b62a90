//! What was signed: nothing twice, nothing backwards, nothing against a block that may be decided.

use super::Chain;
use crate::simulation::byzantine::LIMITS;
use crate::simulation::report::{Outcome, Violation};
use alloy_primitives::{Address, B256, keccak256};
use lonja_consensus::message::{ConsensusMessage, Proposal, RoundChange};
use lonja_consensus::{Commit, Prepare};
use lonja_primitives::spec::DigestRule;
use lonja_primitives::{HeaderFormat, extra};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A kind of vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Proposal,
    Prepare,
    Commit,
    RoundChange,
}

/// Of one key at one height.
#[derive(Debug, Default)]
struct Record {
    signed: BTreeMap<(u32, Kind), B256>,
    /// The highest round asked for.
    left_for: u32,
    /// The highest round in which something was committed to.
    committed: Option<u32>,
}

/// Everything that honest keys ever signed and sent, from before crashes too.
pub struct Votes {
    digest: DigestRule,
    faulty: BTreeSet<Address>,
    /// Messages already looked at, and those that others sent first.
    known: HashSet<B256>,
    records: BTreeMap<(Address, u64), Record>,
    /// Proposed blocks: height, round and digest, to block hash.
    hashes: BTreeMap<(u64, u32, B256), B256>,
    /// Honest commits by height, round and block hash.
    commits: BTreeMap<(u64, u32, B256), BTreeSet<Address>>,
    /// Blocks that may have a quorum of seals: by height the lowest round, and the block hash.
    locked: BTreeMap<u64, (u32, B256)>,
}

impl Votes {
    /// For a network in which these addresses are faulty.
    pub fn new(digest: DigestRule, faulty: BTreeSet<Address>) -> Self {
        Self {
            digest,
            faulty,
            known: HashSet::new(),
            records: BTreeMap::new(),
            hashes: BTreeMap::new(),
            commits: BTreeMap::new(),
            locked: BTreeMap::new(),
        }
    }

    /// A message leaves a node. It is judged when its author is honest; a message that was on the network
    /// before is somebody's who only passes it on, or a repetition.
    pub fn sent(&mut self, chain: &Chain, node: usize, sender: Address, bytes: &[u8]) -> Outcome {
        if !self.known.insert(keccak256(bytes)) {
            return Ok(());
        }
        let honest = !self.faulty.contains(&sender);
        let message = match ConsensusMessage::decode(bytes, &LIMITS) {
            Ok(message) => message,
            Err(error) if honest => {
                return Err(Violation::new(format!("node {node} sends what does not decode: {error}")));
            }
            Err(_) => return Ok(()),
        };
        self.learn(&message);
        if !honest {
            return Ok(());
        }
        self.judge(chain, sender, &message)
            .map_err(|what| Violation::new(format!("node {node} ({sender}) {what}")))
    }

    /// Remembers which block a digest stands for.
    fn learn(&mut self, message: &ConsensusMessage) {
        let (block, round) = match message {
            ConsensusMessage::Proposal(message) => {
                (&message.proposal.payload.block, message.proposal.payload.round)
            }
            ConsensusMessage::RoundChange(message) => {
                match (&message.block, message.round_change.payload.prepared) {
                    (Some(block), Some(claim)) => (block, claim.round),
                    _ => return,
                }
            }
            _ => return,
        };
        let hash = extra::block_hash(&block.header, HeaderFormat::Qbft);
        if let (Some(digest), Ok(hash)) = (self.digest_of(&block.header, round), hash) {
            self.hashes.insert((block.header.number, round, digest), hash);
        }
    }

    fn digest_of(&self, header: &lonja_primitives::Header, round: u32) -> Option<B256> {
        let round = if self.digest == DigestRule::Eea { round } else { 0 };
        extra::qbft_digest(header, round).ok()
    }

    fn judge(&mut self, chain: &Chain, author: Address, message: &ConsensusMessage) -> Result<(), String> {
        match message {
            ConsensusMessage::Proposal(message) => {
                let Proposal { sequence, round, block } = &message.proposal.payload;
                let digest =
                    self.digest_of(&block.header, *round).ok_or("proposes a block without a digest")?;
                self.once(author, *sequence, *round, Kind::Proposal, digest)
            }
            ConsensusMessage::Prepare(signed) => {
                let Prepare { sequence, round, digest } = signed.payload;
                self.once(author, sequence, round, Kind::Prepare, digest)?;
                self.keeps_lock(sequence, round, digest)
            }
            ConsensusMessage::Commit(signed) => {
                let Commit { sequence, round, digest, .. } = signed.payload;
                self.once(author, sequence, round, Kind::Commit, digest)?;
                self.keeps_lock(sequence, round, digest)?;
                self.commit(chain, author, sequence, round, digest)
            }
            ConsensusMessage::RoundChange(message) => self.request(author, &message.round_change.payload),
        }
    }

    fn once(
        &mut self,
        author: Address,
        height: u64,
        round: u32,
        kind: Kind,
        value: B256,
    ) -> Result<(), String> {
        let record = self.records.entry((author, height)).or_default();
        if kind != Kind::RoundChange && round < record.left_for {
            return Err(format!(
                "signs a {kind:?} at height {height}, round {round}, after it asked for round {}",
                record.left_for
            ));
        }
        match record.signed.insert((round, kind), value) {
            Some(before) if before != value => Err(format!(
                "signs two values in one {kind:?} at height {height}, round {round}: {before} and {value}"
            )),
            _ => Ok(()),
        }
    }

    fn request(&mut self, author: Address, request: &RoundChange) -> Result<(), String> {
        let RoundChange { sequence, round, prepared } = *request;
        let shown = prepared.map(|claim| claim.round);
        let claim = prepared.map_or(B256::ZERO, |claim| claim.digest);
        self.once(author, sequence, round, Kind::RoundChange, claim)?;
        let record = self.records.entry((author, sequence)).or_default();
        record.left_for = record.left_for.max(round);
        if record.committed > shown {
            return Err(format!(
                "asks for round {round} of height {sequence} showing what was prepared in {shown:?}, but has \
                 committed to a block in {:?}",
                record.committed
            ));
        }
        Ok(())
    }

    /// A block that may have a quorum of seals is the only one that may be voted for in later rounds.
    fn keeps_lock(&self, height: u64, round: u32, digest: B256) -> Result<(), String> {
        let Some((locked_in, locked)) = self.locked.get(&height) else { return Ok(()) };
        match self.hashes.get(&(height, round, digest)) {
            Some(hash) if round > *locked_in && hash != locked => Err(format!(
                "votes for {hash} at height {height}, round {round}, though {locked} may be decided in round \
                 {locked_in}"
            )),
            Some(_) => Ok(()),
            None => {
                Err(format!("votes for {digest} at height {height}, round {round}, which nobody proposed"))
            }
        }
    }

    fn commit(
        &mut self,
        chain: &Chain,
        author: Address,
        height: u64,
        round: u32,
        digest: B256,
    ) -> Result<(), String> {
        let record = self.records.entry((author, height)).or_default();
        record.committed = record.committed.max(Some(round));
        let Some(hash) = self.hashes.get(&(height, round, digest)).copied() else { return Ok(()) };
        let Some(sealers) = chain.sealers(height) else { return Ok(()) };
        let commits = self.commits.entry((height, round, hash)).or_default();
        commits.insert(author);
        let faulty = sealers.validators().intersection(&self.faulty).count();
        if commits.len() + faulty >= sealers.quorum() {
            let lock = self.locked.entry(height).or_insert((round, hash));
            if round < lock.0 {
                *lock = (round, hash);
            }
        }
        Ok(())
    }
}
