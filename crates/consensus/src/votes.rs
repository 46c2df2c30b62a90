//! Who validates the next height: by votes in headers, or by a contract that headers commit to ([`commitment`]).
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::header::{ADD_NONCE, HeaderError};
use crate::{ValidatorSet, ValidatorSetError};
use alloy_primitives::{Address, B64, B256};
use lonja_primitives::spec::{ClientRules, ConsensusParams};
use lonja_primitives::{ChainSpec, ExtraData, Header, HeaderFormat, Vote, VoteKind};
use std::collections::BTreeMap;

mod codec;
mod commitment;
#[cfg(test)]
mod tests;

pub use codec::VoteStateError;
pub(crate) use commitment::committed_in;
pub use commitment::{
    MAX_CONTRACT_VALIDATORS, check_commitment, commitment, commits, committed, set_by_contract,
};

/// A vote that waits for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CastVote {
    /// Who cast it.
    pub validator: Address,
    /// In which block.
    pub block: u64,
    /// On whom.
    pub candidate: Address,
    /// To add or to drop.
    pub kind: VoteKind,
}

/// What the waiting votes on one candidate come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// To add or to drop.
    pub kind: VoteKind,
    /// How many validators ask for it.
    pub votes: usize,
}

/// The state of the voting after one block: who validates the next one, and which votes wait.
///
/// At most one vote waits per validator and candidate, and all are dropped at every epoch.
///
/// Where a contract chooses the next validators and the last header commits to others than before, they are *pending*
/// until somebody tells the list: who executed the block ([`VoteState::resolve`]), or the next header
/// ([`VoteState::validators_for`], [`VoteState::apply`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteState {
    number: u64,
    validators: ValidatorSet,
    votes: Vec<CastVote>,
    /// What the last header commits to, where that is not the set above.
    pending: Option<B256>,
    /// What the chain spec put aside for the next height. The stored form keeps this, and not what replaced it:
    /// a rule for a block to come may still change while the node is down.
    replaced: Option<Box<(ValidatorSet, Vec<CastVote>)>>,
}

impl VoteState {
    /// After block 0: the validators of the chain spec if it lists any at 0, else those of the header's
    /// `extraData`, in any order.
    pub fn genesis(spec: &ChainSpec, header: &Header) -> Result<Self, HeaderError> {
        let listed = match &spec.consensus_at(0).validators {
            Some(list) => list.clone(),
            None => ExtraData::decode(&header.extra_data, spec.format_at(0))?.validators,
        };
        let validators = ValidatorSet::new(listed)?;
        let mut state = Self { number: 0, validators, votes: Vec::new(), pending: None, replaced: None };
        state.begin_next_height(spec, None)?;
        Ok(state)
    }

    /// After an epoch block, where the tally begins anew, or after a block at whose height a contract chooses the
    /// validators and no vote waits: the header says all there is to know. Errors: it is neither, or not a header of
    /// this chain.
    pub fn after_epoch_block(spec: &ChainSpec, header: &Header) -> Result<Self, HeaderError> {
        let Some(below) = header.number.checked_sub(1) else { return Self::genesis(spec, header) };
        let by_contract = spec.consensus_at(header.number).validator_contract.is_some();
        if !by_contract && !is_epoch_block(spec, header.number) {
            return Err(HeaderError::NoEpochBlock(header.number));
        }
        let format = spec.format_at(header.number);
        let validators = ValidatorSet::new(ExtraData::decode(&header.extra_data, format)?.validators)?;
        let mut state = Self { number: below, validators, votes: Vec::new(), pending: None, replaced: None };
        state.apply(spec, header, crate::header::author(header, format)?)?;
        Ok(state)
    }

    /// Takes in the header after the last one, which `author` built. On an error nothing has changed.
    ///
    /// Pending validators are those the header lists, if they are the ones committed to; otherwise the list is not
    /// looked at. What the header itself commits to may be pending afterwards.
    ///
    /// Who votes for whom counts by the rules of the client that the chain spec names: GoQuorum and Besu differ
    /// on a vote inside an epoch block and on votes that ask for what already is so.
    pub fn apply(&mut self, spec: &ChainSpec, header: &Header, author: Address) -> Result<(), HeaderError> {
        if self.number.checked_add(1) != Some(header.number) {
            return Err(HeaderError::Number { parent: self.number, got: header.number });
        }
        let params = spec.consensus_at(header.number);
        let extra = ExtraData::decode(&header.extra_data, params.format)?;
        let mut next = self.clone();
        if let Some(committed) = self.pending {
            next.put(commitment::listed_as_committed(&extra, committed)?);
        }
        if !next.validators.contains(&author) {
            return Err(HeaderError::Author(author));
        }
        let vote = header_vote(header, &extra, params.format)?;
        if vote.is_some() && params.validator_contract.is_some() {
            return Err(HeaderError::VoteByContract);
        }
        next.number = header.number;
        next.count(spec, params, author, vote);
        next.begin_next_height(spec, committed_in(spec, header.number, &extra)?)?;
        *self = next;
        Ok(())
    }

