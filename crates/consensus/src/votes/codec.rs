//! The stored form of a vote state: one version byte, then
//! `[number, [validator…], [[validator, block, candidate, add]…]]`; in version 2, for a state whose next validators are
//! pending, that and what the last header commits to: `[number, […], […], commitment]`.

use super::{CastVote, VoteState, commits};
use crate::{ValidatorSet, ValidatorSetError};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use lonja_primitives::{ChainSpec, VoteKind};
use thiserror::Error;

/// First byte of the stored form; raised when the rest changes.
const VERSION: u8 = 1;
/// The same with a commitment behind it. Only where there is one, so that versions of this program from before can
/// read what they understand.
const VERSION_PENDING: u8 = 2;

/// Why a stored vote state is not one: the store is damaged, or written by a later version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VoteStateError {
    /// Written by a version that this one does not know.
    #[error("the stored vote state has version {0:?}, this program reads {VERSION} and {VERSION_PENDING}")]
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
#[rlp(trailing)]
struct Stored {
    number: u64,
    validators: Vec<Address>,
    votes: Vec<StoredVote>,
    pending: Option<B256>,
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
            pending: self.pending,
        };
        let mut out = vec![if self.pending.is_some() { VERSION_PENDING } else { VERSION }];
        Encodable::encode(&stored, &mut out);
        out.into()
    }

    /// Reads the stored form, and puts in force what `spec` says of the next height.
    pub fn decode(bytes: &[u8], spec: &ChainSpec) -> Result<Self, VoteStateError> {
        let (version, mut rest) = match bytes.split_first() {
            Some((version, rest)) => (Some(*version), rest),
            None => (None, bytes),
        };
        let with_pending = match version {
            Some(VERSION) => false,
            Some(VERSION_PENDING) => true,
            other => return Err(VoteStateError::Version(other)),
        };
        let stored = <Stored as Decodable>::decode(&mut rest)?;
        if !rest.is_empty() || stored.pending.is_some() != with_pending {
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
        let mut state = Self { number: stored.number, validators, votes, pending: None, replaced: None };
        let committed = stored.pending.filter(|_| commits(spec, stored.number));
        state.begin_next_height(spec, committed)?;
        Ok(state)
    }
}
