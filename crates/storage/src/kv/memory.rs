//! A store in memory, with a switch that cuts the power.

use super::{Batch, Kv, KvRead, Tuning};
use crate::{StoreError, Table};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Few blocks, so that a short test meets both a block that writes trie nodes and one that does not.
const TRIE_LAG_BLOCKS: u64 = 3;
const TRIE_LAG_BYTES: u64 = 1 << 20;

/// A [`Kv`] in memory for tests and the simulator. Clones share one store; [`MemoryKv::crash`] does what a
/// power cut does to a disk.
#[derive(Clone)]
pub struct MemoryKv {
    inner: Arc<RwLock<Inner>>,
    tuning: Tuning,
}

#[derive(Default)]
struct Inner {
    tables: [Map; Table::ALL.len()],
    /// What the writes since the last sync replaced, oldest first.
    undo: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl MemoryKv {
    /// An empty store that keeps all history and caches nothing, which memory has no use for.
    pub fn new() -> Self {
        Self::with_tuning(Tuning {
            trie_lag_blocks: TRIE_LAG_BLOCKS,
            trie_lag_bytes: TRIE_LAG_BYTES,
            ..Tuning::default()
        })
    }

    /// An empty store with other settings.
    pub fn with_tuning(tuning: Tuning) -> Self {
        Self { tuning, inner: Arc::default() }
    }

    /// Drops every batch written since the last sync.
    pub fn crash(&self) {
        let mut inner = self.inner.write();
        let undo = std::mem::take(&mut inner.undo);
        for (table, key, before) in undo.into_iter().rev() {
            apply(&mut inner.tables, table, key, before);
        }
    }

    /// Number of entries of a table.
    pub fn len(&self, table: Table) -> usize {
        self.inner.read().tables[table as usize].len()
    }

    /// Whether a table has no entry.
    pub fn is_empty(&self, table: Table) -> bool {
        self.len(table) == 0
    }

    /// A store with the same content that shares nothing with this one.
    pub fn fork(&self) -> Self {
        let inner = self.inner.read();
        let copy = Inner { tables: inner.tables.clone(), undo: inner.undo.clone() };
        Self { inner: Arc::new(RwLock::new(copy)), tuning: self.tuning }
    }
}

impl Default for MemoryKv {
    fn default() -> Self {
        Self::new()
    }
}

fn apply(tables: &mut [Map], table: Table, key: Vec<u8>, value: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match value {
        Some(value) => tables[table as usize].insert(key, value),
        None => tables[table as usize].remove(&key),
    }
}

impl KvRead for MemoryKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.inner.read().tables[table as usize].get(key).cloned())
    }

    fn first_from(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        if until.is_some_and(|until| until <= from) {
            return Ok(None);
        }
        let inner = self.inner.read();
        let upper = until.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = inner.tables[table as usize].range::<[u8], _>((Bound::Included(from), upper));
        Ok(range.next().map(|(key, value)| (key.clone(), value.clone())))
    }

    fn last_at(&self, table: Table, at: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        let inner = self.inner.read();
        let mut range =
            inner.tables[table as usize].range::<[u8], _>((Bound::Unbounded, Bound::Included(at)));
        Ok(range.next_back().map(|(key, value)| (key.clone(), value.clone())))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        // Recursive, so that a visitor may read the store while a writer waits.
        let inner = self.inner.read_recursive();
        for (key, value) in
            inner.tables[table as usize].range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
        {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}

impl Kv for MemoryKv {
    fn snapshot(&self) -> Box<dyn KvRead + '_> {
        Box::new(self.fork())
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut inner = self.inner.write();
        for (table, key, value) in batch.into_operations() {
            let before = apply(&mut inner.tables, table, key.clone(), value);
            inner.undo.push((table, key, before));
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.inner.write().undo.clear();
        Ok(())
    }

    fn forget_history(&self, up_to: u64) {
        if up_to == 0 {
            return;
        }
        let mut inner = self.inner.write();
        for table in [Table::AccountHistory, Table::SlotHistory, Table::Touched] {
            inner.tables[table as usize].retain(|key, _| !crate::kv::rocks::is_forgotten(key, up_to));
        }
    }

    fn scrub(&self) -> Result<(), StoreError> {
        self.sync()
    }

    fn tuning(&self) -> Tuning {
        self.tuning
    }
}
