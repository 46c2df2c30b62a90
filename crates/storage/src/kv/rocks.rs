//! RocksDB. The only file that knows it.
//!
//! A batch goes to the write-ahead log, which the operating system holds from then on (so it survives
//! `kill -9`), and to memory tables; `sync` makes the log durable. Recovery takes a torn end of the log for what it
//! is, a write that was never promised, and refuses any other damage ([`recovery`] looks before RocksDB does). Every
//! block read from a file is checked against its checksum.

mod physical;
mod recovery;
mod upkeep;

pub use upkeep::TableFigures;

use super::{Batch, History, Kv, KvRead, Tuning};
use crate::{StoreError, Table};
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Direction, ErrorKind, IteratorMode, Options, ReadOptions, Snapshot, WriteBatch,
    WriteOptions,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits a key for the filters of tables read by exact key: one false hit in a hundred.
const FILTER_BITS: f64 = 10.0;
/// Logs of RocksDB's own that are kept, and their size: enough to look into an incident.
const OWN_LOGS: usize = 4;
const OWN_LOG_BYTES: usize = 4 << 20;

/// Share of one table in the memory for written data: a smaller sorted list is quicker to insert into.
const WRITE_BUFFER_SHARE: usize = 8;

/// What the operator may set about the store. The sums fit a machine with 4 GB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Memory for blocks of data read from files, in bytes.
    pub block_cache_bytes: usize,
    /// Memory for written data not yet in files, in bytes, all tables together.
    pub write_buffer_bytes: usize,
    /// Bound of the write-ahead log on disk, in bytes: what a restart may have to replay.
    pub max_log_bytes: u64,
    /// Memory for decoded trie nodes, in bytes.
    pub trie_cache_bytes: u64,
    /// Memory for accounts and slots of the newest state, in bytes.
    pub state_cache_bytes: u64,
    /// Blocks after which changed trie nodes are written, at the latest.
    pub trie_lag_blocks: u64,
    /// Bytes of changed trie nodes after which they are written, at the latest.
    pub trie_lag_bytes: u64,
    /// Files held open at most.
    pub max_open_files: i32,
    /// How far back states are kept.
    pub history: History,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 256 << 20,
            write_buffer_bytes: 128 << 20,
            max_log_bytes: 128 << 20,
            trie_cache_bytes: 128 << 20,
            state_cache_bytes: 64 << 20,
            trie_lag_blocks: 64,
            trie_lag_bytes: 16 << 20,
            max_open_files: 512,
            history: History::Archive,
        }
    }
}

/// A [`Kv`] in RocksDB.
pub struct RocksKv {
    db: DB,
    path: PathBuf,
    tuning: Tuning,
    forgotten: Arc<AtomicU64>,
    /// What was made durable; none for who only reads.
    promise: Option<recovery::Promise>,
}

/// Opens or creates the database in `path` and takes its exclusive lock. Errors: `Locked` when another
/// process has it open, `Damaged` when it cannot be read, `Unavailable` when the system refuses.
pub fn open_rocks(path: &Path, options: &StoreOptions) -> Result<Arc<dyn Kv>, StoreError> {
    Ok(Arc::new(RocksKv::open(path, options)?))
}

impl RocksKv {
    /// As [`open_rocks`].
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|error| StoreError::io("cannot create", path, &error))?;
        let forgotten = Arc::new(AtomicU64::new(0));
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let families = Table::ALL.into_iter().map(|table| {
            ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache, options, &forgotten))
        });
        let promise = recovery::Promise::open(path)?;
        recovery::check(path, true)?;
        let db = DB::open_cf_descriptors(&database_options(options), path, families)
            .map_err(|error| open_error(path, &error))?;
        let tuning = Tuning {
            trie_cache_bytes: options.trie_cache_bytes,
            state_cache_bytes: options.state_cache_bytes,
            trie_lag_blocks: options.trie_lag_blocks,
            trie_lag_bytes: options.trie_lag_bytes,
            history: options.history,
        };
        Ok(Self { db, path: path.to_owned(), tuning, forgotten, promise: Some(promise) })
    }

    fn family(&self, table: Table) -> Result<Arc<BoundColumnFamily<'_>>, StoreError> {
        self.db
            .cf_handle(table.name())
            .ok_or_else(|| StoreError::damaged(format!("no table {}", table.name())))
    }

    fn error(&self, error: &rocksdb::Error) -> StoreError {
        match error.kind() {
            ErrorKind::Corruption => StoreError::damaged(format!("{}: {error}", self.path.display())),
            _ => StoreError::Unavailable(format!("{}: {error}", self.path.display())),
        }
    }
}

