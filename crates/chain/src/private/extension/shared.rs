//! The payload that carries a contract's state, as JSON:
//!
//! ```json
//! {"0x…": {"state": {"balance": "0x…", "nonce": "0x…", "root": "0x…", "codeHash": "0x…", "code": "0x…",
//!                    "storage": {"0x…": "0x…"}}},
//!  "statement": {"genesis": "0x…", "block": "0x…", "contract": "0x…", "management": "0x…", "leaf": "0x…",
//!                "node": "…", "signature": "0x…"}}
//! ```
//!
//! The shape of GoQuorum, with two differences. `storage` goes by the hashes of the slots, as tries do; and there is a
//! statement, by which the sharing node answers for what it shares: payloads themselves can be denied, since recipients
//! could have made them. `leaf` is the hash of the account as it stands in a state trie. What is signed is keccak-256 of
//! `lonja contract state 1`, genesis, block (8 bytes), contract, management contract and leaf.

use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::TrieAccount;
use lonja_primitives::{Account, NodeId, Signature, Signer};
use lonja_storage::private::ContractState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// Slots of a contract that can be shared: in JSON they come to nine megabytes, and a message between managers holds
/// twelve.
pub const MAX_SLOTS: usize = 65_536;

/// What separates this signature from all others of a node's key.
const DOMAIN: &[u8] = b"lonja contract state 1";

/// How code begins that is none: reserved by EIP-3541.
const NO_CODE: u8 = 0xef;

/// Why a shared state is not taken. Nothing in it is of the state itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SharedStateError {
    /// Not the JSON of one contract and a statement.
    #[error("the payload is not the state of one contract with a statement")]
    Malformed,
    /// More than may be shared.
    #[error("the contract has more than {MAX_SLOTS} slots")]
    TooManySlots,
    /// Longer than the network's contracts may be.
    #[error("the code has {length} bytes, more than {limit}")]
    CodeTooLong {
        /// Its length.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// No contract.
    #[error("the account has no code, or none that a contract may have")]
    NoCode,
    /// Hash and code do not fit.
    #[error("the code hash is not that of the code")]
    CodeHash,
    /// Root and slots do not fit.
    #[error("the storage root is not that of the slots")]
    Root,
    /// The statement is about something else.
    #[error("the statement is about {0}")]
    OtherStatement(&'static str),
    /// The statement is not signed by the node it names.
    #[error("the statement is not signed by its node")]
    Signature,
}

/// Which extension a state is shared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Hash of block 0.
    pub genesis: B256,
    /// The contract that is extended.
    pub contract: Address,
    /// The contract that manages this.
    pub management: Address,
}

/// What a node says of the state it shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The extension.
    pub terms: Terms,
    /// The block after which the contract was so.
    pub block: u64,
    /// Hash of the account's leaf.
    pub leaf: B256,
    /// Who says so.
    pub node: NodeId,
    /// Its signature.
    pub signature: Signature,
}

/// A contract's state as it is shared.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedState {
    /// Where it stands.
    pub contract: Address,
    /// The account.
    pub account: Account,
    /// Root of its storage.
    pub root: B256,
    /// Its code.
    pub code: Bytes,
    /// Values by the hashes of the slots.
    pub slots: BTreeMap<B256, U256>,
    /// Who answers for it.
    pub statement: Statement,
}

