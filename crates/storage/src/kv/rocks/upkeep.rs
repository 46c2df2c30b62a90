//! What an operator does with a database beside running a node on it.

use super::{RocksKv, StoreOptions, database_options, families, open_error, recovery};
use crate::{StoreError, Table, Tuning};
use rocksdb::{BottommostLevelCompaction, CompactOptions, DB, DBRecoveryMode, Range, properties};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How large a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFigures {
    /// The table.
    pub table: Table,
    /// Its rows, about.
    pub rows: u64,
    /// Bytes in table files. What was written last stands in the write-ahead log only.
    pub file_bytes: u64,
}

impl RocksKv {
    /// Opens what is there as it is now, for reading, whether or not a node runs on it; nothing the node writes from
    /// then on is seen. Every write is refused. Errors as those of [`super::open_rocks`], except `Locked`.
    pub fn open_read_only(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        if !path.join("CURRENT").exists() {
            return Err(StoreError::Unavailable(format!("there is no database in {}", path.display())));
        }
        let forgotten = Arc::new(AtomicU64::new(0));
        recovery::check(path, false)?;
        let mut database = database_options(options);
        // A running node may be about to write.
        database.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        // A running node may delete a file it does not need any more; it stays readable if it is open.
        database.set_max_open_files(-1);
        let db = DB::open_cf_descriptors_read_only(&database, path, families(options, &forgotten), false)
            .map_err(|error| open_error(path, &error))?;
        let (path, tables) = (path.to_owned(), options.tables);
        Ok(Self { db, path, tables, tuning: Tuning::default(), forgotten, promise: None })
    }

    /// How large each table is.
    pub fn figures(&self) -> Result<Vec<TableFigures>, StoreError> {
        self.tables.iter().map(|table| self.table_figures(*table)).collect()
    }

    /// How large a table is.
    pub fn table_figures(&self, table: Table) -> Result<TableFigures, StoreError> {
        let family = self.family(table)?;
        let figure = |name: &properties::PropName| {
            let value = self.db.property_int_value_cf(&family, name).map_err(|error| self.error(&error))?;
            Ok::<_, StoreError>(value.unwrap_or_default())
        };
        Ok(TableFigures {
            table,
            rows: figure(properties::ESTIMATE_NUM_KEYS)?,
            file_bytes: figure(properties::LIVE_SST_FILES_SIZE)?,
        })
    }

    /// About how many bytes of table files the rows from a key on take.
    pub fn file_bytes_from(&self, table: Table, from: &[u8]) -> Result<u64, StoreError> {
        // Longer than any key, and not below one.
        let end = [u8::MAX; 128];
        let range = Range::new(from, &end);
        Ok(self.db.get_approximate_sizes_cf(&self.family(table)?, &[range]).into_iter().sum())
    }

    /// Rewrites a table without what was replaced, deleted or forgotten. Takes as long as copying it, and as much
    /// room again meanwhile.
    pub fn compact(&self, table: Table) -> Result<(), StoreError> {
        let family = self.family(table)?;
        self.db.flush_cf(&family).map_err(|error| self.error(&error))?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_cf_opt::<&[u8], &[u8]>(&family, None, None, &options);
        Ok(())
    }
}

/// Bytes of history in one share of giving room back: about a file, and a second's work.
const SHARE_BYTES: u64 = 64 << 20;
/// Shares are cut by the first two bytes of keys.
const MAX_SHARES: u64 = 1 << 16;

impl RocksKv {
    pub(super) fn history_shares(&self) -> u32 {
        let tables = [Table::AccountHistory, Table::SlotHistory];
        let bytes: u64 = tables
            .into_iter()
            .filter_map(|table| self.table_figures(table).ok())
            .map(|found| found.file_bytes)
            .sum();
        (bytes / SHARE_BYTES).clamp(1, MAX_SHARES) as u32
    }

    /// Rewrites the files of a share; the filter leaves out what was forgotten. Lists of touched keys stand by block:
    /// whole files of them go, with the first share.
    pub(super) fn reclaim_share(&self, share: u32, of: u32) -> Result<(), StoreError> {
        if !self.tables.contains(&Table::Touched) {
            return Ok(());
        }
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        // Other tables and new blocks are compacted meanwhile: writing never waits for this.
        options.set_exclusive_manual_compaction(false);
        if share == 0 {
            let family = self.family(Table::Touched)?;
            let end = self.forgotten.load(Ordering::SeqCst).saturating_add(1).to_be_bytes();
            self.db
                .delete_file_in_range_cf(&family, 0u64.to_be_bytes(), end)
                .map_err(|error| self.error(&error))?;
            self.db.compact_range_cf_opt::<&[u8], &[u8]>(&family, None, Some(&end), &options);
        }
        let bound = |share: u32| {
            let at = MAX_SHARES * u64::from(share) / u64::from(of.max(1));
            u16::try_from(at).ok().map(u16::to_be_bytes)
        };
        let (from, until) = (bound(share), bound(share.saturating_add(1)));
        for table in [Table::AccountHistory, Table::SlotHistory] {
            let family = self.family(table)?;
            self.db.compact_range_cf_opt(&family, from, until, &options);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Kv, KvRead};

    fn filled(path: &Path) -> RocksKv {
        let kv = RocksKv::open(path, &StoreOptions::default()).unwrap();
        for round in 0..3u8 {
            let mut batch = Batch::default();
            for number in 0..1_000u64 {
                batch.put(Table::Slots, number.to_be_bytes(), [round; 100]);
            }
            kv.write(batch).unwrap();
        }
        kv
    }

    #[test]
    fn a_database_in_use_can_be_read_and_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let used = filled(directory.path());
        let seen = RocksKv::open_read_only(directory.path(), &StoreOptions::default()).unwrap();
        let mut later = Batch::default();
        later.put(Table::Slots, *b"later", *b"1");
        used.write(later.clone()).unwrap();
        assert_eq!(seen.get(Table::Slots, &7u64.to_be_bytes()).unwrap(), Some(vec![2; 100]));
        assert_eq!(seen.get(Table::Slots, b"later").unwrap(), None);
        assert!(matches!(seen.write(later), Err(StoreError::Unavailable(_))));
    }

    #[test]
    fn where_nothing_is_nothing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let error = RocksKv::open_read_only(&directory.path().join("db"), &StoreOptions::default()).err();
        assert!(error.unwrap().to_string().contains("no database in"));
        assert!(!directory.path().join("db").exists());
    }

    #[test]
    fn compaction_drops_what_was_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let kv = filled(directory.path());
        let figures = || kv.figures().unwrap()[Table::Slots as usize];
        assert_eq!(figures().table, Table::Slots);
        assert_eq!((figures().rows, figures().file_bytes), (3_000, 0));
        kv.compact(Table::Slots).unwrap();
        assert_eq!(figures().rows, 1_000);
        assert!((1..300_000).contains(&figures().file_bytes));
        let all = kv.file_bytes_from(Table::Slots, &[]).unwrap();
        let half = kv.file_bytes_from(Table::Slots, &500u64.to_be_bytes()).unwrap();
        assert!(all > 0 && all <= figures().file_bytes && half < all, "{half} of {all}");
        assert_eq!(kv.file_bytes_from(Table::Slots, &2_000u64.to_be_bytes()).unwrap(), 0);
    }
}
