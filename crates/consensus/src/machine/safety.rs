//! What must never be signed twice.
//!
//! This file is the only one that uses the validator's key. Every signature goes through [`Voter`], which
//! keeps these rules, each of which one validator alone could otherwise break:
//!
//! 1. **One value per round.** One PROPOSAL, one PREPARE and one COMMIT per height and round. The same value
//!    may be signed again: signatures are deterministic, so that is the same message once more.
//! 2. **Never back.** Nothing is signed for a round lower than any round signed for before. A round change to
//!    round r says what was prepared below r; a vote below r after it would make it a lie.
//! 3. **COMMIT only on a certificate**: a quorum of PREPAREs for just this height, round and value. The
//!    certificate and its block are kept, and only one of a higher round replaces them.
//! 4. **A round change shows the kept certificate**, whatever way the round was left.
//! 5. **Written before sent.** What is signed for the first time comes with an [`Entry`] that must be durable
//!    before the message leaves. A crash can therefore only lose a message, never the memory of having sent
//!    one; a record torn at the end of the log belongs to a message that was never sent.
//!
//! Rules 1 and 2 only compare rounds, because what was signed last in each kind is all that can be repeated.

use super::RestoreError;
use super::record::{self, Entry};
use crate::justification::{Height, valid_prepared_certificate};
use crate::message::{
    Commit, Prepare, PreparedClaim, Proposal, RoundChange, Verified, VerifiedProposal, VerifiedRoundChange,
};
use alloy_primitives::{Address, B256};
use lonja_primitives::{Block, Signer};
use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// A prepared certificate with its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    /// In which round.
    pub round: u32,
    /// The block's digest in that round.
    pub digest: B256,
    /// The block as it was proposed in that round.
    pub block: Block,
    /// A quorum of PREPAREs for it.
    pub prepares: Vec<Verified<Prepare>>,
}

/// A signed message, and what has to be durable before it is sent; nothing when it only repeats an earlier one.
pub(super) struct Ballot<T> {
    pub message: T,
    pub entry: Option<Entry>,
}

/// The validator's key and its memory of one height.
pub(super) struct Voter {
    signer: Arc<dyn Signer>,
    /// Asked for in every step, and not cheap to derive.
    address: Address,
    height: u64,
    signed: Ledger,
    /// What the log says about heights not reached yet: the database may be older than the log.
    restored: BTreeMap<u64, Ledger>,
}

/// What was signed at one height: of each kind the last, which is the one of the highest round.
#[derive(Clone, Debug, Default)]
struct Ledger {
    proposal: Option<(u32, B256)>,
    prepare: Option<(u32, B256)>,
    commit: Option<(u32, B256)>,
    round_change: Option<u32>,
    prepared: Option<Prepared>,
}

impl Ledger {
    /// The highest round signed for.
    fn floor(&self) -> u32 {
        let votes = [self.proposal, self.prepare, self.commit].into_iter().flatten().map(|(round, _)| round);
        votes.chain(self.round_change).max().unwrap_or(0)
    }

    /// Rules 1 and 2 for one kind of vote.
    fn allows(&self, last: Option<(u32, B256)>, round: u32, digest: B256) -> bool {
        round >= self.floor() && last.is_none_or(|(at, value)| at < round || value == digest)
    }

    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Proposal { round, digest } => self.proposal = Some((round, digest)),
            Entry::Prepare { round, digest } => self.prepare = Some((round, digest)),
            Entry::RoundChange { round } => self.round_change = Some(round),
            Entry::Commit(prepared) => {
                self.commit = Some((prepared.round, prepared.digest));
                self.prepared = Some(*prepared);
            }
        }
    }
}

