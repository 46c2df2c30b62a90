//! Stores that are of something else, or damaged.

use super::*;
use crate::tables::{
    META_GENESIS, META_HEAD, META_PRIVATE_FORMAT, META_REWIND, META_TRIE, PRIVATE_FORMAT_VERSION,
};
use crate::tests::{address, change};
use crate::{Batch, KvRead};

fn filled() -> (MemoryKv, World) {
    let kv = MemoryKv::with_tuning(eager());
    let mut world = World::new(Arc::new(kv.clone()));
    for number in 1..10 {
        let slots = [(number, number), (number + 1, number)];
        world.commit(Done::with(change(number % 4, number, &slots), number as u8));
    }
    (kv, world)
}

fn open(kv: MemoryKv) -> Result<PrivateStore, StoreError> {
    open_private(Arc::new(kv), GENESIS)
}

fn with(kv: &MemoryKv, table: Table, key: &[u8], row: Option<&[u8]>) -> MemoryKv {
    let copy = kv.fork();
    let mut batch = Batch::default();
    match row {
        Some(row) => batch.put(table, key, row),
        None => batch.delete(table, key),
    }
    copy.write(batch).unwrap();
    copy
}

fn is_damage<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Damaged(_)))
}

#[test]
fn another_network_and_another_format_are_named() {
    let (kv, _) = filled();
    let other = B256::repeat_byte(1);
    let answer = open_private(Arc::new(kv.clone()), other).err();
    assert_eq!(answer, Some(StoreError::WrongGenesis { found: GENESIS, expected: other }));
    let newer = with(&kv, Table::Meta, META_PRIVATE_FORMAT, Some(&77u32.to_be_bytes()));
    let expected = StoreError::WrongVersion { found: 77, expected: PRIVATE_FORMAT_VERSION };
    assert_eq!(open(newer).err(), Some(expected));
}

#[test]
fn a_chain_is_not_taken_for_a_private_state() {
    let (private, _) = filled();
    assert!(is_damage(crate::snapshot::has_blocks(&with(&private, Table::Meta, META_HEAD, None))));
    let kv = MemoryKv::new();
    let chain = with(&kv, Table::Meta, crate::tables::META_FORMAT, Some(&2u32.to_be_bytes()));
    assert!(is_damage(open(chain)));
}

#[test]
fn facts_that_are_missing_or_do_not_fit_are_damage() {
    let (kv, _) = filled();
    for name in [META_PRIVATE_FORMAT, META_GENESIS, META_HEAD, META_TRIE] {
        assert!(is_damage(open(with(&kv, Table::Meta, name, None))), "{name:?}");
        assert!(is_damage(open(with(&kv, Table::Meta, name, Some(&[1, 2, 3])))), "{name:?}");
    }
    assert!(is_damage(open(with(&kv, Table::Meta, META_REWIND, Some(&[1; 39])))));
    let pointer = |number: u64, hash: B256| [number.to_be_bytes().as_slice(), hash.as_slice()].concat();
    for (number, hash) in [(8, hash(8)), (9, hash(8)), (0, GENESIS)] {
        let other = with(&kv, Table::Meta, META_HEAD, Some(&pointer(number, hash)));
        assert!(is_damage(open(other)), "{number} {hash}");
    }
}

/// What the newest root hangs on is looked at when the store is opened.
#[test]
fn a_state_with_another_root_is_not_opened() {
    let (kv, _) = filled();
    let newest = 9u64.to_be_bytes();
    let row = kv.get(Table::PrivateBlocks, &newest).unwrap().unwrap();
    for place in 0..65 {
        let mut altered = row.clone();
        altered[place] ^= 1;
        assert!(is_damage(open(with(&kv, Table::PrivateBlocks, &newest, Some(&altered)))), "byte {place}");
    }
    assert!(is_damage(open(with(&kv, Table::PrivateBlocks, &newest, None))));
    assert!(is_damage(open(with(&kv, Table::AccountTrie, &[], None))));
}

