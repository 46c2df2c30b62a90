//! The one writer of the private state: prepares, commits, goes on, and removes what is to be forgotten.

use super::codec::{BlockRow, bloom_of, contract_key, receipt_key, seen_key};
use super::open::pointer;
use super::reader::{block_row, receipts_of};
use super::{Fate, PrivateBlock};
use crate::prepare::{Brought, Newest, PreparedState};
use crate::reader::Head;
use crate::recent::RecentState;
use crate::state::{Progress, StateAt};
use crate::tables::{META_HEAD, META_HORIZON, META_TRIE};
use crate::trie::TrieStore;
use crate::writer::{horizon_after, write_codes};
use crate::{Batch, Kv, StoreError, Table};
use alloy_primitives::{B256, keccak256};
use lonja_primitives::StateChanges;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// History beyond what is to be kept is dropped by so many blocks at a time: each time costs a sync of the disk.
const FORGET_BLOCKS: u64 = 1_024;

/// Writes the private state, block after block. There is one per store, and it cannot be cloned. After a failed
/// write it refuses everything: what is on disk is unknown then.
pub struct PrivateWriter {
    pub(super) kv: Arc<dyn Kv>,
    pub(super) tries: TrieStore,
    pub(super) progress: Arc<Progress>,
    /// Newest block written.
    pub(super) written: Head,
    /// Root of the private state after it.
    pub(super) root: B256,
    pub(super) recent: Option<Arc<RecentState>>,
}

impl PrivateWriter {
    pub(super) fn new(
        kv: Arc<dyn Kv>,
        tries: TrieStore,
        progress: Arc<Progress>,
        written: Head,
        root: B256,
    ) -> Self {
        let recent = recent_state(&*kv);
        Self { kv, tries, progress, written, root, recent }
    }

    /// The newest block whose private transactions are executed.
    pub fn head(&self) -> Head {
        self.written
    }

    /// Root of the newest private state.
    pub fn root(&self) -> B256 {
        self.root
    }

    /// The newest private state, for execution of the next block. It knows no block hashes.
    pub fn state(&self) -> StateAt {
        let (kv, progress) = (self.kv.clone(), self.progress.clone());
        StateAt::new(kv, progress, self.recent.clone(), self.written.number).without_headers()
    }

    /// The root after `changes` on the newest private state, with all that [`PrivateWriter::commit`] will write for
    /// them. Reads only.
    pub fn prepare(&self, changes: &StateChanges) -> Result<PreparedState, StoreError> {
        self.prepare_with(changes, &Brought::new())
    }

    /// As [`PrivateWriter::prepare`], with storages that come whole from elsewhere.
    pub fn prepare_with(
        &self,
        changes: &StateChanges,
        brought: &Brought,
    ) -> Result<PreparedState, StoreError> {
        let newest = Newest { kv: &*self.kv, tries: &self.tries, recent: self.recent.as_deref() };
        newest.prepare_with(self.stamp(), changes, brought)
    }

    /// Writes what the next block did, in one atomic batch, and shows it to the readers; a block without anything
    /// private only moves the pointer. It survives a killed process, but not a power cut. Errors are reasons to halt:
    /// the block does not follow the newest one, or its changes were prepared on another state (`OutOfOrder`); the
    /// store failed.
    pub fn commit(&mut self, block: &PrivateBlock<'_>) -> Result<(), StoreError> {
        self.progress.refuse_if_broken()?;
        self.check(block)?;
        if block.is_empty() {
            return self.advance(block.number, block.hash);
        }
        let row = self.row(block)?;
        self.progress.begun.store(block.number, Ordering::SeqCst);
        block.prepared.apply_nodes(&self.tries);
        let mut batch = Batch::default();
        write_rows(block, &row, &mut batch);
        let horizon = self.horizon_to_write(block.number);
        if let Some(horizon) = horizon {
            batch.put(Table::Meta, META_HORIZON, horizon.to_be_bytes());
        }
        self.write(batch, &Head { number: block.number, hash: block.hash })?;
        self.root = block.prepared.root;
        if let Some(recent) = &self.recent {
            block.prepared.apply_values(recent);
        }
        horizon.map_or(Ok(()), |horizon| self.forget(horizon))
    }

