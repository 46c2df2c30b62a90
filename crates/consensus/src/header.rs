//! Headers: who built them, who sealed them, and every rule that a header keeps on its own, next to its parent
//! and the validators of its height. What needs execution (state root, receipts) is not checked here.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::{ValidatorSet, ValidatorSetError, votes};
use alloy_primitives::{Address, B64, B256};
use lonja_primitives::extra;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{
    Block, CertifiedBlock, ChainSpec, ExtraData, ExtraError, Header, HeaderFormat, SealedHeader, Signature,
    SignatureError,
};
use std::collections::BTreeSet;
use thiserror::Error;

mod rules;
pub(crate) use rules::ADD_NONCE;
#[cfg(test)]
mod tests;

/// Longest `extraData` of any header, bytes: GoQuorum's limit, and room for the seals of 1,000 validators.
pub const MAX_EXTRA_DATA_BYTES: usize = 100 * 1024;

/// How far a block's timestamp may lie ahead of the local clock, milliseconds: clocks of validators are never
/// quite equal, and whoever is a little behind must not refuse a punctual block.
pub const MAX_CLOCK_DIFFERENCE_MS: u64 = 1000;

/// Whether a header already has to carry its seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seals {
    /// A quorum of good seals, and no bad one.
    Required,
    /// None at all: the block is only proposed.
    NotYet,
}

