//! The store of payloads of private transactions. The private-transaction manager makes its rows, writes them through
//! [`Kv`] and reads them; here they are bytes.
//!
//! | table | key → row |
//! |---|---|
//! | [`Table::Envelopes`] | payload hash (64) → envelope |
//! | [`Table::EnvelopesByKey`] | recipient's or sender's key (32) ++ sequence number (8) → payload hash |
//! | [`Table::RawPayloads`] | payload hash → a payload stored before it is sent |
//! | [`Table::Tombstones`] | payload hash → the signed record that it was erased |
//! | [`Table::Outbox`] | sequence number → what a recipient still has to get |
//! | [`Table::Groups`] | id → privacy group |
//! | [`Table::PtmMeta`] | name → facts about the store, its format and network among them |
//! | [`Table::Bindings`] | key → what it is bound to |
//! | [`Table::Readings`] | sequence number → who read what |
//!
//! Rows have from 500 bytes to some megabytes. A batch is written whole or not at all and survives a killed process;
//! [`Kv::sync`] makes it survive a power cut, and [`Kv::scrub`] removes the bytes of what was deleted from the files.
//! Nothing secret may stand in a key.

use crate::kv::rocks::{StoreOptions, open_rocks};
use crate::{Kv, StoreError, Table};
use std::path::Path;
use std::sync::Arc;

