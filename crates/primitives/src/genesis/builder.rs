//! Writing the genesis file of a new network.

use super::{GenesisAccount, own};
use crate::Fork;
use crate::spec::{MarkerRule, NodeRule, Permissions, Privacy};
use alloy_primitives::{Address, Bytes, U256};
use serde::Serialize;
use std::collections::BTreeMap;

/// A new network, to be written in lonja's own shape. What is `None` is left out of the file and takes the
/// default described at [`super::own`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNetwork {
    /// Chain id (EIP-155), not 0.
    pub chain_id: u64,
    /// The first validators, in any order.
    pub validators: Vec<Address>,
    /// Accounts that have nothing but a balance at block 0, in wei.
    pub balances: BTreeMap<Address, U256>,
    /// Other accounts of block 0; for an address in both, this one counts.
    pub alloc: BTreeMap<Address, GenesisAccount>,
    /// Time of block 0, seconds.
    pub timestamp: u64,
    /// Whether gas is free.
    pub free_gas: Option<bool>,
    /// Newest fork, active from block 0 on.
    pub fork: Option<Fork>,
    /// Least time between blocks, milliseconds.
    pub block_period_ms: Option<u64>,
    /// Time after which an empty block is made, milliseconds.
    pub empty_block_period_ms: Option<u64>,
    /// Timeout of round 0, milliseconds.
    pub request_timeout_ms: Option<u64>,
    /// Bound of the doubled timeout, milliseconds.
    pub max_request_timeout_ms: Option<u64>,
    /// Votes on validators are dropped at its multiples.
    pub epoch_length: Option<u64>,
    /// The contract whose `getValidators()` says who validates from block 2 on; block 1 is the work of
    /// `validators`.
    pub validator_contract: Option<Address>,
    /// The contracts that permit.
    pub permissions: Permissions,
    /// Private transactions.
    pub privacy: Privacy,
    /// Gas limit of every block.
    pub gas_limit: Option<u64>,
    /// Longest contract code, bytes.
    pub code_size_bytes: Option<u64>,
    /// Longest transaction, bytes.
    pub transaction_size_bytes: Option<u64>,
}

/// The chain id that developer tools take for a local network.
const DEVELOPER_CHAIN_ID: u64 = 1337;

impl Default for NewNetwork {
    /// The developer's chain id, block 0 at time 0, no validators and no accounts; the file's defaults
    /// otherwise.
    fn default() -> Self {
        Self {
            chain_id: DEVELOPER_CHAIN_ID,
            validators: Vec::new(),
            balances: BTreeMap::new(),
            alloc: BTreeMap::new(),
            timestamp: 0,
            free_gas: None,
            fork: None,
            block_period_ms: None,
            empty_block_period_ms: None,
            request_timeout_ms: None,
            max_request_timeout_ms: None,
            epoch_length: None,
            validator_contract: None,
            permissions: Permissions::default(),
            privacy: Privacy::default(),
            gas_limit: None,
            code_size_bytes: None,
            transaction_size_bytes: None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    lonja: u64,
    chain_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    free_gas: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork: Option<&'static str>,
    timestamp: u64,
    consensus: Consensus,
    #[serde(skip_serializing_if = "Limits::is_empty")]
    limits: Limits,
    #[serde(skip_serializing_if = "PermissionEntries::is_empty")]
    permissions: PermissionEntries,
    #[serde(skip_serializing_if = "PrivacyEntries::is_empty")]
    privacy: PrivacyEntries,
    alloc: BTreeMap<Address, AccountEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Consensus {
    validators: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validator_contract: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_period_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    empty_block_period_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_request_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch_length: Option<u64>,
}

#[derive(PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    code_size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gas_limit: Option<u64>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self { code_size_bytes: None, transaction_size_bytes: None, gas_limit: None }
    }
}

#[derive(PartialEq, Serialize)]
struct PermissionEntries {
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<NodesEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quotas: Option<Address>,
}

#[derive(PartialEq, Serialize)]
struct NodesEntry {
    contract: Address,
    interface: u64,
}

impl PermissionEntries {
    fn is_empty(&self) -> bool {
        *self == Self { nodes: None, accounts: None, system: None, quotas: None }
    }
}

impl From<&Permissions> for PermissionEntries {
    fn from(permissions: &Permissions) -> Self {
        let Permissions { nodes, accounts, system, quotas } = *permissions;
        let nodes =
            nodes.map(|NodeRule { contract, form }| NodesEntry { contract, interface: form.interface() });
        Self { nodes, accounts, system, quotas }
    }
}

#[derive(Serialize)]
struct PrivacyEntries {
    transactions: bool,
    enhancements: bool,
    markers: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parties: Option<Address>,
}

impl PrivacyEntries {
    fn is_empty(&self) -> bool {
        !self.transactions && !self.enhancements && self.markers.is_none() && self.parties.is_none()
    }
}

impl From<&Privacy> for PrivacyEntries {
    fn from(privacy: &Privacy) -> Self {
        let Privacy { transactions, enhancements, markers, parties } = *privacy;
        Self { transactions, enhancements, markers: markers.map(MarkerRule::name), parties }
    }
}

#[derive(Serialize)]
struct AccountEntry {
    #[serde(skip_serializing_if = "U256::is_zero")]
    balance: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Bytes>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    storage: BTreeMap<U256, U256>,
}

impl From<&GenesisAccount> for AccountEntry {
    fn from(account: &GenesisAccount) -> Self {
        Self {
            balance: account.balance,
            nonce: (account.nonce != 0).then_some(account.nonce),
            code: (!account.code.is_empty()).then(|| account.code.clone()),
            storage: account.storage.clone(),
        }
    }
}

impl NewNetwork {
    fn accounts(&self) -> BTreeMap<Address, AccountEntry> {
        let plain = |balance: &U256| GenesisAccount { balance: *balance, ..GenesisAccount::default() };
        let with_balance = self.balances.iter().map(|(address, balance)| (*address, plain(balance)));
        let mut accounts: BTreeMap<_, _> = with_balance.collect();
        accounts.extend(self.alloc.clone());
        accounts.iter().map(|(address, account)| (*address, account.into())).collect()
    }

    /// The file as indented JSON, which [`super::Genesis::from_json`] reads and judges.
    pub fn to_json(&self) -> String {
        let file = File {
            lonja: own::SHAPE_VERSION,
            chain_id: self.chain_id,
            free_gas: self.free_gas,
            fork: self.fork.map(Fork::name),
            timestamp: self.timestamp,
            consensus: Consensus {
                validators: self.validators.clone(),
                validator_contract: self.validator_contract,
                block_period_ms: self.block_period_ms,
                empty_block_period_ms: self.empty_block_period_ms,
                request_timeout_ms: self.request_timeout_ms,
                max_request_timeout_ms: self.max_request_timeout_ms,
                epoch_length: self.epoch_length,
            },
            limits: Limits {
                code_size_bytes: self.code_size_bytes,
                transaction_size_bytes: self.transaction_size_bytes,
                gas_limit: self.gas_limit,
            },
            permissions: (&self.permissions).into(),
            privacy: (&self.privacy).into(),
            alloc: self.accounts(),
        };
        let mut text =
            serde_json::to_string_pretty(&file).expect("numbers, addresses and hex are valid JSON");
        text.push('\n');
        text
    }
}
