use super::TransitionError;
use crate::fixture::{Number, Quantity};
use crate::mainnet::{difficulty, next_base_fee, next_excess_blob_gas};
use crate::network::Network;
use crate::skip::Skip;
use crate::state_test::blob_fee;
use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::proofs::calculate_withdrawals_root;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, U256};
use lonja_primitives::{Fork, Header};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields that tools give and that nothing follows from.
const WITHOUT_MEANING: [&str; 6] =
    ["extraData", "parentHash", "previousHash", "hash", "currentBlobGasUsed", "currentDataGasUsed"];

/// The block as the input describes it. What is not there is had from the parent's fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Env {
    current_coinbase: Address,
    current_gas_limit: Number<u64>,
    current_number: Number<u64>,
    current_timestamp: Number<u64>,
    current_difficulty: Option<Number<U256>>,
    current_random: Option<Number<U256>>,
    current_base_fee: Option<Number<u64>>,
    current_excess_blob_gas: Option<Number<u64>>,
    parent_difficulty: Option<Number<U256>>,
    parent_timestamp: Option<Number<u64>>,
    parent_base_fee: Option<Number<u64>>,
    parent_gas_used: Option<Number<u64>>,
    parent_gas_limit: Option<Number<u64>>,
    parent_uncle_hash: Option<B256>,
    parent_excess_blob_gas: Option<Number<u64>>,
    parent_blob_gas_used: Option<Number<u64>>,
    parent_beacon_block_root: Option<B256>,
    block_hashes: Option<BTreeMap<String, B256>>,
    ommers: Option<Vec<Ommer>>,
    withdrawals: Option<Vec<Withdrawal>>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// A block beside the chain, which brings its author something.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ommer {
    /// How many blocks before this one it was.
    pub(super) delta: Number<u64>,
    pub(super) address: Address,
}

/// Whether blocks come without work, from block 0 on.
pub(super) fn is_merged(network: &Network) -> bool {
    network.terminal_difficulty == Some(U256::ZERO)
}

fn config(reason: &str) -> TransitionError {
    TransitionError::Config(reason.to_owned())
}

fn ensure(holds: bool, reason: &str) -> Result<(), TransitionError> {
    if holds { Ok(()) } else { Err(config(reason)) }
}

impl Env {
    pub(super) fn read(value: &Value) -> Result<Self, TransitionError> {
        let env = Self::deserialize(value).map_err(|error| TransitionError::Json(format!("env: {error}")))?;
        match env.rest.iter().find(|(name, value)| !value.is_null() && !WITHOUT_MEANING.contains(&&***name)) {
            Some((name, _)) => Err(config(&format!("env.{name}: not supported"))),
            None => Ok(env),
        }
    }

    pub(super) fn ommers(&self) -> &[Ommer] {
        self.ommers.as_deref().unwrap_or_default()
    }

    pub(super) fn withdrawals(&self) -> &[Withdrawal] {
        self.withdrawals.as_deref().unwrap_or_default()
    }

    /// Hashes of earlier blocks by number.
    pub(super) fn hashes(&self) -> Result<BTreeMap<u64, B256>, TransitionError> {
        let read = |(number, hash): (&String, &B256)| {
            let number = Quantity::parse(number).and_then(Quantity::to);
            Ok((
                number.ok_or_else(|| TransitionError::Json("env.blockHashes: not a number".to_owned()))?,
                *hash,
            ))
        };
        self.block_hashes.iter().flatten().map(read).collect()
    }

    /// The header, as far as execution asks for it.
    pub(super) fn header(&self, network: &Network) -> Result<Header, TransitionError> {
        let (number, timestamp) = (self.current_number.0, self.current_timestamp.0);
        let fork = network.spec.fork_at(number, timestamp);
        let since = |first: Fork| fork >= first;
        self.check(network, fork)?;
        let hashes = self.hashes()?;
        Ok(Header {
            number,
            timestamp,
            beneficiary: self.current_coinbase,
            gas_limit: self.current_gas_limit.0,
            mix_hash: self.current_random.map_or(B256::ZERO, |random| random.0.into()),
            difficulty: self.difficulty(network, fork)?,
            base_fee_per_gas: since(Fork::London).then(|| self.base_fee(network)).transpose()?,
            withdrawals_root: since(Fork::Shanghai).then(|| calculate_withdrawals_root(self.withdrawals())),
            blob_gas_used: since(Fork::Cancun).then_some(0),
            excess_blob_gas: since(Fork::Cancun).then(|| self.excess_blob_gas(fork)).transpose()?,
            parent_beacon_block_root: self.parent_beacon_block_root,
            parent_hash: number
                .checked_sub(1)
                .and_then(|parent| hashes.get(&parent).copied())
                .unwrap_or_default(),
            ..Header::default()
        })
    }

