//! Blocks one after the other: what is committed is found, and nothing else is accepted.

use super::*;
use crate::tests::{address, change};
use alloy_trie::EMPTY_ROOT_HASH;
use lonja_primitives::StateView;

#[test]
fn a_new_store_is_empty_and_of_block_0() {
    let world = World::new(Arc::new(MemoryKv::new()));
    assert_eq!(world.reader.root_at(0), Ok(EMPTY_ROOT_HASH));
    assert_eq!((world.reader.genesis_hash(), world.reader.oldest_state()), (GENESIS, 0));
    assert_eq!(world.reader.state_at(0).unwrap().account(&address(0)), Ok(None));
    world.check();
}

#[test]
fn what_is_committed_is_found_now_and_after_a_restart() {
    let mut world = World::new(Arc::new(MemoryKv::new()));
    world.commit(Done::with(change(1, 1, &[(1, 7)]), 20));
    world.advance(3);
    world.commit(Done::with(change(2, 1, &[(1, 7), (2, 8)]), 21));
    let not_ours = vec![(payload(30), 0, Fate::NotOurs), (payload(20), 2, Fate::NotOurs)];
    world.commit(Done { seen: not_ours, ..Done::default() });
    let gone = vec![(Address::repeat_byte(20), None)];
    world.commit(Done { contracts: gone, ..Done::default() });
    world.check();
    world.check_states();
    world.reopen();
    world.check();
    world.check_states();
    assert_eq!(world.head.number, 7);
}

#[test]
fn a_block_without_anything_private_writes_the_pointer_only() {
    let kv = Arc::new(MemoryKv::new());
    let mut world = World::new(kv.clone());
    world.commit(Done::with(change(1, 1, &[(1, 7)]), 20));
    let before: Vec<_> = Table::PRIVATE.map(|table| rows(&*kv, table)).into();
    world.commit(Done::default());
    world.advance(1);
    let after: Vec<_> = Table::PRIVATE.map(|table| rows(&*kv, table)).into();
    assert_eq!(before[1..], after[1..]);
    let changed = |name: &&Vec<u8>| before[0].get(*name) != after[0].get(*name);
    assert_eq!(after[0].keys().filter(changed).collect::<Vec<_>>(), [crate::tables::META_HEAD]);
}

#[test]
fn blocks_out_of_order_are_refused_and_leave_no_trace() {
    let kv = Arc::new(MemoryKv::new());
    let mut world = World::new(kv.clone());
    world.commit(Done::with(change(1, 1, &[]), 20));
    let before = kv.fork();
    let refused = |answer: Result<(), StoreError>, why: &str| {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::OutOfOrder(_)) && error.to_string().contains(why), "{error}");
    };
    let done = Done::with(change(1, 2, &[]), 21);
    refused(world.try_commit(1, &done), "not the next one");
    refused(world.try_commit(3, &done), "not the next one");
    refused(world.writer.advance(1, hash(1)), "no later block");
    let seen = vec![(payload(1), 1, Fate::Executed), (payload(2), 0, Fate::NotOurs)];
    refused(world.try_commit(2, &Done { seen, ..done.clone() }), "out of order");
    let twice = Done { receipts: vec![(1, receipt(1, 0)), (1, receipt(1, 0))], ..done.clone() };
    refused(world.try_commit(2, &twice), "out of order");
    let descending = Done { receipts: vec![(2, receipt(1, 0)), (1, receipt(1, 0))], ..done.clone() };
    refused(world.try_commit(2, &descending), "out of order");
    let prepared = world.writer.prepare(&done.changes).unwrap();
    world.advance(1);
    let late = PrivateBlock {
        number: 3,
        hash: hash(3),
        changes: &done.changes,
        prepared: &prepared,
        receipts: &[],
        contracts: &[],
        seen: &[],
    };
    refused(world.writer.commit(&late), "prepared on another state");
    for table in Table::PRIVATE.into_iter().filter(|table| *table != Table::Meta) {
        assert_eq!(rows(&*kv, table), rows(&before, table));
    }
    world.check();
}

#[test]
fn codes_are_found_by_their_hash_and_block_hashes_are_not_known() {
    let mut world = World::new(Arc::new(MemoryKv::new()));
    let code = Bytes::from_static(b"\x60\x00");
    let mut changes = change(1, 1, &[]);
    changes.codes.insert(keccak256(&code), code.clone());
    world.commit(Done { changes, ..Done::default() });
    let state = world.reader.state_at(1).unwrap();
    assert_eq!(state.code(&keccak256(&code)), Ok(code));
    assert!(state.code(&B256::repeat_byte(1)).is_err());
    assert_eq!(state.block_hash(0), Ok(B256::ZERO));
    assert_eq!(world.writer.state().block_hash(0), Ok(B256::ZERO));
}

