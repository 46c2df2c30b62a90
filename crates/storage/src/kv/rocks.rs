//! RocksDB. The only file that knows it.
//!
//! A batch goes to the write-ahead log, which the operating system holds from then on (so it survives
//! `kill -9`), and to memory tables; `sync` makes the log durable. Recovery takes a torn end of the log for what it
//! is, a write that was never promised, and refuses any other damage ([`recovery`] looks before RocksDB does). Every
//! block read from a file is checked against its checksum.

mod options;
mod physical;
mod recovery;
mod scrub;
mod upkeep;

pub use options::StoreOptions;
pub use upkeep::TableFigures;

use super::{Batch, Kv, KvRead, Tuning};
use crate::{StoreError, Table};
use options::{database_options, families};
use rocksdb::{
    BoundColumnFamily, DB, Direction, ErrorKind, IteratorMode, ReadOptions, Snapshot, WriteBatch,
    WriteOptions,
};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nobody but the user of the process may enter, list or change a directory.
const OWNER_ONLY: u32 = 0o700;

/// A [`Kv`] in RocksDB.
pub struct RocksKv {
    db: DB,
    path: PathBuf,
    /// The tables it has.
    tables: &'static [Table],
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
        create_directory(path, options.secret)?;
        let forgotten = Arc::new(AtomicU64::new(0));
        let promise = recovery::Promise::open(path)?;
        recovery::check(path, true)?;
        let db = DB::open_cf_descriptors(&database_options(options), path, families(options, &forgotten))
            .map_err(|error| open_error(path, &error))?;
        let (path, tables, tuning) = (path.to_owned(), options.tables, options.tuning());
        Ok(Self { db, path, tables, tuning, forgotten, promise: Some(promise) })
    }

    fn family(&self, table: Table) -> Result<Arc<BoundColumnFamily<'_>>, StoreError> {
        self.db.cf_handle(table.name()).ok_or_else(|| no_table(table))
    }

    fn error(&self, error: &rocksdb::Error) -> StoreError {
        match error.kind() {
            ErrorKind::Corruption => StoreError::damaged(format!("{}: {error}", self.path.display())),
            _ => StoreError::Unavailable(format!("{}: {error}", self.path.display())),
        }
    }
}

/// Whether a key that ends with a block number is of a block up to and including `up_to`. Block 0 has no history: 0 forgets
/// nothing.
pub(crate) fn is_forgotten(key: &[u8], up_to: u64) -> bool {
    key.last_chunk::<8>().is_some_and(|number| u64::from_be_bytes(*number) <= up_to)
}

fn no_table(table: Table) -> StoreError {
    StoreError::damaged(format!("no table {}", table.name()))
}

/// A directory that is there stays as it is.
fn create_directory(path: &Path, secret: bool) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    if secret {
        builder.mode(OWNER_ONLY);
    }
    builder.create(path).map_err(|error| StoreError::io("cannot create", path, &error))
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
        for table in self.tables {
            families[*table as usize] = Some(self.family(*table)?);
        }
        let mut writes = WriteBatch::default();
        for (table, key, value) in batch.operations() {
            let Some(family) = &families[*table as usize] else { return Err(no_table(*table)) };
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
        self.forgotten.store(up_to, Ordering::SeqCst);
    }

    fn reclaim_shares(&self) -> u32 {
        self.history_shares()
    }

    fn reclaim(&self, share: u32, of: u32) -> Result<(), StoreError> {
        self.reclaim_share(share, of)
    }

    fn scrub(&self) -> Result<(), StoreError> {
        self.scrub_files()
    }

    fn tuning(&self) -> Tuning {
        self.tuning
    }
}

#[cfg(test)]
mod tests;
