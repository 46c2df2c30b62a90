//! The Istanbul machine in its QBFT form: one validator's part in agreeing on the next block.
//!
//! It is a pure function of its state and its inputs. Time comes in with every step, decisions go out as
//! [`Output`]s to be carried out in order. A [`Output::Persist`] stands before the messages it covers; there is
//! at most one per step.
//!
//! | input | when | what follows |
//! |---|---|---|
//! | any | first of a process | what was signed before a restart is sent again |
//! | `NewHead` | above the known head | `Forget`; the next height begins; its early messages are handled |
//! | `NewHead` | otherwise | nothing |
//! | `Message` PROPOSAL | justified, of this round with nothing accepted, or of a later one | enter the round; `CheckBlock`, or at once PREPARE for a block known to be good |
//! | | its time is ahead of the clock | kept, and looked at again at that time, within the round |
//! | | not justified, or its header or body is wrong | `Blame` |
//! | | a second value in one round | `Blame` |
//! | `Message` PREPARE | this round or later | kept; a quorum for the accepted block: COMMIT |
//! | `Message` COMMIT | this round or later, good seal | kept; a quorum for the accepted block: `Decide` |
//! | | bad seal | `Blame` |
//! | `Message` ROUND-CHANGE | valid, this round or later | kept; F+1 ahead: enter their round, ROUND-CHANGE; a quorum for this round and our turn: PROPOSAL of the highest prepared block, or `BuildBlock` |
//! | | not valid | `Blame` |
//! | `Message` | lower height or round, a stranger, decided already | nothing |
//! | `Message` | later height | kept within bounds |
//! | `Built` | for the current round, nothing proposed | PROPOSAL, PREPARE |
//! | `Checked` valid | the block is the one in question | PREPARE, and what the votes already here allow |
//! | `Checked` invalid | | the round passes without a vote of ours; `Blame` if the proposer built it |
//! | `Checked` unavailable | | asked again after a pause |
//! | `Tick` | block time, round 0 not begun | round 0 begins; our turn: `BuildBlock` |
//! | | round time over | enter the next round, ROUND-CHANGE |
//! | | request pending, nothing accepted | the same ROUND-CHANGE again |
//! | `WorkWaiting` | | the block time is the period's, or the empty-block period's |
//! | `SetVoting(false)` | | nothing is signed until `true`; blocks sealed by others are still decided |
//!
//! A commit quorum for a block that is still being executed waits for the verdict: the block may be decided
//! only as accepted, so that this node never hands its chain a block it has itself found wrong. If execution
//! disagrees with a quorum, the block comes through catch-up, and the chain stops with the evidence.
//!
//! Where the machine does not take part (no key, not a validator of the height, or a height in a legacy format)
//! it sets no clock, sends nothing and only follows the head.
//!
//! Every value has one encoding, and every message one place in a bounded store: what is in its place already
//! is not handled again. So a copy, or a copy with another signature, cannot push the original out.
//!
//! The parts: `safety` (what is signed), `record` (what the log says), `proposing` (our turn), `round` (a
//! proposal and the votes on it), `roundchange` (leaving a round), `timing` (why and when), and the stores
//! `ballots`, `requests`, `future`, `candidates`.

mod ballots;
mod candidates;
mod future;
#[cfg(test)]
pub(crate) mod harness;
mod proposing;
mod record;
mod requests;
mod round;
mod roundchange;
mod run;
mod safety;
#[cfg(test)]
mod tests;
mod timing;
mod types;

use crate::justification::Height;
use crate::message::VerifiedMessage;
use crate::{Now, message::View};
use alloy_primitives::Address;
pub use candidates::CANDIDATES_MAX;
use candidates::Candidates;
use future::FutureBuffer;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{ChainSpec, HeaderFormat, NodeId, Signer};
use record::Entry;
use run::{Proposed, Run};
use safety::Voter;
use std::sync::Arc;

pub use record::record_height;
pub use types::{BuildRequest, ChainPosition, Input, Output, Phase, RestoreError, Status, Verdict};

/// The machine.
pub struct Istanbul {
    spec: Arc<ChainSpec>,
    position: Arc<ChainPosition>,
    /// The key with its memory; none on a node that never votes.
    voter: Option<Voter>,
    /// Signing is allowed.
    voting: bool,
    work_waiting: bool,
    candidates: Candidates,
    future: FutureBuffer<(Option<NodeId>, VerifiedMessage)>,
    /// The log holds records of heights that are over.
    forgettable: bool,
    run: Run,
    /// The clocks of the current height are set.
    begun: bool,
    now: Now,
    outputs: Vec<Output>,
    /// What this step signed for the first time, and where among the outputs its record belongs.
    entries: Vec<Entry>,
    persist_at: Option<usize>,
}

