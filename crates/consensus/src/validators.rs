//! The validators of one height, and how many of them decide.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use alloy_primitives::Address;
use lonja_primitives::spec::QuorumRule;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// The validators that decide one height: never empty, ascending by address, without repetition and without
/// the zero address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet(Vec<Address>);

/// Why a list of addresses is not a validator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ValidatorSetError {
    /// Nobody could ever seal a block.
    #[error("the validator set is empty: no block could be sealed any more")]
    Empty,
    /// One address twice would count one signature twice.
    #[error("validator {0} is listed twice")]
    Duplicate(Address),
    /// Nobody holds the key of the zero address.
    #[error("the zero address is listed as a validator")]
    Zero,
    /// More than a contract may name.
    #[error("{0} validators are more than a contract may name")]
    TooMany(usize),
}

impl ValidatorSet {
    /// Sorts and checks; refuses an empty list, repetitions and the zero address.
    pub fn new(mut addresses: Vec<Address>) -> Result<Self, ValidatorSetError> {
        addresses.sort_unstable();
        match addresses.first() {
            None => return Err(ValidatorSetError::Empty),
            Some(lowest) if lowest.is_zero() => return Err(ValidatorSetError::Zero),
            Some(_) => {}
        }
        for (one, next) in addresses.iter().zip(addresses.iter().skip(1)) {
            if one == next {
                return Err(ValidatorSetError::Duplicate(*one));
            }
        }
        Ok(Self(addresses))
    }

    /// Whether `address` may vote.
    pub fn contains(&self, address: &Address) -> bool {
        self.index_of(address).is_some()
    }

    /// Place in ascending order.
    pub fn index_of(&self, address: &Address) -> Option<usize> {
        self.0.binary_search(address).ok()
    }

    /// How many there are; at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In ascending order.
    pub fn iter(&self) -> std::slice::Iter<'_, Address> {
        self.0.iter()
    }

    /// In ascending order.
    pub fn as_slice(&self) -> &[Address] {
        &self.0
    }

    /// How many of them decide.
    pub fn quorum(&self, rule: QuorumRule) -> usize {
        quorum(self.len(), rule)
    }

    /// How many of them may be faulty.
    pub fn faulty(&self) -> usize {
        max_faulty(self.len())
    }

    /// The set with one more member; `None` when it is one already or is the zero address.
    pub(crate) fn with(&self, address: Address) -> Option<Self> {
        let place = self.0.binary_search(&address).err().filter(|_| !address.is_zero())?;
        let mut members = self.0.clone();
        members.insert(place, address);
        Some(Self(members))
    }

    /// The set without one member; `None` when it is none or the only one.
    pub(crate) fn without(&self, address: &Address) -> Option<Self> {
        let place = self.index_of(address).filter(|_| self.len() > 1)?;
        let mut members = self.0.clone();
        members.remove(place);
        Some(Self(members))
    }
}

impl<'a> IntoIterator for &'a ValidatorSet {
    type Item = &'a Address;
    type IntoIter = std::slice::Iter<'a, Address>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// How many of `n` validators decide. Two quorums share a correct validator for every `n` under
/// [`QuorumRule::CeilTwoThirds`], and only for `n = 3F+1` under [`QuorumRule::TwoFPlusOne`].
pub fn quorum(n: usize, rule: QuorumRule) -> usize {
    match rule {
        QuorumRule::CeilTwoThirds => n.saturating_mul(2).div_ceil(3),
        QuorumRule::TwoFPlusOne => max_faulty(n).saturating_mul(2).saturating_add(1),
    }
}

/// `floor((n-1)/3)`: how many of `n` validators may be faulty without harm.
pub fn max_faulty(n: usize) -> usize {
    n.saturating_sub(1) / 3
}