    /// The height of the last header taken in.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who validates the next height; while that is pending, who validated the last one.
    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// What the last header commits to, where the validators of the next height are not known yet.
    pub fn pending(&self) -> Option<B256> {
        self.pending
    }

    /// Tells the validators of the next height, in any order. Where none are pending it may only repeat those known.
    ///
    /// # Errors
    /// The last header does not commit to them, or they are no set. Nothing has changed then.
    pub fn resolve(&mut self, validators: Vec<Address>) -> Result<(), HeaderError> {
        let set = commitment::contract_set(validators)?;
        match self.pending {
            Some(committed) if commitment(set.as_slice()) == committed => self.put(set),
            None if set == self.validators => {}
            _ => return Err(HeaderError::Validators),
        }
        Ok(())
    }

    /// By whom the next header must be sealed: the validators known, or the list in the header itself where it is the
    /// one committed to.
    ///
    /// # Errors
    /// It is not the next header, or lists others than the last one commits to.
    pub fn validators_for(&self, spec: &ChainSpec, header: &Header) -> Result<ValidatorSet, HeaderError> {
        if self.number.checked_add(1) != Some(header.number) {
            return Err(HeaderError::Number { parent: self.number, got: header.number });
        }
        match self.pending {
            None => Ok(self.validators.clone()),
            Some(committed) => {
                let extra = crate::header::decode_extra(header, spec.format_at(header.number))?;
                commitment::listed_as_committed(&extra, committed)
            }
        }
    }

    /// The votes that wait, oldest first.
    pub fn votes(&self) -> &[CastVote] {
        &self.votes
    }

    /// What the waiting votes come to, by candidate. Votes that would change nothing are left out.
    pub fn tally(&self) -> BTreeMap<Address, Tally> {
        let mut tallies = BTreeMap::new();
        for vote in self.votes.iter().filter(|vote| self.has_meaning(vote.candidate, vote.kind)) {
            let tally = tallies.entry(vote.candidate).or_insert(Tally { kind: vote.kind, votes: 0 });
            tally.votes = tally.votes.saturating_add(1);
        }
        tallies
    }

    /// Whether a vote would change something: add who is none, drop who is one.
    pub fn has_meaning(&self, candidate: Address, kind: VoteKind) -> bool {
        match kind {
            VoteKind::Add => !self.validators.contains(&candidate) && !candidate.is_zero(),
            VoteKind::Drop => self.validators.contains(&candidate),
        }
    }

    fn count(&mut self, spec: &ChainSpec, params: &ConsensusParams, author: Address, vote: Option<Vote>) {
        let epoch_block = is_epoch_block(spec, self.number);
        if epoch_block {
            self.votes.clear();
        }
        match (vote, params.rules) {
            (None, _) => {}
            (Some(vote), ClientRules::GoQuorum) => self.count_goquorum(author, vote),
            (Some(_), ClientRules::Besu) if epoch_block => {}
            (Some(vote), ClientRules::Besu) => self.count_besu(author, vote),
        }
    }

    /// GoQuorum: a vote without meaning only takes the earlier one back, and the candidate is judged at every
    /// touch, so that a majority left over from a larger set takes effect then.
    fn count_goquorum(&mut self, author: Address, vote: Vote) {
        let candidate = vote.recipient;
        self.take_back(author, candidate);
        if self.has_meaning(candidate, vote.kind) {
            self.cast(author, vote);
        }
        for kind in [VoteKind::Add, VoteKind::Drop] {
            if self.passes(candidate, kind) && self.change(candidate, kind) {
                return self.forget(candidate, kind);
            }
        }
    }

    /// Besu: every vote is kept, and one that passes clears the votes on its candidate even when it changes
    /// nothing.
    fn count_besu(&mut self, author: Address, vote: Vote) {
        self.take_back(author, vote.recipient);
        self.cast(author, vote);
        for kind in [VoteKind::Add, VoteKind::Drop] {
            if self.passes(vote.recipient, kind) {
                self.change(vote.recipient, kind);
                return self.forget(vote.recipient, kind);
            }
        }
    }

