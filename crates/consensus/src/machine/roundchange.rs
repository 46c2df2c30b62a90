//! Leaving a round and entering another: clocks, requests, the jump, and leading a later round.

use super::Istanbul;
use super::run::Proposed;
use super::types::Output;
use crate::header::check_body;
use crate::justification::valid_round_change;
use crate::message::{VerifiedMessage, VerifiedRoundChange};
use lonja_primitives::NodeId;

impl Istanbul {
    /// When round 0 begins.
    pub(super) fn start_due(&self) -> Option<u64> {
        let clocks = &self.run.clocks;
        let due = if self.work_waiting { clocks.block_due_ms } else { clocks.empty_due_ms };
        (!self.run.started).then_some(due)
    }

    /// When the current round is given up.
    pub(super) fn round_due(&self) -> Option<u64> {
        let round = self.run.round;
        let heard = round == 0 || self.is_proposer_heard();
        self.run.clocks.round_deadline_ms(self.params(), round, heard)
    }

    /// Only who is in a round can propose in it, and who is in it has asked for it.
    fn is_proposer_heard(&self) -> bool {
        let proposer = self.rules().leader(self.run.round);
        let proposed = !matches!(self.run.proposed, Proposed::None);
        proposed || self.own() == Some(proposer) || self.run.requests.has_reached(&proposer, self.run.round)
    }

    /// When our request for the current round is repeated: as long as nothing of the round has come.
    pub(super) fn repeat_due(&self) -> Option<u64> {
        self.run.clocks.repeat_ms.filter(|_| matches!(self.run.proposed, Proposed::None))
    }

    /// Starts the clock of the current round.
    pub(super) fn run_clock(&mut self) {
        let (now, round) = (self.now, self.run.round);
        let params = self.spec.consensus_at(self.run.number);
        self.run.clocks.run(now, params, round);
    }

    /// A justified proposal of a later round shows that a quorum asked for the round.
    pub(super) fn run_clock_of_later_round(&mut self) {
        if self.run.round > 0 {
            self.run_clock();
        }
    }

    /// Starts the clock of a later round when a quorum has reached it.
    fn run_clock_on_quorum(&mut self) {
        let round = self.run.round;
        if round > 0 && self.run.requests.reached(round) >= self.rules().quorum() {
            self.run_clock();
        }
    }

    /// The time of the current round is over.
    pub(super) fn give_up_round(&mut self) {
        let next = self.run.round.saturating_add(1);
        self.enter(next);
        self.request_round();
        self.follow_requests();
    }

    pub(super) fn enter(&mut self, round: u32) {
        self.run.enter(round);
        self.run.clocks.enter(self.now);
    }

    /// ROUND-CHANGE to the current round.
    pub(super) fn request_round(&mut self) {
        let round = self.run.round;
        let allowed = self.voting && self.run.request.is_none();
        let voter = self.voter.as_mut().filter(|_| allowed);
        let Some(ballot) = voter.and_then(|voter| voter.round_change(round)) else { return };
        let message = VerifiedMessage::RoundChange(Box::new(ballot.message.clone()));
        self.run.request = Some(message.encode());
        self.run.requests.add(round, ballot.message);
        self.send(ballot.entry, &message);
        let params = self.spec.consensus_at(self.run.number);
        self.run.clocks.repeat_later(self.now, params);
    }

    /// Whoever is in a later round and has no running clock must have asked for the round: others could not
    /// count it, and nothing would wake it. After a restart in a round that was entered by its proposal it has
    /// not.
    pub(super) fn request_if_idle(&mut self) {
        let idle = self.run.clocks.running_since_ms.is_none() && self.run.request.is_none();
        if self.run.round > 0 && idle {
            self.request_round();
            self.follow_requests();
        }
    }

    /// The same bytes again, for whoever was not there the first time.
    pub(super) fn repeat_request(&mut self) {
        if let Some(request) = self.run.request.clone() {
            self.outputs.push(Output::Send(request));
        }
        let params = self.spec.consensus_at(self.run.number);
        self.run.clocks.repeat_later(self.now, params);
    }

    pub(super) fn round_change(&mut self, from: Option<NodeId>, change: &VerifiedRoundChange) {
        let (author, round) = (change.round_change.author(), change.round_change.round);
        if !self.run.requests.is_wanted(self.run.round, &author, round) {
            return;
        }
        if let Err(reason) = self.check_round_change(change) {
            return self.blame(author, from, format!("ROUND-CHANGE: {reason}"));
        }
        self.run.requests.add(self.run.round, change.clone());
        self.follow_requests();
    }

    /// The block is compared with the header that was prepared: a certificate proves the header only.
    fn check_round_change(&self, change: &VerifiedRoundChange) -> Result<(), String> {
        valid_round_change(&self.rules(), change).map_err(|error| error.to_string())?;
        match &change.block {
            Some(block) => check_body(&self.spec, block).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Jump, then clock, then lead.
    pub(super) fn follow_requests(&mut self) {
        let faulty = self.rules().faulty();
        if let Some(round) = self.run.requests.jump_target(self.run.round, faulty) {
            self.enter(round);
            self.request_round();
        }
        self.run_clock_on_quorum();
        self.lead();
    }

    /// Goes on where the log says this validator was, and sends again what it had signed for that round.
    pub(super) fn resume(&mut self) {
        let Some(voter) = &self.voter else { return };
        let round = voter.floor();
        let prepared = voter.prepared().filter(|prepared| prepared.round == round).cloned();
        let prepare = voter.prepare_in(round);
        if round > 0 {
            self.enter(round);
        }
        if let Some(prepared) = prepared {
            for prepare in prepared.prepares {
                self.run.ballots.add_prepare(round, prepare);
            }
            if let Some(candidate) = self.candidate(prepared.block, round, false) {
                self.run.mark_good(candidate.hash);
                self.examine(candidate);
            }
        } else if prepare.is_some() && self.voting {
            self.repeat_prepare(round);
        }
        self.run_clock_on_quorum();
    }

    fn repeat_prepare(&mut self, round: u32) {
        let Some(voter) = &mut self.voter else { return };
        let digest = voter.prepare_in(round);
        if let Some(ballot) = digest.and_then(|digest| voter.prepare(round, digest)) {
            self.run.ballots.add_prepare(round, ballot.message.clone());
            self.send(ballot.entry, &VerifiedMessage::Prepare(ballot.message));
        }
    }

    /// Signing is allowed again: what was held back and still fits is signed now.
    pub(super) fn catch_up_signing(&mut self) {
        if !self.run.active || self.run.decided || !self.voting {
            return;
        }
        if self.run.round > 0 && matches!(self.run.proposed, Proposed::None) {
            self.request_round();
            self.follow_requests();
        }
        self.send_prepare();
        self.advance();
    }
}