fn database_options(options: &StoreOptions) -> Options {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_paranoid_checks(true);
    // Torn ends are cut off before: see [`recovery`].
    db.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    db.set_max_total_wal_size(options.max_log_bytes);
    db.set_db_write_buffer_size(options.write_buffer_bytes);
    db.set_max_open_files(options.max_open_files);
    db.set_max_background_jobs(2);
    db.set_bytes_per_sync(1 << 20);
    db.set_keep_log_file_num(OWN_LOGS);
    db.set_max_log_file_size(OWN_LOG_BYTES);
    db
}

fn table_options(table: Table, cache: &Cache, store: &StoreOptions, forgotten: &Arc<AtomicU64>) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_write_buffer_size(store.write_buffer_bytes / WRITE_BUFFER_SHARE);
    options.set_compression_type(DBCompressionType::Lz4);
    match table {
        Table::Bodies | Table::Receipts | Table::Headers => {
            // Written once, read rarely, in whole blocks: worth the better compression over larger pieces.
            blocks.set_block_size(32 << 10);
            options.set_compression_type(DBCompressionType::Zstd);
        }
        Table::Numbers | Table::Transactions => {
            // Keys and values are hashes and small numbers.
            blocks.set_bloom_filter(FILTER_BITS, false);
            options.set_compression_type(DBCompressionType::None);
        }
        Table::Accounts | Table::Slots | Table::Codes | Table::AccountTrie | Table::StorageTrie => {
            blocks.set_bloom_filter(FILTER_BITS, false);
        }
        Table::AccountHistory | Table::SlotHistory | Table::Touched => {
            let forgotten = forgotten.clone();
            options.set_compaction_filter("history", move |_, key, _| {
                match is_forgotten(key, forgotten.load(Ordering::SeqCst)) {
                    true => rocksdb::CompactionDecision::Remove,
                    false => rocksdb::CompactionDecision::Keep,
                }
            });
        }
        Table::Meta | Table::Votes => {}
    }
    options.set_block_based_table_factory(&blocks);
    options
}

/// Whether a key that ends with a block number is of a block up to and including `up_to`. Block 0 has no history: 0 forgets
/// nothing.
pub(crate) fn is_forgotten(key: &[u8], up_to: u64) -> bool {
    key.last_chunk::<8>().is_some_and(|number| u64::from_be_bytes(*number) <= up_to)
}

fn open_error(path: &Path, error: &rocksdb::Error) -> StoreError {
    let text = error.to_string();
    if text.contains("lock file") || text.contains("lock hold") {
        return StoreError::Locked(path.to_owned());
    }
    match error.kind() {
        ErrorKind::Corruption | ErrorKind::InvalidArgument => {
            StoreError::damaged(format!("{}: {text}", path.display()))
        }
        _ => StoreError::Unavailable(format!("cannot open {}: {text}", path.display())),
    }
}

/// Reads with options made anew for each read: those of a snapshot name it.
impl RocksKv {
    fn get_with(
        &self,
        options: &ReadOptions,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf_opt(&self.family(table)?, key, options).map_err(|error| self.error(&error))
    }

    fn get_many_with(
        &self,
        options: &ReadOptions,
        table: Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let family = self.family(table)?;
        let found = self.db.batched_multi_get_cf_opt(&family, keys.iter().copied(), false, options);
        found
            .into_iter()
            .map(|value| {
                value.map(|value| value.map(|bytes| bytes.to_vec())).map_err(|error| self.error(&error))
            })
            .collect()
    }

