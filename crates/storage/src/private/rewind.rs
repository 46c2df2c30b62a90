//! Leading the private state back to an earlier block.
//!
//! Every key that the blocks above changed gets the value it had, from the history; the tries follow, and their root
//! must be the one that was noted then. Rows of those blocks go. It is done in steps of some blocks, each an atomic
//! batch after which the store is that of an earlier block; where it goes back to stands in the store meanwhile
//! ([`META_REWIND`]), so that the next start goes on. What is left is to the byte what a store has that never went
//! further, trie nodes held in memory aside.

use super::PrivateWriter;
use super::codec::{BlockRow, contract_key, seen_key};
use super::open::{pointer, row_at};
use super::reader::receipt_rows;
use super::writer::recent_state;
use crate::codec::{FlatAccount, slot_leaf};
use crate::open::touched_between;
use crate::reader::Head;
use crate::state::value_after;
use crate::tables::{
    META_GENESIS, META_HEAD, META_HORIZON, META_RECLAIMED, META_REWIND, META_TRIE, history_key, slot_key,
};
use crate::touched::{self, Beginning, Touched};
use crate::trie::{NodeChange, TrieStore, Update, update};
use crate::{Batch, Kv, KvRead, StoreError, Table};
use alloy_primitives::B256;
use alloy_trie::EMPTY_ROOT_HASH;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// Blocks, and about how many accounts and slots, are undone in one batch at most: it is held in memory. Few in tests,
/// so that short ones take several steps.
const BLOCKS_PER_STEP: usize = if cfg!(test) { 3 } else { 512 };
const KEYS_PER_STEP: usize = if cfg!(test) { 24 } else { 16_384 };
/// Rows deleted in one batch where everything goes.
const ROWS_PER_WIPE: usize = if cfg!(test) { 16 } else { 16_384 };

