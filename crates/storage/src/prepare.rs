//! From a delta to what a block will write: the new root, the trie nodes that change, and the values before.

use crate::codec::{FlatAccount, decode_slot, encode_slot};
use crate::recent::RecentState;
use crate::tables::{account_key, history_key, slot_hash, slot_key};
use crate::touched::Touched;
use crate::trie::{NodeChange, TrieStore, Update, build, update};
use crate::{Batch, Kv, StoreError, Table};
use alloy_primitives::{Address, B256, U256};
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

/// One account, before and after.
#[derive(Clone, Debug)]
struct AccountDelta {
    key: B256,
    before: Option<FlatAccount>,
    after: Option<FlatAccount>,
    slots: Vec<SlotDelta>,
    storage_nodes: Vec<NodeChange>,
}

/// One slot, before and after.
#[derive(Clone, Copy, Debug)]
struct SlotDelta {
    key: B256,
    before: U256,
    after: U256,
}

/// Whole storages whose slots are known by their hashes alone, by account: values by slot#. Each goes with a change of
/// that account in which its storage is wiped; slots that this change names take precedence.
pub type Brought = BTreeMap<Address, BTreeMap<B256, U256>>;

/// What happens to one account.
#[derive(Clone, Copy)]
struct Changed<'a> {
    key: B256,
    change: &'a AccountChange,
    brought: Option<&'a BTreeMap<B256, U256>>,
}

/// The newest state, as the writer reads it.
#[derive(Clone, Copy)]
pub(crate) struct Newest<'a> {
    pub(crate) kv: &'a dyn Kv,
    pub(crate) tries: &'a TrieStore,
    pub(crate) recent: Option<&'a RecentState>,
}