    fn first_with(
        &self,
        mut options: ReadOptions,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Option<Pair>, StoreError> {
        if until.is_some_and(|until| until <= from) {
            return Ok(None);
        }
        if let Some(until) = until {
            options.set_iterate_upper_bound(until);
        }
        let mut entries = self.db.raw_iterator_cf_opt(&self.family(table)?, options);
        entries.seek(from);
        let found = entries.item().map(|(key, value)| (key.to_vec(), value.to_vec()));
        entries.status().map_err(|error| self.error(&error))?;
        Ok(found)
    }

    fn last_with(&self, options: ReadOptions, table: Table, at: &[u8]) -> Result<Option<Pair>, StoreError> {
        let mut entries = self.db.raw_iterator_cf_opt(&self.family(table)?, options);
        entries.seek_for_prev(at);
        let found = entries.item().map(|(key, value)| (key.to_vec(), value.to_vec()));
        entries.status().map_err(|error| self.error(&error))?;
        Ok(found)
    }

    fn scan_with(
        &self,
        options: ReadOptions,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let family = self.family(table)?;
        let mode = IteratorMode::From(from, Direction::Forward);
        for entry in self.db.iterator_cf_opt(&family, options, mode) {
            let (key, value) = entry.map_err(|error| self.error(&error))?;
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}

/// A key with its value.
type Pair = (Vec<u8>, Vec<u8>);

impl KvRead for RocksKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get_with(&ReadOptions::default(), table, key)
    }

    fn get_many(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.get_many_with(&ReadOptions::default(), table, keys)
    }

    fn first_from(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Option<Pair>, StoreError> {
        self.first_with(ReadOptions::default(), table, from, until)
    }

    fn last_at(&self, table: Table, at: &[u8]) -> Result<Option<Pair>, StoreError> {
        self.last_with(ReadOptions::default(), table, at)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.scan_with(ReadOptions::default(), table, from, visit)
    }
}

struct RocksSnapshot<'a> {
    kv: &'a RocksKv,
    snapshot: Snapshot<'a>,
}

impl RocksSnapshot<'_> {
    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options
    }
}

impl KvRead for RocksSnapshot<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.kv.get_with(&self.options(), table, key)
    }

    fn get_many(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.kv.get_many_with(&self.options(), table, keys)
    }

    fn first_from(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Option<Pair>, StoreError> {
        self.kv.first_with(self.options(), table, from, until)
    }

    fn last_at(&self, table: Table, at: &[u8]) -> Result<Option<Pair>, StoreError> {
        self.kv.last_with(self.options(), table, at)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.kv.scan_with(self.options(), table, from, visit)
    }
}

impl Kv for RocksKv {
    fn snapshot(&self) -> Box<dyn KvRead + '_> {
        Box::new(RocksSnapshot { kv: self, snapshot: self.db.snapshot() })
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut families: [Option<Arc<BoundColumnFamily<'_>>>; Table::ALL.len()] = Default::default();
        for table in Table::ALL {
            families[table as usize] = Some(self.family(table)?);
        }
        let mut writes = WriteBatch::default();
        for (table, key, value) in batch.operations() {
            let Some(family) = &families[*table as usize] else { continue };
            match value {
                Some(value) => writes.put_cf(family, key, value),
                None => writes.delete_cf(family, key),
            }
        }
        let mut options = WriteOptions::default();
        // Most of a batch is sorted runs, and the hint makes the next insertion begin where the last one
        // ended.
        options.set_memtable_insert_hint_per_batch(true);
        self.db.write_opt(writes, &options).map_err(|error| self.error(&error))
    }

    fn sync(&self) -> Result<(), StoreError> {
        let Some(promise) = &self.promise else { return Ok(()) };
        let newest = self.db.latest_sequence_number();
        self.db.flush_wal(true).map_err(|error| self.error(&error))?;
        promise.keep(newest)
    }

    fn forget_history(&self, up_to: u64) {
        self.forgotten.fetch_max(up_to, Ordering::SeqCst);
    }

    fn reclaim_shares(&self) -> u32 {
        self.history_shares()
    }

    fn reclaim(&self, share: u32, of: u32) -> Result<(), StoreError> {
        self.reclaim_share(share, of)
    }

    fn tuning(&self) -> Tuning {
        self.tuning
    }
}

#[cfg(test)]
mod tests;