    fn check(&self, network: &Network, fork: Fork) -> Result<(), TransitionError> {
        if is_merged(network) {
            let difficulty = self.current_difficulty.is_some_and(|difficulty| !difficulty.0.is_zero());
            ensure(self.current_random.is_some(), "env.currentRandom: it must be given from the merge on")?;
            ensure(!difficulty, "env.currentDifficulty: it must be 0 or absent from the merge on")?;
        }
        let deltas = self.ommers().iter().all(|ommer| (1..8).contains(&ommer.delta.0));
        ensure(deltas, "env.ommers: a delta is from 1 to 7")?;
        if fork < Fork::Shanghai {
            return ensure(self.withdrawals().is_empty(), "env.withdrawals: there are none before Shanghai");
        }
        ensure(self.withdrawals.is_some(), "env.withdrawals: it must be given from Shanghai on")?;
        let root = fork < Fork::Cancun || self.parent_beacon_block_root.is_some();
        ensure(root, "env.parentBeaconBlockRoot: it must be given from Cancun on")
    }

    /// The block before, as far as it is described.
    fn parent(&self) -> Result<Header, TransitionError> {
        let number = self.current_number.0.checked_sub(1);
        Ok(Header {
            number: number.ok_or_else(|| config("env.currentNumber: block 0 has no parent to go by"))?,
            timestamp: self.parent_timestamp.map_or(0, |time| time.0),
            difficulty: self.parent_difficulty.map_or(U256::ZERO, |difficulty| difficulty.0),
            base_fee_per_gas: self.parent_base_fee.map(|fee| fee.0),
            gas_used: self.parent_gas_used.map_or(0, |gas| gas.0),
            gas_limit: self.parent_gas_limit.map_or(0, |gas| gas.0),
            ommers_hash: self
                .parent_uncle_hash
                .filter(|hash| !hash.is_zero())
                .unwrap_or(EMPTY_OMMER_ROOT_HASH),
            excess_blob_gas: self.parent_excess_blob_gas.map(|gas| gas.0),
            blob_gas_used: self.parent_blob_gas_used.map(|gas| gas.0),
            ..Header::default()
        })
    }

    fn difficulty(&self, network: &Network, fork: Fork) -> Result<U256, TransitionError> {
        match self.current_difficulty {
            Some(difficulty) => Ok(difficulty.0),
            None if is_merged(network) => Ok(U256::ZERO),
            None => {
                let later = self.parent_timestamp.is_some_and(|time| time < self.current_timestamp);
                ensure(
                    self.parent_difficulty.is_some() && later,
                    "env.currentDifficulty: without it there must be parentDifficulty and an earlier parentTimestamp",
                )?;
                Ok(difficulty(network, self.current_timestamp.0, &self.parent()?, fork))
            }
        }
    }

    fn base_fee(&self, network: &Network) -> Result<u64, TransitionError> {
        if let Some(fee) = self.current_base_fee {
            return Ok(fee.0);
        }
        let parent = self.parent()?;
        let given = self.parent_gas_used.is_some() && self.parent_gas_limit.is_some();
        let first = network.spec.fork_at(parent.number, parent.timestamp) < Fork::London;
        ensure(
            first || (parent.base_fee_per_gas.is_some() && given),
            "env.currentBaseFee: without it there must be parentBaseFee, parentGasUsed and parentGasLimit",
        )?;
        Ok(next_base_fee(network, &parent))
    }

    fn excess_blob_gas(&self, fork: Fork) -> Result<u64, TransitionError> {
        let excess = match (self.current_excess_blob_gas, self.parent_excess_blob_gas) {
            (Some(excess), _) => excess.0,
            (None, Some(_)) => next_excess_blob_gas(&self.parent()?, fork),
            (None, None) => 0,
        };
        let dear = blob_fee(fork, excess) != 1;
        ensure(!dear, &format!("env.currentExcessBlobGas: {}", Skip::BlobFee.reason()))?;
        Ok(excess)
    }
}
