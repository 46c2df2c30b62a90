//! The accounts of block 0, and the state they make.

use super::fields::{Fields, Names, parse_address, quantity};
use super::{GenesisAccount, GenesisError};
use crate::{Account, AccountChange, StateChanges};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::TrieAccount;
use alloy_trie::root::{state_root_unhashed, storage_root_unhashed};
use std::collections::BTreeMap;

/// Reads the object `alloc`. Foreign clients keep an account that has nothing; in our own shape it is a
/// mistake.
pub(super) fn read(
    mut alloc: Fields<'_>,
    names: Names,
) -> Result<BTreeMap<Address, GenesisAccount>, GenesisError> {
    let mut accounts = BTreeMap::new();
    for (name, value) in alloc.take_all() {
        let Some(address) = parse_address(name) else {
            return Err(alloc.error(name, "the name must be an address of 40 hex digits"));
        };
        let account = read_account(Fields::new(&alloc.path_of(name), value, names)?, names)?;
        if names == Names::Exact && account == GenesisAccount::default() {
            return Err(
                alloc.error(name, "the account is empty: it has neither balance, nonce, code nor storage")
            );
        }
        if accounts.insert(address, account).is_some() {
            return Err(alloc.error(name, "the address is written twice"));
        }
    }
    Ok(accounts)
}

fn read_account(mut fields: Fields<'_>, names: Names) -> Result<GenesisAccount, GenesisError> {
    let account = GenesisAccount {
        balance: fields.quantity("balance")?.unwrap_or_default(),
        nonce: fields.u64("nonce")?.unwrap_or_default(),
        code: fields.bytes("code")?.unwrap_or_default(),
        storage: match fields.object("storage")? {
            Some(storage) => read_storage(storage)?,
            None => BTreeMap::new(),
        },
    };
    if names == Names::AnyCase {
        // Comments stand here in the files of several tools; a key for tests is of no use to a node.
        for ignored in ["comment", "secretKey", "privateKey"] {
            fields.take(ignored);
        }
    }
    fields.finish()?;
    Ok(account)
}

fn read_storage(mut storage: Fields<'_>) -> Result<BTreeMap<U256, U256>, GenesisError> {
    let mut slots = BTreeMap::new();
    for (name, value) in storage.take_all() {
        let slot = word(name).ok_or_else(|| storage.error(name, "a slot is up to 64 hex digits"))?;
        let wrong = || storage.error(name, "a slot's value is a string of up to 64 hex digits");
        let value = match value {
            super::json::Json::Text(text) => word(text).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        if slots.insert(slot, value).is_some() {
            return Err(storage.error(name, "the slot is written twice"));
        }
    }
    slots.retain(|_, value| !value.is_zero());
    Ok(slots)
}

/// Up to 64 hex digits, with or without `0x`: filled with zeros in front.
fn word(text: &str) -> Option<U256> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    quantity("", &super::json::Json::Text(format!("0x{digits}"))).ok().filter(|_| digits.len() <= 64)
}

/// The accounts as a delta on the empty state.
pub(super) fn state_changes(accounts: &BTreeMap<Address, GenesisAccount>) -> StateChanges {
    let mut changes = StateChanges::default();
    for (address, account) in accounts {
        let code_hash = code_hash(account);
        if !account.code.is_empty() {
            changes.codes.insert(code_hash, account.code.clone());
        }
        let change = AccountChange {
            account: Some(Account { nonce: account.nonce, balance: account.balance, code_hash }),
            storage_wiped: false,
            storage: account.storage.clone(),
        };
        changes.accounts.insert(*address, change);
    }
    changes
}

/// Root of the state the accounts make.
pub(super) fn state_root(accounts: &BTreeMap<Address, GenesisAccount>) -> B256 {
    state_root_unhashed(accounts.iter().map(|(address, account)| {
        let slots = account.storage.iter().filter(|(_, value)| !value.is_zero());
        let storage_root = storage_root_unhashed(slots.map(|(slot, value)| (B256::from(*slot), *value)));
        (*address, TrieAccount::new(account.nonce, account.balance, storage_root, code_hash(account)))
    }))
}

fn code_hash(account: &GenesisAccount) -> B256 {
    if account.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&account.code) }
}
