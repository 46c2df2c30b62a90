use super::*;
use std::fs;

fn open_at(path: &Path) -> Result<RocksKv, StoreError> {
    RocksKv::open(path, &StoreOptions::default())
}

fn put(kv: &RocksKv, table: Table, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    batch.put(table, key, value);
    kv.write(batch).unwrap();
}

/// Files of the directory whose name ends so.
fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|file| file.to_string_lossy().ends_with(ending)).collect()
}

#[test]
fn a_second_open_is_refused_and_names_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = open_at(directory.path()).unwrap();
    let error = open_at(directory.path()).err().unwrap();
    assert_eq!(error, StoreError::Locked(directory.path().to_owned()));
    assert!(error.to_string().contains(&directory.path().display().to_string()));
    drop(first);
    open_at(directory.path()).unwrap();
}

#[test]
fn written_data_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    for table in Table::CHAIN {
        put(&open_at(directory.path()).unwrap(), table, b"key", table.name().as_bytes());
    }
    let kv = open_at(directory.path()).unwrap();
    for table in Table::CHAIN {
        assert_eq!(kv.get(table, b"key").unwrap().as_deref(), Some(table.name().as_bytes()));
    }
}

#[test]
fn compaction_drops_forgotten_history_only() {
    let directory = tempfile::tempdir().unwrap();
    let kv = open_at(directory.path()).unwrap();
    for number in 1..=4u64 {
        for table in [Table::AccountHistory, Table::SlotHistory, Table::Headers] {
            put(&kv, table, &number.to_be_bytes(), b"x");
        }
    }
    kv.forget_history(3);
    let count = |table| {
        let family = kv.family(table).unwrap();
        kv.db.flush_cf(&family).unwrap();
        kv.db.compact_range_cf::<&[u8], &[u8]>(&family, None, None);
        let mut count = 0;
        kv.scan(table, &[], &mut |_, _| {
            count += 1;
            true
        })
        .unwrap();
        count
    };
    assert_eq!(Table::CHAIN.map(count).iter().sum::<i32>(), 1 + 1 + 4);
}

#[test]
fn a_flipped_bit_in_a_file_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let kv = open_at(directory.path()).unwrap();
    for number in 0..2000u64 {
        put(&kv, Table::Transactions, &number.to_be_bytes(), &[7; 40]);
    }
    kv.db.flush_cf(&kv.family(Table::Transactions).unwrap()).unwrap();
    drop(kv);
    let file = files(directory.path(), ".sst").pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let read_all = || {
        let kv = open_at(directory.path())?;
        (0..2000u64).try_for_each(|number| kv.get(Table::Transactions, &number.to_be_bytes()).map(drop))
    };
    assert!(matches!(read_all(), Err(StoreError::Damaged(_))));
}

/// Writes records without ever flushing them to a table file, all but the last durably, and gives the log's bytes.
fn written_log(path: &Path) -> (PathBuf, Vec<u8>) {
    let kv = open_at(path).unwrap();
    for number in 0..20u64 {
        if number == 19 {
            kv.sync().unwrap();
        }
        put(&kv, Table::Meta, &number.to_be_bytes(), &[7; 100]);
    }
    let file = files(path, ".log").pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    // Copied away first: closing may rewrite the directory.
    drop(kv);
    (file, bytes)
}

#[test]
fn a_torn_end_of_the_log_costs_the_last_batch_only() {
    let directory = tempfile::tempdir().unwrap();
    let (file, bytes) = written_log(directory.path());
    fs::write(&file, &bytes[..bytes.len() - 10]).unwrap();
    let kv = open_at(directory.path()).unwrap();
    assert!(kv.get(Table::Meta, &18u64.to_be_bytes()).unwrap().is_some());
    assert!(kv.get(Table::Meta, &19u64.to_be_bytes()).unwrap().is_none());
}

#[test]
fn damage_in_the_middle_of_the_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (file, mut bytes) = written_log(directory.path());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert!(matches!(open_at(directory.path()), Err(StoreError::Damaged(_))));
}
