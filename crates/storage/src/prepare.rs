//! From a delta to what a block will write: the new root, the trie nodes that change, and the values before.

use crate::codec::{FlatAccount, encode_slot, slot_leaf};
use crate::tables::{account_key, history_key, slot_hash, slot_key};
use crate::trie::{NodeChange, TrieStore, Update, build, update};
use crate::{Batch, Kv, StoreError, Table};
use alloy_primitives::B256;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use lonja_primitives::{AccountChange, StateChanges};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Accounts one thread takes at a time; fewer are not worth handing over.
const ACCOUNTS_PER_TASK: usize = 32;

/// What a block will write of the state. Made by [`crate::ChainWriter::prepare`], which writes nothing.
#[derive(Clone, Debug)]
pub struct PreparedState {
    /// State root after the changes.
    pub root: B256,
    /// Hash of the block on whose state the changes stand.
    pub(crate) parent: B256,
    accounts: Vec<AccountDelta>,
    account_nodes: Vec<NodeChange>,
}

/// One account, before and after, in stored form.
#[derive(Clone, Debug)]
struct AccountDelta {
    key: B256,
    before: Option<Vec<u8>>,
    after: Option<FlatAccount>,
    slots: Vec<SlotDelta>,
    storage_nodes: Vec<NodeChange>,
}

