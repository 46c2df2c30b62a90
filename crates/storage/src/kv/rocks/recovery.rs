//! What the logs of a database hold is compared with what was promised, before RocksDB reads them: it takes damage
//! near the end of a log for a write that a crash cut short, and goes on without what was written there.
//!
//! Every write of a database has a number. [`Promise`] keeps the number of the newest write that was made durable, in
//! a small file beside the tables. It is not made durable itself, so after a power cut it may name an older write, but
//! never a later one than the logs hold. What lies behind the promise may be torn, and is cut off; what lies before it
//! must be there.

use super::physical::{self, Extent};
use crate::{StoreError, record};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Name of the file with the newest durable write.
const PROMISE: &str = "DURABLE";
/// Names the newest manifest.
const CURRENT: &str = "CURRENT";
const MANIFEST_PREFIX: &str = "MANIFEST-";

/// Fields of a manifest's record that stand before the number of the newest write, by how they are written.
const MANIFEST_TEXTS: [u64; 2] = [1, 8_193];
const MANIFEST_NUMBERS: [u64; 5] = [2, 3, 9, 10, 203];
const MANIFEST_NEWEST: u64 = 4;

/// The newest write that was made durable, kept in a file.
#[derive(Debug)]
pub struct Promise {
    file: File,
    path: PathBuf,
}

impl Promise {
    /// Opens or makes the file of a database, and keeps all others from doing so: RocksDB takes its own lock only
    /// once it reads the logs. `Locked` when another process has it.
    pub fn open(database: &Path) -> Result<Self, StoreError> {
        let path = database.join(PROMISE);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| StoreError::io("cannot open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(database.into())),
            Err(TryLockError::Error(error)) => Err(StoreError::io("cannot lock", &path, &error)),
        }
    }

    /// Writes down that all writes up to this one are durable.
    pub fn keep(&self, newest: u64) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(16);
        record::encode(&newest.to_be_bytes(), &mut bytes);
        self.file.write_all_at(&bytes, 0).map_err(|error| StoreError::io("cannot write", &self.path, &error))
    }

    /// The number in the file of a database. A damaged file promises nothing: what it says twice over, the logs say.
    fn read(database: &Path) -> Result<Option<u64>, StoreError> {
        let path = database.join(PROMISE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("cannot read", &path, &error)),
        };
        let newest = record::decode_all(&bytes).0.first().and_then(|found| found.as_slice().try_into().ok());
        if newest.is_none() && !bytes.is_empty() {
            let path = path.display();
            tracing::warn!("{path} is damaged; it is written anew, and the logs are looked at without it");
        }
        Ok(newest.map(u64::from_be_bytes))
    }
}

/// Compares the logs of a database with what was promised. With `repair` a torn end is cut off; without, the database
/// may be in use, and nothing is changed.
///
/// # Errors
/// `Damaged` where a promised write cannot be read; `Unavailable` where the system refuses.
pub fn check(database: &Path, repair: bool) -> Result<(), StoreError> {
    // In this order: whoever has the database open adds to the logs first, and drops a log last.
    let promised = Promise::read(database)?;
    let logs = Log::read_all(database)?;
    let Some(manifest) = Manifest::read(database)? else {
        return match promised {
            Some(_) => Err(StoreError::damaged(format!("{} is missing", database.join(CURRENT).display()))),
            None => Ok(()),
        };
    };
    let found = Found::add_up(&manifest, &logs);
    if promised.is_some_and(|promised| promised > found.newest) {
        let newest = found.newest;
        return Err(match (&found.end, manifest.extent.is_whole()) {
            (Some(end), _) => end.error("what was promised to be durable"),
            (None, false) => manifest.end().error("what was promised to be durable"),
            (None, true) => StoreError::damaged(format!(
                "{}: the logs end with write {newest}, but later ones were durable",
                database.display()
            )),
        });
    }
    let ends = [manifest.torn(), found.end];
    for end in ends.into_iter().flatten() {
        // Without a promise, what can be read behind a place is a sign that it was once whole.
        if end.resumes && promised.is_none() {
            return Err(end.error("later records"));
        }
        match repair {
            true => end.cut()?,
            false if end.cut_short => {}
            false => {
                return Err(
                    end.error("perhaps nothing: a start of the node, which cuts off a torn end, tells")
                );
            }
        }
    }
    if repair && found.is_torn_before_last {
        logs.iter().filter(|log| Some(log.number) > found.torn_log).try_for_each(Log::empty)?;
    }
    Ok(())
}

/// Where a log cannot be read any further.
#[derive(Clone, Debug)]
struct End {
    path: PathBuf,
    place: u64,
    length: u64,
    resumes: bool,
    cut_short: bool,
}

impl End {
    fn error(&self, behind: &str) -> StoreError {
        StoreError::damaged(format!(
            "{}: the record at byte {} cannot be read, and behind it stands {behind}",
            self.path.display(),
            self.place
        ))
    }

    fn cut(&self) -> Result<(), StoreError> {
        let bytes = self.length.saturating_sub(self.place);
        tracing::warn!(file = %self.path.display(), bytes, "a log had a torn end from a crash; it was cut off");
        cut(&self.path, self.place)
    }
}

fn cut(path: &Path, length: u64) -> Result<(), StoreError> {
    let cut = |file: File| file.set_len(length).and_then(|()| file.sync_all());
    let cut = OpenOptions::new().write(true).open(path).and_then(cut);
    cut.map_err(|error| StoreError::io("cannot cut the torn end of", path, &error))
}

