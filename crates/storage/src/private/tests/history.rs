//! States of the last so many blocks only.

use super::*;
use crate::History;
use crate::tests::change;
use crate::tests::states::{ADDRESSES, SLOTS};

fn last(blocks: u64) -> Tuning {
    Tuning {
        history: History::Last(blocks),
        trie_lag_blocks: 8,
        trie_lag_bytes: 1 << 20,
        ..Tuning::default()
    }
}

/// Blocks in three stretches with long gaps between.
fn world(kv: &MemoryKv) -> World {
    let mut world = World::new(Arc::new(kv.clone()));
    for gap in [1, 3_000, 5_000] {
        world.advance(gap);
        for number in 1..20 {
            let slots = [(number % SLOTS, number + gap), (number * 3 % SLOTS, 0)];
            world.commit(Done::with(change(number % ADDRESSES, number + gap, &slots), number as u8));
        }
    }
    world
}

/// Compares the states in the newest stretch.
fn check_newest(world: &World) {
    let slots: Vec<_> = (0..=SLOTS).map(U256::from).collect();
    let addresses: Vec<_> = (0..=ADDRESSES).map(crate::tests::address).collect();
    for number in world.head.number.saturating_sub(25)..=world.head.number {
        let state = world.reader.state_at(number).unwrap();
        world.model_at(number).check(&state, &addresses, &slots);
    }
}

#[test]
fn older_states_go_and_receipts_stay() {
    let kv = MemoryKv::with_tuning(last(200));
    let mut world = world(&kv);
    let oldest = world.reader.oldest_state();
    assert!((7_000..world.head.number - 199).contains(&oldest), "{oldest}");
    check_newest(&world);
    assert!(matches!(world.reader.state_at(oldest - 1), Err(StoreError::NotAvailable { .. })));
    assert_eq!(world.reader.root_at(5), Ok(world.model_at(5).root()));
    assert_eq!(world.reader.receipts(5).unwrap().len(), 1);
    let (history, touched) = (kv.len(Table::AccountHistory), kv.len(Table::Touched));
    assert!(history < 45 && touched < 45, "{history} {touched}");
    world.reopen();
    assert_eq!(world.reader.oldest_state(), world.head.number - 200);
    check_newest(&world);
}

#[test]
fn further_back_than_the_history_only_everything_goes() {
    let kv = MemoryKv::with_tuning(last(200));
    let mut world = world(&kv);
    let before = kv.fork();
    let oldest = world.reader.oldest_state();
    let answer = world.writer.rewind(Head { number: 10, hash: hash(10) });
    assert_eq!(answer, Err(StoreError::NotAvailable { number: 10, oldest }));
    assert_same(&kv, &before);
    world.rewind(world.head.number - 7);
    check_newest(&world);
    let genesis = Head { number: 0, hash: GENESIS };
    assert_eq!(world.writer.wipe(), Ok(genesis));
    world.went_back(genesis);
    assert_eq!(world.reader.oldest_state(), 0);
    world.check();
    for number in 1..60 {
        world.commit(Done::with(
            change(number % ADDRESSES, number, &[(number % SLOTS, number)]),
            number as u8,
        ));
    }
    // Nothing of the new history is taken for what was forgotten before.
    world.check_states();
    world.reopen();
    world.check_states();
    world.rewind(20);
    world.check_states();
}

/// A power cut takes what was not synced, and with it no history that the blocks before it need.
#[test]
fn history_goes_only_once_its_end_is_durable() {
    for (blocks, left) in [(9, 1_015), (17, 1_015), (18, 1_028), (19, 1_028), (30, 1_028)] {
        let kv = MemoryKv::with_tuning(last(4));
        let mut world = World::new(Arc::new(kv.clone()));
        world.advance(1_010);
        for number in 1..=blocks {
            world.commit(Done::with(change(number % 3, number, &[(number % 5, number)]), number as u8));
            if number == 5 {
                world.writer.sync().unwrap();
            }
        }
        assert_eq!(world.reader.oldest_state(), if left == 1_028 { 1_024 } else { 0 });
        kv.crash();
        world.reopen();
        world.went_back(world.writer.head());
        assert_eq!((world.head.number, world.reader.oldest_state()), (left, left - 4));
        world.check_states();
    }
}
