//! The header of block 0.

use super::GenesisError;
use crate::spec::ConsensusParams;
use crate::{ChainSpec, ExtraData, Header, SealedHeader};
use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::{Address, B64, B256, Bytes, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use std::collections::BTreeSet;

/// The end of the year 9999, seconds: a later time is a mistake (often of milliseconds), and sums of times must
/// not overflow.
const MAX_TIMESTAMP: u64 = 253_402_300_799;
/// Other clients hold gas in 63 bits.
const MAX_GAS_LIMIT: u64 = i64::MAX as u64;

/// What of the header of block 0 a file may say.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderFields {
    pub(super) parent_hash: B256,
    pub(super) coinbase: Address,
    pub(super) difficulty: U256,
    pub(super) gas_limit: u64,
    pub(super) gas_used: u64,
    pub(super) timestamp: u64,
    pub(super) extra_data: Bytes,
    pub(super) mix_hash: B256,
    pub(super) nonce: u64,
    pub(super) base_fee: Option<u64>,
}

impl HeaderFields {
    /// Completes and hashes the header; checks the validators it begins with.
    pub(super) fn seal(
        self,
        state_root: B256,
        spec: &ChainSpec,
        warnings: &mut Vec<String>,
    ) -> Result<SealedHeader, GenesisError> {
        if self.timestamp > MAX_TIMESTAMP {
            return Err(GenesisError::new("timestamp", "it is later than the year 9999; it counts seconds"));
        }
        if self.gas_limit > MAX_GAS_LIMIT {
            return Err(GenesisError::new("gasLimit", "it is larger than 63 bits"));
        }
        let format = spec.format_at(0);
        let malformed = |reason: String| GenesisError::new("extraData", reason);
        let extra =
            ExtraData::decode(&self.extra_data, format).map_err(|error| malformed(error.to_string()))?;
        check_extra(&extra, spec.consensus_at(0), warnings)?;
        let header = Header {
            parent_hash: self.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.coinbase,
            state_root,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            difficulty: self.difficulty,
            gas_limit: self.gas_limit,
            gas_used: self.gas_used,
            timestamp: self.timestamp,
            extra_data: self.extra_data,
            mix_hash: self.mix_hash,
            nonce: B64::from(self.nonce),
            base_fee_per_gas: self.base_fee,
            ..Header::default()
        };
        SealedHeader::seal(header, format).map_err(|error| malformed(error.to_string()))
    }
}

/// Clients do not agree on the hash of a genesis with seals or a round, so that such a file names two
/// networks.
fn check_extra(
    extra: &ExtraData,
    params: &ConsensusParams,
    warnings: &mut Vec<String>,
) -> Result<(), GenesisError> {
    let refuse = |reason: &str| Err(GenesisError::new("extraData", reason));
    if !extra.seals.is_empty() {
        return refuse("block 0 carries commit seals; nobody seals it");
    }
    if extra.round != 0 {
        return refuse("block 0 carries a round; it is 0");
    }
    if extra.vote.is_some() {
        return refuse("block 0 carries a vote; there is nobody to vote");
    }
    let validators = params.validators.as_ref().unwrap_or(&extra.validators);
    if validators.is_empty() && params.validator_contract.is_some() {
        return Ok(()); // The contract tells them.
    }
    check_validators("extraData", validators, warnings)
}

/// Refuses a set that cannot begin a chain; warns of one that bears no fault.
pub(super) fn check_validators(
    field: &str,
    validators: &[Address],
    warnings: &mut Vec<String>,
) -> Result<(), GenesisError> {
    if validators.is_empty() {
        return Err(GenesisError::new(field, "there is no validator"));
    }
    let mut seen = BTreeSet::new();
    for validator in validators {
        if validator.is_zero() {
            return Err(GenesisError::new(field, "the zero address cannot be a validator"));
        }
        if !seen.insert(validator) {
            return Err(GenesisError::new(field, format!("the validator {validator} is listed twice")));
        }
    }
    warnings.extend(few_validators(validators.len()).map(str::to_owned));
    Ok(())
}

/// What a small set cannot do.
fn few_validators(count: usize) -> Option<&'static str> {
    match count {
        1 => Some(
            "1 validator: the network stands still while it is down; 4 validators bear the failure of one",
        ),
        2 => Some(
            "2 validators: the network stands still while one is down; 4 validators bear the failure of one",
        ),
        3 => Some(
            "3 validators bear one that is down, but none that breaks the rules; 4 bear one of either kind",
        ),
        _ => None,
    }
}
