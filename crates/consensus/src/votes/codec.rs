//! The stored form of a vote state: one version byte, then
//! `[number, [validator…], [[validator, block, candidate, add]…]]`.

use super::{CastVote, VoteState};
use crate::{ValidatorSet, ValidatorSetError};
use alloy_primitives::{Address, Bytes};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use lonja_primitives::{ChainSpec, VoteKind};
use thiserror::Error;

/// First byte of the stored form; raised when the rest changes.
const VERSION: u8 = 1;

/// Why a stored vote state is not one: the store is damaged, or written by a later version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VoteStateError {
    /// Written by a version that this one does not know.
    #[error("the stored vote state has version {0:?}, this program reads version {VERSION}")]
    Version(Option<u8>),
    /// Not the layout.
    #[error("the stored vote state is damaged: {0}")]
    Malformed(#[from] alloy_rlp::Error),
    /// The validators are not an ascending set.
    #[error("the stored vote state is damaged: {0}")]
    Validators(#[from] ValidatorSetError),
    /// The validators are a set, but not in order.
    #[error("the stored vote state is damaged: the validators are not in ascending order")]
    Order,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Stored {
    number: u64,
    validators: Vec<Address>,
    votes: Vec<StoredVote>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredVote {
    validator: Address,
    block: u64,
    candidate: Address,
    add: bool,
}

impl VoteState {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let (validators, votes) = match &self.replaced {
            Some(replaced) => (&replaced.0, &replaced.1),
            None => (&self.validators, &self.votes),
        };
        let votes = votes.iter().map(|vote| StoredVote {
            validator: vote.validator,
            block: vote.block,
            candidate: vote.candidate,
            add: vote.kind == VoteKind::Add,
        });
        let stored = Stored {
            number: self.number,
            validators: validators.as_slice().to_vec(),
            votes: votes.collect(),
        };
        let mut out = vec![VERSION];
        Encodable::encode(&stored, &mut out);
        out.into()
    }

    /// Reads the stored form, and puts in force what `spec` says of the next height.
    pub fn decode(bytes: &[u8], spec: &ChainSpec) -> Result<Self, VoteStateError> {
        let (version, mut rest) = match bytes.split_first() {
            Some((version, rest)) => (Some(*version), rest),
            None => (None, bytes),
        };
        if version != Some(VERSION) {
            return Err(VoteStateError::Version(version));
        }
        let stored = <Stored as Decodable>::decode(&mut rest)?;
        if !rest.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        let validators = ValidatorSet::new(stored.validators.clone())?;
        if validators.as_slice() != stored.validators {
            return Err(VoteStateError::Order);
        }
        let votes = stored.votes.into_iter().map(|vote| CastVote {
            validator: vote.validator,
            block: vote.block,
            candidate: vote.candidate,
            kind: if vote.add { VoteKind::Add } else { VoteKind::Drop },
        });
        let votes = votes.collect();
        let mut state = Self { number: stored.number, validators, votes, replaced: None };
        state.begin_next_height(spec)?;
        Ok(state)
    }
}
