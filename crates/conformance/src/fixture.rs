//! How the tests write values.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use lonja_primitives::genesis::GenesisAccount;
use serde::de::{Deserialize, Deserializer, Error};
use std::collections::BTreeMap;

/// A number: hex digits after `0x` (none for 0, zeros in front allowed) or decimal digits. `None` where it is longer
/// than 256 bits, which some tests want refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) Option<U256>);

/// A number that fits its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "Quantity", bound(deserialize = "T: TryFrom<U256>"))]
pub(crate) struct Number<T>(pub(crate) T);

impl<T: TryFrom<U256>> TryFrom<Quantity> for Number<T> {
    type Error = &'static str;

    fn try_from(quantity: Quantity) -> Result<Self, Self::Error> {
        quantity.to().map(Self).ok_or("a number is too long for its field")
    }
}

impl Quantity {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (text, radix) = match text.strip_prefix("0x:bigint ").unwrap_or(text).strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        let is_digit = |digit: char| digit.is_digit(radix);
        let digits = text.trim_start_matches('0');
        if !text.chars().all(is_digit) {
            return None;
        }
        if digits.is_empty() {
            return Some(Self(Some(U256::ZERO)));
        }
        Some(Self(U256::from_str_radix(digits, u64::from(radix)).ok()))
    }

    /// The number, if it fits.
    pub(crate) fn to<T: TryFrom<U256>>(self) -> Option<T> {
        self.0.and_then(|value| T::try_from(value).ok())
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is not a number")))
    }
}

/// Bytes in hex, with or without `0x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Bytes);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(&text).map_err(|_| D::Error::custom(format!("'{text}' is not hex")))?;
        Ok(Self(bytes.into()))
    }
}

/// The state before a test.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Alloc(BTreeMap<Address, AllocAccount>);

#[derive(Clone, Debug, serde::Deserialize)]
struct AllocAccount {
    balance: Quantity,
    nonce: Quantity,
    code: Data,
    storage: BTreeMap<Slot, Quantity>,
}

/// A storage key, written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot(U256);

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Quantity::deserialize(deserializer)?.0.map(Self).ok_or_else(|| D::Error::custom("a slot is too long"))
    }
}

impl Alloc {
    /// The accounts as a genesis file would have them; `None` where a number does not fit.
    pub(crate) fn accounts(&self) -> Option<BTreeMap<Address, GenesisAccount>> {
        self.0.iter().map(|(address, account)| Some((*address, account.to_genesis()?))).collect()
    }
}

impl AllocAccount {
    fn to_genesis(&self) -> Option<GenesisAccount> {
        let slots = self.storage.iter().map(|(slot, value)| Some((slot.0, value.0?)));
        let storage: Option<BTreeMap<U256, U256>> = slots.collect();
        Some(GenesisAccount {
            balance: self.balance.0?,
            nonce: self.nonce.to()?,
            code: self.code.0.clone(),
            storage: storage?.into_iter().filter(|(_, value)| !value.is_zero()).collect(),
        })
    }
}

/// A header as the tests write it, down to its hash.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeaderFixture {
    pub(crate) parent_hash: B256,
    pub(crate) uncle_hash: B256,
    pub(crate) coinbase: Address,
    pub(crate) state_root: B256,
    pub(crate) transactions_trie: B256,
    pub(crate) receipt_trie: B256,
    pub(crate) bloom: Data,
    pub(crate) difficulty: Quantity,
    pub(crate) number: Quantity,
    pub(crate) gas_limit: Quantity,
    pub(crate) gas_used: Quantity,
    pub(crate) timestamp: Quantity,
    pub(crate) extra_data: Data,
    pub(crate) mix_hash: B256,
    pub(crate) nonce: Data,
    pub(crate) hash: B256,
    pub(crate) base_fee_per_gas: Option<Quantity>,
    pub(crate) withdrawals_root: Option<B256>,
    pub(crate) blob_gas_used: Option<Quantity>,
    pub(crate) excess_blob_gas: Option<Quantity>,
    pub(crate) parent_beacon_block_root: Option<B256>,
    pub(crate) requests_hash: Option<B256>,
}

impl HeaderFixture {
    /// The header; `None` where a number does not fit.
    pub(crate) fn header(&self) -> Option<lonja_primitives::Header> {
        let optional = |quantity: Option<Quantity>| match quantity {
            Some(quantity) => quantity.to::<u64>().map(Some),
            None => Some(None),
        };
        Some(lonja_primitives::Header {
            parent_hash: self.parent_hash,
            ommers_hash: self.uncle_hash,
            beneficiary: self.coinbase,
            state_root: self.state_root,
            transactions_root: self.transactions_trie,
            receipts_root: self.receipt_trie,
            logs_bloom: self.bloom.0.as_ref().try_into().ok()?,
            difficulty: self.difficulty.0?,
            number: self.number.to()?,
            gas_limit: self.gas_limit.to()?,
            gas_used: self.gas_used.to()?,
            timestamp: self.timestamp.to()?,
            extra_data: self.extra_data.0.clone(),
            mix_hash: self.mix_hash,
            nonce: self.nonce.0.as_ref().try_into().ok()?,
            base_fee_per_gas: optional(self.base_fee_per_gas)?,
            withdrawals_root: self.withdrawals_root,
            blob_gas_used: optional(self.blob_gas_used)?,
            excess_blob_gas: optional(self.excess_blob_gas)?,
            parent_beacon_block_root: self.parent_beacon_block_root,
            requests_hash: self.requests_hash,
            ..lonja_primitives::Header::default()
        })
    }
}

/// Which tool made a test.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(crate) struct Info {
    #[serde(rename = "filling-tool-version")]
    tool: Option<String>,
}

impl Info {
    /// Whether a test of this fork is of a draft: the older tool was given up before Prague was settled, and what it
    /// has of Prague has other gas costs and the EVM object format.
    pub(crate) fn is_draft(&self, fork: lonja_primitives::Fork) -> bool {
        let old_tool = self.tool.as_ref().is_some_and(|tool| tool.starts_with("retesteth"));
        old_tool && fork >= lonja_primitives::Fork::Prague
    }
}