impl Voter {
    /// Reads the log. Records of heights up to `head` are of no use any more.
    pub(super) fn restore(
        signer: Arc<dyn Signer>,
        head: u64,
        records: &[Vec<u8>],
    ) -> Result<Self, RestoreError> {
        let mut restored: BTreeMap<u64, Ledger> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            let (height, entries) = record::decode(index, record)?;
            if height > head {
                let ledger = restored.entry(height).or_default();
                entries.into_iter().for_each(|entry| ledger.apply(entry));
            }
        }
        let address = signer.address();
        Ok(Self { signer, address, height: head, signed: Ledger::default(), restored })
    }

    /// Begins a height, with what the log remembers of it.
    pub(super) fn begin(&mut self, height: u64) {
        self.height = height;
        self.signed = self.restored.remove(&height).unwrap_or_default();
        self.restored = self.restored.split_off(&height);
    }

    pub(super) fn address(&self) -> Address {
        self.address
    }

    /// The highest round signed for at this height.
    pub(super) fn floor(&self) -> u32 {
        self.signed.floor()
    }

    pub(super) fn prepared(&self) -> Option<&Prepared> {
        self.signed.prepared.as_ref()
    }

    /// What was prepared in `round` before a restart.
    pub(super) fn prepare_in(&self, round: u32) -> Option<B256> {
        self.signed.prepare.filter(|(at, _)| *at == round).map(|(_, digest)| digest)
    }

    /// Whether a fresh block may still be proposed in `round`.
    pub(super) fn may_propose(&self, round: u32) -> bool {
        round >= self.floor() && self.signed.proposal.is_none_or(|(at, _)| at < round)
    }

    /// Whether this value may be prepared in `round`.
    pub(super) fn may_prepare(&self, round: u32, digest: B256) -> bool {
        self.signed.allows(self.signed.prepare, round, digest)
    }

    /// Signs a PROPOSAL.
    pub(super) fn propose(
        &mut self,
        digest: B256,
        proposal: Proposal,
        round_changes: Vec<Verified<RoundChange>>,
        prepares: Vec<Verified<Prepare>>,
    ) -> Option<Ballot<VerifiedProposal>> {
        let round = proposal.round;
        let at_height = proposal.sequence == self.height;
        if !at_height || !self.signed.allows(self.signed.proposal, round, digest) {
            return None;
        }
        let fresh = self.signed.proposal != Some((round, digest));
        let entry = self.remember(fresh, Entry::Proposal { round, digest });
        let message = VerifiedProposal::sign(proposal, round_changes, prepares, self.signer.as_ref());
        Some(Ballot { message, entry })
    }

    /// Signs a PREPARE.
    pub(super) fn prepare(&mut self, round: u32, digest: B256) -> Option<Ballot<Verified<Prepare>>> {
        if !self.may_prepare(round, digest) {
            return None;
        }
        let fresh = self.signed.prepare != Some((round, digest));
        let entry = self.remember(fresh, Entry::Prepare { round, digest });
        let payload = Prepare { sequence: self.height, round, digest };
        Some(Ballot { message: Verified::sign(payload, self.signer.as_ref()), entry })
    }

    /// Signs a COMMIT and its seal, and keeps the certificate.
    pub(super) fn commit(&mut self, rules: &Height, prepared: Prepared) -> Option<Ballot<Verified<Commit>>> {
        let (round, digest) = (prepared.round, prepared.digest);
        let proven = rules.number == self.height
            && rules.digest(&prepared.block.header, round) == Ok(digest)
            && valid_prepared_certificate(rules, round, digest, &prepared.prepares).is_ok();
        if !proven || !self.signed.allows(self.signed.commit, round, digest) {
            return None;
        }
        let seal = self.signer.sign(rules.commit_digest(&prepared.block.header, round).ok()?);
        let fresh = self.signed.commit != Some((round, digest));
        let entry = self.remember(fresh, Entry::Commit(Box::new(prepared)));
        let payload = Commit { sequence: self.height, round, digest, seal };
        Some(Ballot { message: Verified::sign(payload, self.signer.as_ref()), entry })
    }

    /// Signs a ROUND-CHANGE with the kept certificate.
    pub(super) fn round_change(&mut self, round: u32) -> Option<Ballot<VerifiedRoundChange>> {
        let in_order = self.signed.prepared.as_ref().is_none_or(|prepared| prepared.round < round);
        if round == 0 || round < self.floor() || !in_order {
            return None;
        }
        let fresh = self.signed.round_change != Some(round);
        let entry = self.remember(fresh, Entry::RoundChange { round });
        let prepared = self.signed.prepared.clone();
        let claim = prepared.as_ref().map(|p| PreparedClaim { round: p.round, digest: p.digest });
        let payload = RoundChange { sequence: self.height, round, prepared: claim };
        let (block, prepares) = prepared.map(|p| (p.block, p.prepares)).unzip();
        let prepares = prepares.unwrap_or_default();
        let message = VerifiedRoundChange::sign(payload, block, prepares, self.signer.as_ref());
        Some(Ballot { message, entry })
    }

    fn remember(&mut self, fresh: bool, entry: Entry) -> Option<Entry> {
        if !fresh {
            return None;
        }
        self.signed.apply(entry.clone());
        Some(entry)
    }
}
