//! The votes of a round: a proposal is checked, prepared, committed, decided.

use super::ballots::Stored;
use super::run::{Candidate, Proposed};
use super::safety::Prepared;
use super::types::{Output, Verdict};
use super::{Istanbul, height_rules};
use crate::header::{HeaderError, MAX_CLOCK_DIFFERENCE_MS, Seals, check_body, check_header};
use crate::justification::{highest_claim, justified, valid_commit};
use crate::message::{Commit, Prepare, Proposal, Verified, VerifiedMessage, VerifiedProposal};
use crate::timers::block_timestamp_s;
use alloy_primitives::{Address, B256};
use lonja_primitives::spec::DigestRule;
use lonja_primitives::{Block, CertifiedBlock, HeaderFormat, NodeId, extra};

/// Pause before a question that the chain could not answer is asked again, milliseconds.
const CHECK_AGAIN_MS: u64 = 100;

impl Istanbul {
    pub(super) fn proposal(&mut self, from: Option<NodeId>, proposal: &VerifiedProposal) {
        let (author, round) = (proposal.proposal.author(), proposal.proposal.round);
        if round == self.run.round && self.run.proposed.digest().is_some() {
            return self.second_proposal(proposal);
        }
        let candidate = match self.check_proposal(proposal) {
            Ok(candidate) => candidate,
            Err(reason) => return self.blame(author, from, format!("PROPOSAL: {reason}")),
        };
        let known = self.run.is_good(&candidate.hash);
        if self.voter.as_ref().is_none_or(|voter| !voter.may_prepare(round, candidate.digest)) {
            return;
        }
        if round > self.run.round {
            self.enter(round);
        }
        if known || self.is_due(&candidate) {
            self.examine(candidate);
        } else {
            self.run_clock_of_later_round();
            self.run.proposed = Proposed::Early(candidate);
        }
    }

    /// Everything about a proposal but its execution. The body is compared with the header here, so that the
    /// block's hash stands for all of it when verdicts are remembered.
    fn check_proposal(&self, message: &VerifiedProposal) -> Result<Candidate, String> {
        let rules = self.rules();
        justified(&rules, message).map_err(|error| error.to_string())?;
        let fresh = highest_claim(&message.round_changes).is_none();
        let Proposal { round, block, .. } = &*message.proposal;
        let candidate = self.candidate(block.clone(), *round, fresh).ok_or("it has no digest")?;
        self.check_header(&candidate)
            .and_then(|()| check_body(&self.spec, &candidate.block))
            .map_err(|error| error.to_string())?;
        Ok(candidate)
    }

    pub(super) fn check_header(&self, candidate: &Candidate) -> Result<(), HeaderError> {
        let (header, parent) = (&candidate.block.header, &self.position.head);
        let validators = self.position.votes.validators();
        check_header(&self.spec, header, parent, validators, Seals::NotYet, None)
    }

    pub(super) fn candidate(&self, block: Block, round: u32, fresh: bool) -> Option<Candidate> {
        let digest = self.rules().digest(&block.header, round).ok()?;
        let hash = extra::block_hash(&block.header, HeaderFormat::Qbft).ok()?;
        Some(Candidate { block, digest, hash, fresh })
    }

    /// Only the first proposal of a round counts. Another one for another block, by the right proposer,
    /// convicts it.
    fn second_proposal(&mut self, message: &VerifiedProposal) {
        let (author, round) = (message.proposal.author(), message.proposal.round);
        let digest = self.rules().digest(&message.proposal.block.header, round).ok();
        let by_proposer = author == self.rules().leader(round);
        if by_proposer && digest.is_some() && digest != self.run.proposed.digest() {
            self.blame_equivocation(author, "proposals", round);
        }
    }

    /// Whether the block's time has come. Once our own block clock is over, the least time a child of the head
    /// can have counts as reached: a wall clock that stands behind the chain must not stop it.
    fn is_due(&self, candidate: &Candidate) -> bool {
        candidate.block.header.timestamp.saturating_mul(1000) <= self.chain_time_ms()
    }

    fn chain_time_ms(&self) -> u64 {
        let wall = self.now.unix_ms.saturating_add(MAX_CLOCK_DIFFERENCE_MS);
        if self.now.mono_ms < self.run.clocks.block_due_ms {
            return wall;
        }
        let least = block_timestamp_s(self.params(), self.position.head.timestamp, 0);
        wall.max(least.saturating_mul(1000))
    }

