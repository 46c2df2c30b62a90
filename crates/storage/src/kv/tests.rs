use super::memory::MemoryKv;
use super::rocks::{RocksKv, StoreOptions};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Runs the same check on both stores.
fn on_both(check: fn(&dyn Kv)) {
    check(&MemoryKv::new());
    let directory = tempfile::tempdir().unwrap();
    check(&RocksKv::open(directory.path(), &StoreOptions::default()).unwrap());
}

fn put(kv: &dyn Kv, table: Table, entries: &[(&[u8], &[u8])]) {
    let mut batch = Batch::default();
    for (key, value) in entries {
        batch.put(table, *key, *value);
    }
    kv.write(batch).unwrap();
}

fn pair(key: &[u8], value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((key.to_vec(), value.to_vec()))
}

#[test]
fn tables_are_apart_and_batches_apply_in_order() {
    on_both(|kv| {
        put(kv, Table::Meta, &[(b"a", b"1")]);
        assert_eq!(kv.get(Table::Meta, b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(kv.get(Table::Votes, b"a").unwrap(), None);
        let mut batch = Batch::default();
        batch.put(Table::Meta, *b"b", *b"2");
        batch.delete(Table::Meta, *b"b");
        batch.delete(Table::Meta, *b"a");
        batch.put(Table::Meta, *b"a", *b"");
        assert_eq!(batch.len(), 4);
        kv.write(batch).unwrap();
        let found = kv.get_many(Table::Meta, &[b"b", b"a", b"b"]).unwrap();
        assert_eq!(found, vec![None, Some(vec![]), None]);
        kv.sync().unwrap();
    });
}

#[test]
fn seeks_respect_their_bounds() {
    on_both(|kv| {
        put(kv, Table::Slots, &[(b"b", b"1"), (b"d", b"2"), (b"dd", b"3")]);
        let first = |from: &[u8], until: Option<&[u8]>| kv.first_from(Table::Slots, from, until).unwrap();
        assert_eq!(first(b"", None), pair(b"b", b"1"));
        assert_eq!(first(b"b", Some(b"c")), pair(b"b", b"1"));
        assert_eq!(first(b"c", Some(b"d")), None);
        assert_eq!(first(b"c", Some(b"dd")), pair(b"d", b"2"));
        assert_eq!(first(b"e", None), None);
        assert_eq!(first(b"d", Some(b"d")), None);
        assert_eq!(first(b"d", Some(b"a")), None);
        let last = |at: &[u8]| kv.last_at(Table::Slots, at).unwrap();
        assert_eq!(last(b"a"), None);
        assert_eq!(last(b"b"), pair(b"b", b"1"));
        assert_eq!(last(b"dc"), pair(b"d", b"2"));
        assert_eq!(last(b"z"), pair(b"dd", b"3"));
    });
}

#[test]
fn scans_go_in_order_and_stop_when_told() {
    on_both(|kv| {
        put(kv, Table::Codes, &[(b"c", b"3"), (b"a", b"1"), (b"b", b"2")]);
        let mut seen = Vec::new();
        kv.scan(Table::Codes, b"aa", &mut |key, value| {
            // A visitor may read the store.
            assert_eq!(kv.get(Table::Codes, key).unwrap().as_deref(), Some(value));
            seen.push(key.to_vec());
            true
        })
        .unwrap();
        assert_eq!(seen, vec![b"b".to_vec(), b"c".to_vec()]);
        let mut count = 0;
        kv.scan(Table::Codes, b"", &mut |_, _| {
            count += 1;
            false
        })
        .unwrap();
        assert_eq!(count, 1);
    });
}

#[test]
fn memory_forgets_history_up_to_a_block() {
    let kv = MemoryKv::new();
    for number in 1..=4u64 {
        put(&kv, Table::SlotHistory, &[(&number.to_be_bytes(), b"x")]);
    }
    kv.forget_history(0);
    assert_eq!(kv.len(Table::SlotHistory), 4);
    kv.forget_history(2);
    assert_eq!(kv.len(Table::SlotHistory), 2);
    assert_eq!(kv.first_from(Table::SlotHistory, &[], None).unwrap(), pair(&3u64.to_be_bytes(), b"x"));
}

#[test]
fn a_fork_shares_nothing() {
    let kv = MemoryKv::new();
    put(&kv, Table::Meta, &[(b"a", b"1")]);
    let fork = kv.fork();
    put(&kv, Table::Meta, &[(b"b", b"2")]);
    assert!(fork.get(Table::Meta, b"b").unwrap().is_none());
    fork.crash();
    assert!(fork.is_empty(Table::Meta) && kv.len(Table::Meta) == 2);
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, Option<u8>)>),
    Sync,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((0..8u8, prop::option::of(any::<u8>())), 0..6).prop_map(Step::Write),
        1 => Just(Step::Sync),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    /// A crash gives exactly the content of the last sync.
    #[test]
    fn crashes_lose_what_was_not_synced(steps in prop::collection::vec(step(), 0..30)) {
        let kv = MemoryKv::new();
        let shared = kv.clone();
        let mut now: BTreeMap<u8, u8> = BTreeMap::new();
        let mut durable = now.clone();
        for step in steps {
            match step {
                Step::Write(writes) => {
                    let mut batch = Batch::default();
                    for (key, value) in writes {
                        match value {
                            Some(value) => {
                                now.insert(key, value);
                                batch.put(Table::Meta, [key], [value]);
                            }
                            None => {
                                now.remove(&key);
                                batch.delete(Table::Meta, [key]);
                            }
                        }
                    }
                    kv.write(batch).unwrap();
                }
                Step::Sync => {
                    kv.sync().unwrap();
                    durable = now.clone();
                }
                Step::Crash => {
                    kv.crash();
                    now = durable.clone();
                }
            }
            let mut held = BTreeMap::new();
            shared.scan(Table::Meta, &[], &mut |key, value| held.insert(key[0], value[0]).is_none()).unwrap();
            prop_assert_eq!(&held, &now);
        }
    }
}