impl Istanbul {
    /// Starts behind `position`. `records` are all records of the consensus log in order; `signer` is the
    /// validator key, if this node has one.
    ///
    /// Nothing happens before the first step, which may be a [`Input::Tick`] at once.
    ///
    /// # Errors
    /// A record that cannot be read: without it the machine could sign twice.
    pub fn new(
        spec: Arc<ChainSpec>,
        signer: Option<Arc<dyn Signer>>,
        position: Arc<ChainPosition>,
        records: &[Vec<u8>],
    ) -> Result<Self, RestoreError> {
        let head = position.head.number;
        let voter = signer.map(|signer| Voter::restore(signer, head, records)).transpose()?;
        let mut machine = Self {
            spec,
            position,
            voter,
            voting: true,
            work_waiting: false,
            candidates: Candidates::default(),
            future: FutureBuffer::new(future::LIMITS, head.saturating_add(1)),
            forgettable: !records.is_empty(),
            run: Run::default(),
            begun: false,
            now: Now::default(),
            outputs: Vec::new(),
            entries: Vec::new(),
            persist_at: None,
        };
        machine.reset();
        Ok(machine)
    }

    /// Takes one event in and gives the decisions that follow, to be carried out in order.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.now = now;
        if let Input::SetVoting(voting) = input {
            self.set_voting(voting);
        }
        if !self.begun {
            self.begin(None);
        }
        self.handle(input);
        self.tick();
        self.finish()
    }

    /// When the next [`Input::Tick`] is due, milliseconds of the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        if !self.begun {
            return Some(0);
        }
        if !self.run.active || self.run.decided {
            return None;
        }
        let voting = [self.start_due(), self.round_due(), self.repeat_due()];
        let voting = voting.into_iter().flatten().filter(|_| self.voting);
        voting.chain(self.early_due()).chain(self.retry_due()).min()
    }

    /// A look inside.
    pub fn status(&self) -> Status {
        let rules = self.rules();
        Status {
            height: self.run.number,
            round: self.run.round,
            proposer: rules.leader(self.run.round),
            phase: self.phase(),
            validators: rules.validators.as_slice().to_vec(),
            is_validator: self.own().is_some_and(|own| rules.validators.contains(&own)),
            voting: self.voting,
            candidates: self.candidates.list(),
            prepared_round: self.voter.as_ref().and_then(Voter::prepared).map(|prepared| prepared.round),
            round_change_senders: self.run.requests.reached(self.run.round),
        }
    }

    fn phase(&self) -> Phase {
        match &self.run.proposed {
            _ if !self.run.active => Phase::Observing,
            _ if self.run.decided => Phase::Decided,
            _ if !self.run.started => Phase::WaitingForBlockTime,
            Proposed::None | Proposed::Early(_) | Proposed::Refused(_) => Phase::WaitingForProposal,
            Proposed::Checking { .. } => Phase::Checking,
            Proposed::Accepted(_) if self.run.commit_sent => Phase::Committing,
            Proposed::Accepted(_) => Phase::Preparing,
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::NewHead(position) => self.new_head(position),
            Input::Message { from, message } => self.message(from, message),
            Input::Built { height, round, block } if height == self.run.number => self.built(round, block),
            Input::BuildFailed { height, round, .. } if self.is_building(height, round) => {
                self.run.building = None;
                self.run.build_failed = true;
            }
            Input::Checked { height, digest, verdict } if height == self.run.number => {
                self.checked(digest, verdict);
            }
            Input::WorkWaiting(waiting) => self.work(waiting),
            Input::Propose(..) if self.by_contract() => {}
            Input::Propose(address, kind) => self.candidates.propose(address, kind),
            Input::Discard(address) => self.candidates.discard(&address),
            Input::SetVoting(_) => self.catch_up_signing(),
            Input::Built { .. } | Input::BuildFailed { .. } | Input::Checked { .. } | Input::Tick => {}
        }
    }

    /// Each clock is looked at in every step, so that a late or early tick, or none
    /// at all when other inputs come, makes no difference.
    fn tick(&mut self) {
        if !self.run.active || self.run.decided {
            return;
        }
        let over = |due: Option<u64>, now: Now| due.is_some_and(|due| due <= now.mono_ms);
        self.retry_early();
        if over(self.retry_due(), self.now) {
            self.ask_again();
        }
        if !self.voting {
            return;
        }
        self.request_if_idle();
        if over(self.start_due(), self.now) {
            self.start_round_zero();
        }
        if over(self.round_due(), self.now) && !self.run.decided {
            self.give_up_round();
        }
        if over(self.repeat_due(), self.now) && !self.run.decided {
            self.repeat_request();
        }
    }

    fn new_head(&mut self, position: Arc<ChainPosition>) {
        if position.head.number <= self.position.head.number {
            return;
        }
        let follows = position.head.number == self.run.number && self.begun;
        let slot = (follows && self.run.active).then_some(self.run.clocks.slot_ms);
        self.position = position;
        self.reset();
        self.begin(slot);
    }

    /// A new height: fresh state, and what the log remembers of it.
    fn reset(&mut self) {
        let number = self.position.head.number.saturating_add(1);
        if let Some(voter) = &mut self.voter {
            voter.begin(number);
        }
        let rules = self.rules();
        let member = self.own().is_some_and(|own| rules.validators.contains(&own));
        let known = self.position.votes.pending().is_none();
        let active = member && known && rules.params.format == HeaderFormat::Qbft;
        self.run = Run::new(number, active);
        match self.by_contract() {
            true => self.candidates = Candidates::default(),
            false => self.candidates.prune(&self.position.votes),
        }
        self.begun = false;
    }

    fn begin(&mut self, parent_slot_ms: Option<u64>) {
        self.begun = true;
        let number = self.run.number;
        if std::mem::take(&mut self.forgettable) {
            self.outputs.push(Output::Forget { below_height: number });
        }
        let early = self.future.take(number);
        let before = self.spec.consensus_at(self.position.head.number);
        let parent_time = self.position.head.timestamp;
        self.run.clocks = timing::Clocks::begin(self.now, before, self.params(), parent_time, parent_slot_ms);
        if self.run.active {
            self.resume();
        }
        for (from, message) in early {
            self.message(from, message);
        }
    }

    fn message(&mut self, from: Option<NodeId>, message: VerifiedMessage) {
        let View { sequence, round } = message.view();
        let author = message.author();
        if sequence > self.run.number {
            return self.keep_for_later(from, message);
        }
        let known = self.position.votes.validators().contains(&author);
        let near = round.saturating_sub(self.run.round) <= run::ROUNDS_AHEAD;
        let current = sequence == self.run.number && round >= self.run.round && near;
        if !self.run.active || self.run.decided || !current || !known || Some(author) == self.own() {
            return;
        }
        match &message {
            VerifiedMessage::Proposal(proposal) => self.proposal(from, proposal),
            VerifiedMessage::Prepare(prepare) => self.prepare(prepare),
            VerifiedMessage::Commit(commit) => self.commit(commit),
            VerifiedMessage::RoundChange(change) => self.round_change(from, change),
        }
    }

    /// The validators of a later height are not known yet; most of the time they are those of this one.
    fn keep_for_later(&mut self, from: Option<NodeId>, message: VerifiedMessage) {
        let (author, height) = (message.author(), message.view().sequence);
        if self.voter.is_some() && self.position.votes.validators().contains(&author) {
            self.future.add(height, author, run::memory_bytes(&message), (from, message));
        }
    }

    /// The clock of a round that stood still with the signing begins anew.
    fn set_voting(&mut self, voting: bool) {
        if voting && !self.voting {
            self.run.clocks.restart(self.now);
        }
        self.voting = voting;
    }

    fn work(&mut self, waiting: bool) {
        if waiting && !self.work_waiting && !self.run.started {
            let clocks = &mut self.run.clocks;
            clocks.slot_ms = clocks.block_due_ms.max(self.now.mono_ms);
        }
        self.work_waiting = waiting;
    }

    /// One record for all that this step signed, before the first message that needs it.
    fn finish(&mut self) -> Vec<Output> {
        if let Some(at) = self.persist_at.take() {
            let entries = std::mem::take(&mut self.entries);
            self.outputs.insert(at, Output::Persist(record::encode(self.run.number, &entries)));
            self.forgettable = true;
        }
        std::mem::take(&mut self.outputs)
    }

    /// Sends what was just signed, after its entry.
    fn send(&mut self, entry: Option<Entry>, message: &VerifiedMessage) {
        if let Some(entry) = entry {
            self.persist_at.get_or_insert(self.outputs.len());
            self.entries.push(entry);
        }
        self.outputs.push(Output::Send(message.encode()));
    }

    fn blame(&mut self, validator: Address, from: Option<NodeId>, reason: String) {
        self.outputs.push(Output::Blame { validator, from, reason });
    }

    /// Once per author and height: it signed two values in one round.
    fn blame_equivocation(&mut self, author: Address, what: &str, round: u32) {
        if self.run.equivocators.insert(author) {
            let height = self.run.number;
            self.blame(
                author,
                None,
                format!("signed two different {what} at height {height}, round {round}"),
            );
        }
    }

    fn own(&self) -> Option<Address> {
        self.voter.as_ref().map(Voter::address)
    }

    fn params(&self) -> &ConsensusParams {
        self.spec.consensus_at(self.run.number)
    }

    /// A contract chooses the validators of this height, and nobody votes on them.
    fn by_contract(&self) -> bool {
        self.params().validator_contract.is_some()
    }

    fn rules(&self) -> Height<'_> {
        height_rules(&self.spec, &self.position)
    }

    fn leads(&self) -> bool {
        self.voting && self.own() == Some(self.rules().leader(self.run.round))
    }
}

/// The rules of the height after `position`.
fn height_rules<'a>(spec: &'a ChainSpec, position: &'a ChainPosition) -> Height<'a> {
    let number = position.head.number.saturating_add(1);
    Height {
        number,
        validators: position.votes.validators(),
        params: spec.consensus_at(number),
        last_author: position.author,
    }
}