    /// When a proposal that came too early is looked at again.
    pub(super) fn early_due(&self) -> Option<u64> {
        let Proposed::Early(candidate) = &self.run.proposed else { return None };
        let due = candidate.block.header.timestamp.saturating_mul(1000);
        let wait = due.saturating_sub(self.now.unix_ms.saturating_add(MAX_CLOCK_DIFFERENCE_MS));
        let by_wall = self.now.mono_ms.saturating_add(wait);
        let block_due = Some(self.run.clocks.block_due_ms).filter(|due| *due > self.now.mono_ms);
        Some(block_due.map_or(by_wall, |due| due.min(by_wall)))
    }

    pub(super) fn retry_early(&mut self) {
        if let Proposed::Early(candidate) = &self.run.proposed
            && self.is_due(candidate)
        {
            let candidate = candidate.clone();
            self.examine(candidate);
        }
    }

    /// Has a justified and timely proposal of the current round executed, unless it is known to be good.
    pub(super) fn examine(&mut self, candidate: Candidate) {
        if self.run.round > 0 || !self.run.started {
            self.run.clocks.slot_ms = self.now.mono_ms;
        }
        self.run.started = true;
        self.run_clock();
        if self.run.is_good(&candidate.hash) {
            return self.accept(candidate);
        }
        self.check(candidate);
    }

    fn check(&mut self, candidate: Candidate) {
        let Candidate { digest, hash, block, .. } = candidate.clone();
        self.run.ask(digest, hash);
        self.run.proposed = Proposed::Checking { candidate, retry_ms: None };
        self.outputs.push(Output::CheckBlock { height: self.run.number, digest, block });
    }

    pub(super) fn retry_due(&self) -> Option<u64> {
        match &self.run.proposed {
            Proposed::Checking { retry_ms, .. } => *retry_ms,
            _ => None,
        }
    }

    pub(super) fn ask_again(&mut self) {
        if let Proposed::Checking { candidate, retry_ms: Some(_) } = &self.run.proposed {
            let candidate = candidate.clone();
            self.check(candidate);
        }
    }

    /// The chain's verdict. It is about a block, not about a round: the same block may have been proposed
    /// again since it was asked for.
    pub(super) fn checked(&mut self, digest: B256, verdict: Verdict) {
        let Some(hash) = self.run.answered(&digest) else { return };
        if verdict == Verdict::Valid {
            self.run.mark_good(hash);
        }
        let Proposed::Checking { candidate, .. } = &self.run.proposed else { return };
        if candidate.hash != hash || self.run.decided {
            return;
        }
        let candidate = candidate.clone();
        match verdict {
            Verdict::Valid => self.accept(candidate),
            Verdict::Invalid(reason) => self.refuse(&candidate, &reason),
            Verdict::Unavailable(_) => {
                let retry_ms = Some(self.now.mono_ms.saturating_add(CHECK_AGAIN_MS));
                self.run.proposed = Proposed::Checking { candidate, retry_ms };
            }
        }
    }

    /// No vote for it, and no second try: an execution costs too much to give the proposer more than one. Who
    /// proposes what a quorum had prepared is not to blame.
    fn refuse(&mut self, candidate: &Candidate, reason: &str) {
        self.run.proposed = Proposed::Refused(candidate.digest);
        if candidate.fresh && Some(candidate.block.header.beneficiary) != self.own() {
            let proposer = candidate.block.header.beneficiary;
            self.blame(proposer, None, format!("PROPOSAL: the block is invalid: {reason}"));
        }
    }

    pub(super) fn accept(&mut self, candidate: Candidate) {
        self.run.proposed = Proposed::Accepted(candidate);
        self.drop_bad_commits();
        self.send_prepare();
        self.advance();
    }

    /// PREPARE for the accepted block.
    pub(super) fn send_prepare(&mut self) {
        let Proposed::Accepted(candidate) = &self.run.proposed else { return };
        let (digest, round) = (candidate.digest, self.run.round);
        if !self.voting || self.run.prepare_sent {
            return;
        }
        let Some(ballot) = self.voter.as_mut().and_then(|voter| voter.prepare(round, digest)) else { return };
        self.run.prepare_sent = true;
        self.run.ballots.add_prepare(round, ballot.message.clone());
        self.send(ballot.entry, &VerifiedMessage::Prepare(ballot.message));
    }

