//! The state after a block, read only.
//!
//! Flat tables hold the newest state; the history holds, for each change, the value before it. A state of
//! block `n` is read so: first the flat value, then, unless no block above `n` has been begun to be written,
//! the first history entry of that key above `n`. If there is one, its value is the answer; if not, nobody
//! changed the key since and the flat value is. A block is one atomic batch and the number of the newest
//! begun one is raised before it, so a value of a later block is never seen without the entry that corrects
//! it.
//!
//! A chain only grows. The private state can be led back to an earlier block ([`crate::private`]), and every look
//! that this may have crossed is refused: states remember the generation in which they were made.

use crate::codec::{FlatAccount, decode_header, decode_slot};
use crate::reader::Head;
use crate::recent::RecentState;
use crate::tables::{account_key, history_key, slot_hash, slot_key};
use crate::{Kv, KvRead, StoreError, Table};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use arc_swap::ArcSwap;
use lonja_primitives::{Account, StateError, StateView};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the writer tells all readers.
pub(crate) struct Progress {
    /// Newest block whose batch was begun: raised before the batch.
    pub(crate) begun: AtomicU64,
    /// Newest block whose batch is written: raised after the batch.
    pub(crate) written: AtomicU64,
    /// Oldest block whose state can be read: raised before any of its history goes.
    pub(crate) horizon: AtomicU64,
    /// Oldest block above block 0 that is stored; 0 where all are. Lowered after a batch.
    pub(crate) floor: AtomicU64,
    /// The block whose state the stored trie nodes are of: raised after the batch.
    pub(crate) stored_trie: AtomicU64,
    /// Newest durable block.
    pub(crate) head: ArcSwap<Head>,
    /// How often the state began or ended to be led back to an earlier block: odd meanwhile.
    pub(crate) generation: AtomicU64,
    /// Set by a failed write or sync: what is on disk is then unknown.
    pub(crate) broken: AtomicBool,
}

impl Progress {
    pub(crate) fn at(head: Head, horizon: u64, floor: u64, stored_trie: u64) -> Self {
        Self {
            begun: AtomicU64::new(head.number),
            written: AtomicU64::new(head.number),
            horizon: AtomicU64::new(horizon),
            floor: AtomicU64::new(floor),
            stored_trie: AtomicU64::new(stored_trie),
            head: ArcSwap::from_pointee(head),
            generation: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        }
    }

    pub(crate) fn refuse_if_broken(&self) -> Result<(), StoreError> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("an earlier write failed; restart the node".to_owned())),
            false => Ok(()),
        }
    }

    /// The generation, for a look that [`Progress::refuse_if_led_back`] ends. `Busy` while the state is led back.
    pub(crate) fn begin_look(&self) -> Result<u64, StoreError> {
        let generation = self.generation.load(Ordering::SeqCst);
        match generation.is_multiple_of(2) {
            true => Ok(generation),
            false => self.refuse_if_broken().and_then(|()| Err(led_back())),
        }
    }

    /// Whether what was read since this generation is all of one state.
    pub(crate) fn refuse_if_led_back(&self, since: u64) -> Result<(), StoreError> {
        match self.generation.load(Ordering::SeqCst) == since {
            true => Ok(()),
            false => Err(led_back()),
        }
    }
}

fn led_back() -> StoreError {
    StoreError::Busy("the state is being led back to an earlier block".to_owned())
}

/// What the flat table held under a key after a block, from a look at one instant after it.
pub(crate) fn value_after(
    kv: &dyn KvRead,
    (flat, history): (Table, Table),
    key: &[u8],
    number: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let above = history_key(key, number.saturating_add(1));
    match kv.first_from(history, &above, Some(&history_key(key, u64::MAX)))? {
        Some((_, before)) => Ok(Some(before).filter(|before| !before.is_empty())),
        None => kv.get(flat, key),
    }
}

