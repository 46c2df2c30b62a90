//! What a restart does about branches that were held in memory.
//!
//! Flat state and trie are of different blocks then: the state is the newest, the branches are some blocks
//! older. The blocks between left lists of the keys they touched. With every one of these keys as an update
//! to its newest value, the old branches become the newest: leaves outside the list are the same in both, and
//! those in it are looked up nowhere.

use super::store::{Trie, TrieStore};
use super::update::{Update, update};
use crate::codec::{FlatAccount, slot_leaf};
use crate::tables::slot_key;
use crate::touched::{self, Touched};
use crate::{Kv, StoreError, Table};
use alloy_primitives::B256;

/// Brings the tries to the newest state, given the keys that were touched since the state they are of.
/// Nothing is written: the changes are held as those of any block.
pub fn catch_up(kv: &dyn Kv, tries: &TrieStore, touched: &Touched) -> Result<(), StoreError> {
    let mut leaves = Vec::with_capacity(touched.0.len());
    for (beginning, slots) in &touched.0 {
        for account in touched::accounts(kv, beginning)? {
            let mut values = Vec::with_capacity(slots.len());
            for slot in slots {
                for slot in touched::slots(kv, &account, slot)? {
                    let stored = kv.get(Table::Slots, &slot_key(&account, &slot))?;
                    values.push((slot, stored.map(|stored| slot_leaf(&stored))));
                }
            }
            apply(&tries.storage(account), &values)?;
            let stored = kv.get(Table::Accounts, account.as_slice())?;
            let leaf =
                stored.map(|stored| Ok::<_, StoreError>(FlatAccount::decode(&stored)?.leaf())).transpose()?;
            leaves.push((account, leaf));
        }
    }
    apply(&tries.accounts(), &leaves)
}

fn apply(trie: &Trie<'_>, leaves: &[(B256, Option<Vec<u8>>)]) -> Result<(), StoreError> {
    let updates: Vec<Update<'_>> = leaves
        .iter()
        .map(|(key, leaf)| Update { key: *key, value: leaf.as_deref(), existed: false })
        .collect();
    if !updates.is_empty() {
        trie.apply(&update(trie, &updates)?.1);
    }
    Ok(())
}
