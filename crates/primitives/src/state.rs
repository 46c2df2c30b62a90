//! State as values: one account, a delta, and the one way to read.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use std::collections::BTreeMap;
use thiserror::Error;

/// What the state holds of an account, apart from its storage. An account that is empty in the sense of
/// EIP-161 is not in the state at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent (or contracts created) so far.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// keccak-256 of the code; [`KECCAK256_EMPTY`] without code.
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl Account {
    /// Empty in the sense of EIP-161: no nonce, no balance, no code.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK256_EMPTY
    }
}

/// Why a state could not be read. All of them mean that our own disk, not a transaction, is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// The state of this block is not kept any more, or not yet there.
    #[error("the state of block {number} is not kept: this node has the states of block {oldest} and later")]
    NotAvailable {
        /// The block whose state was asked for.
        number: u64,
        /// The oldest block whose state can be read.
        oldest: u64,
    },
    /// The store is damaged or refused to answer.
    #[error("the state store failed: {0}")]
    Store(String),
}

/// One consistent state, read only. It never changes under the reader.
pub trait StateView: Send + Sync {
    /// The account, or `None` where there is none.
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError>;
    /// A storage slot's value; zero where nothing is stored.
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError>;
    /// Whether an account has anything stored.
    fn has_storage(&self, address: &Address) -> Result<bool, StateError>;
    /// Both answers about an account; for views that read them together.
    fn account_and_storage(&self, address: &Address) -> Result<Option<(Account, bool)>, StateError> {
        match self.account(address)? {
            Some(account) => Ok(Some((account, self.has_storage(address)?))),
            None => Ok(None),
        }
    }
    /// The code with this hash; empty for [`KECCAK256_EMPTY`].
    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError>;
    /// The hash of an ancestor of the block that is executed on this state (the opcode BLOCKHASH asks for the
    /// last 256); zero where it is unknown.
    fn block_hash(&self, number: u64) -> Result<B256, StateError>;
}

/// What happened to one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// The account after the change; `None` when it was removed.
    pub account: Option<Account>,
    /// Everything stored before is gone (self-destruct); `storage` is applied after that.
    pub storage_wiped: bool,
    /// New values of changed slots; zero removes a slot.
    pub storage: BTreeMap<U256, U256>,
}

/// An ordered delta from one state to the next: the only way state moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// Changed accounts by address.
    pub accounts: BTreeMap<Address, AccountChange>,
    /// Code that was deployed, by hash.
    pub codes: BTreeMap<B256, Bytes>,
}

impl StateChanges {
    /// Applies `later` on top of this delta.
    pub fn merge(&mut self, later: StateChanges) {
        for (address, change) in later.accounts {
            let entry = self.accounts.entry(address).or_default();
            entry.account = change.account;
            if change.storage_wiped {
                entry.storage_wiped = true;
                entry.storage.clear();
            }
            entry.storage.extend(change.storage);
        }
        self.codes.extend(later.codes);
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.codes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wipe_forgets_earlier_slots_and_keeps_later_ones() {
        let address = Address::repeat_byte(1);
        let change = |wiped, slots: &[(u64, u64)]| StateChanges {
            accounts: BTreeMap::from([(
                address,
                AccountChange {
                    account: Some(Account::default()),
                    storage_wiped: wiped,
                    storage: slots.iter().map(|(k, v)| (U256::from(*k), U256::from(*v))).collect(),
                },
            )]),
            codes: BTreeMap::new(),
        };
        let mut all = change(false, &[(1, 1), (2, 2)]);
        all.merge(change(true, &[(3, 3)]));
        all.merge(change(false, &[(1, 9)]));
        assert_eq!(all, change(true, &[(1, 9), (3, 3)]));
    }
}