    /// What the votes for the accepted block allow: COMMIT, and the decision.
    pub(super) fn advance(&mut self) {
        self.send_commit();
        self.decide();
    }

    fn send_commit(&mut self) {
        let Proposed::Accepted(candidate) = &self.run.proposed else { return };
        if !self.voting || self.run.commit_sent || self.run.decided {
            return;
        }
        let (round, digest) = (self.run.round, candidate.digest);
        let prepares = self.run.ballots.prepares(round, digest);
        if prepares.len() < self.rules().quorum() {
            return;
        }
        let prepares = prepares.into_iter().cloned().collect();
        let prepared = Prepared { round, digest, block: candidate.block.clone(), prepares };
        let rules = height_rules(&self.spec, &self.position);
        let Some(ballot) = self.voter.as_mut().and_then(|voter| voter.commit(&rules, prepared)) else {
            return;
        };
        self.run.commit_sent = true;
        self.run.ballots.add_commit(round, ballot.message.clone());
        self.send(ballot.entry, &VerifiedMessage::Commit(ballot.message));
    }

    fn decide(&mut self) {
        let Proposed::Accepted(candidate) = &self.run.proposed else { return };
        let commits = self.run.ballots.commits(self.run.round, candidate.digest);
        if self.run.decided || commits.len() < self.rules().quorum() {
            return;
        }
        let seals: Vec<_> = commits.iter().map(|commit| commit.seal).collect();
        let header = &candidate.block.header;
        let Ok(header) = extra::with_round_and_seals(header, self.run.round, &seals) else { return };
        let block = Block { header, transactions: candidate.block.transactions.clone() };
        let certified = CertifiedBlock::new_verified(candidate.hash, block);
        self.run.decided = true;
        self.outputs.push(Output::Decide(certified));
    }

    pub(super) fn prepare(&mut self, prepare: &Verified<Prepare>) {
        let stored = self.run.ballots.add_prepare(self.run.round, prepare.clone());
        self.stored(stored, prepare.author(), prepare.round, "PREPAREs");
    }

    /// A seal is looked at as soon as what it must sign is known, so that a bad one never reaches a header.
    pub(super) fn commit(&mut self, commit: &Verified<Commit>) {
        if let Some(reason) = self.seal_fault(commit) {
            return self.blame(commit.author(), None, format!("COMMIT: {reason}"));
        }
        let stored = self.run.ballots.add_commit(self.run.round, commit.clone());
        self.stored(stored, commit.author(), commit.round, "COMMITs");
    }

    fn stored(&mut self, stored: Stored, author: Address, round: u32, what: &str) {
        if stored == Stored::No {
            return;
        }
        if stored == Stored::Equivocation {
            self.blame_equivocation(author, what, round);
        }
        if round == self.run.round {
            self.advance();
        }
    }

    /// What is wrong with a commit seal, as far as can be told: under GoQuorum's digest rule the digest of a
    /// later round does not say what the seal must sign, the block does.
    fn seal_fault(&self, commit: &Verified<Commit>) -> Option<String> {
        let rules = self.rules();
        let proposed = self.run.proposed.candidate();
        let known = proposed.filter(|c| commit.round == self.run.round && commit.digest == c.digest);
        if let Some(candidate) = known {
            let check = valid_commit(&rules, commit, commit.round, &candidate.block.header);
            return check.err().map(|error| error.to_string());
        }
        if rules.params.digest == DigestRule::GoQuorum && commit.round > 0 {
            return None;
        }
        match commit.seal.recover(commit.digest) {
            Ok(signer) if signer == commit.author() => None,
            Ok(signer) => Some(format!("the seal is by {signer}")),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Looks at the seals that came before the block they sign.
    fn drop_bad_commits(&mut self) {
        let Some(digest) = self.run.proposed.digest() else { return };
        let round = self.run.round;
        let commits = self.run.ballots.commits(round, digest);
        let own = self.own();
        let others = commits.into_iter().filter(|commit| Some(commit.author()) != own);
        let bad: Vec<_> =
            others.filter_map(|commit| Some((commit.author(), self.seal_fault(commit)?))).collect();
        for (author, reason) in bad {
            self.run.ballots.remove_commit(round, author, digest);
            self.blame(author, None, format!("COMMIT: {reason}"));
        }
    }
}