#[test]
fn an_erased_receipt_leaves_its_fate_and_no_log() {
    let mut world = World::new(Arc::new(MemoryKv::new()));
    let block = Done {
        changes: change(1, 1, &[(1, 1)]),
        receipts: vec![(0, receipt(1, 2)), (2, receipt(2, 1)), (3, receipt(3, 0))],
        seen: vec![
            (payload(1), 0, Fate::Executed),
            (payload(2), 2, Fate::Executed),
            (payload(5), 2, Fate::Read),
            (payload(3), 3, Fate::Executed),
        ],
        ..Done::default()
    };
    world.commit(block);
    world.commit(Done { seen: vec![(payload(4), 0, Fate::NotOurs)], ..Done::default() });
    for (number, index) in [(1, 1), (1, 2), (1, 2), (2, 0), (9, 0)] {
        world.erase(number, index);
        world.check();
    }
    world.erase(1, 0);
    world.check();
    assert_eq!(world.reader.bloom_at(1), Ok(None));
    world.check_states();
    world.reopen();
    world.check();
}

/// The payload that carries the private transaction of a marker, and that of the transaction itself.
#[test]
fn a_marker_names_two_payloads() {
    let mut world = World::new(Arc::new(MemoryKv::new()));
    world.advance(1);
    let seen = vec![(payload(1), 3, Fate::Executed), (payload(2), 3, Fate::Executed)];
    world.commit(Done { seen, receipts: vec![(3, receipt(1, 1))], ..Done::default() });
    world.check();
    world.erase(2, 3);
    world.check();
    world.rewind(1);
    world.check();
}

#[test]
fn occurrences_are_bounded_and_the_first_that_was_missed_is_found_beyond() {
    let mut world = World::new(Arc::new(MemoryKv::new()));
    for _ in 0..MAX_SEEN {
        world.commit(Done { seen: vec![(payload(1), 0, Fate::Executed)], ..Done::default() });
    }
    world.commit(Done { seen: vec![(payload(1), 0, Fate::NotOurs)], ..Done::default() });
    assert_eq!(world.reader.seen(&payload(1)).unwrap().len(), MAX_SEEN);
    assert_eq!(world.reader.first_not_ours(&payload(1)), Ok(Some(MAX_SEEN as u64 + 1)));
    assert_eq!(world.reader.first_not_ours(&payload(2)), Ok(None));
}

#[test]
fn neighbours_in_the_tables_are_told_apart() {
    let mut world = World::new(Arc::new(MemoryKv::new()));
    let last = Address::repeat_byte(0xff);
    let contracts = vec![(Address::repeat_byte(0xfe), Some(record(1))), (last, Some(record(2)))];
    let seen = vec![(payload(0xff), 0, Fate::NotOurs), (payload(0xfe), u32::MAX, Fate::Executed)];
    let receipts = vec![(0, receipt(1, 1)), (u32::MAX, receipt(2, 1))];
    world.commit(Done { contracts, seen, receipts, ..Done::default() });
    world.commit(Done { receipts: vec![(0, receipt(3, 1))], ..Done::default() });
    world.check();
    assert_eq!(world.reader.contract(&Address::ZERO, 2), Ok(None));
    assert_eq!(world.reader.contract(&last, u64::MAX), Ok(Some(record(2))));
    assert_eq!(world.reader.receipts(1).unwrap().len(), 2);
}

#[test]
fn proofs_lead_to_the_private_root() {
    use crate::tests::states::{check_proof, limits};
    let mut world = World::new(Arc::new(MemoryKv::new()));
    for number in 1..12 {
        world.commit(Done::with(change(number % 4, number, &[(number % 3, number)]), number as u8));
    }
    world.rewind(9);
    for number in 0..=world.head.number {
        for account in 0..5 {
            let slots = [U256::from(1), U256::from(2)];
            let proof = world.reader.proof(number, &address(account), &slots, &limits(1_000)).unwrap();
            check_proof(&proof, &world.model_at(number));
        }
    }
    let answer = world.reader.proof(10, &address(1), &[], &limits(1_000));
    assert!(matches!(answer, Err(StoreError::NotAvailable { .. })));
}

/// What is private stays out of texts that may end up in a log.
#[test]
fn debug_output_of_a_receipt_holds_figures_only() {
    let mut receipt = receipt(20, 1);
    receipt.error = Some("the amount is 4711".to_owned());
    receipt.output = Bytes::from_static(b"4711");
    let text = format!("{receipt:?}");
    assert!(text.contains("20000") && !text.contains("4711") && !text.contains("34373131"), "{text}");
}