/// The list of files, as far as it matters here.
struct Manifest {
    path: PathBuf,
    extent: Extent,
    /// The newest write when it was last added to: all before it stand in tables, or in the logs that are there.
    newest: u64,
}

impl Manifest {
    /// `None` where there is no database yet.
    fn read(database: &Path) -> Result<Option<Self>, StoreError> {
        let current = database.join(CURRENT);
        let name = match fs::read(&current) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_string(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("cannot read", &current, &error)),
        };
        let path = database.join(&name);
        if !name.starts_with(MANIFEST_PREFIX) || !path.exists() {
            let current = current.display();
            return Err(StoreError::damaged(format!("{current} names {name:?}, and there is no such file")));
        }
        let mut newest = 0;
        let extent = physical::read(&path, &mut |_, record| newest = newest.max(newest_write(record)))
            .map_err(|error| StoreError::io("cannot read", &path, &error))?;
        let manifest = Self { path, extent, newest };
        match extent.resumes {
            // It is made durable record by record: only the last one can be torn.
            true => Err(manifest.end().error("later records")),
            false => Ok(Some(manifest)),
        }
    }

    fn end(&self) -> End {
        End::of(&self.path, self.extent)
    }

    fn torn(&self) -> Option<End> {
        (!self.extent.is_whole()).then(|| self.end())
    }
}

impl End {
    fn of(path: &Path, extent: Extent) -> Self {
        let Extent { whole, length, resumes, cut_short } = extent;
        Self { path: path.into(), place: whole, length, resumes, cut_short }
    }
}

/// The newest write that a record of the manifest names; 0 for none.
fn newest_write(record: &[u8]) -> u64 {
    let mut rest = record;
    while let Some(field) = varint(&mut rest) {
        let value = varint(&mut rest).unwrap_or_default();
        if field == MANIFEST_NEWEST {
            return value;
        }
        if MANIFEST_TEXTS.contains(&field) {
            rest = usize::try_from(value).ok().and_then(|length| rest.get(length..)).unwrap_or_default();
        } else if !MANIFEST_NUMBERS.contains(&field) {
            return 0;
        }
    }
    0
}

/// Seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A write-ahead log.
struct Log {
    number: u64,
    path: PathBuf,
    extent: Extent,
    runs: Vec<Run>,
}

/// Writes whose numbers follow each other.
struct Run {
    place: u64,
    first: u64,
    last: u64,
}

impl Log {
    /// All of a database, oldest first.
    fn read_all(database: &Path) -> Result<Vec<Self>, StoreError> {
        let entries = match fs::read_dir(database) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("cannot read", database, &error)),
        };
        let mut logs = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| StoreError::io("cannot read", database, &error))?.path();
            let number = path.extension().filter(|ending| *ending == "log").and_then(|_| path.file_stem());
            if let Some(number) = number.and_then(|name| name.to_str()?.parse().ok()) {
                logs.extend(Self::read(path, number)?);
            }
        }
        logs.sort_by_key(|log| log.number);
        Ok(logs)
    }

    /// `None` when it was dropped meanwhile.
    fn read(path: PathBuf, number: u64) -> Result<Option<Self>, StoreError> {
        let mut runs: Vec<Run> = Vec::new();
        let visit = &mut |place: u64, batch: &[u8]| {
            let Some((first, last)) = numbers(batch) else { return };
            match runs.last_mut() {
                Some(run) if first <= run.last.saturating_add(1) => run.last = run.last.max(last),
                _ => runs.push(Run { place, first, last }),
            }
        };
        match physical::read(&path, visit) {
            Ok(extent) => Ok(Some(Self { number, path, extent, runs })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("cannot read", &path, &error)),
        }
    }

    fn empty(&self) -> Result<(), StoreError> {
        cut(&self.path, 0)
    }
}

/// First and last number of a batch of writes: `first (8) | how many (4) | …`, little-endian.
fn numbers(batch: &[u8]) -> Option<(u64, u64)> {
    let (first, rest) = batch.split_first_chunk::<8>()?;
    let first = u64::from_le_bytes(*first);
    let count = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    Some((first, first.saturating_add(u64::from(count)).saturating_sub(1)))
}

/// What the logs hold together.
struct Found {
    /// The newest write that can be read, with all before it.
    newest: u64,
    /// Where that ends, if not with the last log.
    end: Option<End>,
    torn_log: Option<u64>,
    /// Whether logs behind it hold something.
    is_torn_before_last: bool,
}

impl Found {
    fn add_up(manifest: &Manifest, logs: &[Log]) -> Self {
        let mut found =
            Self { newest: manifest.newest, end: None, torn_log: None, is_torn_before_last: false };
        for log in logs {
            match &mut found.end {
                None => found.add(log),
                Some(end) => {
                    end.resumes |= !log.runs.is_empty();
                    found.is_torn_before_last |= log.extent.length > 0;
                }
            }
        }
        found
    }

    fn add(&mut self, log: &Log) {
        let mut extent = log.extent;
        for run in &log.runs {
            if run.first > self.newest.saturating_add(1) {
                // Something is missing before it.
                extent = Extent { whole: run.place, resumes: true, cut_short: false, ..extent };
                break;
            }
            self.newest = self.newest.max(run.last);
        }
        if !extent.is_whole() {
            self.end = Some(End::of(&log.path, extent));
            self.torn_log = Some(log.number);
        }
    }
}

#[cfg(test)]
mod tests;
