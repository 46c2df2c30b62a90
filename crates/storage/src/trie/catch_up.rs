//! What a restart does about branches that were held in memory.
//!
//! Flat state and trie are of different blocks then: the state is the newest, the branches are some blocks
//! older. The blocks between left lists of the keys they touched. With every one of these keys as an update
//! to its newest value, the old branches become the newest: leaves outside the list are the same in both, and
//! those in it are looked up nowhere.

use super::store::{Trie, TrieStore};
use super::update::{Update, update};
use crate::codec::{Cursor, FlatAccount, put_varint, slot_leaf};
use crate::tables::slot_key;
use crate::{Kv, StoreError, Table};
use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet};

/// The hashed keys that blocks changed: accounts, and slots of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched(pub BTreeMap<B256, BTreeSet<B256>>);

impl Touched {
    /// The stored form: count ++ per account: key ++ count of slots ++ their keys; counts as varints.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(self.0.len() as u64, &mut out);
        for (account, slots) in &self.0 {
            out.extend_from_slice(account.as_slice());
            put_varint(slots.len() as u64, &mut out);
            slots.iter().for_each(|slot| out.extend_from_slice(slot.as_slice()));
        }
        out
    }

    /// Adds what a block touched, from its stored form.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.read(&mut Cursor(bytes))
            .ok_or_else(|| StoreError::damaged("a stored list of keys does not decode"))
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        for _ in 0..cursor.count(33)? {
            let slots = self.0.entry(B256::new(cursor.array()?)).or_default();
            for _ in 0..cursor.count(32)? {
                slots.insert(B256::new(cursor.array()?));
            }
        }
        cursor.is_empty().then_some(())
    }
}

/// Brings the tries to the newest state, given the keys that were touched since the state they are of.
/// Nothing is written: the changes are held as those of any block.
pub fn catch_up(kv: &dyn Kv, tries: &TrieStore, touched: &Touched) -> Result<(), StoreError> {
    let mut leaves = Vec::with_capacity(touched.0.len());
    for (account, slots) in &touched.0 {
        let mut values = Vec::with_capacity(slots.len());
        for slot in slots {
            let stored = kv.get(Table::Slots, &slot_key(account, slot))?;
            values.push((*slot, stored.map(|stored| slot_leaf(&stored))));
        }
        apply(&tries.storage(*account), &values)?;
        let stored = kv.get(Table::Accounts, account.as_slice())?;
        let leaf =
            stored.map(|stored| Ok::<_, StoreError>(FlatAccount::decode(&stored)?.leaf())).transpose()?;
        leaves.push((*account, leaf));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_add_up_and_refuse_damage() {
        let list = |accounts: &[(u8, &[u8])]| {
            let account = |(account, slots): &(u8, &[u8])| {
                (B256::repeat_byte(*account), slots.iter().map(|slot| B256::repeat_byte(*slot)).collect())
            };
            Touched(accounts.iter().map(account).collect())
        };
        let mut all = Touched::default();
        all.add(&list(&[(1, &[1, 2]), (2, &[])]).encode()).unwrap();
        all.add(&list(&[(1, &[3]), (3, &[1])]).encode()).unwrap();
        assert_eq!(all, list(&[(1, &[1, 2, 3]), (2, &[]), (3, &[1])]));
        let bytes = all.encode();
        for cut in 0..bytes.len() {
            assert!(Touched::default().add(&bytes[..cut]).is_err());
        }
        assert!(Touched::default().add(&[&bytes[..], &[0]].concat()).is_err());
    }
}