impl Newest<'_> {
    /// Works out what `changes` do to this state, which is that of block `parent`.
    pub(crate) fn prepare(&self, parent: B256, changes: &StateChanges) -> Result<PreparedState, StoreError> {
        self.prepare_with(parent, changes, &Brought::new())
    }

    /// The same with storages that are brought whole.
    pub(crate) fn prepare_with(
        &self,
        parent: B256,
        changes: &StateChanges,
        brought: &Brought,
    ) -> Result<PreparedState, StoreError> {
        let changed = |(address, change)| {
            let brought = brought.get(address);
            Changed { key: account_key(address), change, brought }
        };
        let mut hashed: Vec<Changed<'_>> = changes.accounts.iter().map(changed).collect();
        hashed.sort_unstable_by_key(|changed| changed.key);
        let deltas: Result<Vec<Vec<AccountDelta>>, StoreError> = match hashed.len() <= ACCOUNTS_PER_TASK {
            true => self.account_deltas(&hashed).map(|deltas| vec![deltas]),
            false => hashed.par_chunks(ACCOUNTS_PER_TASK).map(|task| self.account_deltas(task)).collect(),
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
        let (root, account_nodes) = update(&self.tries.accounts(), &updates)?;
        Ok(PreparedState { root, parent, accounts, account_nodes })
    }

    fn account_deltas(&self, accounts: &[Changed<'_>]) -> Result<Vec<AccountDelta>, StoreError> {
        let keys: Vec<B256> = accounts.iter().map(|changed| changed.key).collect();
        let befores = self.accounts(&keys)?;
        let mut deltas = Vec::with_capacity(accounts.len());
        for (changed, before) in accounts.iter().zip(befores) {
            deltas.extend(self.account_delta(changed, before)?);
        }
        Ok(deltas)
    }

    /// `None` where nothing changes in the end.
    fn account_delta(
        &self,
        changed: &Changed<'_>,
        before: Option<FlatAccount>,
    ) -> Result<Option<AccountDelta>, StoreError> {
        let Changed { key, change, brought } = *changed;
        let old_root = before.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
        let nothing = BTreeMap::new();
        let storage = if change.account.is_some() { &change.storage } else { &nothing };
        let wiped = change.storage_wiped || change.account.is_none();
        let brought = brought.filter(|_| change.account.is_some());
        let rebuilt = wiped && (old_root != EMPTY_ROOT_HASH || brought.is_some());
        let (storage_root, slots, storage_nodes) = if rebuilt {
            self.rebuild_storage(key, self.wiped_slots(key, storage, brought)?)?
        } else {
            self.update_storage(key, old_root, self.changed_slots(key, storage, old_root)?)?
        };
        let after = change.account.map(|account| FlatAccount { account, storage_root });
        let changes = after != before || !slots.is_empty();
        Ok(changes.then_some(AccountDelta { key, before, after, slots, storage_nodes }))
    }

    fn accounts(&self, keys: &[B256]) -> Result<Vec<Option<FlatAccount>>, StoreError> {
        let known: Vec<_> =
            keys.iter().map(|key| self.recent.and_then(|recent| recent.account(key))).collect();
        let unknown = || keys.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(key, _)| key);
        let wanted: Vec<&[u8]> = unknown().map(|key| key.as_slice()).collect();
        let mut read = Vec::with_capacity(wanted.len());
        for (key, bytes) in unknown().zip(self.kv.get_many(Table::Accounts, &wanted)?) {
            let account = bytes.map(|bytes| FlatAccount::decode(&bytes)).transpose()?;
            if let Some(recent) = self.recent {
                recent.set_account(*key, account);
            }
            read.push(account);
        }
        let mut read = read.into_iter();
        Ok(known.into_iter().map(|known| known.unwrap_or_else(|| read.next().flatten())).collect())
    }

    /// The slots whose value really changes, sorted by hash.
    fn changed_slots(
        &self,
        account: B256,
        storage: &BTreeMap<U256, U256>,
        old_root: B256,
    ) -> Result<Vec<SlotDelta>, StoreError> {
        let delta = |(slot, after): (&U256, &U256)| SlotDelta {
            key: slot_hash(slot),
            before: U256::ZERO,
            after: *after,
        };
        let mut slots: Vec<SlotDelta> = storage.iter().map(delta).collect();
        slots.sort_unstable_by_key(|slot| slot.key);
        if old_root != EMPTY_ROOT_HASH {
            self.read_slots(account, &mut slots)?;
        }
        slots.retain(|slot| slot.before != slot.after);
        Ok(slots)
    }

    fn read_slots(&self, account: B256, slots: &mut [SlotDelta]) -> Result<(), StoreError> {
        let mut unknown = Vec::new();
        for slot in slots {
            match self.recent.and_then(|recent| recent.slot(&account, &slot.key)) {
                Some(value) => slot.before = value,
                None => unknown.push(slot),
            }
        }
        let keys: Vec<[u8; 64]> = unknown.iter().map(|slot| slot_key(&account, &slot.key)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        for (slot, bytes) in unknown.into_iter().zip(self.kv.get_many(Table::Slots, &keys)?) {
            slot.before = decode_slot(&bytes.unwrap_or_default())?;
            if let Some(recent) = self.recent {
                recent.set_slot(account, slot.key, slot.before);
            }
        }
        Ok(())
    }

    /// Every stored slot as going, and the new ones as coming, sorted by hash. Slots that keep their value
    /// stay in the list: the trie is rebuilt from it.
    fn wiped_slots(
        &self,
        account: B256,
        storage: &BTreeMap<U256, U256>,
        brought: Option<&BTreeMap<B256, U256>>,
    ) -> Result<Vec<SlotDelta>, StoreError> {
        let mut slots: BTreeMap<B256, (U256, U256)> =
            brought.into_iter().flatten().map(|(slot, after)| (*slot, (U256::ZERO, *after))).collect();
        slots.extend(storage.iter().map(|(slot, after)| (slot_hash(slot), (U256::ZERO, *after))));
        let mut fault = None;
        self.kv.scan(Table::Slots, account.as_slice(), &mut |key, value| {
            let Some(slot) = key.strip_prefix(account.as_slice()) else { return false };
            match (B256::try_from(slot), decode_slot(value)) {
                (Ok(key), Ok(before)) => slots.entry(key).or_default().0 = before,
                _ => {
                    fault = Some(StoreError::damaged(format!("a slot of account {account} does not decode")))
                }
            }
            fault.is_none()
        })?;
        match fault {
            Some(fault) => Err(fault),
            None => Ok(slots
                .into_iter()
                .map(|(key, (before, after))| SlotDelta { key, before, after })
                .filter(|slot| !(slot.before.is_zero() && slot.after.is_zero()))
                .collect()),
        }
    }

    fn update_storage(
        &self,
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
        let leaves: Vec<Vec<u8>> = slots.iter().map(|slot| alloy_rlp::encode(slot.after)).collect();
        let updates: Vec<Update<'_>> = slots
            .iter()
            .zip(&leaves)
            .map(|(slot, leaf)| Update {
                key: slot.key,
                value: (!slot.after.is_zero()).then_some(leaf.as_slice()),
                existed: !slot.before.is_zero(),
            })
            .collect();
        let (root, nodes) = update(&self.tries.storage(account), &updates)?;
        Ok((root, slots, nodes))
    }

    /// After a wipe: the old trie goes as a whole, the new one is built from what was written since.
    fn rebuild_storage(&self, account: B256, mut slots: Vec<SlotDelta>) -> Result<StorageDelta, StoreError> {
        let (root, mut nodes) = build(&leaves_of(&slots));
        slots.retain(|slot| slot.before != slot.after);
        let stays: BTreeSet<Nibbles> = nodes.iter().map(|(path, _)| *path).collect();
        let goes = self.tries.storage(account).paths()?.into_iter().filter(|path| !stays.contains(path));
        nodes.extend(goes.map(|path| (path, None)));
        Ok((root, slots, nodes))
    }
}

type StorageDelta = (B256, Vec<SlotDelta>, Vec<NodeChange>);

fn leaves_of(slots: &[SlotDelta]) -> Vec<(B256, Cow<'static, [u8]>)> {
    slots
        .iter()
        .filter(|slot| !slot.after.is_zero())
        .map(|slot| (slot.key, Cow::Owned(alloy_rlp::encode(slot.after))))
        .collect()
}

impl PreparedState {
    /// An account after the changes, with its storage root: `None` where they leave it as it was, `Some(None)` where it
    /// goes.
    pub fn account(&self, address: &Address) -> Option<Option<FlatAccount>> {
        let key = account_key(address);
        let place = self.accounts.binary_search_by_key(&key, |delta| delta.key).ok()?;
        self.accounts.get(place).map(|delta| delta.after)
    }

    /// Adds the flat state to a batch.
    pub(crate) fn write_state(&self, batch: &mut Batch) {
        for delta in &self.accounts {
            match &delta.after {
                _ if delta.after == delta.before => {}
                Some(account) => batch.put(Table::Accounts, *delta.key, account.encode()),
                None => batch.delete(Table::Accounts, *delta.key),
            }
            for slot in &delta.slots {
                let key = slot_key(&delta.key, &slot.key);
                match slot.after.is_zero() {
                    false => batch.put(Table::Slots, key, encode_slot(&slot.after)),
                    true => batch.delete(Table::Slots, key),
                }
            }
        }
    }

    /// Adds the values before the block to a batch.
    pub(crate) fn write_history(&self, number: u64, batch: &mut Batch) {
        for delta in &self.accounts {
            if delta.after != delta.before {
                let before = delta.before.map(|account| account.encode()).unwrap_or_default();
                batch.put(Table::AccountHistory, history_key(delta.key.as_slice(), number), before);
            }
            for slot in &delta.slots {
                let key = history_key(&slot_key(&delta.key, &slot.key), number);
                batch.put(Table::SlotHistory, key, encode_slot(&slot.before));
            }
        }
    }

    /// The keys that change.
    pub(crate) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for delta in &self.accounts {
            touched.note(&delta.key, delta.slots.iter().map(|slot| slot.key));
        }
        touched
    }

    /// Makes the new trie nodes those of the newest state.
    pub(crate) fn apply_nodes(&self, tries: &TrieStore) {
        for delta in &self.accounts {
            if !delta.storage_nodes.is_empty() {
                tries.storage(delta.key).apply(&delta.storage_nodes);
            }
        }
        tries.accounts().apply(&self.account_nodes);
    }

    /// Makes the new values those of the newest state. Must follow the write of
    /// [`PreparedState::write_state`].
    pub(crate) fn apply_values(&self, recent: &RecentState) {
        for delta in &self.accounts {
            recent.set_account(delta.key, delta.after);
            for slot in &delta.slots {
                recent.set_slot(delta.key, slot.key, slot.after);
            }
        }
    }
}
