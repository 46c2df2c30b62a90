//! A small state in memory: what a genesis file says, and what is done to it before there is a block.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use lonja_primitives::genesis::GenesisAccount;
use lonja_primitives::{Account, StateChanges, StateError, StateView};
use std::collections::BTreeMap;

/// Accounts, storage and code, all of it at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    accounts: BTreeMap<Address, (Account, BTreeMap<U256, U256>)>,
    codes: BTreeMap<B256, Bytes>,
}

impl MemoryState {
    /// The empty state with these changes.
    pub fn new(changes: &StateChanges) -> Self {
        let mut state = Self::default();
        state.apply(changes);
        state
    }

    /// Moves on by a delta.
    pub fn apply(&mut self, changes: &StateChanges) {
        self.codes.extend(changes.codes.clone());
        for (address, change) in &changes.accounts {
            let Some(account) = change.account else {
                self.accounts.remove(address);
                continue;
            };
            let entry = self.accounts.entry(*address).or_default();
            entry.0 = account;
            if change.storage_wiped {
                entry.1.clear();
            }
            entry.1.extend(&change.storage);
            entry.1.retain(|_, value| !value.is_zero());
        }
    }

    /// One account as a genesis file has it.
    pub fn genesis_account(&self, address: &Address) -> GenesisAccount {
        let Some((account, storage)) = self.accounts.get(address) else { return GenesisAccount::default() };
        let code = self.codes.get(&account.code_hash).cloned().unwrap_or_default();
        GenesisAccount { balance: account.balance, nonce: account.nonce, code, storage: storage.clone() }
    }
}

impl StateView for MemoryState {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(address).map(|(account, _)| *account))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        let account = self.accounts.get(address);
        Ok(account.and_then(|(_, storage)| storage.get(slot)).copied().unwrap_or_default())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        Ok(self.accounts.get(address).is_some_and(|(_, storage)| !storage.is_empty()))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        Ok(self.codes.get(code_hash).cloned().unwrap_or_default())
    }

    fn block_hash(&self, _: u64) -> Result<B256, StateError> {
        Ok(B256::ZERO)
    }
}
