//! Trusting a far block without the blocks between.
//!
//! A header names the validators of its height and carries seals by a quorum of them. If more of the sealers than may
//! be faulty belong to a set that is trusted already, an honest one is among them; it sealed only what followed its
//! own chain, so the set that the header names is the chain's, and the quorum's seals make the block final. Where too
//! few belong to it, because the set changed since, a header half-way is looked at first: one change at a time always
//! leaves enough. Where a contract chooses the validators they may change altogether at once; but there each header
//! commits to those of the next one, so that from a trusted header one goes on to the next whoever sealed it.
//!
//! What this asks for is that of the sets on the way no more members are faulty than were tolerated when they were in
//! force, also long after they left. A checkpoint that is known from elsewhere shortens the way.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::header::{self, HeaderError};
use crate::votes::{commitment, committed_in};
use crate::{ValidatorSet, VoteState};
use alloy_primitives::{Address, B256};
use lonja_primitives::extra::block_hash;
use lonja_primitives::{ChainSpec, Header, SealedHeader};
use std::collections::BTreeSet;
use std::sync::Arc;
use thiserror::Error;

/// Headers looked at on the way at most: some thousand changes of the validators, each found by halving.
const HEADERS_MAX: usize = 65_536;

/// Why a header is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// The header by itself is wrong.
    #[error("header {0}: {1}")]
    Header(u64, HeaderError),
    /// Not the one that was asked for.
    #[error("header {got} where header {want} was asked for")]
    Number {
        /// Asked for.
        want: u64,
        /// Sent.
        got: u64,
    },
    /// Not the block of the checkpoint.
    #[error("block {number} is {got}, but the checkpoint says {want}")]
    Checkpoint {
        /// Height of both.
        number: u64,
        /// What the operator configured.
        want: B256,
        /// What came.
        got: B256,
    },
    /// Its validators cannot come from those of the block before.
    #[error("header {0} is sealed by validators that the trusted ones before it did not agree to")]
    Stranger(u64),
    /// More headers than any honest chain needs.
    #[error("the way to the header is longer than {HEADERS_MAX} headers")]
    TooLong,
}

/// What is needed next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The header of this height.
    Want(u64),
    /// Nothing: the target is trusted.
    Trusted(SealedHeader),
}

/// The way from a trusted set of validators to the header of one height.
#[derive(Clone, Debug)]
pub struct TrustPath {
    spec: Arc<ChainSpec>,
    target: u64,
    /// The height whose set is trusted, and the set.
    at: u64,
    trusted: ValidatorSet,
    /// What the trusted header at `at` says of the validators after it.
    committed: Option<B256>,
    /// The block at `at` where only its hash is known yet.
    checkpoint: Option<B256>,
    /// Headers that were too far when they came, the farthest first.
    waiting: Vec<Claim>,
    looked_at: usize,
}

/// A header, the validators that it names, and those of them that sealed it.
#[derive(Clone, Debug)]
struct Claim {
    header: Header,
    named: ValidatorSet,
    /// What the header says of the validators after it.
    committed: Option<B256>,
    sealers: BTreeSet<Address>,
}

impl TrustPath {
    /// From the validators of block 1, as block 0 and the chain spec give them.
    pub fn from_genesis(spec: Arc<ChainSpec>, genesis: &Header, target: u64) -> Result<Self, HeaderError> {
        let trusted = VoteState::genesis(&spec, genesis)?.validators().clone();
        Ok(Self {
            spec,
            target,
            at: 0,
            trusted,
            committed: None,
            checkpoint: None,
            waiting: Vec::new(),
            looked_at: 0,
        })
    }

    /// From a block whose hash the operator vouches for. `target` is not below it.
    pub fn from_checkpoint(
        spec: Arc<ChainSpec>,
        genesis: &Header,
        (number, hash): (u64, B256),
        target: u64,
    ) -> Result<Self, HeaderError> {
        let path = Self::from_genesis(spec, genesis, target)?;
        Ok(Self { at: number, checkpoint: Some(hash), ..path })
    }

    /// The height asked for first, and after every header.
    pub fn wanted(&self) -> u64 {
        if self.checkpoint.is_some() {
            return self.at;
        }
        match self.waiting.last() {
            // The distance is at least two, or the header would have been refused.
            Some(claim) => self.at.saturating_add(claim.header.number.saturating_sub(self.at) / 2),
            None => self.target,
        }
    }

