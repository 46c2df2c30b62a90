//! The private state in the middle of a block, with contracts that came whole.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use lonja_evm::LayeredView;
use lonja_primitives::{Account, StateChanges, StateError, StateView};
use lonja_storage::Brought;
use std::collections::BTreeSet;

/// A state with a delta on top, and storages that are known by the hashes of their slots. What the delta says of such a
/// storage comes after it.
#[derive(Clone, Copy)]
pub(in crate::private) struct PrivateView<'a> {
    pub(in crate::private) base: &'a dyn StateView,
    pub(in crate::private) changes: &'a StateChanges,
    pub(in crate::private) brought: &'a Brought,
}

impl<'a> PrivateView<'a> {
    fn layered(&self) -> LayeredView<'a> {
        LayeredView { base: self.base, changes: self.changes }
    }
}

fn hash_of(slot: &U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

impl StateView for PrivateView<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.layered().account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        let Some(brought) = self.brought.get(address) else { return self.layered().storage(address, slot) };
        let change = self.changes.accounts.get(address);
        if change.is_some_and(|change| change.account.is_none()) {
            return Ok(U256::ZERO);
        }
        let written = change.and_then(|change| change.storage.get(slot)).copied();
        Ok(written.or_else(|| brought.get(&hash_of(slot)).copied()).unwrap_or_default())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        let layered = self.layered().has_storage(address)?;
        let Some(brought) = self.brought.get(address).filter(|_| !layered) else { return Ok(layered) };
        let change = self.changes.accounts.get(address);
        if change.is_some_and(|change| change.account.is_none()) {
            return Ok(false);
        }
        let cleared: BTreeSet<B256> =
            change.into_iter().flat_map(|change| change.storage.keys().map(hash_of)).collect();
        Ok(brought.keys().any(|slot| !cleared.contains(slot)))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        self.layered().code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.base.block_hash(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::AccountChange;
    use std::collections::BTreeMap;

    /// A state without anything.
    struct Nothing;

    impl StateView for Nothing {
        fn account(&self, _: &Address) -> Result<Option<Account>, StateError> {
            Ok(None)
        }
        fn storage(&self, _: &Address, _: &U256) -> Result<U256, StateError> {
            Ok(U256::from(99))
        }
        fn has_storage(&self, _: &Address) -> Result<bool, StateError> {
            Ok(true)
        }
        fn code(&self, _: &B256) -> Result<Bytes, StateError> {
            Ok(Bytes::new())
        }
        fn block_hash(&self, _: u64) -> Result<B256, StateError> {
            Ok(B256::ZERO)
        }
    }

    const HERE: Address = Address::repeat_byte(1);

    fn looked(account: Option<Account>, written: &[(u64, u64)]) -> ([u64; 3], bool) {
        let number = |(slot, value): &(u64, u64)| (U256::from(*slot), U256::from(*value));
        let storage = written.iter().map(number).collect();
        let change = AccountChange { account, storage_wiped: true, storage };
        let changes = StateChanges { accounts: BTreeMap::from([(HERE, change)]), codes: BTreeMap::default() };
        let slots = [(1, 5), (2, 6)].map(|slot| (hash_of(&number(&slot).0), number(&slot).1));
        let brought = Brought::from([(HERE, BTreeMap::from(slots))]);
        let view = PrivateView { base: &Nothing, changes: &changes, brought: &brought };
        assert_eq!(view.storage(&Address::ZERO, &U256::ZERO).unwrap(), U256::from(99), "below");
        assert!(view.has_storage(&Address::ZERO).unwrap());
        let slot = |slot: u64| view.storage(&HERE, &U256::from(slot)).unwrap().to();
        ([slot(1), slot(2), slot(3)], view.has_storage(&HERE).unwrap())
    }

    #[test]
    fn what_is_written_later_comes_before_what_was_brought() {
        let account = Some(Account::default());
        assert_eq!(looked(account, &[]), ([5, 6, 0], true));
        assert_eq!(looked(account, &[(1, 0), (3, 7)]), ([0, 6, 7], true));
        assert_eq!(looked(account, &[(1, 0)]), ([0, 6, 0], true));
        assert_eq!(looked(account, &[(1, 0), (2, 0)]), ([0, 0, 0], false));
        assert_eq!(looked(None, &[]), ([0, 0, 0], false), "it went");
    }
}