    fn take_back(&mut self, author: Address, candidate: Address) {
        self.votes.retain(|vote| vote.validator != author || vote.candidate != candidate);
    }

    fn cast(&mut self, author: Address, vote: Vote) {
        let (block, candidate) = (self.number, vote.recipient);
        self.votes.push(CastVote { validator: author, block, candidate, kind: vote.kind });
    }

    /// More than half of the current validators ask for it.
    fn passes(&self, candidate: Address, kind: VoteKind) -> bool {
        let asks = |vote: &&CastVote| vote.candidate == candidate && vote.kind == kind;
        self.votes.iter().filter(asks).count() > self.validators.len() / 2
    }

    /// Adds or drops; false where that changes nothing. The only validator is never dropped: the chain would
    /// end with that block.
    fn change(&mut self, candidate: Address, kind: VoteKind) -> bool {
        let changed = match kind {
            VoteKind::Add => self.validators.with(candidate),
            VoteKind::Drop => self.validators.without(&candidate),
        };
        match changed {
            Some(validators) => {
                self.validators = validators;
                true
            }
            None => false,
        }
    }

    /// After a change: nothing said about the candidate holds any more, and nothing a dropped one said.
    fn forget(&mut self, candidate: Address, kind: VoteKind) {
        let dropped = kind == VoteKind::Drop;
        self.votes.retain(|vote| vote.candidate != candidate && !(dropped && vote.validator == candidate));
    }

    /// The pending validators are these.
    fn put(&mut self, set: ValidatorSet) {
        if let Some(replaced) = &mut self.replaced {
            replaced.0 = set.clone();
        }
        self.validators = set;
        self.pending = None;
    }

    /// A list in the chain spec replaces the set from its height on, with a new tally. Besu also begins a new
    /// tally where the header format changes, and no votes wait where a contract chooses. What the last header
    /// commits to is pending unless it is the set known.
    fn begin_next_height(
        &mut self,
        spec: &ChainSpec,
        committed: Option<B256>,
    ) -> Result<(), ValidatorSetError> {
        let next = self.number.saturating_add(1);
        let params = spec.consensus_at(next);
        let listed = spec.validators_listed_at(next);
        let contract_begins = params.validator_contract.is_some() && !self.votes.is_empty();
        let new_format = params.rules == ClientRules::Besu && spec.format_at(self.number) != params.format;
        self.replaced = None;
        if listed.is_some() || new_format || contract_begins {
            let votes = std::mem::take(&mut self.votes);
            self.replaced = Some(Box::new((self.validators.clone(), votes)));
        }
        if let Some(listed) = listed {
            self.validators = ValidatorSet::new(listed.to_vec())?;
        }
        self.pending = committed.filter(|hash| *hash != commitment(self.validators.as_slice()));
        Ok(())
    }
}

/// Whether votes are dropped at this height: a multiple of the epoch length. Under Besu's rules a chain that
/// changed its format counts from the block before the change.
pub fn is_epoch_block(spec: &ChainSpec, number: u64) -> bool {
    let params = spec.consensus_at(number);
    let start = match params.rules {
        ClientRules::GoQuorum => 0,
        ClientRules::Besu => format_start(spec, number).saturating_sub(1),
    };
    number.saturating_sub(start).checked_rem(params.epoch_length) == Some(0)
}

/// The first height of the run of heights up to `number` that have its format.
fn format_start(spec: &ChainSpec, number: u64) -> u64 {
    let format = spec.format_at(number);
    let entries = spec.consensus.iter().rev().skip_while(|(from, _)| *from > number);
    entries.take_while(|(_, params)| params.format == format).last().map_or(0, |(from, _)| *from)
}

/// The vote a header carries: in `extraData`, and in IBFT 1.0 by its coinbase (on whom) and nonce (what), where
/// the zero address stands for no vote.
///
/// # Errors
/// An IBFT 1.0 nonce that means nothing.
pub fn header_vote(
    header: &Header,
    extra: &ExtraData,
    format: HeaderFormat,
) -> Result<Option<Vote>, HeaderError> {
    if format != HeaderFormat::Ibft1 {
        return Ok(extra.vote);
    }
    let recipient = header.beneficiary;
    match header.nonce {
        ADD_NONCE => Ok(Some(Vote { recipient, kind: VoteKind::Add })),
        B64::ZERO if recipient.is_zero() => Ok(None),
        B64::ZERO => Ok(Some(Vote { recipient, kind: VoteKind::Drop })),
        nonce => Err(HeaderError::Nonce(nonce)),
    }
}