/// One slot, before and after, in stored form: empty is zero.
#[derive(Clone, Debug)]
struct SlotDelta {
    key: B256,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// Works out what `changes` do to the newest state, which is that of block `parent`.
pub(crate) fn prepare(
    kv: &dyn Kv,
    tries: &TrieStore,
    parent: B256,
    changes: &StateChanges,
) -> Result<PreparedState, StoreError> {
    let mut hashed: Vec<(B256, &AccountChange)> =
        changes.accounts.iter().map(|(address, change)| (account_key(address), change)).collect();
    hashed.sort_unstable_by_key(|(key, _)| *key);
    let task = |accounts: &[(B256, &AccountChange)]| account_deltas(kv, tries, accounts);
    let deltas: Result<Vec<Vec<AccountDelta>>, StoreError> = match hashed.len() <= ACCOUNTS_PER_TASK {
        true => task(&hashed).map(|deltas| vec![deltas]),
        false => hashed.par_chunks(ACCOUNTS_PER_TASK).map(task).collect(),
    };
    let accounts: Vec<AccountDelta> = deltas?.into_iter().flatten().collect();
    let leaves: Vec<Option<Vec<u8>>> =
        accounts.iter().map(|delta| delta.after.map(|account| account.leaf())).collect();
    let updates: Vec<Update<'_>> = accounts
        .iter()
        .zip(&leaves)
        .map(|(delta, leaf)| Update {
            key: delta.key,
            value: leaf.as_deref(),
            existed: delta.before.is_some(),
        })
        .collect();
    let (root, account_nodes) = update(&tries.accounts(), &updates)?;
    Ok(PreparedState { root, parent, accounts, account_nodes })
}

fn account_deltas(
    kv: &dyn Kv,
    tries: &TrieStore,
    accounts: &[(B256, &AccountChange)],
) -> Result<Vec<AccountDelta>, StoreError> {
    let keys: Vec<&[u8]> = accounts.iter().map(|(key, _)| key.as_slice()).collect();
    let befores = kv.get_many(Table::Accounts, &keys)?;
    let mut deltas = Vec::with_capacity(accounts.len());
    for ((key, change), before) in accounts.iter().zip(befores) {
        deltas.extend(account_delta(kv, tries, *key, change, before)?);
    }
    Ok(deltas)
}

/// `None` where nothing changes in the end.
fn account_delta(
    kv: &dyn Kv,
    tries: &TrieStore,
    key: B256,
    change: &AccountChange,
    before: Option<Vec<u8>>,
) -> Result<Option<AccountDelta>, StoreError> {
    let old_root = match &before {
        Some(bytes) => FlatAccount::decode(bytes)?.storage_root,
        None => EMPTY_ROOT_HASH,
    };
    let nothing = BTreeMap::new();
    let storage = if change.account.is_some() { &change.storage } else { &nothing };
    let wiped = change.storage_wiped || change.account.is_none();
    let (storage_root, slots, storage_nodes) = if wiped && old_root != EMPTY_ROOT_HASH {
        let slots = wiped_slots(kv, key, storage)?;
        rebuild_storage(tries, key, slots)?
    } else {
        let slots = changed_slots(kv, key, storage, old_root)?;
        update_storage(tries, key, old_root, slots)?
    };
    let after = change.account.map(|account| FlatAccount { account, storage_root });
    let same = after.map(|account| account.encode()) == before;
    Ok((!same || !slots.is_empty()).then_some(AccountDelta { key, before, after, slots, storage_nodes }))
}

type Slots = BTreeMap<alloy_primitives::U256, alloy_primitives::U256>;
type StorageDelta = (B256, Vec<SlotDelta>, Vec<NodeChange>);

/// The slots whose value really changes, sorted by hash.
fn changed_slots(
    kv: &dyn Kv,
    account: B256,
    storage: &Slots,
    old_root: B256,
) -> Result<Vec<SlotDelta>, StoreError> {
    let mut slots: Vec<SlotDelta> = storage
        .iter()
        .map(|(slot, value)| SlotDelta {
            key: slot_hash(slot),
            before: Vec::new(),
            after: encode_slot(value),
        })
        .collect();
    slots.sort_unstable_by_key(|slot| slot.key);
    if old_root != EMPTY_ROOT_HASH {
        let keys: Vec<[u8; 64]> = slots.iter().map(|slot| slot_key(&account, &slot.key)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        for (slot, before) in slots.iter_mut().zip(kv.get_many(Table::Slots, &keys)?) {
            slot.before = before.unwrap_or_default();
        }
    }
    slots.retain(|slot| slot.before != slot.after);
    Ok(slots)
}

/// Every stored slot as going, and the new ones as coming, sorted by hash. Slots that keep their value stay in the list:
/// the trie is rebuilt from it.
fn wiped_slots(kv: &dyn Kv, account: B256, storage: &Slots) -> Result<Vec<SlotDelta>, StoreError> {
    let mut slots: BTreeMap<B256, SlotDelta> = storage
        .iter()
        .map(|(slot, value)| (slot_hash(slot), encode_slot(value)))
        .map(|(key, after)| (key, SlotDelta { key, before: Vec::new(), after }))
        .collect();
    let mut sound = true;
    kv.scan(Table::Slots, account.as_slice(), &mut |key, value| {
        let Some(slot) = key.strip_prefix(account.as_slice()) else { return false };
        match B256::try_from(slot) {
            Ok(key) => {
                let delta = SlotDelta { key, before: Vec::new(), after: Vec::new() };
                slots.entry(key).or_insert(delta).before = value.to_vec();
            }
            Err(_) => sound = false,
        }
        sound
    })?;
    if !sound {
        return Err(StoreError::damaged("a key of table slots is too short"));
    }
    Ok(slots.into_values().filter(|slot| !(slot.before.is_empty() && slot.after.is_empty())).collect())
}

fn update_storage(
    tries: &TrieStore,
    account: B256,
    old_root: B256,
    slots: Vec<SlotDelta>,
) -> Result<StorageDelta, StoreError> {
    if slots.is_empty() {
        return Ok((old_root, slots, Vec::new()));
    }
    if old_root == EMPTY_ROOT_HASH {
        let (root, nodes) = build(&leaves_of(&slots));
        return Ok((root, slots, nodes));
    }
    let leaves: Vec<Vec<u8>> = slots.iter().map(|slot| slot_leaf(&slot.after)).collect();
    let updates: Vec<Update<'_>> = slots
        .iter()
        .zip(&leaves)
        .map(|(slot, leaf)| Update {
            key: slot.key,
            value: (!slot.after.is_empty()).then_some(leaf.as_slice()),
            existed: !slot.before.is_empty(),
        })
        .collect();
    let (root, nodes) = update(&tries.storage(account), &updates)?;
    Ok((root, slots, nodes))
}

/// After a wipe: the old trie goes as a whole, the new one is built from what was written since.
fn rebuild_storage(
    tries: &TrieStore,
    account: B256,
    mut slots: Vec<SlotDelta>,
) -> Result<StorageDelta, StoreError> {
    let (root, mut nodes) = build(&leaves_of(&slots));
    slots.retain(|slot| slot.before != slot.after);
    let stays: BTreeSet<Nibbles> = nodes.iter().map(|(path, _)| *path).collect();
    let goes = tries.storage(account).paths()?.into_iter().filter(|path| !stays.contains(path));
    nodes.extend(goes.map(|path| (path, None)));
    Ok((root, slots, nodes))
}

fn leaves_of(slots: &[SlotDelta]) -> Vec<(B256, Cow<'static, [u8]>)> {
    slots
        .iter()
        .filter(|slot| !slot.after.is_empty())
        .map(|slot| (slot.key, Cow::Owned(slot_leaf(&slot.after))))
        .collect()
}

impl PreparedState {
    /// Adds the flat state and the trie to a batch.
    pub(crate) fn write_state(&self, tries: &TrieStore, batch: &mut Batch) {
        for delta in &self.accounts {
            match &delta.after {
                Some(account) => batch.put(Table::Accounts, *delta.key, account.encode()),
                None => batch.delete(Table::Accounts, *delta.key),
            }
            for slot in &delta.slots {
                let key = slot_key(&delta.key, &slot.key);
                match slot.after.is_empty() {
                    false => batch.put(Table::Slots, key, slot.after.clone()),
                    true => batch.delete(Table::Slots, key),
                }
            }
            tries.storage(delta.key).write(&delta.storage_nodes, batch);
        }
        tries.accounts().write(&self.account_nodes, batch);
    }

    /// Adds the values before the block to a batch.
    pub(crate) fn write_history(&self, number: u64, batch: &mut Batch) {
        for delta in &self.accounts {
            let before = delta.before.clone().unwrap_or_default();
            batch.put(Table::AccountHistory, history_key(delta.key.as_slice(), number), before);
            for slot in &delta.slots {
                let key = history_key(&slot_key(&delta.key, &slot.key), number);
                batch.put(Table::SlotHistory, key, slot.before.clone());
            }
        }
    }

    /// Must follow the write of [`PreparedState::write_state`].
    pub(crate) fn written(&self, tries: &TrieStore) {
        for delta in &self.accounts {
            tries.written(Some(delta.key), &delta.storage_nodes);
        }
        tries.written(None, &self.account_nodes);
    }
}