    /// Moves on to a later block: neither it nor those between have anything private. Cheap. Errors: the block is not
    /// a later one (`OutOfOrder`); the store failed.
    pub fn advance(&mut self, number: u64, hash: B256) -> Result<(), StoreError> {
        self.progress.refuse_if_broken()?;
        if number <= self.written.number {
            return Err(self.refuse(number, &hash, "it is no later block"));
        }
        self.progress.begun.store(number, Ordering::SeqCst);
        self.write(Batch::default(), &Head { number, hash })
    }

    /// Makes everything so far durable. Not needed block by block: what a power cut takes is executed again.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.progress.refuse_if_broken()?;
        self.kv.sync().inspect_err(|_| self.progress.broken.store(true, Ordering::SeqCst))
    }

    /// Removes what a private transaction gave (logs, output, inner transaction, its share of the bloom filter) and
    /// notes that it was erased; what it did to the state stays. Answers whether there was anything. The bytes stand
    /// in the files until [`PrivateWriter::scrub`].
    pub fn erase_receipt(&mut self, number: u64, index: u32) -> Result<bool, StoreError> {
        self.progress.refuse_if_broken()?;
        let Some(mut row) = block_row(&*self.kv, number)? else { return Ok(false) };
        let mut receipts = receipts_of(&*self.kv, number)?;
        let count = receipts.len();
        receipts.retain(|(other, _)| *other != index);
        if receipts.len() == count {
            return Ok(false);
        }
        row.bloom = bloom_of(receipts.iter().flat_map(|(_, receipt)| &receipt.logs));
        let mut batch = Batch::default();
        batch.delete(Table::PrivateReceipts, receipt_key(number, index));
        batch.put(Table::PrivateBlocks, number.to_be_bytes(), row.encode());
        for (_, payload) in row.seen.iter().filter(|(other, _)| *other == index) {
            let key = seen_key(payload, number, index);
            // What was read only ran nowhere here, and is not taken for something that did.
            if self.kv.get(Table::Seen, &key)?.as_deref() != Some(&Fate::Read.encode()) {
                batch.put(Table::Seen, key, Fate::Erased.encode());
            }
        }
        self.write_batch(batch)?;
        Ok(true)
    }

    /// Removes from the files what was deleted or replaced before, and makes the store durable ([`Kv::scrub`]).
    pub fn scrub(&self) -> Result<(), StoreError> {
        self.progress.refuse_if_broken()?;
        self.kv.scrub()
    }

    /// Names the state that changes are prepared on.
    fn stamp(&self) -> B256 {
        keccak256([self.written.hash.as_slice(), self.root.as_slice()].concat())
    }

    pub(super) fn refuse(&self, number: u64, hash: &B256, why: &str) -> StoreError {
        let head = &self.written;
        StoreError::OutOfOrder(format!(
            "block {number} {hash} of the private state: {why}; the newest is {} {}",
            head.number, head.hash
        ))
    }

    fn check(&self, block: &PrivateBlock<'_>) -> Result<(), StoreError> {
        let refuse = |why: &str| Err(self.refuse(block.number, &block.hash, why));
        if Some(block.number) != self.written.number.checked_add(1) {
            return refuse("it is not the next one");
        }
        if block.prepared.parent != self.stamp() {
            return refuse("its changes were prepared on another state");
        }
        let receipts: Vec<u32> = block.receipts.iter().map(|(index, _)| *index).collect();
        let seen: Vec<u32> = block.seen.iter().map(|(_, index, _)| *index).collect();
        // A marker names two payloads.
        match receipts.is_sorted_by(|left, right| left < right) && seen.is_sorted() {
            true => Ok(()),
            false => refuse("its transactions are out of order"),
        }
    }

    fn row(&self, block: &PrivateBlock<'_>) -> Result<BlockRow, StoreError> {
        let mut codes = Vec::new();
        for hash in block.changes.codes.keys() {
            if self.kv.get(Table::Codes, hash.as_slice())?.is_none() {
                codes.push(*hash);
            }
        }
        Ok(BlockRow {
            root: block.prepared.root,
            hash: block.hash,
            bloom: bloom_of(block.receipts.iter().flat_map(|(_, receipt)| &receipt.logs)),
            seen: block.seen.iter().map(|(payload, index, _)| (*index, *payload)).collect(),
            contracts: block.contracts.iter().map(|(address, _)| *address).collect(),
            codes,
        })
    }

    /// Writes a batch, with trie nodes when they are due, as what makes `head` the newest block.
    fn write(&mut self, mut batch: Batch, head: &Head) -> Result<(), StoreError> {
        batch.put(Table::Meta, META_HEAD, pointer(head));
        let trie_is_due = self.trie_is_due(head.number);
        if trie_is_due {
            self.tries.write_all(&mut batch);
            batch.put(Table::Meta, META_TRIE, head.number.to_be_bytes());
        }
        self.write_batch(batch)?;
        if trie_is_due {
            self.tries.all_written();
            self.progress.stored_trie.store(head.number, Ordering::SeqCst);
        }
        self.show(head);
        Ok(())
    }

    /// Makes a block the newest, for the writer and the readers.
    pub(super) fn show(&mut self, head: &Head) {
        self.progress.begun.store(head.number, Ordering::SeqCst);
        self.progress.written.store(head.number, Ordering::SeqCst);
        self.written = *head;
        self.progress.head.store(Arc::new(*head));
    }

    pub(super) fn write_batch(&self, batch: Batch) -> Result<(), StoreError> {
        self.kv.write(batch).inspect_err(|_| self.progress.broken.store(true, Ordering::SeqCst))
    }

    fn trie_is_due(&self, number: u64) -> bool {
        let (tuning, unwritten) = (self.kv.tuning(), self.tries.unwritten_bytes());
        let blocks = number.saturating_sub(self.progress.stored_trie.load(Ordering::SeqCst));
        blocks > tuning.trie_lag_blocks || unwritten > tuning.trie_lag_bytes
    }

    /// The oldest state to be kept after a block, where enough can be dropped.
    fn horizon_to_write(&self, number: u64) -> Option<u64> {
        let now = self.progress.horizon.load(Ordering::SeqCst);
        let horizon = horizon_after(number, self.kv.tuning().history, now);
        (horizon.saturating_sub(now) >= FORGET_BLOCKS).then_some(horizon)
    }

    /// Lets go of the history up to a block, once that this is the oldest state is durable.
    fn forget(&self, horizon: u64) -> Result<(), StoreError> {
        self.sync()?;
        self.progress.horizon.store(horizon, Ordering::SeqCst);
        self.kv.forget_history(horizon.min(self.progress.stored_trie.load(Ordering::SeqCst)));
        Ok(())
    }
}