/// Opens or creates the store of payloads in `path` and takes its exclusive lock, with the tables of payloads whatever
/// tables the options name. Errors as those of [`open_rocks`].
pub fn open_payloads(path: &Path, options: &StoreOptions) -> Result<Arc<dyn Kv>, StoreError> {
    open_rocks(path, &StoreOptions { tables: &Table::PAYLOADS, ..*options })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::rocks::RocksKv;
    use crate::private::tests::is_in_a_file;
    use crate::{Batch, KvRead};
    use alloy_primitives::keccak256;
    use std::os::unix::fs::PermissionsExt;

    /// Bytes that compression cannot make shorter, and that stand nowhere else.
    fn secret(number: u64, length: usize) -> Vec<u8> {
        let words = (0u64..).map(|word| keccak256([number.to_be_bytes(), word.to_be_bytes()].concat()));
        words.flat_map(|word| word.0).take(length).collect()
    }

    fn key(number: u64) -> [u8; 64] {
        let mut key = [0; 64];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    fn put(kv: &dyn Kv, table: Table, number: u64, row: &[u8]) {
        let mut batch = Batch::default();
        batch.put(table, key(number), row);
        kv.write(batch).unwrap();
    }

    fn delete(kv: &dyn Kv, table: Table, number: u64) {
        let mut batch = Batch::default();
        batch.delete(table, key(number));
        kv.write(batch).unwrap();
    }

    #[test]
    fn rows_of_any_size_are_found_again_and_the_directory_is_the_owners() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ptm").join("db");
        for round in 0..2u64 {
            // Whatever tables the options name.
            let kv = open_payloads(&path, &StoreOptions::default()).unwrap();
            for (number, table) in (0..).zip(Table::PAYLOADS) {
                let row = secret(number, 500 << number);
                if round == 0 {
                    put(&*kv, table, number, &row);
                }
                assert_eq!(kv.get(table, &key(number)).unwrap(), Some(row));
            }
            let large = secret(100, 5 << 20);
            if round == 0 {
                put(&*kv, Table::Envelopes, 100, &large);
                kv.sync().unwrap();
            }
            assert_eq!(kv.get(Table::Envelopes, &key(100)).unwrap(), Some(large));
        }
        let path = directory.path().join("other").join("db");
        drop(open_payloads(&path, &StoreOptions::payloads()).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn tables_of_other_stores_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let kv = open_payloads(directory.path(), &StoreOptions::payloads()).unwrap();
        let mut batch = Batch::default();
        batch.put(Table::Groups, *b"key", *b"row");
        batch.put(Table::Accounts, *b"key", *b"row");
        assert!(kv.write(batch).unwrap_err().to_string().contains("no table accounts"));
        assert_eq!(kv.get(Table::Groups, b"key").unwrap(), None, "nothing of the batch is written");
        assert!(kv.get(Table::Meta, b"key").is_err());
        kv.forget_history(7);
        assert_eq!((kv.reclaim_shares(), kv.reclaim(0, 1)), (1, Ok(())));
    }

    /// A secret that was deleted or replaced is in no file, wherever it stood: in the log, in a table, in both.
    #[test]
    fn scrubbing_removes_the_bytes_of_what_was_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let kv = RocksKv::open(directory.path(), &StoreOptions::payloads()).unwrap();
        let is_there = |number: u64| is_in_a_file(directory.path(), &secret(number, 300)[..150]);
        for (number, table) in (0..).zip(Table::PAYLOADS) {
            put(&kv, table, number, &secret(number, 300));
            put(&kv, table, 100 + number, &secret(100 + number, 300));
        }
        for table in Table::PAYLOADS {
            kv.compact(table).unwrap();
        }
        for (number, table) in (0..).zip(Table::PAYLOADS) {
            put(&kv, table, 200 + number, &secret(200 + number, 300));
            // In a table, in the log; the other of each stays.
            for gone in [number, 200 + number] {
                assert!(is_there(gone), "{gone}");
                match number % 2 {
                    0 => delete(&kv, table, gone),
                    _ => put(&kv, table, gone, b"replaced"),
                }
                assert!(is_there(gone), "{gone} is deleted, and its bytes are there");
            }
        }
        kv.scrub().unwrap();
        for (number, table) in (0..).zip(Table::PAYLOADS) {
            assert!(!is_there(number) && !is_there(200 + number), "{number}");
            assert!(is_there(100 + number), "what was not deleted is kept");
            assert_eq!(kv.get(table, &key(100 + number)).unwrap(), Some(secret(100 + number, 300)));
        }
        // Nothing was written since, and there is nothing to be done.
        kv.scrub().unwrap();
        drop(kv);
        let kv = RocksKv::open(directory.path(), &StoreOptions::payloads()).unwrap();
        assert!((0..Table::PAYLOADS.len() as u64).all(|number| !is_there(number) && !is_there(200 + number)));
        assert_eq!(kv.get(Table::Outbox, &key(104)).unwrap(), Some(secret(104, 300)));
    }

    #[test]
    fn a_scrub_beside_writes_removes_what_was_deleted_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let kv = RocksKv::open(directory.path(), &StoreOptions::payloads()).unwrap();
        let is_there = |number: u64| is_in_a_file(directory.path(), &secret(number, 300)[..150]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (1_000..6_000).for_each(|number| put(&kv, Table::Envelopes, number, &secret(number, 3_000)));
            });
            for number in 0..3 {
                put(&kv, Table::Envelopes, number, &secret(number, 300));
                delete(&kv, Table::Envelopes, number);
                kv.scrub().unwrap();
                assert!(!is_there(number));
            }
        });
        assert!(is_in_a_file(directory.path(), &secret(5_999, 3_000)[..150]));
    }

    /// Who still looks at the data from before would find it again: then it is not gone, and that is said.
    #[test]
    fn a_scrub_waits_for_those_who_look_at_older_data() {
        let directory = tempfile::tempdir().unwrap();
        let kv = RocksKv::open(directory.path(), &StoreOptions::payloads()).unwrap();
        put(&kv, Table::Groups, 1, &secret(1, 300));
        let look = kv.snapshot();
        delete(&kv, Table::Groups, 1);
        let error = kv.scrub().unwrap_err();
        assert!(matches!(error, StoreError::Busy(_)) && !error.is_halt());
        assert_eq!(look.get(Table::Groups, &key(1)).unwrap(), Some(secret(1, 300)));
        drop(look);
        kv.scrub().unwrap();
        assert!(!is_in_a_file(directory.path(), &secret(1, 300)[..150]));
    }
}
