//! The key-value store under everything: a sorted map per table, atomic batches, one explicit sync.

pub mod memory;
pub mod rocks;

use crate::{StoreError, Table};
use std::fmt;
use std::str::FromStr;

/// Fewer blocks than this are not worth the trouble: what was forgotten must lie below what a restart works out
/// again, and clients look some blocks back.
pub const MIN_HISTORY_BLOCKS: u64 = 128;

/// Reading a sorted map per [`Table`].
pub trait KvRead: Send + Sync {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The values of many keys, in the order asked.
    fn get_many(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    /// The first entry with `from <= key`, and `key < until` where that is given.
    fn first_from(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError>;

    /// The last entry with `key <= at`.
    fn last_at(&self, table: Table, at: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError>;

    /// Visits entries in order from `from` on, one consistent view, until `visit` answers `false`.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError>;
}

/// A store. Two implementations: RocksDB, and memory for tests and the simulator.
pub trait Kv: KvRead {
    /// What it holds now, for as long as one looks, whatever is written meanwhile. Only
    /// [`Kv::forget_history`] shows through.
    fn snapshot(&self) -> Box<dyn KvRead + '_>;

    /// Writes a batch: all of it or nothing, visible at once to every reader, not yet durable.
    fn write(&self, batch: Batch) -> Result<(), StoreError>;

    /// Makes everything written before durable: it survives a power cut once this returns.
    fn sync(&self) -> Result<(), StoreError>;

    /// From now on the history entries of blocks up to and including this one, and the lists of the keys they
    /// changed, may be dropped, whenever convenient; those of later blocks are kept, whatever was said before.
    fn forget_history(&self, up_to: u64);

    /// In how many shares the room of what was forgotten is best given back: one takes a second or so.
    fn reclaim_shares(&self) -> u32 {
        1
    }

    /// Gives the room that forgotten entries still take in a share of the history back to the disk. The work is done
    /// beside reads and writes, which do not wait for it. Nothing is to be done where forgetting drops at once.
    fn reclaim(&self, _share: u32, _of: u32) -> Result<(), StoreError> {
        Ok(())
    }

    /// Rewrites all that is stored, so that no file has the values any more that were deleted or replaced before this
    /// call, and makes it durable. It takes as long as copying the store and as much room again meanwhile; reads and
    /// writes go on. The first and the last key of a table may stay readable in a list of files: nothing secret may
    /// stand in a key. Errors: `Busy` while somebody still looks at what was there before.
    fn scrub(&self) -> Result<(), StoreError>;

    /// What the store was opened with.
    fn tuning(&self) -> Tuning;
}

/// The states of which past blocks can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// Of all.
    #[default]
    Archive,
    /// Of the head and this many blocks before it.
    Last(u64),
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive => f.write_str("archive"),
            Self::Last(blocks) => write!(f, "{blocks}"),
        }
    }
}

/// `archive`, or the number of blocks, [`MIN_HISTORY_BLOCKS`] at least.
impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "archive" {
            return Ok(Self::Archive);
        }
        match text.parse() {
            Ok(blocks) if blocks >= MIN_HISTORY_BLOCKS => Ok(Self::Last(blocks)),
            Ok(blocks) => Err(format!(
                "the states of {blocks} blocks are too few: keep {MIN_HISTORY_BLOCKS} at least, or `archive` for all"
            )),
            Err(_) => Err(format!("`{text}` is neither `archive` nor a number of blocks")),
        }
    }
}

/// How the chain uses a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Memory for decoded trie nodes, in bytes; 0 for none.
    pub trie_cache_bytes: u64,
    /// Memory for accounts and slots of the newest state, in bytes; 0 for none.
    pub state_cache_bytes: u64,
    /// Changed trie nodes are held in memory, so that those changed by many blocks are written once: for at
    /// most this many blocks, which a restart then works out again. 0 writes them with every block.
    pub trie_lag_blocks: u64,
    /// As `trie_lag_blocks`, in bytes of nodes held: it bounds the memory and the longest write.
    pub trie_lag_bytes: u64,
    /// How far back states are kept.
    pub history: History,
}

/// Writes that happen together: an ordered list of puts and deletes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    operations: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.operations.push((table, key.into(), Some(value.into())));
    }

    /// Removes a key; nothing happens where it is absent.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.operations.push((table, key.into(), None));
    }

    /// Number of puts and deletes.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing would be written.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The writes in order; `None` removes.
    pub fn operations(&self) -> &[(Table, Vec<u8>, Option<Vec<u8>>)] {
        &self.operations
    }

    pub(crate) fn into_operations(self) -> Vec<(Table, Vec<u8>, Option<Vec<u8>>)> {
        self.operations
    }
}

#[cfg(test)]
mod tests;
