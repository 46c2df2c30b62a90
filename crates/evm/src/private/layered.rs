//! States made of two: a delta over a state, and a private state over the public one.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use lonja_primitives::{Account, StateChanges, StateError, StateView};

/// A state with a delta on top.
#[derive(Clone, Copy)]
pub struct LayeredView<'a> {
    /// The state below.
    pub base: &'a dyn StateView,
    /// What changed since.
    pub changes: &'a StateChanges,
}

impl StateView for LayeredView<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.changes.accounts.get(address) {
            Some(change) => Ok(change.account),
            None => self.base.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        let Some(change) = self.changes.accounts.get(address) else {
            return self.base.storage(address, slot);
        };
        match change.storage.get(slot) {
            _ if change.account.is_none() => Ok(U256::ZERO),
            Some(value) => Ok(*value),
            None if change.storage_wiped => Ok(U256::ZERO),
            None => self.base.storage(address, slot),
        }
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        let Some(change) = self.changes.accounts.get(address) else { return self.base.has_storage(address) };
        let written = change.account.is_some() && change.storage.values().any(|value| !value.is_zero());
        let wiped = change.account.is_none() || change.storage_wiped;
        Ok(written || (!wiped && self.base.has_storage(address)?))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        match self.changes.codes.get(code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.base.block_hash(number)
    }
}

/// A private state over the public one: what the private state has is private, everything else public.
#[derive(Clone, Copy)]
pub struct DualView<'a> {
    /// The private state.
    pub private: &'a dyn StateView,
    /// The public state.
    pub public: &'a dyn StateView,
}

impl DualView<'_> {
    fn owner(&self, address: &Address) -> Result<&dyn StateView, StateError> {
        Ok(if self.private.account(address)?.is_some() { self.private } else { self.public })
    }
}

impl StateView for DualView<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.private.account(address)? {
            Some(account) => Ok(Some(account)),
            None => self.public.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.owner(address)?.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        self.owner(address)?.has_storage(address)
    }

    fn account_and_storage(&self, address: &Address) -> Result<Option<(Account, bool)>, StateError> {
        match self.private.account_and_storage(address)? {
            Some(found) => Ok(Some(found)),
            None => self.public.account_and_storage(address),
        }
    }

    /// Code is found by its hash, whichever state names it; a store that has none with this hash says so by an error.
    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        match self.private.code(code_hash) {
            Ok(code) if !code.is_empty() => Ok(code),
            _ => self.public.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.public.block_hash(number)
    }
}
