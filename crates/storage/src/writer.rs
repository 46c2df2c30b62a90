//! The one writer: prepares, commits, makes durable, publishes.

mod publisher;

pub use publisher::Publisher;

use crate::codec::{encode_body, encode_header, encode_location, encode_receipts};
use crate::prepare::{Newest, PreparedState};
use crate::reader::Head;
use crate::recent::RecentState;
use crate::snapshot::ImportedBlock;
use crate::state::{Progress, StateAt};
use crate::tables::{META_HEAD, META_HORIZON, META_TRIE};
use crate::trie::TrieStore;
use crate::{Batch, History, Kv, StoreError, Table};
use alloy_primitives::{Address, B256};
use lonja_primitives::{Block, Receipt, StateChanges};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A block and everything that is stored with it.
#[derive(Clone, Copy, Debug)]
pub struct BlockCommit<'a> {
    /// The block, seals included.
    pub block: &'a Block,
    /// Its hash.
    pub hash: B256,
    /// The hashes of its transactions, in order.
    pub transaction_hashes: &'a [B256],
    /// Their senders, in order.
    pub senders: &'a [Address],
    /// Their receipts, in order.
    pub receipts: &'a [Receipt],
    /// What the block does to the state.
    pub changes: &'a StateChanges,
    /// The same, prepared on the parent's state.
    pub prepared: &'a PreparedState,
    /// The vote snapshot after the block, opaque here.
    pub votes: &'a [u8],
}

/// Writes blocks, one after the other. There is one per store, and it cannot be cloned.
pub struct ChainWriter {
    kv: Arc<dyn Kv>,
    pub(crate) tries: TrieStore,
    progress: Arc<Progress>,
    /// Newest block written, durable or not.
    written: Head,
    votes: Option<Vec<u8>>,
    recent: Option<Arc<RecentState>>,
}

impl ChainWriter {
    pub(crate) fn new(
        kv: Arc<dyn Kv>,
        tries: TrieStore,
        progress: Arc<Progress>,
        written: Head,
        votes: Option<Vec<u8>>,
    ) -> Self {
        let recent = RecentState::new(kv.tuning().state_cache_bytes).map(Arc::new);
        Self { kv, tries, progress, written, votes, recent }
    }

    /// The newest block written, which may not be durable yet.
    pub fn written(&self) -> Head {
        self.written
    }

    /// The state after the newest block written, for execution of the next.
    pub fn head_state(&self) -> StateAt {
        StateAt::new(self.kv.clone(), self.progress.clone(), self.recent.clone(), self.written.number)
    }

    /// The state root after `changes` on the newest block written, with all that [`ChainWriter::commit`] will
    /// write for them. Reads only, and may be called any number of times for blocks that compete for a
    /// height.
    pub fn prepare(&self, changes: &StateChanges) -> Result<PreparedState, StoreError> {
        let newest = Newest { kv: &*self.kv, tries: &self.tries, recent: self.recent.as_deref() };
        newest.prepare(self.written.hash, changes)
    }

    /// Writes a block in one atomic batch. It survives a killed process from here on, but not a power cut
    /// before [`ChainWriter::sync_and_publish`]. Errors are reasons to halt: the block does not follow the
    /// newest one written, or is not the one that was prepared (`OutOfOrder`); the store failed, and then
    /// refuses all further commits.
    pub fn commit(&mut self, commit: &BlockCommit<'_>) -> Result<(), StoreError> {
        self.progress.refuse_if_broken()?;
        check(commit, &self.written)?;
        let number = commit.block.header.number;
        // Before anything of the block can be seen, so that readers of older states know to correct what they
        // see.
        self.progress.begun.store(number, Ordering::SeqCst);
        commit.prepared.apply_nodes(&self.tries);
        let trie_is_due = self.trie_is_due(number);
        let batch = self.batch(commit, trie_is_due);
        self.kv.write(batch).inspect_err(|_| self.progress.broken.store(true, Ordering::SeqCst))?;
        if trie_is_due {
            self.tries.all_written();
            self.progress.stored_trie.store(number, Ordering::SeqCst);
        }
        if let Some(recent) = &self.recent {
            commit.prepared.apply_values(recent);
        }
        self.progress.written.store(number, Ordering::SeqCst);
        self.written = Head { number, hash: commit.hash };
        if self.votes.as_deref() != Some(commit.votes) {
            self.votes = Some(commit.votes.to_vec());
        }
        Ok(())
    }

    /// Makes every commit so far durable, and then shows the newest to the readers.
    pub fn sync_and_publish(&mut self) -> Result<Head, StoreError> {
        self.publisher().sync_and_publish(self.written)
    }

