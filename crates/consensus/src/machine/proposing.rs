//! Our turn: building a block, or proposing again what was prepared.

use super::Istanbul;
use super::run::{Candidate, Proposed};
use super::types::{BuildRequest, Output};
use crate::justification::highest_claim;
use crate::message::{Prepare, Proposal, RoundChange, Verified, VerifiedMessage};
use crate::timers::block_timestamp_s;
use crate::votes::is_epoch_block;
use alloy_primitives::Bytes;
use lonja_primitives::{Block, ExtraData, HeaderFormat};

/// Free bytes of the headers we build.
const VANITY: [u8; 32] = *b"lonja\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// Building takes at most half of the block period, so that the votes fit into the other half.
const BUILD_SHARE: u64 = 2;
/// Building may take this long, milliseconds, however short the period.
const LEAST_BUILD_MS: u64 = 20;

impl Istanbul {
    /// Round 0 begins: the block time is here.
    pub(super) fn start_round_zero(&mut self) {
        self.run.started = true;
        if !self.work_waiting {
            self.run.clocks.slot_ms = self.run.clocks.empty_due_ms;
        }
        self.run_clock();
        self.build();
    }

    /// Asks for a fresh block when it is our turn and we have none.
    pub(super) fn build(&mut self) {
        let round = self.run.round;
        let free = self.voter.as_ref().is_some_and(|voter| voter.may_propose(round));
        let busy = self.run.building.is_some() || self.run.build_failed;
        if !self.leads() || !free || busy || !matches!(self.run.proposed, Proposed::None) {
            return;
        }
        if let Some(request) = self.build_request() {
            self.run.building = Some(round);
            self.outputs.push(Output::BuildBlock(request));
        }
    }

    fn build_request(&mut self) -> Option<BuildRequest> {
        let number = self.run.number;
        let vote = match self.by_contract() || is_epoch_block(&self.spec, number) {
            true => None,
            false => self.candidates.next(&self.position.votes),
        };
        let (rules, head, params) = (self.rules(), &self.position.head, self.params());
        let extra = ExtraData {
            vanity: Bytes::from_static(&VANITY),
            validators: rules.validators.as_slice().to_vec(),
            vote,
            round: rules.proposed_round(self.run.round),
            ..ExtraData::default()
        };
        let shorter = params.block_period_ms.min(params.request_timeout_ms);
        Some(BuildRequest {
            height: number,
            round: self.run.round,
            parent: head.hash(),
            timestamp: block_timestamp_s(params, head.timestamp, self.now.unix_ms),
            beneficiary: self.own()?,
            extra_data: extra.encode(HeaderFormat::Qbft),
            deadline_ms: (shorter / BUILD_SHARE).max(LEAST_BUILD_MS),
        })
    }

    pub(super) fn is_building(&self, height: u64, round: u32) -> bool {
        height == self.run.number && self.run.building == Some(round) && self.run.round == round
    }

    /// Our block is ready. In a later round something prepared may have been heard of meanwhile; then that is
    /// proposed instead.
    pub(super) fn built(&mut self, round: u32, block: Block) {
        if !self.run.active || self.run.decided || !self.is_building(self.run.number, round) {
            return;
        }
        self.run.building = None;
        let own = Some(block.header.beneficiary) == self.own();
        let Some(candidate) = self
            .candidate(block, round, true)
            .filter(|candidate| own && self.check_header(candidate).is_ok() && self.leads())
        else {
            self.run.build_failed = true;
            return;
        };
        self.run.mark_good(candidate.hash);
        if round == 0 {
            self.propose(candidate, Vec::new(), Vec::new());
        } else {
            self.lead_with(Some(candidate));
        }
    }

    /// Signs and sends a proposal of the current round, and handles it like one received.
    pub(super) fn propose(
        &mut self,
        candidate: Candidate,
        round_changes: Vec<Verified<RoundChange>>,
        prepares: Vec<Verified<Prepare>>,
    ) {
        if !matches!(self.run.proposed, Proposed::None) {
            return;
        }
        let (sequence, round) = (self.run.number, self.run.round);
        let proposal = Proposal { sequence, round, block: candidate.block.clone() };
        let Some(voter) = &mut self.voter else { return };
        let ballot = voter.propose(candidate.digest, proposal, round_changes, prepares);
        if let Some(ballot) = ballot {
            self.send(ballot.entry, &VerifiedMessage::Proposal(Box::new(ballot.message)));
            self.examine(candidate);
        }
    }

    pub(super) fn lead(&mut self) {
        self.lead_with(None);
    }

    /// Proposes when a quorum has asked for this round and it is our turn: what was prepared in the highest
    /// round that any of the requests shows, else the block just built, else asks for one.
    pub(super) fn lead_with(&mut self, built: Option<Candidate>) {
        let round = self.run.round;
        let open = matches!(self.run.proposed, Proposed::None) && !self.run.decided;
        if round == 0 || !open || !self.leads() {
            return;
        }
        let requests = self.run.requests.at(round);
        if requests.len() < self.rules().quorum() {
            return;
        }
        let changes: Vec<_> = requests.iter().map(|request| request.round_change.clone()).collect();
        let Some(highest) = highest_claim(&changes) else {
            return match built {
                Some(candidate) => self.propose(candidate, changes, Vec::new()),
                None => self.build(),
            };
        };
        let shown = requests
            .into_iter()
            .find(|request| request.round_change.prepared.is_some_and(|claim| claim.round == highest));
        let Some((block, prepares)) = shown.and_then(|r| Some((r.block.clone()?, r.prepares.clone()))) else {
            return;
        };
        let block = self.rules().proposable(block, round).ok();
        if let Some(candidate) = block.and_then(|block| self.candidate(block, round, false)) {
            self.propose(candidate, changes, prepares);
        }
    }
}