/// What the writer remembers of the newest state, as the store was tuned.
pub(super) fn recent_state(kv: &dyn Kv) -> Option<Arc<RecentState>> {
    RecentState::new(kv.tuning().state_cache_bytes).map(Arc::new)
}

/// Adds all that a block writes, but for trie nodes and the pointers.
fn write_rows(block: &PrivateBlock<'_>, row: &BlockRow, batch: &mut Batch) {
    let number = block.number;
    block.prepared.write_history(number, batch);
    block.prepared.write_state(batch);
    write_codes(block.changes, batch);
    let touched = block.prepared.touched();
    if !touched.0.is_empty() {
        batch.put(Table::Touched, number.to_be_bytes(), touched.encode());
    }
    batch.put(Table::PrivateBlocks, number.to_be_bytes(), row.encode());
    for (index, receipt) in block.receipts {
        batch.put(Table::PrivateReceipts, receipt_key(number, *index), receipt.encode());
    }
    for (address, record) in block.contracts {
        let record = record.as_ref().map(|record| record.encode()).unwrap_or_default();
        batch.put(Table::Contracts, contract_key(address, number), record);
    }
    for (payload, index, fate) in block.seen {
        batch.put(Table::Seen, seen_key(payload, number, *index), fate.encode());
    }
}