#[test]
fn rows_that_do_not_decode_are_never_answered() {
    let (kv, world) = filled();
    drop(world);
    let cut = |table: Table, key: &[u8]| {
        let row = kv.get(table, key).unwrap().unwrap();
        let row = if row.len() > 1 { &row[..row.len() - 1] } else { &[9][..] };
        open(with(&kv, table, key, Some(row))).unwrap().reader
    };
    let five = 5u64.to_be_bytes();
    let reader = cut(Table::PrivateBlocks, &five);
    assert!(is_damage(reader.bloom_at(5)) && is_damage(reader.receipts(5)) && is_damage(reader.root_at(5)));
    let reader = cut(Table::PrivateReceipts, &super::super::codec::receipt_key(5, 0));
    assert!(is_damage(reader.receipt(5, 0)) && is_damage(reader.receipts(5)));
    let contract = Address::repeat_byte(5);
    let reader = cut(Table::Contracts, &super::super::codec::contract_key(&contract, 5));
    assert!(is_damage(reader.contract(&contract, 7)));
    let reader = cut(Table::Seen, &super::super::codec::seen_key(&payload(5), 5, 0));
    assert!(is_damage(reader.seen(&payload(5))) && is_damage(reader.first_not_ours(&payload(5))));
    let reader = cut(Table::Accounts, crate::tables::account_key(&address(1)).as_slice());
    assert!(is_damage(reader.state_at(9).unwrap().flat_account(&address(1))));
    let longer = [payload(5).as_slice(), &[0; 13]].concat();
    let reader = open(with(&kv, Table::Seen, &longer, Some(&[0]))).unwrap().reader;
    assert!(is_damage(reader.seen(&payload(5))));
}

/// Going back compares roots: a history that was altered is found, and nothing is written over the state.
#[test]
fn an_altered_history_is_found_on_the_way_back() {
    let (kv, _) = filled();
    let mut found = 0;
    for table in [Table::AccountHistory, Table::SlotHistory] {
        for (key, row) in rows(&kv, table) {
            let number = u64::from_be_bytes(*key.last_chunk().unwrap());
            let altered = if row.is_empty() { vec![0, 9, 0] } else { vec![] };
            let copy = with(&kv, table, &key, Some(&altered));
            let before: Vec<_> = Table::PRIVATE.map(|table| rows(&copy, table)).into();
            let mut store = open(copy.clone()).unwrap();
            let to = Head { number: number - 1, hash: if number == 1 { GENESIS } else { hash(number - 1) } };
            match store.writer.rewind(to) {
                // Everything goes, whatever it is.
                Ok(head) => assert_eq!(head.number, 0),
                Err(error) => {
                    assert!(is_damage::<()>(Err(error)), "{table:?} {key:?}");
                    assert!(matches!(store.reader.root_at(1), Err(StoreError::Unavailable(_))));
                    let after = Table::PRIVATE.map(|table| rows(&copy, table));
                    let steps = before.iter().zip(&after).skip(1).filter(|(before, after)| before != after);
                    found += usize::from(steps.count() == 0);
                }
            }
        }
    }
    assert!(found > 5, "{found}");
}

fn audit(kv: &MemoryKv) -> Result<PrivateAudit, StoreError> {
    verify_private(Arc::new(kv.clone()), GENESIS)
}

#[test]
fn a_sound_store_passes_its_audit_and_is_counted() {
    let (kv, mut world) = filled();
    world.erase(3, 0);
    let found = audit(&kv).unwrap();
    assert_eq!((found.head, found.blocks, found.receipts), (world.head, 9, 8));
    assert_eq!((found.accounts, found.slots), (kv.len(Table::Accounts) as u64, kv.len(Table::Slots) as u64));
    assert_eq!(found.rows, Table::PRIVATE.iter().map(|table| kv.len(*table) as u64).sum::<u64>());
    let pointer = [[0; 8].as_slice(), GENESIS.as_slice()].concat();
    let busy = audit(&with(&kv, Table::Meta, META_REWIND, Some(&pointer)));
    assert!(matches!(busy, Err(StoreError::Busy(_))));
    assert!(is_damage(audit(&MemoryKv::new())));
}

/// Rows that nothing else repeats are left out: their blocks' checksums answer for them, which memory does not have.
#[test]
fn every_altered_or_missing_row_is_found_by_the_audit() {
    let (kv, mut world) = filled();
    let code = Bytes::from_static(b"\x60\x00");
    let mut changes = change(1, 77, &[]);
    changes.codes.insert(keccak256(&code), code);
    world.commit(Done { changes, ..Done::default() });
    let alone = [Table::Meta, Table::Touched, Table::AccountHistory, Table::SlotHistory];
    for table in Table::PRIVATE.into_iter().filter(|table| !alone.contains(table)) {
        let rows = rows(&kv, table);
        assert!(!rows.is_empty(), "nothing to alter in {table:?}");
        for (key, row) in rows {
            assert!(is_damage(audit(&with(&kv, table, &key, None))), "{table:?} {key:02x?}");
            let longer = [row.as_slice(), &[1]].concat();
            assert!(is_damage(audit(&with(&kv, table, &key, Some(&longer)))), "{table:?} {key:02x?}");
            if matches!(table, Table::AccountTrie | Table::StorageTrie) {
                continue;
            }
            let other = [&key[1..], &[1]].concat();
            assert!(is_damage(audit(&with(&kv, table, &other, Some(&row)))), "{table:?} {key:02x?}");
        }
    }
}
