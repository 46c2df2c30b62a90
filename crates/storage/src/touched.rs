//! Which keys each block changed: the other direction of the history, which goes from a key to the blocks.
//!
//! A key is a hash, and its first eight bytes nearly always name it alone among all keys of the history. Where
//! they do not, all that begin so are taken: whoever asks may be shown keys that did not change, but never
//! misses one that did.

use crate::codec::{Cursor, put_varint};
use crate::tables::prefix_end;
use crate::{KvRead, StoreError, Table};
use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet};

/// The beginning of a hashed account or slot.
pub type Beginning = [u8; 8];

/// The beginnings of the keys that blocks changed: accounts, and slots of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched(pub BTreeMap<Beginning, BTreeSet<Beginning>>);

impl Touched {
    /// Notes an account and the slots of it that changed.
    pub fn note(&mut self, account: &B256, slots: impl Iterator<Item = B256>) {
        self.0.entry(beginning(account)).or_default().extend(slots.map(|slot| beginning(&slot)));
    }

    /// Adds what another list holds.
    pub(crate) fn extend(&mut self, other: Self) {
        for (account, slots) in other.0 {
            self.0.entry(account).or_default().extend(slots);
        }
    }

    /// The stored form: per account: its beginning ++ count of slots as a varint ++ their beginnings.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (account, slots) in &self.0 {
            out.extend_from_slice(account);
            put_varint(slots.len() as u64, &mut out);
            slots.iter().for_each(|slot| out.extend_from_slice(slot));
        }
        out
    }

    /// Adds what a block touched, from its stored form; of slots only those of accounts that `wants` them.
    pub fn add(&mut self, bytes: &[u8], wants: impl Fn(&Beginning) -> bool) -> Result<(), StoreError> {
        self.read(&mut Cursor(bytes), wants)
            .ok_or_else(|| StoreError::damaged("a stored list of keys does not decode"))
    }

    fn read(&mut self, cursor: &mut Cursor<'_>, wants: impl Fn(&Beginning) -> bool) -> Option<()> {
        while !cursor.is_empty() {
            let account = cursor.array()?;
            let slots = self.0.entry(account).or_default();
            for _ in 0..cursor.count(size_of::<Beginning>())? {
                let slot = cursor.array()?;
                if wants(&account) {
                    slots.insert(slot);
                }
            }
        }
        Some(())
    }
}

/// How a hashed key begins.
pub fn beginning(key: &B256) -> Beginning {
    let [a, b, c, d, e, f, g, h, ..] = key.0;
    [a, b, c, d, e, f, g, h]
}

/// The hashed accounts that begin so, of those that any block in the history changed.
pub fn accounts(kv: &dyn KvRead, beginning: &Beginning) -> Result<Vec<B256>, StoreError> {
    keys(kv, Table::AccountHistory, &[], beginning)
}

/// The hashed slots of an account that begin so, of those that any block in the history changed.
pub fn slots(kv: &dyn KvRead, account: &B256, beginning: &Beginning) -> Result<Vec<B256>, StoreError> {
    keys(kv, Table::SlotHistory, account.as_slice(), beginning)
}

/// One seek for each key that is found and one more, however many blocks changed it.
fn keys(kv: &dyn KvRead, table: Table, above: &[u8], beginning: &Beginning) -> Result<Vec<B256>, StoreError> {
    let mut from = [above, beginning].concat();
    let until = prefix_end(&from);
    let mut keys = Vec::new();
    while let Some((found, _)) = kv.first_from(table, &from, until.as_deref())? {
        let key = found.strip_prefix(above).and_then(|key| key.first_chunk::<32>());
        let key =
            key.ok_or_else(|| StoreError::damaged(format!("a key of table {} is too short", table.name())))?;
        keys.push(B256::new(*key));
        match prefix_end(&[above, key.as_slice()].concat()) {
            Some(next) => from = next,
            None => break,
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::history_key;
    use crate::{Batch, Kv, MemoryKv};

    fn list(accounts: &[(u8, &[u8])]) -> Touched {
        let mut list = Touched::default();
        for (account, slots) in accounts {
            list.note(&B256::repeat_byte(*account), slots.iter().map(|slot| B256::repeat_byte(*slot)));
        }
        list
    }

    #[test]
    fn lists_add_up_and_refuse_damage() {
        let mut all = Touched::default();
        all.add(&list(&[(1, &[1, 2]), (2, &[])]).encode(), |_| true).unwrap();
        all.add(&list(&[(1, &[3]), (3, &[1])]).encode(), |_| true).unwrap();
        assert_eq!(all, list(&[(1, &[1, 2, 3]), (2, &[]), (3, &[1])]));
        let bytes = list(&[(1, &[1, 2])]).encode();
        for cut in 1..bytes.len() {
            assert!(Touched::default().add(&bytes[..cut], |_| true).is_err());
        }
        assert!(Touched::default().add(&[&bytes[..], &[0]].concat(), |_| true).is_err());
        assert_eq!(Touched::default().encode(), Vec::<u8>::new());
    }

    #[test]
    fn slots_nobody_wants_are_left_out() {
        let mut some = Touched::default();
        some.add(&list(&[(1, &[1, 2]), (2, &[5])]).encode(), |account| *account == [2; 8]).unwrap();
        assert_eq!(some, list(&[(1, &[]), (2, &[5])]));
    }

    #[test]
    fn all_keys_with_a_beginning_are_found() {
        let kv = MemoryKv::new();
        let mut batch = Batch::default();
        let key = |first: u8, last: u8| {
            let mut key = B256::repeat_byte(first);
            key.0[31] = last;
            key
        };
        for account in [key(1, 0), key(1, 9), key(2, 0), key(0xff, 0xff)] {
            for number in [1, 2, 300] {
                batch.put(Table::AccountHistory, history_key(account.as_slice(), number), []);
                let slot = [account.as_slice(), key(7, 7).as_slice()].concat();
                batch.put(Table::SlotHistory, history_key(&slot, number), []);
            }
        }
        kv.write(batch).unwrap();
        assert_eq!(accounts(&kv, &[1; 8]).unwrap(), [key(1, 0), key(1, 9)]);
        assert!(accounts(&kv, &[3; 8]).unwrap().is_empty());
        assert_eq!(accounts(&kv, &[0xff; 8]).unwrap(), [key(0xff, 0xff)]);
        assert_eq!(slots(&kv, &key(1, 9), &[7; 8]).unwrap(), [key(7, 7)]);
        assert!(slots(&kv, &key(1, 8), &[7; 8]).unwrap().is_empty());
    }
}