    /// Takes the wanted header in. After an error the same header is wanted still, from somebody else.
    pub fn take(&mut self, header: Header) -> Result<Step, Untrusted> {
        let want = self.wanted();
        if header.number != want {
            return Err(Untrusted::Number { want, got: header.number });
        }
        self.looked_at = self.looked_at.saturating_add(1);
        if self.looked_at > HEADERS_MAX {
            return Err(Untrusted::TooLong);
        }
        let claim = self.claim(header).map_err(|error| Untrusted::Header(want, error))?;
        if let Some(hash) = self.checkpoint {
            return self.take_checkpoint(claim, hash);
        }
        self.waiting.push(claim);
        while let Some(claim) = self.waiting.pop() {
            let number = claim.header.number;
            let reached = self.reaches(&claim).map_err(|error| Untrusted::Header(number, error))?;
            if reached && number == self.target {
                return self.trusted(claim.header);
            }
            if reached {
                (self.at, self.trusted, self.committed) = (number, claim.named, claim.committed);
            } else if number <= self.at.saturating_add(1) {
                return Err(Untrusted::Stranger(number));
            } else {
                self.waiting.push(claim);
                break;
            }
        }
        Ok(Step::Want(self.wanted()))
    }

    fn take_checkpoint(&mut self, claim: Claim, want: B256) -> Result<Step, Untrusted> {
        let number = claim.header.number;
        let got = self.hash(&claim.header)?;
        if got != want {
            return Err(Untrusted::Checkpoint { number, want, got });
        }
        (self.trusted, self.committed, self.checkpoint) = (claim.named, claim.committed, None);
        match number == self.target {
            true => self.trusted(claim.header),
            false => Ok(Step::Want(self.wanted())),
        }
    }

    fn trusted(&self, header: Header) -> Result<Step, Untrusted> {
        let hash = self.hash(&header)?;
        Ok(Step::Trusted(SealedHeader::new_unchecked(header, hash)))
    }

    fn hash(&self, header: &Header) -> Result<B256, Untrusted> {
        block_hash(header, self.spec.format_at(header.number))
            .map_err(|error| Untrusted::Header(header.number, error.into()))
    }

    /// The validators that a header names; it must be sealed by a quorum of them, and by nobody else.
    fn claim(&self, header: Header) -> Result<Claim, HeaderError> {
        let params = self.spec.consensus_at(header.number);
        let extra = header::decode_extra(&header, params.format)?;
        let named = ValidatorSet::new(extra.validators.clone())?;
        if extra.validators != named.as_slice() {
            return Err(HeaderError::Validators);
        }
        let sealers = header::sealers(&header, &extra, params, &named)?;
        let committed = committed_in(&self.spec, header.number, &extra)?;
        Ok(Claim { header, named, committed, sealers })
    }

    /// Whether enough of those who sealed a header are trusted. A list in the chain spec takes the place of all that
    /// was trusted before it. Without one it is enough that the trusted header commits to the whole set; and the very
    /// next header can have no other.
    fn reaches(&self, claim: &Claim) -> Result<bool, HeaderError> {
        let number = claim.header.number;
        let listed = self.listed_on_the_way(number)?;
        if let (None, Some(committed)) = (&listed, self.committed) {
            let agreed = commitment(claim.named.as_slice()) == committed;
            if agreed || self.at.checked_add(1) == Some(number) {
                return Ok(agreed);
            }
        }
        let base = listed.as_ref().unwrap_or(&self.trusted);
        let known = claim.sealers.iter().filter(|sealer| base.contains(sealer)).count();
        Ok(known > base.faulty())
    }

    /// The newest set that the chain spec puts in force between the trusted height and this one.
    fn listed_on_the_way(&self, number: u64) -> Result<Option<ValidatorSet>, HeaderError> {
        let on_the_way = |from: u64| from > self.at && from <= number;
        let listed = self.spec.consensus.iter().rev().filter(|(from, _)| on_the_way(*from));
        let newest = listed.filter_map(|(_, params)| params.validators.clone()).next();
        Ok(newest.map(ValidatorSet::new).transpose()?)
    }
}

#[cfg(test)]
mod tests;