impl PrivateWriter {
    /// Makes the private state, receipts, metadata and what is known of payloads what they were after block `to`, and
    /// makes that durable. A killed process leaves an earlier block than before, and the next start goes on to `to`.
    /// States and answers from before are `Busy` from here on; so are all questions meanwhile.
    ///
    /// Errors: `NotAvailable` where the history does not reach back so far (then only [`PrivateWriter::wipe`] helps,
    /// and nothing was done); `OutOfOrder` where `to` is above the newest block or another block than was written;
    /// others are reasons to halt.
    pub fn rewind(&mut self, to: Head) -> Result<Head, StoreError> {
        self.progress.refuse_if_broken()?;
        if to == self.written {
            return Ok(to);
        }
        self.check_target(&to)?;
        self.progress.generation.fetch_add(1, Ordering::SeqCst);
        // Not any block's number: nobody takes a look at the tries for one of a settled state.
        self.progress.begun.store(u64::MAX, Ordering::SeqCst);
        match self.go_back(&to) {
            Ok(()) => {
                self.recent = recent_state(&*self.kv);
                self.show(&to);
                self.progress.generation.fetch_add(1, Ordering::SeqCst);
                tracing::info!(block = to.number, hash = %to.hash, "the private state was led back");
                Ok(to)
            }
            Err(error) => {
                self.progress.broken.store(true, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    /// Forgets everything: the store is that of block 0 again, with nothing in it. As [`PrivateWriter::rewind`], from
    /// any block, whatever the history.
    pub fn wipe(&mut self) -> Result<Head, StoreError> {
        let genesis = self.kv.get(Table::Meta, META_GENESIS)?.unwrap_or_default();
        let hash = B256::try_from(genesis.as_slice())
            .map_err(|_| StoreError::damaged("the stored genesis hash does not decode"))?;
        self.rewind(Head { number: 0, hash })
    }

    fn check_target(&self, to: &Head) -> Result<(), StoreError> {
        if to.number >= self.written.number {
            return Err(self.refuse(to.number, &to.hash, "it is no earlier one to go back to"));
        }
        let Some((number, row)) = row_at(&*self.kv, to.number)? else { return Ok(()) };
        if number == to.number && row.hash != to.hash {
            return Err(self.refuse(to.number, &to.hash, "it is not the one that was written"));
        }
        let oldest = self.progress.horizon.load(Ordering::SeqCst);
        match to.number < oldest {
            true => Err(StoreError::NotAvailable { number: to.number, oldest }),
            false => Ok(()),
        }
    }

    fn go_back(&mut self, to: &Head) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put(Table::Meta, META_REWIND, pointer(to));
        self.kv.write(batch)?;
        if row_at(&*self.kv, to.number)?.is_none() {
            wipe(&*self.kv, to)?;
            self.tries.clear();
            self.root = EMPTY_ROOT_HASH;
            self.progress.horizon.store(0, Ordering::SeqCst);
        } else {
            while self.written != *to {
                self.step_back(to)?;
            }
        }
        self.progress.stored_trie.store(to.number, Ordering::SeqCst);
        self.kv.sync()
    }

    fn step_back(&mut self, to: &Head) -> Result<(), StoreError> {
        let step = Step::plan(&*self.kv, self.written.number, to)?;
        let mut back =
            Back { kv: &*self.kv, tries: &self.tries, to: step.to.number, batch: Batch::default() };
        let changes = back.state(&step)?;
        step.rows.iter().try_for_each(|(number, row)| back.row(*number, row))?;
        let mut batch = back.batch;
        batch.put(Table::Meta, META_HEAD, pointer(&step.to));
        batch.put(Table::Meta, META_TRIE, step.to.number.to_be_bytes());
        if step.to == *to {
            batch.delete(Table::Meta, META_REWIND);
        }
        for (owner, nodes) in &changes {
            match owner {
                Some(owner) => self.tries.storage(*owner).apply(nodes),
                None => self.tries.accounts().apply(nodes),
            }
        }
        self.tries.write_all(&mut batch);
        self.kv.write(batch)?;
        self.tries.all_written();
        self.written = step.to;
        self.root = step.root;
        Ok(())
    }
}

/// Deletes everything of a store but what it is of, and makes that durable: it is that of block `to` then, before
/// which nothing private happened.
pub(super) fn wipe(kv: &dyn Kv, to: &Head) -> Result<(), StoreError> {
    for table in Table::PRIVATE.into_iter().filter(|table| *table != Table::Meta) {
        let mut from = Vec::new();
        loop {
            let mut batch = Batch::default();
            let begin = std::mem::take(&mut from);
            kv.scan(table, &begin, &mut |key, _| {
                batch.delete(table, key);
                from = key.to_vec();
                batch.len() < ROWS_PER_WIPE
            })?;
            let is_last = batch.len() < ROWS_PER_WIPE;
            kv.write(batch)?;
            if is_last {
                break;
            }
        }
    }
    let mut batch = Batch::default();
    batch.put(Table::Meta, META_HEAD, pointer(to));
    batch.put(Table::Meta, META_TRIE, to.number.to_be_bytes());
    for name in [META_HORIZON, META_RECLAIMED, META_REWIND] {
        batch.delete(Table::Meta, name);
    }
    kv.write(batch)?;
    kv.sync()?;
    // The blocks come again, and their history with them.
    kv.forget_history(0);
    Ok(())
}

/// Some blocks to be undone, the newest ones.
struct Step {
    /// The newest block after that.
    to: Head,
    /// The root of the state after it.
    root: B256,
    /// The blocks that did something.
    rows: Vec<(u64, BlockRow)>,
    /// The keys that they changed.
    touched: Touched,
}

impl Step {
    fn plan(kv: &dyn KvRead, newest: u64, to: &Head) -> Result<Self, StoreError> {
        let mut step = Self { to: *to, root: EMPTY_ROOT_HASH, rows: Vec::new(), touched: Touched::default() };
        let mut at = newest;
        while let Some((number, row)) = row_at(kv, at)? {
            let is_enough = step.rows.len() >= BLOCKS_PER_STEP || step.keys() >= KEYS_PER_STEP;
            if number <= to.number || is_enough {
                step.root = row.root;
                if number > to.number {
                    step.to = Head { number, hash: row.hash };
                }
                break;
            }
            let below = number.saturating_sub(1);
            step.touched.extend(touched_between(kv, below, number)?);
            step.rows.push((number, row));
            at = below;
        }
        Ok(step)
    }

    fn keys(&self) -> usize {
        self.touched.0.values().map(|slots| 1 + slots.len()).sum()
    }
}

/// New trie nodes of the accounts, or of the storage of one.
type Nodes = (Option<B256>, Vec<NodeChange>);

/// What undoing writes.
struct Back<'a> {
    kv: &'a dyn Kv,
    tries: &'a TrieStore,
    to: u64,
    batch: Batch,
}

impl Back<'_> {
    /// Puts accounts and slots back, and answers how the tries change.
    fn state(&mut self, step: &Step) -> Result<Vec<Nodes>, StoreError> {
        let mut nodes = Vec::new();
        let mut leaves = Vec::new();
        for (beginning, slots) in &step.touched.0 {
            for account in touched::accounts(self.kv, beginning)? {
                let tables = (Table::Accounts, Table::AccountHistory);
                let before = self.put_back(tables, account.as_slice())?;
                let before = before.map(|bytes| FlatAccount::decode(&bytes)).transpose()?;
                let root = before.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
                nodes.extend(self.storage(account, slots, root)?);
                leaves.push((account, before.map(|account| account.leaf())));
            }
        }
        let (root, accounts) = update(&self.tries.accounts(), &updates_of(&leaves))?;
        if root != step.root {
            return Err(StoreError::damaged(format!(
                "led back to block {}, the private state has root {root} where {} stood",
                self.to, step.root
            )));
        }
        nodes.push((None, accounts));
        Ok(nodes)
    }

    fn storage(
        &mut self,
        account: B256,
        beginnings: &BTreeSet<Beginning>,
        expected: B256,
    ) -> Result<Option<Nodes>, StoreError> {
        let mut leaves = Vec::new();
        for beginning in beginnings {
            for slot in touched::slots(self.kv, &account, beginning)? {
                let key = slot_key(&account, &slot);
                let before = self.put_back((Table::Slots, Table::SlotHistory), &key)?;
                leaves.push((slot, before.map(|stored| slot_leaf(&stored))));
            }
        }
        if leaves.is_empty() {
            return Ok(None);
        }
        let (root, nodes) = update(&self.tries.storage(account), &updates_of(&leaves))?;
        match root == expected {
            true => Ok(Some((Some(account), nodes))),
            false => Err(StoreError::damaged(format!(
                "led back to block {}, the storage of {account} has root {root} where {expected} stood",
                self.to
            ))),
        }
    }

    /// Gives a key the value it had, drops the later history, and answers that value.
    fn put_back(
        &mut self,
        (flat, history): (Table, Table),
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let before = value_after(self.kv, (flat, history), key, self.to)?;
        match &before {
            Some(value) => self.batch.put(flat, key, value.as_slice()),
            None => self.batch.delete(flat, key),
        }
        let mut from = history_key(key, self.to.saturating_add(1));
        let until = history_key(key, u64::MAX);
        while let Some((entry, _)) = self.kv.first_from(history, &from, Some(&until))? {
            from.clone_from(&entry);
            from.push(0);
            self.batch.delete(history, entry);
        }
        Ok(before)
    }

    /// Drops the rows of a block.
    fn row(&mut self, number: u64, row: &BlockRow) -> Result<(), StoreError> {
        for (key, _) in receipt_rows(self.kv, number)? {
            self.batch.delete(Table::PrivateReceipts, key);
        }
        for (index, payload) in &row.seen {
            self.batch.delete(Table::Seen, seen_key(payload, number, *index));
        }
        for address in &row.contracts {
            self.batch.delete(Table::Contracts, contract_key(address, number));
        }
        for hash in &row.codes {
            self.batch.delete(Table::Codes, **hash);
        }
        for table in [Table::PrivateBlocks, Table::Touched] {
            self.batch.delete(table, number.to_be_bytes());
        }
        Ok(())
    }
}

fn updates_of(leaves: &[(B256, Option<Vec<u8>>)]) -> Vec<Update<'_>> {
    // Beginnings are in order, and so are the keys of each.
    leaves.iter().map(|(key, leaf)| Update { key: *key, value: leaf.as_deref(), existed: false }).collect()
}
