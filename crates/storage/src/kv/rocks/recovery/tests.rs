//! Databases with rows in tables and in logs, damaged at every place of a log in turn.

use super::*;
use crate::{Batch, Kv, KvRead, RocksKv, StoreOptions, Table};
use tempfile::TempDir;

/// Places of a file that are tried: every so manieth, so that all places within a record come up.
const STRIDE: usize = 13;

/// Writes before and after tables were written; the latter stand in the log only.
const WRITES: u64 = 12;

fn open(path: &Path) -> Result<RocksKv, StoreError> {
    RocksKv::open(path, &StoreOptions::default())
}

fn put(kv: &RocksKv, number: u64) {
    let mut batch = Batch::default();
    for table in [Table::Headers, Table::Meta] {
        batch.put(table, number.to_be_bytes(), [7; 60]);
    }
    kv.write(batch).unwrap();
}

fn held(path: &Path) -> Result<u64, StoreError> {
    let kv = open(path)?;
    let holds = |number: &u64| {
        let get = |table| kv.get(table, &number.to_be_bytes()).unwrap().is_some();
        assert_eq!(get(Table::Headers), get(Table::Meta), "half of write {number} is there");
        get(Table::Meta)
    };
    let count = (0..2 * WRITES).take_while(holds).count() as u64;
    assert!(!(count..2 * WRITES).any(|number| holds(&number)), "a write is missing between others");
    Ok(count)
}

/// A copy of a database as a killed process leaves it: `durable` of the later writes were synced.
fn killed(durable: u64) -> TempDir {
    let (made, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kv = open(made.path()).unwrap();
    (0..WRITES).for_each(|number| put(&kv, number));
    kv.compact(Table::Headers).unwrap();
    kv.compact(Table::Meta).unwrap();
    for number in WRITES..2 * WRITES {
        put(&kv, number);
        if number + 1 == WRITES + durable {
            kv.sync().unwrap();
        }
    }
    copy_files(made.path(), copy.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn only(path: &Path, part: &str) -> PathBuf {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found = entries.filter(|path| path.to_string_lossy().contains(part));
    let last = found.by_ref().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    assert!(found.next().is_none());
    last
}

fn with(folder: &TempDir, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_files(folder.path(), copy.path());
    let path = only(copy.path(), name);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    copy
}

#[test]
fn what_a_killed_process_leaves_is_read_whole() {
    for durable in [0, 5, WRITES] {
        let folder = killed(durable);
        assert_eq!(held(folder.path()), Ok(2 * WRITES));
        assert_eq!(held(folder.path()), Ok(2 * WRITES));
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_log_is_found_where_all_was_durable() {
    let folder = killed(WRITES);
    let length = fs::metadata(only(folder.path(), ".log")).unwrap().len() as usize;
    for place in (0..length).step_by(STRIDE) {
        let damaged = with(&folder, ".log", |bytes| bytes[place] ^= 1 << (place % 8));
        let error = held(damaged.path()).unwrap_err().to_string();
        assert!(error.contains(".log") && error.contains("cannot be read"), "byte {place}: {error}");
        let read_only = RocksKv::open_read_only(damaged.path(), &StoreOptions::default());
        assert!(matches!(read_only, Err(StoreError::Damaged(_))), "byte {place}");
    }
}

#[test]
fn a_log_torn_anywhere_behind_the_promise_is_cut_there_and_before_it_is_refused() {
    let folder = killed(5);
    let length = fs::metadata(only(folder.path(), ".log")).unwrap().len() as usize;
    let mut counts = Vec::new();
    for cut in (0..length).step_by(STRIDE) {
        let torn = with(&folder, ".log", |bytes| bytes.truncate(cut));
        match held(torn.path()) {
            Ok(count) => counts.push(count),
            Err(error) => {
                assert!(counts.is_empty(), "cut at {cut}: {error}");
                assert!(matches!(error, StoreError::Damaged(_)), "{error}");
            }
        }
    }
    assert!(counts.is_sorted());
    assert_eq!((counts.first(), counts.last()), (Some(&(WRITES + 5)), Some(&(2 * WRITES - 1))));
}

/// A power cut may leave a gap with later parts behind it.
#[test]
fn an_end_with_a_gap_behind_the_promise_is_cut_off_and_never_half_read() {
    let folder = killed(5);
    let length = fs::metadata(only(folder.path(), ".log")).unwrap().len() as usize;
    for gap in [length * 3 / 4, length - 30] {
        let torn = with(&folder, ".log", |bytes| bytes[gap..gap + 20].fill(0));
        let count = held(torn.path()).unwrap();
        assert!((WRITES + 5..2 * WRITES).contains(&count), "{count}");
        // It goes on well.
        put(&open(torn.path()).unwrap(), count);
        assert_eq!(held(torn.path()), Ok(count + 1));
    }
}

#[test]
fn the_list_of_files_is_never_read_in_part() {
    let folder = killed(WRITES);
    let length = fs::metadata(only(folder.path(), "MANIFEST")).unwrap().len() as usize;
    let mut refused = 0;
    for place in (0..length).step_by(STRIDE) {
        let damaged = with(&folder, "MANIFEST", |bytes| bytes[place] ^= 1 << (place % 8));
        match held(damaged.path()) {
            Ok(count) => assert_eq!(count, 2 * WRITES, "byte {place}"),
            Err(error) => {
                assert!(
                    error.to_string().contains("MANIFEST") || error.to_string().contains(".log"),
                    "{error}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > length / STRIDE / 2, "{refused} of {length}");
}

#[test]
fn files_that_name_others_are_looked_at() {
    let folder = killed(WRITES);
    let damaged = with(&folder, "CURRENT", |bytes| bytes[12] ^= 1);
    let error = held(damaged.path()).unwrap_err().to_string();
    assert!(error.contains("CURRENT"), "{error}");
    fs::remove_file(folder.path().join("CURRENT")).unwrap();
    let error = held(folder.path()).unwrap_err().to_string();
    assert!(error.contains("CURRENT is missing"), "{error}");
}

#[test]
fn a_damaged_promise_does_no_harm() {
    let folder = killed(WRITES);
    for place in 0..16 {
        let damaged = with(&folder, PROMISE, |bytes| bytes[place] ^= 1);
        assert_eq!(held(damaged.path()), Ok(2 * WRITES), "byte {place}");
    }
}

#[test]
fn records_over_many_pieces_are_read_and_searched() {
    let folder = tempfile::tempdir().unwrap();
    let kv = open(folder.path()).unwrap();
    for number in 0..6u64 {
        let mut batch = Batch::default();
        batch.put(Table::Meta, number.to_be_bytes(), vec![number as u8; 50_000]);
        kv.write(batch).unwrap();
    }
    kv.sync().unwrap();
    let (path, mut lengths) = (only(folder.path(), ".log"), Vec::new());
    let whole = physical::read(&path, &mut |_, record| lengths.push(record.len())).unwrap();
    assert!(whole.is_whole() && lengths.len() == 6 && lengths.iter().all(|length| *length > 50_000));
    let bytes = fs::read(&path).unwrap();
    let beside = folder.path().join("beside");
    for (place, resumes) in [(70_000, true), (250_000, true), (295_000, false)] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 4;
        fs::write(&beside, damaged).unwrap();
        let extent = physical::read(&beside, &mut |_, _| {}).unwrap();
        assert_eq!((extent.is_whole(), extent.resumes), (false, resumes), "byte {place}");
    }
}