/// Why a header, or a block by what its header says, is refused. All but [`HeaderError::FromFuture`] are final.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum HeaderError {
    /// Not the height after the parent's.
    #[error("block {got} cannot follow block {parent}")]
    Number { parent: u64, got: u64 },
    /// Built on another block.
    #[error("the parent hash is {got}, the parent is {want}")]
    Parent { want: B256, got: B256 },
    /// `extraData` is longer than [`MAX_EXTRA_DATA_BYTES`].
    #[error("extraData has {0} bytes, {MAX_EXTRA_DATA_BYTES} are the most")]
    ExtraTooLong(usize),
    /// `extraData` does not decode in the format of the height.
    #[error(transparent)]
    Extra(#[from] ExtraError),
    /// Too few seals, or more than there are validators.
    #[error("{got} commit seals, between {least} and {most} are expected")]
    SealCount { got: usize, least: usize, most: usize },
    /// The mix hash is not the mark of Istanbul headers.
    #[error("the mix hash {0} does not mark an Istanbul header")]
    MixHash(B256),
    /// The difficulty is not 1.
    #[error("the difficulty is not 1")]
    Difficulty,
    /// The ommers hash is not that of an empty list.
    #[error("an Istanbul block has no ommers, the ommers hash is {0}")]
    Ommers(B256),
    /// The nonce is not one of the format's values.
    #[error("the nonce {0} has no meaning in this format")]
    Nonce(B64),
    /// Earlier than the parent and the block period allow.
    #[error("the timestamp is {got}, at least {least} is expected")]
    TooEarly { got: u64, least: u64 },
    /// Ahead of the local clock: good from `due_unix_ms` on.
    #[error("the timestamp {timestamp} lies ahead of this node's clock")]
    FromFuture { timestamp: u64, due_unix_ms: u64 },
    /// Not the gas limit of the network.
    #[error("the gas limit is {got}, this network's is {want}")]
    GasLimit { want: u64, got: u64 },
    /// More gas used than the limit allows.
    #[error("{used} gas used under a limit of {limit}")]
    GasUsed { used: u64, limit: u64 },
    /// The base fee is not there, there too early, or not zero.
    #[error("the base fee is {got:?}, {want:?} is expected")]
    BaseFee { want: Option<u64>, got: Option<u64> },
    /// A field of a later fork that lonja's headers never carry.
    #[error("the header carries {0}, which this network does not know")]
    UnknownField(&'static str),
    /// The list is not the validators of the height in ascending order.
    #[error("the header does not list the validators of its height in ascending order")]
    Validators,
    /// A vote that no validator can mean.
    #[error("the header votes to make the zero address a validator")]
    Vote,
    /// A vote where nobody counts votes.
    #[error("the header carries a vote, but at this height a contract chooses the validators")]
    VoteByContract,
    /// The vanity is not 32 bytes, but the header has to commit to the next validators.
    #[error("the vanity has {0} bytes, 32 are expected: they commit to the validators of the next block")]
    NoCommitment(usize),
    /// The header commits to other validators than its execution brought.
    #[error("the header commits to the next validators by {got}, by execution it is {want}")]
    NextValidators { want: B256, got: B256 },
    /// The proposer seal of an IBFT 1.0 header names nobody.
    #[error("the proposer seal is invalid: {0}")]
    ProposerSeal(SignatureError),
    /// Built by somebody who does not validate.
    #[error("the author {0} is not a validator of this height")]
    Author(Address),
    /// A seal from which nobody can be recovered.
    #[error("commit seal {index} is invalid: {error}")]
    BadSeal { index: usize, error: SignatureError },
    /// Sealed by somebody who does not validate, or a seal over something else.
    #[error("commit seal {index} is by {signer}, who is not a validator of this height")]
    ForeignSeal { index: usize, signer: Address },
    /// Two seals of one validator.
    #[error("commit seal {index} is the second one of {signer}")]
    RepeatedSeal { index: usize, signer: Address },
    /// The body is not the one the header stands for.
    #[error("the transactions hash to {got}, the header says {want}")]
    TransactionsRoot { want: B256, got: B256 },
    /// Votes wait at this height that the header does not tell of.
    #[error("block {0} is not an epoch block")]
    NoEpochBlock(u64),
    /// Longer than the network allows, measured without seals and in round 0.
    #[error("the block has {got} bytes, {limit} are the most")]
    BlockSize { got: usize, limit: usize },
    /// A validator list of the chain spec or of the genesis header is not a set.
    #[error(transparent)]
    ValidatorSet(#[from] ValidatorSetError),
}

/// Who built the block: the coinbase, and in IBFT 1.0 the signer of the proposer seal.
pub fn author(header: &Header, format: HeaderFormat) -> Result<Address, HeaderError> {
    match format {
        HeaderFormat::Qbft | HeaderFormat::Ibft2 => Ok(header.beneficiary),
        HeaderFormat::Ibft1 => {
            let seal = ExtraData::decode(&header.extra_data, format)?.proposer_seal;
            let signer = extra::ibft1_proposer_digest(header)?;
            Signature::from_slice(&seal)
                .and_then(|seal| seal.recover_lenient(signer))
                .map_err(HeaderError::ProposerSeal)
        }
    }
}

/// Who sealed the block, in the order of the header. Membership is not looked at.
pub fn committers(header: &Header, format: HeaderFormat) -> Result<Vec<Address>, HeaderError> {
    let seals = ExtraData::decode(&header.extra_data, format)?.seals;
    let digest = commit_digest(header, format)?;
    let recover = |(index, seal): (usize, &Signature)| {
        seal.recover_lenient(digest).map_err(|error| HeaderError::BadSeal { index, error })
    };
    seals.iter().enumerate().map(recover).collect()
}

/// What a commit seal of this header signs.
pub fn commit_digest(header: &Header, format: HeaderFormat) -> Result<B256, HeaderError> {
    Ok(extra::commit_digest(header, format)?)
}

/// Checks a header in full: its place, format, constants, time, gas, validators, author and seals, in this
/// order, so that what costs little is refused first and no key is recovered for a header that is wrong
/// anyway.
///
/// `validators` are those of the header's height. With `now_unix_ms` a header ahead of the clock is refused,
/// as it must be for a block under vote; history is checked without.
///
/// Where the header commits to the validators of the next height, it is seen only that it does:
/// [`crate::votes::check_commitment`] needs what execution brings.
pub fn check_header(
    spec: &ChainSpec,
    header: &Header,
    parent: &SealedHeader,
    validators: &ValidatorSet,
    seals: Seals,
    now_unix_ms: Option<u64>,
) -> Result<(), HeaderError> {
    let params = spec.consensus_at(header.number);
    rules::check_place(header, parent)?;
    let extra = decode_extra(header, params.format)?;
    check_seal_count(&extra, params, validators, seals)?;
    rules::check_constants(header, params.format)?;
    rules::check_time(header, parent, params, now_unix_ms)?;
    rules::check_gas(spec, header)?;
    if extra.validators != validators.as_slice() {
        return Err(HeaderError::Validators);
    }
    let vote = votes::header_vote(header, &extra, params.format)?;
    if vote.is_some() && params.validator_contract.is_some() {
        return Err(HeaderError::VoteByContract);
    }
    if vote.is_some_and(rules::adds_zero_address) {
        return Err(HeaderError::Vote);
    }
    votes::committed_in(spec, header.number, &extra)?;
    let author = author(header, params.format)?;
    if !validators.contains(&author) {
        return Err(HeaderError::Author(author));
    }
    match seals {
        Seals::Required => check_seals(header, &extra, params.format, validators).map(drop),
        Seals::NotYet => Ok(()),
    }
}

/// Those who sealed a header, which must be a quorum of these validators and nobody else. Nothing else of the header
/// is looked at.
pub(crate) fn sealers(
    header: &Header,
    extra: &ExtraData,
    params: &ConsensusParams,
    validators: &ValidatorSet,
) -> Result<BTreeSet<Address>, HeaderError> {
    check_seal_count(extra, params, validators, Seals::Required)?;
    check_seals(header, extra, params.format, validators)
}

/// Checks a sealed block apart from its execution: the header with its seals, the transactions root, the size.
///
/// # Errors
/// The first rule broken, in the order of [`check_header`] and [`check_body`].
pub fn certify(
    spec: &ChainSpec,
    block: Block,
    parent: &SealedHeader,
    validators: &ValidatorSet,
) -> Result<CertifiedBlock, HeaderError> {
    check_header(spec, &block.header, parent, validators, Seals::Required, None)?;
    check_body(spec, &block)?;
    let hash = extra::block_hash(&block.header, spec.format_at(block.header.number))?;
    Ok(CertifiedBlock::new_verified(hash, block))
}

/// Checks that the body is the one its header stands for, and that the block is not too long.
///
/// The length is taken without commit seals and in round 0: a block that was good when it was proposed must not
/// become too long by being sealed, or by being proposed again in a later round.
pub fn check_body(spec: &ChainSpec, block: &Block) -> Result<(), HeaderError> {
    let limit = spec.limits_at(block.header.number).block_size;
    if block.size() > limit {
        let got = unsealed_size(block, spec.format_at(block.header.number))?;
        if got > limit {
            return Err(HeaderError::BlockSize { got, limit });
        }
    }
    let got = Block::transactions_root(&block.transactions);
    match block.header.transactions_root {
        want if want == got => Ok(()),
        want => Err(HeaderError::TransactionsRoot { want, got }),
    }
}

/// Length in bytes of the block's RLP form without commit seals and in round 0.
pub fn unsealed_size(block: &Block, format: HeaderFormat) -> Result<usize, HeaderError> {
    let mut extra = ExtraData::decode(&block.header.extra_data, format)?;
    extra.seals.clear();
    extra.round = 0;
    let header = Header { extra_data: extra.encode(format), ..block.header.clone() };
    Ok(Block { header, transactions: block.transactions.clone() }.size())
}

/// Decodes `extraData` after a look at its length.
pub(crate) fn decode_extra(header: &Header, format: HeaderFormat) -> Result<ExtraData, HeaderError> {
    match header.extra_data.len() {
        bytes if bytes > MAX_EXTRA_DATA_BYTES => Err(HeaderError::ExtraTooLong(bytes)),
        _ => Ok(ExtraData::decode(&header.extra_data, format)?),
    }
}

/// Counts the seals before any key is recovered: recovery is the cost an attacker would use.
fn check_seal_count(
    extra: &ExtraData,
    params: &ConsensusParams,
    validators: &ValidatorSet,
    seals: Seals,
) -> Result<(), HeaderError> {
    let (least, most) = match seals {
        Seals::Required => (validators.quorum(params.quorum), validators.len()),
        Seals::NotYet => (0, 0),
    };
    match extra.seals.len() {
        got if got < least || got > most => Err(HeaderError::SealCount { got, least, most }),
        _ => Ok(()),
    }
}

/// One bad, foreign or repeated seal invalidates the header, however many good ones there are.
fn check_seals(
    header: &Header,
    extra: &ExtraData,
    format: HeaderFormat,
    validators: &ValidatorSet,
) -> Result<BTreeSet<Address>, HeaderError> {
    let digest = commit_digest(header, format)?;
    let mut signers = BTreeSet::new();
    for (index, seal) in extra.seals.iter().enumerate() {
        let signer = seal.recover_lenient(digest).map_err(|error| HeaderError::BadSeal { index, error })?;
        if !validators.contains(&signer) {
            return Err(HeaderError::ForeignSeal { index, signer });
        }
        if !signers.insert(signer) {
            return Err(HeaderError::RepeatedSeal { index, signer });
        }
    }
    Ok(signers)
}