/// The state after one block. It never changes; cheap to clone, good for any thread.
#[derive(Clone)]
pub struct StateAt {
    kv: Arc<dyn Kv>,
    progress: Arc<Progress>,
    /// What the writer knows of the newest state; for states it handed out itself.
    recent: Option<Arc<RecentState>>,
    number: u64,
    generation: u64,
    /// Whether the store has the blocks' headers.
    has_headers: bool,
}

impl StateAt {
    pub(crate) fn new(
        kv: Arc<dyn Kv>,
        progress: Arc<Progress>,
        recent: Option<Arc<RecentState>>,
        number: u64,
    ) -> Self {
        let generation = progress.generation.load(Ordering::SeqCst);
        Self { kv, progress, recent, number, generation, has_headers: true }
    }

    /// The same for a store without headers: it knows no block's hash.
    pub(crate) fn without_headers(self) -> Self {
        Self { has_headers: false, ..self }
    }

    /// The block this is the state after.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The account with its storage root.
    pub fn flat_account(&self, address: &Address) -> Result<Option<FlatAccount>, StoreError> {
        let key = account_key(address);
        let decode = |bytes: Vec<u8>| FlatAccount::decode(&bytes);
        let newest = match self.recent.as_ref().and_then(|recent| recent.account(&key)) {
            Some(known) => known,
            None => self.kv.get(Table::Accounts, key.as_slice())?.map(decode).transpose()?,
        };
        match self.changed_later(Table::AccountHistory, key.as_slice())? {
            Some(before) if before.is_empty() => Ok(None),
            Some(before) => decode(before).map(Some),
            None => Ok(newest),
        }
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StoreError> {
        let (account, slot) = (account_key(address), slot_hash(slot));
        let key = slot_key(&account, &slot);
        let newest = match self.recent.as_ref().and_then(|recent| recent.slot(&account, &slot)) {
            Some(known) => known,
            None => decode_slot(&self.kv.get(Table::Slots, &key)?.unwrap_or_default())?,
        };
        match self.changed_later(Table::SlotHistory, &key)? {
            Some(before) => decode_slot(&before),
            None => Ok(newest),
        }
    }

    /// The value before the first block above this one that changed the key. To be asked after the newest
    /// value was read.
    fn changed_later(&self, history: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.progress.begun.load(Ordering::SeqCst) == self.number {
            return self.progress.refuse_if_led_back(self.generation).map(|()| None);
        }
        let above = history_key(key, self.number.saturating_add(1));
        let changed = self.kv.first_from(history, &above, Some(&history_key(key, u64::MAX)))?;
        self.progress.refuse_if_led_back(self.generation)?;
        let oldest = self.progress.horizon.load(Ordering::SeqCst);
        if oldest > self.number {
            return Err(StoreError::NotAvailable { number: self.number, oldest });
        }
        Ok(changed.map(|(_, before)| before))
    }

    fn code_of(&self, hash: &B256) -> Result<Bytes, StoreError> {
        if *hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        let code = self.kv.get(Table::Codes, hash.as_slice())?;
        self.progress.refuse_if_led_back(self.generation)?;
        code.map(Bytes::from).ok_or_else(|| StoreError::damaged(format!("the code {hash} is missing")))
    }

    fn hash_of(&self, number: u64) -> Result<B256, StoreError> {
        if number > self.number || !self.has_headers {
            return Ok(B256::ZERO);
        }
        let header = self.kv.get(Table::Headers, &number.to_be_bytes())?;
        header.map_or(Ok(B256::ZERO), |bytes| Ok(decode_header(&bytes)?.hash()))
    }
}

impl StateView for StateAt {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.flat_account(address)?.map(|flat| flat.account))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.slot(address, slot)?)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        Ok(self.flat_account(address)?.is_some_and(|flat| flat.storage_root != EMPTY_ROOT_HASH))
    }

    fn account_and_storage(&self, address: &Address) -> Result<Option<(Account, bool)>, StateError> {
        let found = self.flat_account(address)?;
        Ok(found.map(|flat| (flat.account, flat.storage_root != EMPTY_ROOT_HASH)))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        Ok(self.code_of(code_hash)?)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        Ok(self.hash_of(number)?)
    }
}