    /// All that a block writes.
    fn batch(&self, commit: &BlockCommit<'_>, trie_is_due: bool) -> Batch {
        let number = commit.block.header.number;
        let mut batch = Batch::default();
        write_block(commit, &mut batch);
        commit.prepared.write_history(number, &mut batch);
        commit.prepared.write_state(&mut batch);
        write_codes(commit.changes, &mut batch);
        if self.votes.as_deref() != Some(commit.votes) {
            batch.put(Table::Votes, number.to_be_bytes(), commit.votes);
        }
        let now = self.progress.horizon.load(Ordering::SeqCst);
        let horizon = horizon_after(number, self.kv.tuning().history, now);
        if horizon > 0 {
            batch.put(Table::Meta, META_HORIZON, horizon.to_be_bytes());
        }
        let touched = commit.prepared.touched();
        if !touched.0.is_empty() {
            batch.put(Table::Touched, number.to_be_bytes(), touched.encode());
        }
        if trie_is_due {
            self.tries.write_all(&mut batch);
            batch.put(Table::Meta, META_TRIE, number.to_be_bytes());
        }
        batch
    }

    fn trie_is_due(&self, number: u64) -> bool {
        let tuning = self.kv.tuning();
        number.saturating_sub(self.progress.stored_trie.load(Ordering::SeqCst)) > tuning.trie_lag_blocks
            || self.tries.unwritten_bytes() > tuning.trie_lag_bytes
    }
}

/// The oldest block whose state is kept once `number` is the newest. It never goes back: what was dropped
/// stays dropped when the operator asks for more.
pub(crate) fn horizon_after(number: u64, history: History, now: u64) -> u64 {
    match history {
        History::Archive => now,
        History::Last(count) => now.max(number.saturating_sub(count)),
    }
}

fn check(commit: &BlockCommit<'_>, parent: &Head) -> Result<(), StoreError> {
    let header = &commit.block.header;
    let refuse =
        |why: String| Err(StoreError::OutOfOrder(format!("block {} {}: {why}", header.number, commit.hash)));
    if Some(header.number) != parent.number.checked_add(1) || header.parent_hash != parent.hash {
        return refuse(format!(
            "its parent is {}, but the newest block is {} {}",
            header.parent_hash, parent.number, parent.hash
        ));
    }
    if commit.prepared.parent != parent.hash {
        return refuse(format!("its state was prepared on {}, not on its parent", commit.prepared.parent));
    }
    if commit.prepared.root != header.state_root {
        return refuse(format!(
            "its header says state root {}, its changes give {}",
            header.state_root, commit.prepared.root
        ));
    }
    let count = commit.block.transactions.len();
    let counts = [commit.transaction_hashes.len(), commit.senders.len(), commit.receipts.len()];
    if counts.iter().any(|other| *other != count) {
        return refuse(format!("{count} transactions, but {counts:?} hashes, senders and receipts"));
    }
    Ok(())
}

/// Adds a block's rows, and the pointer to the newest block.
pub(crate) fn write_block(commit: &BlockCommit<'_>, batch: &mut Batch) {
    let BlockCommit { block, hash, transaction_hashes, senders, receipts, .. } = *commit;
    write_rows(&ImportedBlock { block, hash, transaction_hashes, senders, receipts }, batch);
    let number = block.header.number.to_be_bytes();
    batch.put(Table::Meta, META_HEAD, [number.as_slice(), hash.as_slice()].concat());
}

/// Adds header, body and receipts, and the ways to find them.
pub(crate) fn write_rows(stored: &ImportedBlock<'_>, batch: &mut Batch) {
    let ImportedBlock { block, hash, transaction_hashes, senders, receipts } = *stored;
    let number = block.header.number.to_be_bytes();
    batch.put(Table::Headers, number, encode_header(&block.header, &hash));
    batch.put(Table::Numbers, *hash, number);
    batch.put(Table::Bodies, number, encode_body(&block.transactions, senders));
    batch.put(Table::Receipts, number, encode_receipts(receipts));
    let mut places: Vec<(&B256, u32)> = transaction_hashes.iter().zip(0u32..).collect();
    places.sort_unstable();
    for (transaction, index) in places {
        batch.put(Table::Transactions, **transaction, encode_location(block.header.number, index));
    }
}

pub(crate) fn write_codes(changes: &StateChanges, batch: &mut Batch) {
    for (hash, code) in &changes.codes {
        batch.put(Table::Codes, **hash, code.to_vec());
    }
}
