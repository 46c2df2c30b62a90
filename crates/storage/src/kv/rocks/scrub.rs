//! Getting rid of the bytes of what was deleted: rewriting every file that may have them.

use super::RocksKv;
use crate::{Kv, StoreError};
use rocksdb::{FlushOptions, properties};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is looked whether those are done who look at older data, and the pause before: ten seconds together,
/// and no look takes as long. Few in tests, where nobody will be done.
const LOOKS: u32 = if cfg!(test) { 3 } else { 100 };
const PAUSE: Duration = Duration::from_millis(100);

/// Endings of the names of files with rows: tables and write-ahead logs.
const WITH_ROWS: [&str; 2] = ["sst", "log"];

impl RocksKv {
    /// See [`Kv::scrub`].
    pub(super) fn scrub_files(&self) -> Result<(), StoreError> {
        // A snapshot from before a deletion keeps what was deleted; one that is taken from now on does not.
        wait_until(|| self.snapshots().map(|count| count == 0))?;
        let families =
            self.tables.iter().map(|table| self.family(*table)).collect::<Result<Vec<_>, StoreError>>()?;
        let families: Vec<_> = families.iter().collect();
        let logs: BTreeSet<PathBuf> =
            self.files_with_rows()?.into_iter().filter(|file| is_log(file)).collect();
        self.db.flush_cfs_opt(&families, &FlushOptions::default()).map_err(|error| self.error(&error))?;
        let mut old: BTreeSet<PathBuf> = self.live_tables()?;
        for table in self.tables {
            self.compact(*table)?;
        }
        if self.live_tables()?.intersection(&old).next().is_some() {
            let path = self.path.display();
            return Err(StoreError::Unavailable(format!("{path}: not every table could be rewritten")));
        }
        old.extend(logs);
        wait_until(|| {
            self.drop_unused_files()?;
            Ok(self.files_with_rows()?.is_disjoint(&old))
        })?;
        self.sync()
    }

    fn snapshots(&self) -> Result<u64, StoreError> {
        let count = self.db.property_int_value(properties::NUM_SNAPSHOTS);
        count.map(Option::unwrap_or_default).map_err(|error| self.error(&error))
    }

    /// The files that the tables consist of now.
    fn live_tables(&self) -> Result<BTreeSet<PathBuf>, StoreError> {
        let files = self.db.live_files().map_err(|error| self.error(&error))?;
        Ok(files.into_iter().map(|file| self.path.join(file.name.trim_start_matches('/'))).collect())
    }

    /// All files with rows that are in the directory, needed or not. An empty log has none.
    fn files_with_rows(&self) -> Result<BTreeSet<PathBuf>, StoreError> {
        let failed = |error| StoreError::io("cannot read", &self.path, &error);
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let is_one = path.extension().is_some_and(|ending| WITH_ROWS.iter().any(|with| ending == *with));
            // What is gone meanwhile has no length.
            if is_one && entry.metadata().is_ok_and(|metadata| metadata.len() > 0) {
                files.insert(path);
            }
        }
        Ok(files)
    }

    /// Files that are not needed any more go at once; on its own RocksDB takes its time.
    fn drop_unused_files(&self) -> Result<(), StoreError> {
        self.db
            .disable_file_deletions()
            .and_then(|()| self.db.enable_file_deletions())
            .map_err(|error| self.error(&error))
    }
}

fn is_log(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "log")
}

fn wait_until(mut done: impl FnMut() -> Result<bool, StoreError>) -> Result<(), StoreError> {
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(PAUSE);
        }
        if done()? {
            return Ok(());
        }
    }
    Err(StoreError::Busy("somebody still reads data that is to be removed from the disk".to_owned()))
}
