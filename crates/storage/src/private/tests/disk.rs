//! On a disk: restarts, and bytes that are to be gone.

use super::*;
use crate::kv::rocks::{RocksKv, StoreOptions, open_rocks};
use crate::tests::change;
use crate::{Batch, History};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Whether these bytes stand in any file of a directory. Files may go away meanwhile.
pub(crate) fn is_in_a_file(directory: &Path, bytes: &[u8]) -> bool {
    let holds = |path: &Path| {
        let file = fs::read(path).unwrap_or_default();
        file.windows(bytes.len()).any(|window| window == bytes)
    };
    fs::read_dir(directory).unwrap().any(|entry| holds(&entry.unwrap().path()))
}

#[test]
fn a_store_on_disk_is_found_again_and_led_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("private");
    let options = StoreOptions::private();
    let mut world = World::new(open_rocks(&path, &options).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for number in 1..100 {
        world.commit(Done::with(change(number % 7, number, &[(number % 5, number)]), number as u8));
    }
    // As a killed process leaves it.
    let World { kv, writer, reader, head, done } = world;
    drop((kv, writer, reader));
    let mut world = World::new(open_rocks(&path, &options).unwrap());
    (world.head, world.done) = (head, done);
    world.check();
    world.check_states();
    world.rewind(30);
    world.check();
    world.check_states();
    assert!(is_same_as_replayed(&world));
}

fn is_same_as_replayed(world: &World) -> bool {
    assert_same(&*world.kv, &world.replayed(world.kv.tuning()));
    true
}

#[test]
fn a_private_state_has_only_its_tables() {
    let directory = tempfile::tempdir().unwrap();
    let kv = RocksKv::open(directory.path(), &StoreOptions::private()).unwrap();
    let names: Vec<_> = kv.figures().unwrap().iter().map(|figures| figures.table).collect();
    assert_eq!(names, Table::PRIVATE);
    drop(kv);
    assert!(RocksKv::open(directory.path(), &StoreOptions::default()).is_err(), "it is no chain");
}

/// Less is to be kept from now on, and the way back was cut off: it still reaches its end.
#[test]
fn a_way_back_is_gone_to_its_end_with_a_shorter_history() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(open_rocks(directory.path(), &StoreOptions::private()).unwrap());
    for number in 1..300 {
        world.commit(Done::with(change(number % 5, number, &[(number % 3, number)]), number as u8));
    }
    let to = Head { number: 10, hash: hash(10) };
    let mut batch = Batch::default();
    batch.put(Table::Meta, crate::tables::META_REWIND, super::super::open::pointer(&to));
    world.kv.write(batch).unwrap();
    let World { kv, writer, reader, done, .. } = world;
    drop((kv, writer, reader));
    let options = StoreOptions { history: History::Last(200), ..StoreOptions::private() };
    let mut world = World::new(open_rocks(directory.path(), &options).unwrap());
    world.done = done;
    world.went_back(to);
    world.check();
    world.check_states();
}

/// What was forgotten before a wipe says nothing about the blocks that come again.
#[test]
fn after_a_wipe_the_history_of_the_same_blocks_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { history: History::Last(200), ..StoreOptions::private() };
    let mut world = World::new(open_rocks(directory.path(), &options).unwrap());
    world.advance(5_000);
    world.commit(Done::with(change(1, 1, &[]), 1));
    assert_eq!(world.reader.oldest_state(), 4_801);
    let genesis = world.writer.wipe().unwrap();
    world.went_back(genesis);
    for number in 1..40 {
        world.commit(Done::with(change(number % 5, number, &[(number % 3, number)]), number as u8));
    }
    // Rewrites the history, and drops what may go.
    world.writer.scrub().unwrap();
    world.check_states();
    world.reopen();
    world.check_states();
}

/// What a private transaction gave, and what it did to the state, is in no file once it is gone.
#[test]
fn nothing_that_was_erased_or_undone_is_left_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let kv = open_rocks(directory.path(), &StoreOptions::private()).unwrap();
    let mut world = World::new(kv);
    let secret = |number: u64| keccak256(format!("secret {number}"));
    let slot = |number: u64| {
        let mut changes = change(number, 1, &[]);
        let storage = &mut changes.accounts.get_mut(&crate::tests::address(number)).unwrap().storage;
        storage.insert(U256::from(1), secret(number).into());
        storage.insert(U256::from(2), U256::from(2));
        changes
    };
    for number in 1..=20 {
        let mut done = Done::with(slot(number), number as u8);
        done.receipts[0].1.output = Bytes::copy_from_slice(secret(100 + number).as_slice());
        world.commit(done);
        if number == 10 {
            world.writer.scrub().unwrap();
        }
    }
    // Of a slot, zeros at the beginning are not stored.
    let is_there = |secret: B256| is_in_a_file(directory.path(), &secret[4..]);
    for number in 1..=20 {
        assert!(is_there(secret(number)) && is_there(secret(100 + number)), "{number}");
    }
    // One that is in a table file, and one that is in the log only.
    world.erase(3, 0);
    world.erase(13, 0);
    world.rewind(15);
    world.writer.scrub().unwrap();
    for number in 1..=20 {
        assert_eq!(is_there(secret(number)), number <= 15, "{number}");
        assert_eq!(is_there(secret(100 + number)), number <= 15 && number != 3 && number != 13, "{number}");
    }
    world.check();
    world.check_states();
    world.writer.wipe().unwrap();
    world.writer.scrub().unwrap();
    assert!(!(1..=20).any(|number| is_there(secret(number)) || is_there(secret(100 + number))));
}
