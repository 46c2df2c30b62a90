//! Accounts and slots of the newest state that blocks changed lately: they are the ones that the next block
//! reads.
//!
//! Filled by the writer alone, while it prepares and commits, so that nobody can put an old value in. What is
//! read here is as good as what is read from the flat tables, and is corrected by the history in the same
//! way.

use crate::codec::FlatAccount;
use alloy_primitives::{B256, U256};
use quick_cache::sync::Cache;

/// About what one entry takes, with the cache's own share.
const ACCOUNT_BYTES: u64 = 256;
const SLOT_BYTES: u64 = 192;

/// A bounded cache over the flat tables, by hashed keys. `None` and zero are remembered too.
pub(crate) struct RecentState {
    accounts: Cache<B256, Option<FlatAccount>>,
    slots: Cache<(B256, B256), U256>,
}

impl RecentState {
    /// Half of the memory for accounts, half for slots; `None` for no memory.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let entries = |each: u64| usize::try_from(bytes / 2 / each).unwrap_or(usize::MAX);
        let cache =
            || Self { accounts: Cache::new(entries(ACCOUNT_BYTES)), slots: Cache::new(entries(SLOT_BYTES)) };
        (bytes > 0).then(cache)
    }

    pub(crate) fn account(&self, key: &B256) -> Option<Option<FlatAccount>> {
        self.accounts.get(key)
    }

    pub(crate) fn slot(&self, account: &B256, slot: &B256) -> Option<U256> {
        self.slots.get(&(*account, *slot))
    }

    pub(crate) fn set_account(&self, key: B256, account: Option<FlatAccount>) {
        self.accounts.insert(key, account);
    }

    pub(crate) fn set_slot(&self, account: B256, slot: B256, value: U256) {
        self.slots.insert((account, slot), value);
    }
}
