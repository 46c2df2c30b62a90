//! When a message is justified: the predicates of QBFT, as pure functions of verified messages and of one
//! height's validators and parameters.
//!
//! Every list is checked in full, and one bad element makes the whole message invalid. What is counted is
//! authors, never entries. Whether the proposed block itself is valid next to its parent, and executes, is not
//! asked here.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::message::{
    Commit, Prepare, PreparedClaim, RoundChange, Verified, VerifiedProposal, VerifiedRoundChange, View,
};
use crate::{ValidatorSet, proposer};
use alloy_primitives::{Address, B256};
use lonja_primitives::spec::{ConsensusParams, DigestRule};
use lonja_primitives::{Block, ExtraData, ExtraError, Header, HeaderFormat, SignatureError, extra};
use std::collections::BTreeSet;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// One height's rules: all that the predicates look at besides the messages.
#[derive(Clone, Copy, Debug)]
pub struct Height<'a> {
    /// The height.
    pub number: u64,
    /// Its validators.
    pub validators: &'a ValidatorSet,
    /// Its parameters.
    pub params: &'a ConsensusParams,
    /// Who built the block before, as [`proposer::last_author`] says.
    pub last_author: Option<Address>,
}

/// Why a message is not justified.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum Unjustified {
    #[error("{0} is not a validator of this height")]
    Stranger(Address),
    #[error("the message is for height {got}, this is height {want}")]
    Height { want: u64, got: u64 },
    #[error("a message for round {got} where round {want} is expected")]
    Round { want: u32, got: u32 },
    #[error("a message for block {got} where {want} is expected")]
    Digest { want: B256, got: B256 },
    #[error("the commit seal is invalid: {0}")]
    BadSeal(SignatureError),
    #[error("the commit seal is by {signer}, the message by {author}")]
    SealOfAnother { signer: Address, author: Address },
    #[error("{got} {what} by different validators, the quorum is {quorum}")]
    NoQuorum { what: &'static str, got: usize, quorum: usize },
    #[error("two {what} of {author}")]
    Repeated { what: &'static str, author: Address },
    #[error("nobody can change to round 0")]
    RoundZero,
    #[error("round {prepared} is claimed to be prepared before round {target}")]
    PreparedTooLate { prepared: u32, target: u32 },
    #[error("a block is claimed to be prepared and not shown")]
    NoBlock,
    #[error("a block or prepares without a claim that something was prepared")]
    NothingClaimed,
    #[error("{got} proposes, it is the turn of {want}")]
    NotTheProposer { want: Address, got: Address },
    #[error("a proposal for height {want} with block {got}")]
    BlockNumber { want: u64, got: u64 },
    #[error("the proposed block was built by {got}, the proposer is {want}")]
    Builder { want: Address, got: Address },
    #[error("the proposed block carries round {got}, {want} is expected")]
    RoundField { want: u32, got: u32 },
    #[error("the proposed block already carries seals")]
    SealedAlready,
    #[error("a proposal in round 0 needs no justification and must carry none")]
    NeedlessJustification,
    #[error("the proposed block is not the one prepared in round {0}")]
    NotThePreparedBlock(u32),
    #[error(transparent)]
    Extra(#[from] ExtraError),
}

/// What a predicate answers.
pub type Check = Result<(), Unjustified>;

impl Height<'_> {
    /// How many validators decide.
    pub fn quorum(&self) -> usize {
        self.validators.quorum(self.params.quorum)
    }

    /// How many validators may be faulty.
    pub fn faulty(&self) -> usize {
        self.validators.faulty()
    }

    /// Who may propose in `round`.
    pub fn leader(&self, round: u32) -> Address {
        proposer(self.params, self.validators, self.last_author, round)
    }

    /// What messages of `round` name this block by. The round field and the seals it carries do not matter.
    pub fn digest(&self, header: &Header, round: u32) -> Result<B256, ExtraError> {
        extra::qbft_digest(header, self.proposed_round(round))
    }

    /// The round field of a block proposed in `round`.
    pub fn proposed_round(&self, round: u32) -> u32 {
        match self.params.digest {
            DigestRule::Eea => round,
            DigestRule::GoQuorum => 0,
        }
    }

    /// The block as it is proposed in `round`: with the round field the digest rule asks for, without seals.
    pub fn proposable(&self, block: Block, round: u32) -> Result<Block, ExtraError> {
        let header = extra::with_round(&block.header, self.proposed_round(round))?;
        Ok(Block { header, transactions: block.transactions })
    }

    /// What a validator's commit seal signs when the block is committed in `round`, under either digest rule.
    pub fn commit_digest(&self, header: &Header, round: u32) -> Result<B256, ExtraError> {
        extra::qbft_digest(header, round)
    }

    fn check_view(&self, view: View, round: u32) -> Check {
        if view.sequence != self.number {
            return Err(Unjustified::Height { want: self.number, got: view.sequence });
        }
        if view.round != round {
            return Err(Unjustified::Round { want: round, got: view.round });
        }
        Ok(())
    }

    fn check_member(&self, author: Address) -> Check {
        if self.validators.contains(&author) { Ok(()) } else { Err(Unjustified::Stranger(author)) }
    }
}

/// A PREPARE of a validator for this height, `round` and `digest`.
pub fn valid_prepare(height: &Height, prepare: &Verified<Prepare>, round: u32, digest: B256) -> Check {
    height.check_member(prepare.author())?;
    height.check_view(prepare.view(), round)?;
    check_digest(digest, prepare.digest)
}

/// A COMMIT of a validator for this height and `round` and the block of `header`, with a seal of the same
/// validator. A seal with a high `s` is refused, as everything received live.
pub fn valid_commit(height: &Height, commit: &Verified<Commit>, round: u32, header: &Header) -> Check {
    height.check_member(commit.author())?;
    height.check_view(commit.view(), round)?;
    check_digest(height.digest(header, round)?, commit.digest)?;
    let sealed = height.commit_digest(header, round)?;
    match commit.seal.recover(sealed) {
        Err(error) => Err(Unjustified::BadSeal(error)),
        Ok(signer) if signer != commit.author() => {
            Err(Unjustified::SealOfAnother { signer, author: commit.author() })
        }
        Ok(_) => Ok(()),
    }
}

/// A quorum of PREPAREs by different validators for this height, `round` and `digest`, and nothing else.
pub fn valid_prepared_certificate(
    height: &Height,
    round: u32,
    digest: B256,
    prepares: &[Verified<Prepare>],
) -> Check {
    for prepare in prepares {
        valid_prepare(height, prepare, round, digest)?;
    }
    check_quorum(height, "prepares", prepares.iter().map(Verified::author))
}

/// The signed part of a ROUND-CHANGE of a validator to `round` of this height.
pub fn valid_round_change_payload(height: &Height, change: &Verified<RoundChange>, round: u32) -> Check {
    height.check_member(change.author())?;
    height.check_view(change.view(), round)?;
    if round == 0 {
        return Err(Unjustified::RoundZero);
    }
    match change.prepared {
        Some(PreparedClaim { round: prepared, .. }) if prepared >= round => {
            Err(Unjustified::PreparedTooLate { prepared, target: round })
        }
        _ => Ok(()),
    }
}

/// A whole ROUND-CHANGE to the round it names: its claim, if it makes one, is proven by a block and a quorum of
/// PREPAREs; without a claim it carries neither.
pub fn valid_round_change(height: &Height, message: &VerifiedRoundChange) -> Check {
    let change = &message.round_change;
    valid_round_change_payload(height, change, change.round)?;
    let Some(claim) = change.prepared else {
        let nothing = message.block.is_none() && message.prepares.is_empty();
        return if nothing { Ok(()) } else { Err(Unjustified::NothingClaimed) };
    };
    let block = message.block.as_ref().ok_or(Unjustified::NoBlock)?;
    if block.header.number != height.number {
        return Err(Unjustified::BlockNumber { want: height.number, got: block.header.number });
    }
    check_proposed_form(height, block, claim.round)?;
    check_digest(claim.digest, height.digest(&block.header, claim.round)?)?;
    valid_prepared_certificate(height, claim.round, claim.digest, &message.prepares)
}

/// A PROPOSAL of the proposer of its round, with a block that it may propose: in round 0 a fresh one; later a
/// quorum asked for the round, and the block is fresh if none of them saw anything prepared, else the one
/// prepared in the highest round they claim.
pub fn justified(height: &Height, message: &VerifiedProposal) -> Check {
    let proposal = &message.proposal;
    let (round, block) = (proposal.round, &proposal.block);
    height.check_view(proposal.view(), round)?;
    let leader = height.leader(round);
    if proposal.author() != leader {
        return Err(Unjustified::NotTheProposer { want: leader, got: proposal.author() });
    }
    if block.header.number != height.number {
        return Err(Unjustified::BlockNumber { want: height.number, got: block.header.number });
    }
    check_proposed_form(height, block, round)?;
    if round == 0 {
        let bare = message.round_changes.is_empty() && message.prepares.is_empty();
        return if bare { check_builder(leader, block) } else { Err(Unjustified::NeedlessJustification) };
    }
    for change in &message.round_changes {
        valid_round_change_payload(height, change, round)?;
    }
    check_quorum(height, "round changes", message.round_changes.iter().map(Verified::author))?;
    match highest_claim(&message.round_changes) {
        None if message.prepares.is_empty() => check_builder(leader, block),
        None => Err(Unjustified::NothingClaimed),
        Some(prepared) => check_prepared(height, message, prepared),
    }
}

/// The highest round that any of these claims to have seen prepared.
pub fn highest_claim(changes: &[Verified<RoundChange>]) -> Option<u32> {
    changes.iter().filter_map(|change| change.prepared).map(|claim| claim.round).max()
}

/// The block is one that some round change claims for the highest prepared round, and the prepares prove it.
/// Another claim for the same round may name another block: one validator can lie, and the proof decides.
fn check_prepared(height: &Height, message: &VerifiedProposal, prepared: u32) -> Check {
    let digest = height.digest(&message.proposal.block.header, prepared)?;
    let claim = Some(PreparedClaim { round: prepared, digest });
    if !message.round_changes.iter().any(|change| change.prepared == claim) {
        return Err(Unjustified::NotThePreparedBlock(prepared));
    }
    valid_prepared_certificate(height, prepared, digest, &message.prepares)
}

/// The round field as the digest rule asks for, and no seals: what the digest leaves out must not differ.
fn check_proposed_form(height: &Height, block: &Block, round: u32) -> Check {
    let extra = ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft)?;
    let want = height.proposed_round(round);
    if extra.round != want {
        return Err(Unjustified::RoundField { want, got: extra.round });
    }
    if extra.seals.is_empty() { Ok(()) } else { Err(Unjustified::SealedAlready) }
}

fn check_builder(want: Address, block: &Block) -> Check {
    match block.header.beneficiary {
        got if got == want => Ok(()),
        got => Err(Unjustified::Builder { want, got }),
    }
}

fn check_digest(want: B256, got: B256) -> Check {
    if want == got { Ok(()) } else { Err(Unjustified::Digest { want, got }) }
}

/// At least a quorum of authors, none twice.
fn check_quorum(height: &Height, what: &'static str, authors: impl Iterator<Item = Address>) -> Check {
    let mut seen = BTreeSet::new();
    for author in authors {
        if !seen.insert(author) {
            return Err(Unjustified::Repeated { what, author });
        }
    }
    match (seen.len(), height.quorum()) {
        (got, quorum) if got < quorum => Err(Unjustified::NoQuorum { what, got, quorum }),
        _ => Ok(()),
    }
}