/// Figures only.
impl fmt::Debug for SharedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedState")
            .field("code_bytes", &self.code.len())
            .field("slots", &self.slots.len())
            .field("block", &self.statement.block)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    statement: StatementBody,
    #[serde(flatten)]
    accounts: BTreeMap<Address, AccountBody>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountBody {
    state: StateBody,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StateBody {
    balance: U256,
    nonce: U64,
    root: B256,
    code_hash: B256,
    code: Bytes,
    storage: BTreeMap<B256, U256>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementBody {
    genesis: B256,
    block: U64,
    contract: Address,
    management: Address,
    leaf: B256,
    node: String,
    signature: Bytes,
}

/// The payload that shares a contract for an extension, signed by this node.
///
/// # Errors
/// [`SharedStateError::TooManySlots`] and [`SharedStateError::NoCode`].
pub fn encode(
    state: &ContractState,
    terms: &Terms,
    node: NodeId,
    signer: &dyn Signer,
) -> Result<Bytes, SharedStateError> {
    if state.slots.len() > MAX_SLOTS {
        return Err(SharedStateError::TooManySlots);
    }
    if state.code.is_empty() {
        return Err(SharedStateError::NoCode);
    }
    let account = state.flat.account;
    let leaf = leaf(&account, state.flat.storage_root);
    let signature = signer.sign(digest(terms, state.head.number, leaf));
    let body = StateBody {
        balance: account.balance,
        nonce: U64::from(account.nonce),
        root: state.flat.storage_root,
        code_hash: account.code_hash,
        code: state.code.clone(),
        storage: state.slots.clone(),
    };
    let statement = StatementBody {
        genesis: terms.genesis,
        block: U64::from(state.head.number),
        contract: terms.contract,
        management: terms.management,
        leaf,
        node: node.to_string(),
        signature: Bytes::copy_from_slice(&signature.0),
    };
    let accounts = BTreeMap::from([(terms.contract, AccountBody { state: body })]);
    let json = serde_json::to_vec(&Body { statement, accounts });
    json.map(Bytes::from).map_err(|_| SharedStateError::Malformed)
}

/// What a payload shares. Nothing of it is checked yet.
pub fn decode(payload: &[u8]) -> Result<SharedState, SharedStateError> {
    // What the parser says may quote the payload.
    let body: Body = serde_json::from_slice(payload).map_err(|_| SharedStateError::Malformed)?;
    let mut accounts = body.accounts.into_iter();
    let (Some((contract, AccountBody { state })), None) = (accounts.next(), accounts.next()) else {
        return Err(SharedStateError::Malformed);
    };
    let statement = statement(&body.statement).ok_or(SharedStateError::Malformed)?;
    Ok(SharedState {
        contract,
        account: Account { nonce: state.nonce.to(), balance: state.balance, code_hash: state.code_hash },
        root: state.root,
        code: state.code,
        slots: state.storage,
        statement,
    })
}

fn statement(body: &StatementBody) -> Option<Statement> {
    let terms = Terms { genesis: body.genesis, contract: body.contract, management: body.management };
    Some(Statement {
        terms,
        block: body.block.to(),
        leaf: body.leaf,
        node: NodeId::from_hex(&body.node).ok()?,
        signature: Signature::from_slice(&body.signature).ok()?,
    })
}

impl SharedState {
    /// Checks it by itself: bounds, hashes, and that it was signed for this extension, of a block before this one.
    pub fn check(&self, terms: &Terms, before: u64, code_limit: usize) -> Result<(), SharedStateError> {
        if self.slots.len() > MAX_SLOTS {
            return Err(SharedStateError::TooManySlots);
        }
        if self.code.len() > code_limit {
            return Err(SharedStateError::CodeTooLong { length: self.code.len(), limit: code_limit });
        }
        if self.code.first().is_none_or(|first| *first == NO_CODE) {
            return Err(SharedStateError::NoCode);
        }
        self.check_statement(terms, before)?;
        if keccak256(&self.code) != self.account.code_hash {
            return Err(SharedStateError::CodeHash);
        }
        let zero = self.slots.values().any(|value| value.is_zero());
        let root = || alloy_trie::root::storage_root(self.slots.iter().map(|(slot, value)| (*slot, *value)));
        match !zero && root() == self.root {
            true => Ok(()),
            false => Err(SharedStateError::Root),
        }
    }

    fn check_statement(&self, terms: &Terms, before: u64) -> Result<(), SharedStateError> {
        let statement = &self.statement;
        let other = |what| Err(SharedStateError::OtherStatement(what));
        if statement.terms.genesis != terms.genesis {
            return other("another network");
        }
        if statement.terms.contract != terms.contract || self.contract != terms.contract {
            return other("another contract");
        }
        if statement.terms.management != terms.management {
            return other("another extension");
        }
        if statement.block >= before {
            return other("a block to come");
        }
        if statement.leaf != leaf(&self.account, self.root) {
            return other("another state");
        }
        let signer = statement.signature.recover(digest(terms, statement.block, statement.leaf));
        match signer == Ok(statement.node.address()) {
            true => Ok(()),
            false => Err(SharedStateError::Signature),
        }
    }

    /// The account as it stands in a state trie.
    pub fn trie_account(&self) -> TrieAccount {
        trie_account(&self.account, self.root)
    }
}

fn trie_account(account: &Account, storage_root: B256) -> TrieAccount {
    let Account { nonce, balance, code_hash } = *account;
    TrieAccount { nonce, balance, storage_root, code_hash }
}

fn leaf(account: &Account, storage_root: B256) -> B256 {
    let mut leaf = Vec::new();
    trie_account(account, storage_root).encode(&mut leaf);
    keccak256(leaf)
}

fn digest(terms: &Terms, block: u64, leaf: B256) -> B256 {
    let mut signed = DOMAIN.to_vec();
    signed.extend_from_slice(terms.genesis.as_slice());
    signed.extend_from_slice(&block.to_be_bytes());
    signed.extend_from_slice(terms.contract.as_slice());
    signed.extend_from_slice(terms.management.as_slice());
    signed.extend_from_slice(leaf.as_slice());
    keccak256(signed)
}

#[cfg(test)]
mod tests;
