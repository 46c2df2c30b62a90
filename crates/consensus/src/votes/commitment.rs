//! Validators chosen by a contract: what a header says of those of the next height.
//!
//! From a height on at which the chain spec names a contract, and lists no validators, the validators of height N+1 are
//! what `getValidators()` answers on the state after block N, in ascending order; where that is no set, those of N stay.
//! Nobody knows a state from headers alone, so **header N commits to them**: its vanity is the keccak-256 of their RLP
//! list ([`commitment`]). Whoever executes block N computes the set and refuses the block where the header says
//! something else ([`check_commitment`]). Whoever has only headers learns the set from the list in header N+1, which must
//! hash to the commitment in header N ([`VoteState::validators_for`](super::VoteState::validators_for)).
//!
//! The list in a header stays that of its own height, as everywhere in QBFT. Block 0 commits to nothing: it lists the
//! validators of block 1 itself, or the chain spec does.

use crate::header::{HeaderError, decode_extra};
use crate::{ValidatorSet, ValidatorSetError};
use alloy_primitives::{Address, B256, keccak256};
use lonja_primitives::{ChainSpec, ExtraData, Header};

/// Validators that a contract may name: the seals of a thousand fit into a header
/// ([`MAX_EXTRA_DATA_BYTES`](crate::header::MAX_EXTRA_DATA_BYTES)).
pub const MAX_CONTRACT_VALIDATORS: usize = 1_000;

/// Whether the header of this height commits to the validators of the next one.
pub fn commits(spec: &ChainSpec, number: u64) -> bool {
    spec.commits_to_validators(number)
}

/// What a header says of these validators, given in any order: keccak-256 of the RLP list of their addresses in
/// ascending order.
pub fn commitment(validators: &[Address]) -> B256 {
    let mut sorted = validators.to_vec();
    sorted.sort_unstable();
    keccak256(alloy_rlp::encode(sorted))
}

/// The validators of the next height: what the contract answers, where that is a set of at most
/// [`MAX_CONTRACT_VALIDATORS`]; otherwise, and with `None` where it does not answer at all, those of the block that was
/// executed.
pub fn set_by_contract(answer: Option<Vec<Address>>, of_the_block: &ValidatorSet) -> ValidatorSet {
    answer.and_then(|list| contract_set(list).ok()).unwrap_or_else(|| of_the_block.clone())
}

/// Whether a header commits to the validators that its execution brought, where it has to.
///
/// # Errors
/// It commits to others, or not at all.
pub fn check_commitment(spec: &ChainSpec, header: &Header, next: &ValidatorSet) -> Result<(), HeaderError> {
    let want = commitment(next.as_slice());
    match committed(spec, header)? {
        Some(got) if got != want => Err(HeaderError::NextValidators { want, got }),
        _ => Ok(()),
    }
}

/// What a header commits to; `None` where it does not have to.
///
/// # Errors
/// It has to, and its vanity has not 32 bytes.
pub fn committed(spec: &ChainSpec, header: &Header) -> Result<Option<B256>, HeaderError> {
    committed_in(spec, header.number, &decode_extra(header, spec.format_at(header.number))?)
}

/// As [`committed`], for a header that is decoded already.
pub(crate) fn committed_in(
    spec: &ChainSpec,
    number: u64,
    extra: &ExtraData,
) -> Result<Option<B256>, HeaderError> {
    if !commits(spec, number) {
        return Ok(None);
    }
    B256::try_from(extra.vanity.as_ref()).map(Some).map_err(|_| HeaderError::NoCommitment(extra.vanity.len()))
}

/// A set as a contract may name it.
pub(super) fn contract_set(list: Vec<Address>) -> Result<ValidatorSet, ValidatorSetError> {
    match list.len() {
        count if count > MAX_CONTRACT_VALIDATORS => Err(ValidatorSetError::TooMany(count)),
        _ => ValidatorSet::new(list),
    }
}

/// The set that a header lists, where it is the one committed to before.
pub(super) fn listed_as_committed(extra: &ExtraData, committed: B256) -> Result<ValidatorSet, HeaderError> {
    let set = contract_set(extra.validators.clone())?;
    if set.as_slice() != extra.validators || commitment(set.as_slice()) != committed {
        return Err(HeaderError::Validators);
    }
    Ok(set)
}
